//! What stands for dashmap while a checker chooses the order of things: the same promises, a lock
//! for each part of the keys, held for one call.

use std::collections::HashMap;

use crate::hash::{BuildKeyHasher, Seed};
use crate::id::Key;
use crate::store::map::Entry;
use crate::sync::RwLock;

type Shard<V> = RwLock<HashMap<Key, Entry<V>, BuildKeyHasher>>;

/// See [`super`].
pub(crate) struct Map<V> {
    shards: Box<[Shard<V>]>,
    seed: Seed,
}

impl<V> Map<V> {
    pub(crate) fn new(shards: usize, seed: Seed) -> Self {
        let shard = |_| RwLock::new(HashMap::with_hasher(seed.hasher()));
        Map { shards: (0..shards).map(shard).collect(), seed }
    }

    fn shard(&self, key: &Key) -> &Shard<V> {
        // Not the bits that choose the stripe: keys of two stripes may share a shard.
        let index = self.seed.hash(key) as usize % self.shards.len();
        match self.shards.get(index) {
            Some(shard) => shard,
            None => unreachable!("the index is below their number"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub(crate) fn read<R>(&self, key: &Key, look: impl FnOnce(&Entry<V>) -> R) -> Option<R> {
        self.shard(key).read().get(key).map(look)
    }

    pub(crate) fn change<R>(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Entry<V>) -> R,
    ) -> Option<R> {
        self.shard(key).write().get_mut(key).map(change)
    }

    pub(crate) fn upsert<R>(
        &self,
        key: Key,
        change: impl FnOnce(&mut Entry<V>) -> R,
        make: impl FnOnce() -> (Entry<V>, R),
    ) -> R {
        let mut shard = self.shard(&key).write();
        if let Some(entry) = shard.get_mut(&key) {
            return change(entry);
        }
        let (entry, result) = make();
        shard.insert(key, entry);
        result
    }

    pub(crate) fn remove_if(
        &self,
        key: &Key,
        condition: impl FnOnce(&Entry<V>) -> bool,
    ) -> Option<Entry<V>> {
        let mut shard = self.shard(key).write();
        if shard.get(key).is_some_and(condition) { shard.remove(key) } else { None }
    }
}
