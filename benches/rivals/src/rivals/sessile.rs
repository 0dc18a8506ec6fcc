//! sessile itself, as a server would open it: two weeks idle, thirty days absolute.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::sessile::{Durability, Store};

use super::{Change, Client, IDLE_S, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::Record;

/// More than the largest run needs: what happens at the limit is not measured here.
const MEMORY_MAX: u64 = 4 << 30;

pub struct Sessile(Store<Record>);

impl Rival for Sessile {
    type Client = Store<Record>;

    const NAME: &'static str = "sessile";

    fn open(dir: &Path, level: Level) -> Result<Self> {
        let durability = match level {
            Level::Memory => Durability::Memory,
            Level::Process => Durability::Process,
            Level::Power => Durability::Power,
        };
        let store = Store::<Record>::builder()
            .idle(Duration::from_secs(IDLE_S))
            .absolute(Duration::from_secs(30 * 24 * 3600))
            .durability(durability)
            // By default a removal waits for the disk, which no rival's does.
            .removal_durability(durability)
            .max_memory(MEMORY_MAX)
            .open(dir)?;
        Ok(Sessile(store))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(self.0.clone())
    }

    /// Flushes and merges: a merge that is due would begin by itself, some time.
    fn settle(&self) -> Result<()> {
        self.0.flush()?;
        Ok(self.0.merge()?)
    }

    fn flush(&self) -> Result<()> {
        Ok(self.0.flush()?)
    }

    fn compact(&mut self) -> Result<()> {
        self.settle()
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}

impl Client for Store<Record> {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(Store::get(self, &::sessile::Key::from_bytes(key.0))?)
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        Ok(Store::insert(self, ::sessile::Key::from_bytes(key.0), record)?)
    }
}

impl Change for Store<Record> {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        Ok(Store::update(self, &::sessile::Key::from_bytes(key.0), change)?.is_some())
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        Ok(Store::remove(self, &::sessile::Key::from_bytes(key.0))?)
    }
}
