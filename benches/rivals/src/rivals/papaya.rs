//! papaya with sessile's hasher and `Arc` values: reads take no lock, an update puts a copy in
//! place. Without expiry and without disk.

use std::path::Path;
use std::sync::Arc;

use ::papaya::HashMap;

use super::{Change, Client, Level, Rival};
use crate::Result;
use crate::keys::{Folded, Key};
use crate::record::Record;

type Map = HashMap<Key, Arc<Record>, Folded>;

pub struct Papaya(Arc<Map>);

impl Rival for Papaya {
    type Client = Arc<Map>;

    const NAME: &'static str = "papaya";

    fn open(_: &Path, _: Level) -> Result<Self> {
        Ok(Papaya(Arc::new(Map::default())))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(Arc::clone(&self.0))
    }
}

impl Client for Arc<Map> {
    type Value = Arc<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Arc<Record>>> {
        Ok(self.pin().get(key).cloned())
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.pin().insert(*key, Arc::new(record));
        Ok(())
    }
}

impl Change for Arc<Map> {
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        let changed = |old: &Arc<Record>| {
            let mut record = Record::clone(old);
            change(&mut record);
            Arc::new(record)
        };
        Ok(self.pin().update(*key, changed).is_some())
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        Ok(self.pin().remove(key).is_some())
    }
}
