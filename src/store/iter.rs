//! Going through all sessions, without stopping anybody.
//!
//! One stripe's worth of keys at a time, from memory and bases; each value is read when it is
//! its turn. Neither a lock nor a base is held between two steps.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::{Damage, Record, Step};
use crate::error::{Error, Result};
use crate::id::Key;
use crate::store::current::Need;
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::read::Touch;

/// Nodes that are looked at in one hold of a stripe.
const SLICE: u32 = 1024;

/// Where a walk is.
#[derive(Default)]
pub(crate) struct Walk {
    next: usize,
    keys: VecDeque<Key>,
    /// What was found damaged and is not told yet; `None`: damage ends the walk.
    damaged: Option<VecDeque<Error>>,
    /// Blocks that are told of: one may lie in several stripes.
    told: BTreeSet<(PathBuf, u64)>,
}

impl Walk {
    /// One that tells of what is damaged and goes on.
    #[cfg(feature = "session")]
    pub(crate) fn lenient() -> Self {
        Walk { damaged: Some(VecDeque::new()), ..Walk::default() }
    }

    /// Whether there is nothing after this error.
    pub(crate) fn ends_with(&self, error: &Error) -> bool {
        self.damaged.is_none() || !error.is_damage()
    }

    fn meet(&mut self, path: &Path, damage: Damage) -> Result<()> {
        let error = Error::corrupt("a block of the base is damaged; `merge` goes on without it")
            .at(path)
            .offset(damage.offset);
        let Some(damaged) = &mut self.damaged else { return Err(error) };
        if self.told.insert((path.to_owned(), damage.offset)) {
            damaged.push_back(error);
        }
        Ok(())
    }
}

impl<V: Clone> Engine<V> {
    /// The next key that may be alive; `None` at the end.
    fn next_key(&self, walk: &mut Walk) -> Result<Option<Key>> {
        loop {
            if let Some(error) = walk.damaged.as_mut().and_then(VecDeque::pop_front) {
                return Err(error);
            }
            if let Some(key) = walk.keys.pop_front() {
                return Ok(Some(key));
            }
            if walk.next >= self.stripes.count() {
                return Ok(None);
            }
            let index = walk.next;
            walk.next += 1;
            walk.keys = self.keys_of(index, walk)?.into();
        }
    }

    /// All keys of a stripe that have an entry or a record, in the order of their hashes.
    fn keys_of(&self, index: usize, walk: &mut Walk) -> Result<Vec<Key>> {
        let mut keys: Vec<(u64, Key)> = Vec::new();
        let mut at = 0;
        loop {
            let stripe = self.stripes.at(index).lock();
            if at as usize >= stripe.slab.capacity() {
                break;
            }
            keys.extend(stripe.slab.iter_range(at, SLICE).map(|(_, node)| (0, node.key)));
            at += SLICE;
        }
        for (hash, key) in &mut keys {
            *hash = self.hash(key);
        }
        if let Some(disk) = &self.disk {
            let (first, last) = self.stripes.range(index);
            let mut record = Record::empty();
            for layer in &disk.bases().layers {
                let mut records = layer.base.iter(first)?;
                loop {
                    match records.read(&mut record)? {
                        Step::Record if record.hash > last => break,
                        Step::Record if record.tombstone => {}
                        Step::Record => keys.push((record.hash, record.key)),
                        Step::Damaged(damage) if damage.lo > last => break,
                        Step::Damaged(damage) => walk.meet(layer.base.path(), damage)?,
                        Step::End => break,
                    }
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }

    /// The next session; reading it touches nothing.
    pub(crate) fn next_session(&self, walk: &mut Walk) -> Result<Option<(Key, Arc<V>)>> {
        self.enter()?;
        while let Some(key) = self.next_key(walk)? {
            match self.get(&key, Touch::No) {
                Ok(Some(value)) => return Ok(Some((key, value))),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Counts the sessions by looking at every one. Exact if nothing changes meanwhile.
    pub(crate) fn count_all(&self) -> Result<u64> {
        self.enter()?;
        let mut walk = Walk::default();
        let mut count = 0;
        while let Some(key) = self.next_key(&mut walk)? {
            let now = self.now();
            let generation = self.generation();
            let known = self.map.read(&key, |entry| {
                entry
                    .is_of(generation)
                    .then(|| entry.state() != State::Gone && !entry.life().is_over(now))
            });
            let alive = match known.flatten() {
                Some(alive) => alive,
                None => self.lock(&key, Need::Presence)?.1.alive,
            };
            count += u64::from(alive);
        }
        Ok(count)
    }

    /// Counts, and corrects the estimate of the number of sessions by what it finds.
    pub(crate) fn recount(&self) -> Result<u64> {
        let before = self.gauges.count.load(Ordering::Relaxed);
        let count = self.count_all()?;
        let error = i64::try_from(count).unwrap_or(i64::MAX) - before;
        self.gauges.count.fetch_add(error, Ordering::Relaxed);
        Ok(count)
    }
}
