//! Changes of one key: insert, create, update, remove, take, and a new expiry.
//!
//! Each returns a [`Pending`] once the change is made; what it then waits for is its caller's to
//! say. A call that changes nothing waits all the same, for what its answer rests on.

use std::sync::Arc;

use crate::clock::{TICK_MAX, Timestamp};
use crate::error::Result;
use crate::id::Key;
use crate::log::Durability;
use crate::log::frame::{Group, Op};
use crate::record::expiry::{Expiry, Life, terms};
use crate::store::apply::{Change, New};
use crate::store::current::{Current, Need};
use crate::store::engine::{Engine, Inside, let_go, with_group};
use crate::store::map::{Entry, View};
use crate::store::pending::Pending;
use crate::store::stripe::Stripe;

/// What a handle asks for instead of the store's own levels.
pub(crate) type Level = Option<Durability>;

impl<V: Clone> Engine<V> {
    pub(crate) fn write_level(&self, level: Level) -> Durability {
        level.unwrap_or(self.settings.write_level)
    }

    pub(crate) fn removal_level(&self, level: Level) -> Durability {
        level.unwrap_or(self.settings.removal_level)
    }

    /// Stores a value whether or not the key has one.
    pub(crate) fn insert(
        &self,
        key: Key,
        value: V,
        expiry: Expiry,
        level: Level,
    ) -> Result<Pending<'_, ()>> {
        self.enter()?;
        let now = self.time.now_for_writing()?;
        let life = terms(expiry, self.settings.policy, self.time.epoch(), now, None)?;
        with_group(|group| {
            let bytes = self.encode(group, key, life, &value)?;
            let new = New::Warm(Arc::new(value));
            let change = Change { key, new, life, bytes, was_cold: false, later: false };
            let mut stripe = self.stripes.of(self.hash(&key)).lock();
            let lsn = self.append(group)?;
            let old = self.apply(&mut stripe, change, lsn);
            drop(stripe);
            // A user's `Drop` runs without the lock.
            drop(old);
            Ok(Pending::new(self.log(), lsn, self.write_level(level), ()))
        })
    }

    /// Stores a value if the key has none.
    pub(crate) fn create(
        &self,
        key: Key,
        value: V,
        expiry: Expiry,
        level: Level,
    ) -> Result<Pending<'_, bool>> {
        self.enter()?;
        let now = self.time.now_for_writing()?;
        let life = terms(expiry, self.settings.policy, self.time.epoch(), now, None)?;
        let level = self.write_level(level);
        with_group(|group| {
            let bytes = self.encode(group, key, life, &value)?;
            let (mut stripe, current) = self.lock(&key, Need::Presence)?;
            if current.alive {
                return Ok(Pending::new(self.log(), current.lsn, level, false));
            }
            let lsn = self.append(group)?;
            let new = New::Warm(Arc::new(value));
            let old = self.apply(
                &mut stripe,
                Change { key, new, life, bytes, was_cold: false, later: false },
                lsn,
            );
            drop(stripe);
            drop(old);
            Ok(Pending::new(self.log(), lsn, level, true))
        })
    }

    /// Changes a value in place; `None` if there is none. The closure runs on a copy, under the
    /// key's stripe.
    pub(crate) fn update<R>(
        &self,
        key: Key,
        change: impl FnOnce(&mut V) -> R,
        level: Level,
    ) -> Result<Pending<'_, Option<R>>> {
        self.enter()?;
        let now = self.time.now_for_writing()?;
        let level = self.write_level(level);
        // Declared before the guard, and so dropped after it, whatever happens: a user's `Drop` runs
        // without the lock.
        let mut left = None;
        let value;
        let mut copy;
        let mut current;
        let mut stripe;
        (stripe, current) = self.lock(&key, Need::Value)?;
        let life = Life { deadline: current.life.touched(now), ..current.life };
        let ended = |lsn| Ok(Pending::new(self.log(), lsn, level, None));
        let Some(found) = current.value.take() else { return ended(current.lsn) };
        value = found;
        if !self.prolong(&mut stripe, &key, &mut current, life.deadline, &mut left) {
            return ended(current.lsn);
        }
        let inside = Inside::enter();
        copy = V::clone(&value);
        let result = change(&mut copy);
        // A closure that takes longer than the idle time lets it end.
        let in_time = self.now() < life.deadline
            || self.prolong(&mut stripe, &key, &mut current, life.deadline, &mut left);
        if !in_time {
            drop(inside);
            return ended(current.lsn);
        }
        let old = with_group(|group| {
            let bytes = self.encode(group, key, life, &copy)?;
            let lsn = self.append(group)?;
            let new = New::Warm(Arc::new(copy));
            let was_cold = !current.in_map;
            let old = self.apply(
                &mut stripe,
                Change { key, new, life, bytes, was_cold, later: true },
                lsn,
            );
            Ok((old, lsn))
        });
        drop(inside);
        drop(stripe);
        let (_, lsn) = old?;
        Ok(Pending::new(self.log(), lsn, level, Some(result)))
    }

    /// Ends a session. False if there was none.
    pub(crate) fn remove(&self, key: Key, level: Level) -> Result<Pending<'_, bool>> {
        self.end(key, Need::Doubt, level).map(|pending| pending.map(|(was, _)| was))
    }

    /// Ends a session and returns its value: to one caller only, however many ask.
    pub(crate) fn take(&self, key: Key, level: Level) -> Result<Pending<'_, Option<Arc<V>>>> {
        self.end(key, Need::Value, level).map(|pending| pending.map(|(_, value)| value))
    }

    fn end(
        &self,
        key: Key,
        need: Need,
        level: Level,
    ) -> Result<Pending<'_, (bool, Option<Arc<V>>)>> {
        self.enter()?;
        let level = self.removal_level(level);
        let (mut stripe, current) = self.lock(&key, need)?;
        // What has only expired is ended as well: an opening might grant it more time.
        if !current.alive && (!current.over || self.disk.is_none()) {
            return Ok(Pending::new(self.log(), current.lsn, level, (false, None)));
        }
        let lsn = with_group(|group| {
            group.add(&Op::Remove(key));
            self.append(group)
        })?;
        let old = self.put_gone(&mut stripe, key, &current, lsn);
        drop(stripe);
        drop(old);
        Ok(Pending::new(self.log(), lsn, level, (current.alive, current.value)))
    }

    /// Applies a removal: a tombstone while a base may know the key, nothing otherwise.
    pub(crate) fn put_gone(
        &self,
        stripe: &mut Stripe,
        key: Key,
        current: &Current<V>,
        lsn: u64,
    ) -> Option<Arc<V>> {
        if self.disk.is_none() {
            let entry = self.vanish(stripe, &key, |_| true)?;
            self.gauges.count.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            return entry.into_value();
        }
        let life = Life::default();
        let was_cold = current.alive && !current.in_map;
        let change = Change { key, new: New::Gone, life, bytes: 0, was_cold, later: false };
        self.apply(stripe, change, lsn)
    }

    /// Gives a session another expiry. False if there is none.
    pub(crate) fn set_expiry(
        &self,
        key: Key,
        expiry: Expiry,
        level: Level,
    ) -> Result<Pending<'_, bool>> {
        self.enter()?;
        let now = self.time.now_for_writing()?;
        let mut left = None;
        let (mut stripe, mut current) = self.lock(&key, Need::Presence)?;
        let cap = (current.life.cap <= TICK_MAX).then_some(current.life.cap);
        let life = terms(expiry, self.settings.policy, self.time.epoch(), now, cap)?;
        let lives = current.alive
            && self.prolong(&mut stripe, &key, &mut current, life.deadline, &mut left);
        if !lives {
            return Ok(Pending::new(self.log(), current.lsn, self.write_level(level), false));
        }
        let shorter = life.deadline < current.life.deadline;
        let level = if shorter { self.removal_level(level) } else { self.write_level(level) };
        let lsn = with_group(|group| {
            group.add(&Op::Terms(key, self.terms(life)));
            self.append(group)
        })?;
        self.apply_terms(&mut stripe, key, &current, life, lsn);
        Ok(Pending::new(self.log(), lsn, level, true))
    }

    /// Applies new times, the value staying where it is.
    pub(crate) fn apply_terms(
        &self,
        stripe: &mut Stripe,
        key: Key,
        current: &Current<V>,
        life: Life,
        lsn: u64,
    ) {
        let warm = self.map.read(&key, |entry| entry.value().cloned()).flatten();
        let raw = self.raw(stripe, &key).map(|(raw, _)| raw);
        let new = match (warm.filter(|_| current.in_map), raw) {
            (Some(value), _) => New::Warm(value),
            (None, Some(raw)) => New::Raw(raw),
            (None, None) => New::Cold,
        };
        let change = Change {
            key,
            new,
            life,
            bytes: current.bytes,
            was_cold: !current.in_map,
            later: false,
        };
        // The value that comes back is the one that was put in again.
        drop(self.apply(stripe, change, lsn));
    }

    /// When a session ends if nobody touches it.
    pub(crate) fn deadline(&self, key: &Key) -> Result<Option<Timestamp>> {
        self.enter()?;
        let (stripe, current) = self.lock(key, Need::Presence)?;
        drop(stripe);
        Ok(current.alive.then(|| self.time.epoch().time(current.life.deadline)))
    }

    /// Ends every session at once, whatever it is doing. Costs one hold of all stripes.
    pub(crate) fn clear(&self, level: Level) -> Result<Pending<'_, ()>> {
        use std::sync::atomic::Ordering;
        self.enter()?;
        // At most one generation's leavings exist, so that generations may be numbered anew.
        self.sweep(usize::MAX);
        let mut publish = self.disk.as_ref().map(|disk| disk.publish.lock());
        let mut guards: Vec<_> =
            (0..self.stripes.count()).map(|index| self.stripes.at(index).lock()).collect();
        let mut group = Group::default();
        group.add(&Op::Clear);
        let lsn = self.append(&group)?;
        let generation = self.generation() + 1;
        if let (Some(disk), Some(published)) = (&self.disk, &mut publish) {
            let layers = &disk.bases().layers;
            published.orphans.extend(layers.iter().map(|layer| layer.base.number()));
            disk.forget_bases(lsn, generation);
        }
        self.enter_generation(generation);
        let mut leavings = self.leavings.lock();
        for stripe in &mut guards {
            let fresh = Stripe::new(self.now(), stripe.note);
            leavings.push(std::mem::replace(&mut **stripe, fresh).slab);
        }
        drop(leavings);
        self.gauges.count.store(0, Ordering::Relaxed);
        self.gauges.memory.store(0, Ordering::Relaxed);
        drop(guards);
        drop(publish);
        Ok(Pending::new(self.log(), lsn, self.removal_level(level), ()))
    }

    /// Takes up to `limit` entries that a `clear` has ended out of the map, or some more. True if
    /// there may be others.
    pub(crate) fn sweep(&self, limit: usize) -> bool {
        let mut swept = 0;
        while let Some((nodes, left)) = self.sweep_slab() {
            // A user's `Drop` runs without the lock.
            let_go(left);
            swept += nodes;
            if swept >= limit {
                return true;
            }
        }
        false
    }

    /// The same for those of one stripe. Returns how many nodes there were room for, and the values.
    fn sweep_slab(&self) -> Option<(usize, Vec<Arc<V>>)> {
        // Held until the slab is done: a `clear` waits for that.
        let mut leavings = self.leavings.lock();
        let slab = leavings.pop()?;
        let mut left = Vec::new();
        for (_, node) in slab.iter_range(0, u32::MAX) {
            // Asked entry by entry: another `clear` may have come meanwhile, and what was
            // written after it is none of this.
            let is_left = |entry: View<'_, V>| !entry.is_of(self.generation());
            left.extend(self.map.remove_if(&node.key, is_left).and_then(Entry::into_value));
        }
        Some((slab.capacity(), left))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{OnceLock, mpsc};
    use std::thread;
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::store::Store;

    static STORE: OnceLock<Store<Clearing>> = OnceLock::new();

    #[derive(Clone, Serialize, Deserialize)]
    struct Clearing;

    impl Drop for Clearing {
        fn drop(&mut self) {
            if let Some(store) = STORE.get() {
                store.clear().unwrap();
            }
        }
    }

    #[test]
    fn a_value_that_a_clear_has_ended_may_use_the_store_when_it_is_dropped() {
        let store = STORE.get_or_init(|| Store::builder().in_memory().unwrap());
        for number in 0..100 {
            store.insert(Key::from_bytes([number; 16]), Clearing).unwrap();
        }
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            store.clear().unwrap();
            store.clear().unwrap();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).expect("it ends");
    }
}
