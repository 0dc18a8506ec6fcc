//! redb, one commit for each write. `Power` is `Durability::Immediate`, its default. It has nothing
//! between that and `Durability::None`, which a kill takes back to the last durable commit: `Memory`,
//! and here `Process` too, in redb's favour. As pages that such commits free are used again only
//! after a durable one, every thousandth is one. It stores bytes, so a get decodes them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ::redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};
use crate::scratch;

const SESSIONS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("sessions");
const CACHE_BYTES: usize = 512 << 20;
const DURABLE_EVERY: usize = 1000;

struct Shared {
    database: Database,
    level: Level,
    commits: AtomicUsize,
}

pub struct Redb(Arc<Shared>);

/// One thread's access.
pub struct RedbClient {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Rival for Redb {
    type Client = RedbClient;

    const NAME: &'static str = "redb";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        if !dir.exists() {
            scratch::private(dir)?;
        }
        let file = dir.join("sessions.redb");
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(file)?;
        let shared = Shared { database, level, commits: AtomicUsize::new(0) };
        shared.write(|_| Ok(()))?;
        Ok(Redb(Arc::new(shared)))
    }

    fn client(&self) -> Result<RedbClient> {
        let buffer = Vec::with_capacity(ENCODED);
        Ok(RedbClient { shared: Arc::clone(&self.0), buffer })
    }

    fn flush(&self) -> Result<()> {
        Ok(self.0.database.begin_write()?.commit()?)
    }

    fn compact(&mut self) -> Result<()> {
        let shared = Arc::get_mut(&mut self.0).ok_or("a client of redb is still there")?;
        while shared.database.compact()? {}
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.flush()
    }
}

impl Shared {
    fn write<T>(&self, body: impl FnOnce(&mut Table<&[u8; 16], &[u8]>) -> Result<T>) -> Result<T> {
        let mut transaction = self.database.begin_write()?;
        let durable = self.commits.fetch_add(1, Relaxed).is_multiple_of(DURABLE_EVERY);
        if self.level != Level::Power && !durable {
            transaction.set_durability(Durability::None)?;
        }
        let value = body(&mut transaction.open_table(SESSIONS)?)?;
        transaction.commit()?;
        Ok(value)
    }
}

impl Client for RedbClient {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        let table: ReadOnlyTable<_, _> = self.shared.database.begin_read()?.open_table(SESSIONS)?;
        table.get(&key.0)?.map(|bytes| Record::decode(bytes.value())).transpose()
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        record.encode(&mut self.buffer)?;
        self.shared.write(|table| {
            table.insert(&key.0, self.buffer.as_slice())?;
            Ok(())
        })
    }
}

impl Change for RedbClient {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let RedbClient { shared, buffer } = self;
        shared.write(|table| {
            let found = table.get(&key.0)?.map(|bytes| Record::decode(bytes.value()));
            let Some(mut record) = found.transpose()? else { return Ok(false) };
            change(&mut record);
            buffer.clear();
            record.encode(buffer)?;
            table.insert(&key.0, buffer.as_slice())?;
            Ok(true)
        })
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        self.shared.write(|table| Ok(table.remove(&key.0)?.is_some()))
    }
}
