//! The map itself: a lock for each part of the keys, held for one call, over that part's table.
//!
//! The parts are those of the stripes: writers of two stripes never meet here.

use std::cell::RefCell;

use crate::hash::Seed;
use crate::id::Key;
use crate::store::map::due::Spans;
use crate::store::map::table::{Table, rank};
use crate::store::map::{Entry, Hot, View, ViewMut};
use crate::sync::RwLock;

/// Keeps two shards' locks out of one cache line, and of the pair that is fetched together.
#[repr(align(128))]
struct Shard<V>(RwLock<Part<V>>);

/// What a shard's lock is for. An entry's span lies at its slot.
struct Part<V> {
    table: Table<Hot<V>>,
    spans: Spans,
}

/// See [`super`].
pub(crate) struct Map<V> {
    shards: Box<[Shard<V>]>,
    seed: Seed,
    bits: u32,
}

impl<V> Map<V> {
    /// `shards` must be a power of two, at least two.
    pub(crate) fn new(shards: usize, seed: Seed) -> Self {
        let part = |phase| Part { table: Table::new(phase), spans: Spans::default() };
        let shard = |phase| Shard(RwLock::new(part(phase)));
        let bits = shards.trailing_zeros();
        Map { shards: (0..shards).map(shard).collect(), seed, bits }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &RwLock<Part<V>> {
        match self.shards.get((hash >> (64 - self.bits)) as usize) {
            Some(shard) => &shard.0,
            None => unreachable!("the number of shards is a power of two"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.read().table.len()).sum()
    }

    /// Gives back memory that many endings have left free, of the shard of one stripe. Readers of
    /// that shard wait meanwhile, so it is nothing for a writer to do on its way.
    pub(crate) fn shrink(&self, index: usize) {
        if let Some(shard) = self.shards.get(index) {
            shard.0.write().table.shrink(self.seed);
        }
    }

    /// Gives back what is kept beside the table for the slots from `slots` on, of the shard of one
    /// stripe, which must be locked and have no entry there.
    pub(crate) fn trim(&self, index: usize, slots: usize) {
        if let Some(shard) = self.shards.get(index) {
            shard.0.write().spans.trim(slots);
        }
    }

    /// Shows `look`, which must be short and must not come back here, what of the entry of `key`
    /// lies in one line of memory with its key.
    #[inline]
    pub(crate) fn glance<R>(&self, key: &Key, look: impl FnOnce(&Hot<V>) -> R) -> Option<R> {
        let hash = self.seed.hash(key);
        self.shard(hash).read().table.get(self.seed, rank(hash), key).map(look)
    }

    /// The same of the whole entry.
    #[inline]
    pub(crate) fn read<R>(&self, key: &Key, look: impl FnOnce(View<'_, V>) -> R) -> Option<R> {
        let hash = self.seed.hash(key);
        let part = self.shard(hash).read();
        let hot = part.table.get(self.seed, rank(hash), key)?;
        Some(look(View { hot, span: part.spans.of(hot.slot()) }))
    }

    /// The same for a change.
    pub(crate) fn change<R>(
        &self,
        key: &Key,
        change: impl FnOnce(ViewMut<'_, V>) -> R,
    ) -> Option<R> {
        let hash = self.seed.hash(key);
        let Part { table, spans } = &mut *self.shard(hash).write();
        let hot = table.get_mut(self.seed, rank(hash), key)?;
        Some(change(ViewMut { hot, spans }))
    }

    /// Changes the entry of `key`, or puts the one that `make` returns.
    pub(crate) fn upsert<R>(
        &self,
        key: Key,
        change: impl FnOnce(ViewMut<'_, V>) -> R,
        make: impl FnOnce() -> (Entry<V>, R),
    ) -> R {
        let hash = self.seed.hash(&key);
        let Part { table, spans } = &mut *self.shard(hash).write();
        let spans = RefCell::new(spans);
        let change = |hot: &mut Hot<V>| change(ViewMut { hot, spans: &mut spans.borrow_mut() });
        let make = || {
            let (Entry { hot, span }, result) = make();
            spans.borrow_mut().put(hot.slot(), span);
            (hot, result)
        };
        table.upsert(self.seed, rank(hash), key, change, make)
    }

    /// Takes the entry of `key` out if `condition` holds of it.
    pub(crate) fn remove_if(
        &self,
        key: &Key,
        condition: impl FnOnce(View<'_, V>) -> bool,
    ) -> Option<Entry<V>> {
        let hash = self.seed.hash(key);
        let Part { table, spans } = &mut *self.shard(hash).write();
        let condition = |hot: &Hot<V>| condition(View { hot, span: spans.of(hot.slot()) });
        let hot = table.remove_if(self.seed, rank(hash), key, condition)?;
        let span = spans.of(hot.slot());
        Some(Entry { hot, span })
    }
}
