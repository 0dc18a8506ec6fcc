//! fjall 3 with its defaults, which hand each insert to the operating system: `Process`, and
//! `Memory` too. `Power` is a `persist(SyncData)` after each. The block cache is large enough for
//! every session. It stores bytes, so a get decodes them.
//!
//! Its plain keyspace has no read-modify-write, and its transactions let one writer in at a time;
//! what reads and writes a session is therefore guarded here, by one of many locks.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};

const CACHE_BYTES: u64 = 512 << 20;
const LOCKS: usize = 64;

type Locks = [Mutex<()>; LOCKS];

pub struct Fjall {
    database: Database,
    sessions: Keyspace,
    locks: Arc<Locks>,
    level: Level,
}

/// One thread's access.
pub struct FjallClient {
    database: Database,
    sessions: Keyspace,
    locks: Arc<Locks>,
    level: Level,
    buffer: Vec<u8>,
}

impl Rival for Fjall {
    type Client = FjallClient;

    const NAME: &'static str = "fjall";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES).open()?;
        let sessions = database.keyspace("sessions", KeyspaceCreateOptions::default)?;
        let locks = Arc::new([const { Mutex::new(()) }; LOCKS]);
        Ok(Fjall { database, sessions, locks, level })
    }

    fn client(&self) -> Result<FjallClient> {
        Ok(FjallClient {
            database: self.database.clone(),
            sessions: self.sessions.clone(),
            locks: Arc::clone(&self.locks),
            level: self.level,
            buffer: Vec::with_capacity(ENCODED),
        })
    }

    fn flush(&self) -> Result<()> {
        Ok(self.sessions.rotate_memtable_and_wait()?)
    }

    fn compact(&mut self) -> Result<()> {
        self.flush()?;
        Ok(self.sessions.major_compact()?)
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
        self.persist()
    }
}

impl Change for FjallClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let locks = Arc::clone(&self.locks);
        let _guard = lock(&locks, key);
        let Some(mut record) = self.get(key)? else { return Ok(false) };
        change(&mut record);
        self.insert(key, record)?;
        Ok(true)
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        let _guard = lock(&self.locks, key);
        let found = self.sessions.contains_key(key.0)?;
        if found {
            self.sessions.remove(key.0)?;
            self.persist()?;
        }
        Ok(found)
    }
}

impl FjallClient {
    fn persist(&self) -> Result<()> {
        if self.level == Level::Power {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

fn lock<'a>(locks: &'a Locks, key: &Key) -> std::sync::MutexGuard<'a, ()> {
    let lock = &locks[key.seed() as usize % LOCKS];
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
