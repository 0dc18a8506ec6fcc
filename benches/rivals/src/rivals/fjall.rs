//! fjall 3 with its defaults, which hand each insert to the operating system; the block cache is
//! large enough for every session. It stores bytes, so a get decodes them.

use std::path::Path;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};

const CACHE_BYTES: u64 = 512 << 20;

pub struct Fjall {
    database: Database,
    sessions: Keyspace,
    level: Level,
}

/// One thread's access.
pub struct FjallClient {
    database: Database,
    sessions: Keyspace,
    level: Level,
    buffer: Vec<u8>,
}

impl Rival for Fjall {
    type Client = FjallClient;

    const NAME: &'static str = "fjall";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES).open()?;
        let sessions = database.keyspace("sessions", KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, sessions, level })
    }

    fn client(&self) -> Result<FjallClient> {
        Ok(FjallClient {
            database: self.database.clone(),
            sessions: self.sessions.clone(),
            level: self.level,
            buffer: Vec::with_capacity(ENCODED),
        })
    }

    fn flush(&self) -> Result<()> {
        Ok(self.sessions.rotate_memtable_and_wait()?)
    }

    fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

impl Client for FjallClient {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        self.sessions.get(key.0)?.map(|bytes| Record::decode(&bytes)).transpose()
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        self.sessions.insert(key.0, self.buffer.as_slice())?;
        if self.level == Level::Power {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}
