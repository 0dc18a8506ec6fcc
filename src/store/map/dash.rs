//! The map itself: dashmap, with no guard that outlives one expression.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;

use crate::hash::{BuildKeyHasher, Seed};
use crate::id::Key;
use crate::store::map::Entry;

/// See [`super`].
pub(crate) struct Map<V>(DashMap<Key, Entry<V>, BuildKeyHasher>);

impl<V> Map<V> {
    pub(crate) fn new(shards: usize, seed: Seed) -> Self {
        Map(DashMap::with_hasher_and_shard_amount(seed.hasher(), shards))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Shows the entry of `key` to `look`, which must be short and must not come back here.
    #[inline]
    pub(crate) fn read<R>(&self, key: &Key, look: impl FnOnce(&Entry<V>) -> R) -> Option<R> {
        self.0.get(key).map(|entry| look(&entry))
    }

    /// The same for a change.
    pub(crate) fn change<R>(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Entry<V>) -> R,
    ) -> Option<R> {
        self.0.get_mut(key).map(|mut entry| change(&mut entry))
    }

    /// Changes the entry of `key`, or puts the one that `make` returns.
    pub(crate) fn upsert<R>(
        &self,
        key: Key,
        change: impl FnOnce(&mut Entry<V>) -> R,
        make: impl FnOnce() -> (Entry<V>, R),
    ) -> R {
        match self.0.entry(key) {
            Place::Occupied(mut place) => change(place.get_mut()),
            Place::Vacant(place) => {
                let (entry, result) = make();
                drop(place.insert(entry));
                result
            }
        }
    }

    /// Takes the entry of `key` out if `condition` holds of it.
    pub(crate) fn remove_if(
        &self,
        key: &Key,
        condition: impl FnOnce(&Entry<V>) -> bool,
    ) -> Option<Entry<V>> {
        self.0.remove_if(key, |_, entry| condition(entry)).map(|(_, entry)| entry)
    }
}
