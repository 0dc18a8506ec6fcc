//! dashmap with `Arc` values: the ceiling, without expiry and without disk. Once with sessile's
//! hasher and once with the one it comes with; updated in place, under its shard's lock.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use ::dashmap::DashMap;

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

type Map<S> = DashMap<Key, Arc<Record>, S>;

pub struct Hashed<S>(Arc<Map<S>>);
pub type Dashmap = Hashed<Folded>;
pub type DashmapDefault = Hashed<RandomState>;

/// A hasher, and what dashmap is called with it.
pub trait Named: BuildHasher + Clone + Default + Send + Sync + 'static {
    const NAME: &'static str;
}

impl Named for Folded {
    const NAME: &'static str = "dashmap";
}

impl Named for RandomState {
    const NAME: &'static str = "dashmap-default";
}

impl<S: Named> Rival for Hashed<S> {
    type Client = Arc<Map<S>>;

    const NAME: &'static str = S::NAME;

    fn open(_: &Path, _: Level) -> Result<Self> {
        Ok(Hashed(Arc::new(Map::default())))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(Arc::clone(&self.0))
    }
}

impl<S: Named> Client for Arc<Map<S>> {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(DashMap::get(self, key).map(|entry| Arc::clone(entry.value())))
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        DashMap::insert(self, *key, Arc::new(record));
        Ok(())
    }
}

impl<S: Named> Change for Arc<Map<S>> {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let entry = self.get_mut(key);
        Ok(entry.map(|mut entry| change(Arc::make_mut(entry.value_mut()))).is_some())
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        Ok(DashMap::remove(self, key).is_some())
    }
}
