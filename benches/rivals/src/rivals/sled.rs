//! sled 0.34 in its mode for throughput, with its 1 GiB cache. It hands writes to the operating
//! system twice a second, so that what is here called `Process` may lose the last half second, in
//! sled's favour; `Power` is a `flush` after each write. It stores bytes, so a get decodes them.
//!
//! 0.34 is of 2021 and no later version has come out of alpha since.

use std::path::Path;

use ::sled::{Config, Db, Mode};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};

pub struct Sled {
    database: Db,
    level: Level,
}

/// One thread's access.
pub struct SledClient {
    database: Db,
    level: Level,
    buffer: Vec<u8>,
}

impl Rival for Sled {
    type Client = SledClient;

    const NAME: &'static str = "sled";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        let database = Config::new().path(dir).mode(Mode::HighThroughput).open()?;
        Ok(Sled { database, level })
    }

    fn client(&self) -> Result<SledClient> {
        let buffer = Vec::with_capacity(ENCODED);
        Ok(SledClient { database: self.database.clone(), level: self.level, buffer })
    }

    fn flush(&self) -> Result<()> {
        self.database.flush()?;
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.flush()
    }
}

impl SledClient {
    fn persist(&self) -> Result<()> {
        if self.level == Level::Power {
            self.database.flush()?;
        }
        Ok(())
    }
}

impl Client for SledClient {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        self.database.get(key.0)?.map(|bytes| Record::decode(&bytes)).transpose()
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        self.database.insert(key.0, self.buffer.as_slice())?;
        self.persist()
    }
}

impl Change for SledClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let mut failed = None;
        let changed = |old: Option<&[u8]>| {
            let encode = |bytes| -> Result<Vec<u8>> {
                let mut record = Record::decode(bytes)?;
                change(&mut record);
                let mut buffer = Vec::with_capacity(ENCODED);
                record.encode(&mut buffer)?;
                Ok(buffer)
            };
            old.and_then(|bytes| encode(bytes).map_err(|error| failed = Some(error)).ok())
        };
        let found = self.database.fetch_and_update(key.0, changed)?.is_some();
        failed.map_or(Ok(()), Err)?;
        self.persist()?;
        Ok(found)
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        let found = self.database.remove(key.0)?.is_some();
        self.persist()?;
        Ok(found)
    }
}
