//! SQLite in WAL mode, as its documentation advises for this: one connection for each thread,
//! prepared statements kept, a table without rowid, reads through a memory map. `Process`, and
//! `Memory` too, is `synchronous = NORMAL`: a commit is in the page cache, and the file is sound
//! after a loss of power. `Power` is `FULL`.
//!
//! Writers queue at a mutex of ours: SQLite's own waiting is polling with growing pauses, which
//! costs many writers most of their time. It stores bytes, so a get decodes them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};
use crate::scratch;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS sessions
    (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID";
const SELECT: &str = "SELECT value FROM sessions WHERE key = ?1";
const UPSERT: &str = "INSERT INTO sessions VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const UPDATE: &str = "UPDATE sessions SET value = ?2 WHERE key = ?1";
const DELETE: &str = "DELETE FROM sessions WHERE key = ?1";

const MAP_BYTES: i64 = 4 << 30;
/// Negative: in KiB, for each connection.
const CACHE_KIB: i64 = -(64 << 10);
/// For a checkpoint of another connection.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Sqlite {
    file: PathBuf,
    level: Level,
    writers: Arc<Mutex<()>>,
    /// Held, so that no client is the last to leave and clears the log away.
    connection: Mutex<Connection>,
}

/// One thread's connection.
pub struct SqliteClient {
    connection: Connection,
    writers: Arc<Mutex<()>>,
    buffer: Vec<u8>,
}

impl Rival for Sqlite {
    type Client = SqliteClient;

    const NAME: &'static str = "sqlite";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        if !dir.exists() {
            scratch::private(dir)?;
        }
        let file = dir.join("sessions.db");
        let connection = connect(&file, level)?;
        connection.execute(TABLE, ())?;
        let connection = Mutex::new(connection);
        Ok(Sqlite { file, level, writers: Arc::default(), connection })
    }

    fn client(&self) -> Result<SqliteClient> {
        Ok(SqliteClient {
            connection: connect(&self.file, self.level)?,
            writers: Arc::clone(&self.writers),
            buffer: Vec::with_capacity(ENCODED),
        })
    }

    fn flush(&self) -> Result<()> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?)
    }

    fn compact(&mut self) -> Result<()> {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        connection.execute_batch("VACUUM")?;
        self.flush()
    }

    fn close(self) -> Result<()> {
        let connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, error)| error.into())
    }
}

fn connect(file: &Path, level: Level) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if level == Level::Power { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "mmap_size", MAP_BYTES)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    Ok(connection)
}

fn queue(writers: &Mutex<()>) -> MutexGuard<'_, ()> {
    writers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn select(connection: &Connection, key: &Key) -> Result<Option<Record>> {
    let mut statement = connection.prepare_cached(SELECT)?;
    let decode = |row: &rusqlite::Row| Ok(Record::decode(row.get_ref(0)?.as_blob()?));
    statement.query_row([&key.0[..]], decode).optional()?.transpose()
}

impl Client for SqliteClient {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        select(&self.connection, key)
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        let mut statement = self.connection.prepare_cached(UPSERT)?;
        let _turn = queue(&self.writers);
        statement.execute([&key.0[..], &self.buffer])?;
        Ok(())
    }
}

impl SqliteClient {
    /// Puts another record in the place of one that is there.
    pub(super) fn replace(&mut self, key: &Key, record: &Record) -> Result<bool> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        let mut statement = self.connection.prepare_cached(UPDATE)?;
        let _turn = queue(&self.writers);
        Ok(statement.execute([&key.0[..], &self.buffer])? == 1)
    }
}

impl Change for SqliteClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let _turn = queue(&self.writers);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(mut record) = select(&transaction, key)? else { return Ok(false) };
        change(&mut record);
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        transaction.prepare_cached(UPDATE)?.execute([&key.0[..], &self.buffer])?;
        transaction.commit()?;
        Ok(true)
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(DELETE)?;
        let _turn = queue(&self.writers);
        Ok(statement.execute([&key.0[..]])? == 1)
    }
}
