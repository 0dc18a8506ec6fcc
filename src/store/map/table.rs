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
/// line of memory and none lies across two.
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

/// See the module's text. `S` stands beside: what most looks do without.
pub(super) struct Table<T, S> {
    buckets: Vec<Bucket<T>>,
    /// One for each bucket.
    beside: Vec<S>,
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

impl<T, S: Copy + Default> Table<T, S> {
    /// An empty table, without heap. Tables with another `phase` of four grow at another size, so
    /// that those of a map do not all do so at once.
    pub(super) fn new(phase: usize) -> Self {
        let first = FIRST + FIRST / 16 * (phase % 4);
        Table { buckets: Vec::new(), beside: Vec::new(), homes: 0, len: 0, first }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, rank: u64) -> usize {
        ((u128::from(rank) * self.homes as u128) >> 64) as usize
    }

    /// What is there, and its place.
    #[inline]
    pub(super) fn get(&self, seed: Seed, rank: u64, key: &Key) -> Option<(&T, usize)> {
        let mut at = self.home(rank);
        // Whether it has gone too far is asked now and then only: what is there is mostly found
        // at once, and the rank of every bucket on the way would be a tenth of its time.
        for buckets in self.buckets.get(at..)?.chunks(STRIDE) {
            for bucket in buckets {
                let value = bucket.value.as_ref();
                if bucket.key == *key {
                    return Some((value?, at));
                }
                value?;
                at += 1;
            }
            if buckets.last().is_some_and(|last| rank_of(seed, &last.key) > rank) {
                return None;
            }
        }
        None
    }

    /// What stands beside a place.
    pub(super) fn beside(&self, at: usize) -> S {
        self.beside.get(at).copied().unwrap_or_default()
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

    fn at_mut(&mut self, at: usize) -> Option<(&mut T, &mut S)> {
        Some((self.buckets.get_mut(at)?.value.as_mut()?, self.beside.get_mut(at)?))
    }

    pub(super) fn get_mut(&mut self, seed: Seed, rank: u64, key: &Key) -> Option<(&mut T, &mut S)> {
        match self.seek(seed, rank, key) {
            Place::Here(at) => self.at_mut(at),
            Place::Before(_) => None,
        }
    }

    /// Changes what is there, or puts what `make` returns.
    pub(super) fn upsert<R>(
        &mut self,
        seed: Seed,
        rank: u64,
        key: Key,
        change: impl FnOnce(&mut T, &mut S) -> R,
        make: impl FnOnce() -> ((T, S), R),
    ) -> R {
        let mut place = self.seek(seed, rank, &key);
        if let Place::Here(at) = place
            && let Some((value, beside)) = self.at_mut(at)
        {
            return change(value, beside);
        }
        let ((value, beside), result) = make();
        if self.len * FULL.1 >= self.homes * FULL.0 {
            self.resize(seed, (self.homes + self.homes / 4).max(self.first));
            place = self.seek(seed, rank, &key);
        }
        let (Place::Here(at) | Place::Before(at)) = place;
        self.insert(at, Bucket { key, value: Some(value) }, beside);
        result
    }

    /// Puts a bucket at a place and pushes on what is there, up to the next free one.
    fn insert(&mut self, at: usize, bucket: Bucket<T>, beside: S) {
        self.len += 1;
        let behind = self.buckets.get(at..).unwrap_or_default();
        let free = at + behind.iter().take_while(|bucket| bucket.value.is_some()).count();
        if free == self.buckets.len() {
            // By themselves they would double.
            if self.buckets.len() == self.buckets.capacity() {
                self.buckets.reserve_exact(FIRST);
                self.beside.reserve_exact(FIRST);
            }
            self.buckets.push(Bucket::free());
            self.beside.push(S::default());
        }
        push_on(&mut self.buckets, at, free, bucket);
        push_on(&mut self.beside, at, free, beside);
    }

    /// Takes a key's value out if `condition` holds of it.
    pub(super) fn remove_if(
        &mut self,
        seed: Seed,
        rank: u64,
        key: &Key,
        condition: impl FnOnce(&T, S) -> bool,
    ) -> Option<(T, S)> {
        let Place::Here(at) = self.seek(seed, rank, key) else { return None };
        let beside = self.beside(at);
        if !condition(self.buckets.get(at)?.value.as_ref()?, beside) {
            return None;
        }
        // What was pushed on comes back, up to one that is at home.
        let mut end = at;
        while let Some(next) = self.buckets.get(end + 1)
            && next.value.is_some()
            && self.home(rank_of(seed, &next.key)) <= end
        {
            end += 1;
        }
        let bucket = pull_back(&mut self.buckets, at, end, Bucket::free())?;
        pull_back(&mut self.beside, at, end, S::default());
        self.len -= 1;
        Some((bucket.value?, beside))
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
        let room = homes + homes / 64 + FIRST / 2;
        let (mut buckets, mut spans) = (Vec::with_capacity(room), Vec::with_capacity(room));
        for (bucket, beside) in mem::take(&mut self.buckets).into_iter().zip(&self.beside) {
            if bucket.value.is_some() {
                let home = self.home(rank_of(seed, &bucket.key)).max(buckets.len());
                buckets.resize_with(home, Bucket::free);
                buckets.push(bucket);
                spans.resize(home, S::default());
                spans.push(*beside);
            }
        }
        buckets.resize_with(homes.max(buckets.len()), Bucket::free);
        spans.resize(buckets.len(), S::default());
        (self.buckets, self.beside) = (buckets, spans);
    }
}

/// Puts `item` at `at`, what is there and behind it one place on; what is at `end` goes.
fn push_on<I>(items: &mut [I], at: usize, end: usize, item: I) {
    let items = items.get_mut(at..=end).unwrap_or_default();
    if let Some(last) = items.last_mut() {
        *last = item;
        items.rotate_right(1);
    }
}

/// The opposite: takes out what is at `at`, and puts `item` at `end`.
fn pull_back<I>(items: &mut [I], at: usize, end: usize, item: I) -> Option<I> {
    let items = items.get_mut(at..=end)?;
    let taken = mem::replace(items.first_mut()?, item);
    items.rotate_left(1);
    Some(taken)
}

#[cfg(test)]
mod tests;
