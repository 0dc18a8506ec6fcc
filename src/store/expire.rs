//! What the timer wheels find: sessions that have ended leave memory, touches that matter are
//! logged, everything else is filed again.
//!
//! Expirations are not logged: the deadline in the log says it already. A clean entry that has
//! expired leaves without a trace, because the bases hold the same record with the same end; one
//! that is dirty leaves a tombstone, because an older base may hold a record that lives longer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Tick;
use crate::id::Key;
use crate::limits::WHEEL_BATCH_MAX;
use crate::log::frame::{Group, Op};
use crate::metrics::count;
use crate::store::apply::{Change, New, grace};
use crate::store::engine::{Engine, let_go};
use crate::store::map::{State, View};
use crate::store::read::INHERITED;
use crate::store::stripe::{Stripe, TICKS_PER_SECOND};

/// How much of a stripe one hold of its lock may look at.
const HOLD: u32 = WHEEL_BATCH_MAX / 2;

impl<V> Engine<V> {
    /// One hold of one stripe: handles up to [`HOLD`] nodes that are due by `second`. True if more
    /// may be.
    pub(crate) fn expire_some(&self, index: usize, second: u32) -> bool {
        if self.time.is_suspect() {
            return false;
        }
        let now = self.now();
        let mut dropped = Vec::new();
        let mut touched = Vec::new();
        let mut budget = HOLD;
        let mut stripe = self.stripes.at(index).lock();
        while let Some(slot) = {
            let Stripe { wheel, slab, .. } = &mut *stripe;
            wheel.poll(slab, second, &mut budget)
        } {
            let Some(key) = stripe.slab.get(slot).map(|node| node.key) else { continue };
            match self.expire(&mut stripe, slot, key, now) {
                Some(value) => dropped.extend(value),
                None => self.refile(&mut stripe, slot, key, second, &mut touched),
            }
        }
        self.log_touches(&mut stripe, &touched);
        drop(stripe);
        // Users' `Drop` runs without the lock.
        let_go(dropped);
        budget == 0
    }

    /// Ends the entry if it is over. `None`: it lives.
    fn expire(
        &self,
        stripe: &mut Stripe,
        slot: u32,
        key: Key,
        now: Tick,
    ) -> Option<Option<Arc<V>>> {
        let lsn = stripe.slab.get(slot).map_or(0, |node| node.lsn());
        let may_vanish = match &self.disk {
            None => true,
            Some(disk) => {
                // Whoever asks later waits for what this rests on. For an idle deadline that is
                // not in the log: an opening would grant it more time.
                let is_fixed = || self.map.read(&key, |entry| entry.life().idle == 0) == Some(true);
                let is_unknown = || {
                    lsn <= disk.log.durable()
                        && disk.bases().layers.is_empty()
                        && !disk.flushing.load(Ordering::Acquire)
                };
                lsn <= disk.cut() || is_fixed() && is_unknown()
            }
        };
        let over = |entry: View<'_, V>| entry.life().is_over(now);
        if may_vanish {
            let entry = self.vanish(stripe, &key, over)?;
            self.gauges.count.fetch_sub(1, Ordering::Relaxed);
            count(&self.counters.expired);
            return Some(entry.into_value());
        }
        // Under the map's lock no reader can extend it between the look and the change.
        let life = self.map.change(&key, |entry| {
            let entry = entry.view();
            (over(entry) || !entry.lives(now)).then(|| entry.life())
        })??;
        let change = Change { key, new: New::Gone, life, bytes: 0, was_cold: false, later: false };
        count(&self.counters.expired);
        Some(self.apply(stripe, change, lsn))
    }

    /// Files an entry that lives again, and notes it if its touch is to be logged.
    fn refile(
        &self,
        stripe: &mut Stripe,
        slot: u32,
        key: Key,
        second: u32,
        touched: &mut Vec<(u32, Key)>,
    ) {
        let Some(life) = self.map.read(&key, |entry| entry.life()) else { return };
        let Some(node) = stripe.slab.get(slot) else { return };
        let logged = node.logged;
        let moved = life.deadline.saturating_sub(logged);
        let mut known = logged;
        // At the logged deadline every touch counts: whoever replays the log would end it there.
        let due =
            moved > grace(life.idle) / 2 || (moved > 0 && logged <= second * TICKS_PER_SECOND);
        if self.disk.is_some() && life.idle > 0 && due {
            touched.push((slot, key));
            known = life.deadline;
        }
        // Never for the second that is being handled: it would come back at once.
        let at = self.second_for(life, known).max(second + 1);
        let Stripe { wheel, slab, .. } = stripe;
        wheel.insert(slab, slot, at);
    }

    fn log_touches(&self, stripe: &mut Stripe, touched: &[(u32, Key)]) {
        for (slot, key) in touched {
            let Some(life) = self.map.read(key, |entry| entry.life()) else { continue };
            let mut group = Group::default();
            group.add(&Op::Terms(*key, self.terms(life)));
            // A closed log takes no more touches; they were worth one write each.
            let Ok(lsn) = self.append(&group) else { return };
            let Some(node) = stripe.slab.get_mut(*slot) else { continue };
            if node.lsn() <= stripe.note {
                stripe.dirty.push(*key);
            }
            node.set_lsn(lsn);
            node.logged = life.deadline;
            count(&self.counters.touches_logged);
        }
    }

    /// Goes through all stripes until nothing is due, or `spent` says that it is enough. True if
    /// it came to the end; then every deadline of the seconds that have passed has been looked at.
    pub(crate) fn turn(&self, mut spent: impl FnMut() -> bool) -> bool {
        let second = self.now() / TICKS_PER_SECOND;
        // One hold of each in its turn: who reads in a stripe where many end meets the lock once,
        // not again and again.
        let mut due: Vec<usize> = (0..self.stripes.count()).collect();
        while !due.is_empty() {
            let mut enough = false;
            due.retain(|index| {
                let more = !enough && self.expire_some(*index, second);
                enough |= more && spent();
                more || enough
            });
            if enough {
                return false;
            }
        }
        self.time.looked(second * TICKS_PER_SECOND);
        true
    }

    /// Looks at every entry whose logged deadline has passed, to the tick, and logs what touches
    /// moved: so that an orderly end leaves nothing in doubt.
    pub(crate) fn look_at_all_due(&self) {
        let now = self.time.advance();
        for index in 0..self.stripes.count() {
            while self.expire_some(index, now / TICKS_PER_SECOND + 1) {}
        }
        self.time.looked(now);
    }

    /// Gives back memory that many endings have left free, of one stripe in each call.
    pub(crate) fn shrink_one(&self, turn: u64) {
        let index = usize::try_from(turn).unwrap_or(0) % self.stripes.count();
        let mut stripe = self.stripes.at(index).lock();
        stripe.slab.shrink();
        self.map.trim(index, stripe.slab.capacity());
        drop(stripe);
        self.map.shrink(index);
    }

    /// Logs the touches of sessions that are back after a long absence.
    pub(crate) fn log_returned(&self) {
        for key in std::mem::take(&mut *self.returned.lock()) {
            let mut stripe = self.stripes.of(self.hash(&key)).lock();
            self.log_touch_beyond(&mut stripe, key, |_, idle| grace(idle) / 2);
        }
    }

    /// Logs every deadline that has moved further than an opening would make good by itself. For
    /// an orderly end: goes through all entries.
    pub(crate) fn log_all_touches(&self) {
        for index in 0..self.stripes.count() {
            let mut stripe = self.stripes.at(index).lock();
            let slots = u32::try_from(stripe.slab.capacity()).unwrap_or(u32::MAX);
            let keys: Vec<Key> =
                stripe.slab.iter_range(0, slots).map(|(_, node)| node.key).collect();
            for key in keys {
                self.log_touch_beyond(&mut stripe, key, |lsn, idle| {
                    if lsn == INHERITED { 0 } else { grace(idle) }
                });
            }
        }
    }

    fn log_touch_beyond(&self, stripe: &mut Stripe, key: Key, most: impl Fn(u64, Tick) -> Tick) {
        let generation = self.generation();
        let found = self.map.read(&key, |entry| {
            let lives = entry.is_of(generation) && entry.state() != State::Gone;
            lives.then(|| (entry.slot(), entry.life()))
        });
        let Some((slot, life)) = found.flatten() else { return };
        let Some(node) = stripe.slab.get(slot) else { return };
        let moved = life.deadline.saturating_sub(node.logged);
        if life.idle > 0 && !life.is_over(self.now()) && moved > most(node.lsn(), life.idle) {
            self.log_touches(stripe, &[(slot, key)]);
        }
    }
}
