//! The table of one shard: buckets in the order of their keys' ranks.
//!
//! Knows no lock and no time, and nothing of what it holds. A key's rank names its home, a place
//! in proportion to the rank; it lies there or, behind those before it, a few places on. So a look
//! mostly meets one cache line, and growth is one pass from front to back. The price: a look for
//! what is not there reads buckets, where a table with a byte for each would read those bytes.
//!
//! The rank is the hash with its bytes turned round. Were it the hash itself, keys that come in the
//! order of their hashes, as the bases have them, would all crowd into the front of a small table.

use std::mem;

use crate::hash::Seed;
use crate::id::Key;

/// Homes of the smallest table with anything in it.
const FIRST: usize = 32;
/// Of five homes four may be taken. More would lengthen the walks, fewer cost memory.
const FULL: (usize, usize) = (4, 5);

/// Of so many homes one is taken at least, or the table may shrink.
const SPARSE: usize = 4;
/// Buckets that a look goes through before it asks whether it has gone too far.
const STRIDE: usize = 8;

/// See the module's text.
#[inline]
pub(super) fn rank(hash: u64) -> u64 {
    hash.swap_bytes()
}

fn rank_of(seed: Seed, key: &Key) -> u64 {
    rank(seed.hash(key))
}

/// A key and what is kept for it; nothing in a free one, and a key of zeros. Two of them fill a
/// line of memory, and none lies across two.
#[repr(align(32))]
struct Bucket<T> {
    key: Key,
    value: Option<T>,
}

impl<T> Bucket<T> {
    fn free() -> Self {
        Bucket { key: Key::from_bytes([0; 16]), value: None }
    }
}

/// See the module's text.
pub(super) struct Table<T> {
    buckets: Vec<Bucket<T>>,
    /// The buckets from here on are nobody's home, and take what is pushed over the end.
    homes: usize,
    len: usize,
    /// Homes that the table begins with.
    first: usize,
}

/// Where a key is, or where it would go.
enum Place {
    Here(usize),
    Before(usize),
}

impl<T> Table<T> {
    /// An empty table, without heap. Tables with another `phase` of four grow at another size, so
    /// that those of a map do not all do so at once.
    pub(super) fn new(phase: usize) -> Self {
        Table { buckets: Vec::new(), homes: 0, len: 0, first: FIRST + FIRST / 8 * (phase % 4) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, rank: u64) -> usize {
        ((u128::from(rank) * self.homes as u128) >> 64) as usize
    }

    #[inline]
    pub(super) fn get(&self, seed: Seed, rank: u64, key: &Key) -> Option<&T> {
        // Whether it has gone too far is asked now and then only: what is there is mostly found
        // at once, and the rank of every bucket on the way would be a tenth of its time.
        for buckets in self.buckets.get(self.home(rank)..)?.chunks(STRIDE) {
            for bucket in buckets {
                if bucket.key == *key {
                    return bucket.value.as_ref();
                }
                bucket.value.as_ref()?;
            }
            if buckets.last().is_some_and(|last| rank_of(seed, &last.key) > rank) {
                return None;
            }
        }
        None
    }

    fn seek(&self, seed: Seed, rank: u64, key: &Key) -> Place {
        let home = self.home(rank);
        for (bucket, at) in self.buckets.get(home..).unwrap_or_default().iter().zip(home..) {
            if bucket.value.is_none() {
                return Place::Before(at);
            }
            if bucket.key == *key {
                return Place::Here(at);
            }
            if rank_of(seed, &bucket.key) > rank {
                return Place::Before(at);
            }
        }
        Place::Before(self.buckets.len())
    }

    pub(super) fn get_mut(&mut self, seed: Seed, rank: u64, key: &Key) -> Option<&mut T> {
        match self.seek(seed, rank, key) {
            Place::Here(at) => self.buckets.get_mut(at)?.value.as_mut(),
            Place::Before(_) => None,
        }
    }

    /// Changes what is there, or puts what `make` returns.
    pub(super) fn upsert<R>(
        &mut self,
        seed: Seed,
        rank: u64,
        key: Key,
        change: impl FnOnce(&mut T) -> R,
        make: impl FnOnce() -> (T, R),
    ) -> R {
        let mut place = self.seek(seed, rank, &key);
        if let Place::Here(at) = place
            && let Some(value) = self.buckets.get_mut(at).and_then(|bucket| bucket.value.as_mut())
        {
            return change(value);
        }
        let (value, result) = make();
        if self.len * FULL.1 >= self.homes * FULL.0 {
            self.resize(seed, (self.homes + self.homes / 2).max(self.first));
            place = self.seek(seed, rank, &key);
        }
        let (Place::Here(at) | Place::Before(at)) = place;
        self.insert(at, Bucket { key, value: Some(value) });
        result
    }

    /// Puts a bucket at a place and pushes on what is there, up to the next free one.
    fn insert(&mut self, at: usize, mut bucket: Bucket<T>) {
        self.len += 1;
        for place in self.buckets.iter_mut().skip(at) {
            mem::swap(place, &mut bucket);
            if bucket.value.is_none() {
                return;
            }
        }
        // By itself it would double.
        if self.buckets.len() == self.buckets.capacity() {
            self.buckets.reserve_exact(FIRST);
        }
        self.buckets.push(bucket);
    }

    /// Takes a key's value out if `condition` holds of it.
    pub(super) fn remove_if(
        &mut self,
        seed: Seed,
        rank: u64,
        key: &Key,
        condition: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let Place::Here(mut at) = self.seek(seed, rank, key) else { return None };
        let found = self.buckets.get_mut(at)?;
        if !found.value.as_ref().is_some_and(condition) {
            return None;
        }
        let bucket = mem::replace(found, Bucket::free());
        self.len -= 1;
        // What was pushed on comes back, until one is at home.
        while let Some(next) = self.buckets.get(at + 1)
            && next.value.is_some()
            && self.home(rank_of(seed, &next.key)) <= at
        {
            self.buckets.swap(at, at + 1);
            at += 1;
        }
        bucket.value
    }

    /// Gives back memory if most of it is free: one pass.
    pub(super) fn shrink(&mut self, seed: Seed) {
        if self.homes > 2 * self.first && self.len * SPARSE < self.homes {
            self.resize(seed, (self.len * 2).max(self.first));
        }
    }

    /// Moves everything into a table with so many homes: one pass.
    fn resize(&mut self, seed: Seed, homes: usize) {
        self.homes = homes;
        let mut buckets: Vec<Bucket<T>> = Vec::with_capacity(homes + homes / 64 + FIRST / 2);
        for bucket in mem::take(&mut self.buckets) {
            if bucket.value.is_some() {
                let home = self.home(rank_of(seed, &bucket.key));
                while buckets.len() < home {
                    buckets.push(Bucket::free());
                }
                buckets.push(bucket);
            }
        }
        buckets.resize_with(homes.max(buckets.len()), Bucket::free);
        self.buckets = buckets;
    }
}

#[cfg(test)]
mod tests;
