//! dashmap with sessile's hasher and `Arc` values: the ceiling, without expiry and without disk.

use std::path::Path;
use std::sync::Arc;

use ::dashmap::DashMap;

use super::{Client, Level, Rival};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

type Map = DashMap<Key, Arc<Record>, Folded>;

pub struct Dashmap(Arc<Map>);

impl Rival for Dashmap {
    type Client = Arc<Map>;

    const NAME: &'static str = "dashmap";

    fn open(_: &Path, _: Level) -> Result<Self> {
        Ok(Dashmap(Arc::new(Map::default())))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(Arc::clone(&self.0))
    }
}

impl Client for Arc<Map> {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(DashMap::get(self, key).map(|entry| Arc::clone(entry.value())))
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        DashMap::insert(self, *key, Arc::new(record));
        Ok(())
    }
}
