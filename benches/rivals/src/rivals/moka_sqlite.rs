//! moka in front of SQLite, written through: what web frameworks call a cached database. Each write
//! goes to the table first and to the cache when it has returned; a get asks the cache, and the
//! table if that has nothing. Levels are SQLite's. A visit puts off moka's deadline, in memory, and
//! writes nothing; the table has no deadlines.

use std::path::Path;
use std::sync::Arc;

use ::moka::ops::compute::{CompResult, Op};
use ::moka::sync::Cache;

use super::sqlite::SqliteClient;
use super::{Change, Client, Level, Moka, Rival, Sqlite};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

pub struct MokaSqlite {
    cache: Moka,
    table: Sqlite,
}

/// One thread's access.
pub struct MokaSqliteClient {
    cache: Cache<Key, Arc<Record>, Folded>,
    table: SqliteClient,
}

impl Rival for MokaSqlite {
    type Client = MokaSqliteClient;

    const NAME: &'static str = "moka+sqlite";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        Ok(MokaSqlite { cache: Moka::open(dir, level)?, table: Sqlite::open(dir, level)? })
    }

    fn client(&self) -> Result<MokaSqliteClient> {
        Ok(MokaSqliteClient { cache: self.cache.client()?, table: self.table.client()? })
    }

    fn settle(&self) -> Result<()> {
        self.cache.settle()
    }

    fn flush(&self) -> Result<()> {
        self.table.flush()
    }

    fn close(self) -> Result<()> {
        self.table.close()
    }
}

impl Client for MokaSqliteClient {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        if let Some(record) = Cache::get(&self.cache, key) {
            return Ok(Some(record));
        }
        // Through the key's entry, so that a slow read does not cover a removal.
        let table = &mut self.table;
        let result = self.cache.entry(*key).and_try_compute_with(|entry| -> Result<_> {
            Ok(match (entry, table.get(key)?) {
                (None, Some(record)) => Op::Put(Arc::new(record)),
                _ => Op::Nop,
            })
        })?;
        Ok(match result {
            CompResult::Inserted(entry) | CompResult::Unchanged(entry) => Some(entry.into_value()),
            _ => None,
        })
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.table.insert(key, record.clone())?;
        self.cache.insert(*key, Arc::new(record));
        Ok(())
    }
}

impl Change for MokaSqliteClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let table = &mut self.table;
        let result = self.cache.entry(*key).and_try_compute_with(|entry| -> Result<_> {
            let found = match entry {
                Some(entry) => Some(Record::clone(entry.value())),
                None => table.get(key)?,
            };
            let Some(mut record) = found else { return Ok(Op::Nop) };
            change(&mut record);
            table.replace(key, &record)?;
            Ok(Op::Put(Arc::new(record)))
        })?;
        Ok(matches!(result, CompResult::ReplacedWith(_) | CompResult::Inserted(_)))
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        let table = &mut self.table;
        let mut found = false;
        self.cache.entry(*key).and_try_compute_with(|_| -> Result<_> {
            found = table.remove(key)?;
            Ok(Op::Remove)
        })?;
        Ok(found)
    }
}
