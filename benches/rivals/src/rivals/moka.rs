//! moka's synchronous cache with idle expiry, `Arc` values and sessile's hasher; unbounded, and
//! without disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::moka::ops::compute::{CompResult, Op};
use ::moka::sync::Cache;

use super::{Change, Client, IDLE_S, Level, Rival};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

type Map = Cache<Key, Arc<Record>, Folded>;

pub struct Moka(Map);

impl Rival for Moka {
    type Client = Map;

    const NAME: &'static str = "moka";

    fn open(_: &Path, _: Level) -> Result<Self> {
        let idle = Duration::from_secs(IDLE_S);
        Ok(Moka(Cache::builder().time_to_idle(idle).build_with_hasher(Folded::default())))
    }

    fn client(&self) -> Result<Map> {
        Ok(self.0.clone())
    }

    fn settle(&self) -> Result<()> {
        self.0.run_pending_tasks();
        Ok(())
    }
}

impl Client for Map {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(Cache::get(self, key))
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        Cache::insert(self, *key, Arc::new(record));
        Ok(())
    }
}

impl Change for Map {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let result = self.entry(*key).and_compute_with(|entry| match entry {
            Some(entry) => {
                let mut record = Record::clone(entry.value());
                change(&mut record);
                Op::Put(Arc::new(record))
            }
            None => Op::Nop,
        });
        Ok(matches!(result, CompResult::ReplacedWith(_)))
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        Ok(Cache::remove(self, key).is_some())
    }
}
