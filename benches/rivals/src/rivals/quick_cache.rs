//! quick_cache with sessile's hasher and `Arc` values, never full; without expiry and without
//! disk. It is updated in place, under its shard's lock.

use std::path::Path;
use std::sync::Arc;

use ::quick_cache::UnitWeighter;
use ::quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

/// Sessions it is told to expect: it allocates none of them ahead.
const EXPECTED: usize = 1_000_000;
/// Sessions at which it would evict: more than any run has, in the fullest shard too.
const LIMIT: u64 = 1 << 32;

type Map = Cache<Key, Arc<Record>, UnitWeighter, Folded>;

pub struct QuickCache(Arc<Map>);

impl Rival for QuickCache {
    type Client = Arc<Map>;

    const NAME: &'static str = "quick_cache";

    fn open(_: &Path, _: Level) -> Result<Self> {
        let (hasher, lifecycle) = (Folded::default(), DefaultLifecycle::default());
        Ok(QuickCache(Arc::new(Cache::with(EXPECTED, LIMIT, UnitWeighter, hasher, lifecycle))))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(Arc::clone(&self.0))
    }
}

impl Client for Arc<Map> {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(Cache::get(self, key))
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        Cache::insert(self, *key, Arc::new(record));
        Ok(())
    }
}

impl Change for Arc<Map> {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let result = self.entry(key, None, |_, value| {
            change(Arc::make_mut(value));
            EntryAction::Retain(())
        });
        Ok(matches!(result, EntryResult::Retained(())))
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        Ok(Cache::remove(self, key).is_some())
    }
}
