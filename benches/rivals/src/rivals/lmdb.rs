//! LMDB through heed, one commit for each write. `Process`, and `Memory` too, is `MDB_NOSYNC`: what
//! is committed is in the page cache (a loss of power may then damage the whole file). `Power` is
//! its default, which syncs each commit. It stores bytes, so a get decodes them.

use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};
use crate::scratch;

/// Addresses, not bytes on disk.
const MAP_BYTES: usize = 16 << 30;

type Sessions = Database<Bytes, Bytes>;

pub struct Lmdb {
    env: Env,
    sessions: Sessions,
}

/// One thread's access.
pub struct LmdbClient {
    env: Env,
    sessions: Sessions,
    buffer: Vec<u8>,
}

impl Rival for Lmdb {
    type Client = LmdbClient;

    const NAME: &'static str = "lmdb";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        if !dir.exists() {
            scratch::private(dir)?;
        }
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        if level != Level::Power {
            // SAFETY: the file is ours alone, and is not read after a loss of power.
            unsafe { options.flags(EnvFlags::NO_SYNC) };
        }
        // SAFETY: nobody else writes to the file while it is mapped.
        let env = unsafe { options.open(dir)? };
        let mut transaction = env.write_txn()?;
        let sessions = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Lmdb { env, sessions })
    }

    fn client(&self) -> Result<LmdbClient> {
        let buffer = Vec::with_capacity(ENCODED);
        Ok(LmdbClient { env: self.env.clone(), sessions: self.sessions, buffer })
    }

    fn flush(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn close(self) -> Result<()> {
        self.env.force_sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

impl Client for LmdbClient {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        let transaction = self.env.read_txn()?;
        self.sessions.get(&transaction, &key.0)?.map(Record::decode).transpose()
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        let mut transaction = self.env.write_txn()?;
        self.sessions.put(&mut transaction, &key.0, &self.buffer)?;
        Ok(transaction.commit()?)
    }
}

impl Change for LmdbClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let mut transaction = self.env.write_txn()?;
        let Some(bytes) = self.sessions.get(&transaction, &key.0)? else { return Ok(false) };
        let mut record = Record::decode(bytes)?;
        change(&mut record);
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        self.sessions.put(&mut transaction, &key.0, &self.buffer)?;
        transaction.commit()?;
        Ok(true)
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        let mut transaction = self.env.write_txn()?;
        let found = self.sessions.delete(&mut transaction, &key.0)?;
        transaction.commit()?;
        Ok(found)
    }
}
