//! Changes become visible: map, slab, wheel and the store's own figures, in one step under the
//! stripe's lock, which cannot fail.
//!
//! Knows nothing of how a change came to be, nor of the log beyond the LSN that it is given.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::clock::{DEAD, Tick};
use crate::id::Key;
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::record::expiry::Life;
use crate::store::engine::Engine;
use crate::store::map::{Entry, State, View};
use crate::store::stripe::{RawValue, Stripe, second_of};
use crate::sync::atomic::Ordering;

/// What an entry is to become.
pub(crate) enum New<V> {
    Warm(Arc<V>),
    Cold,
    Gone,
    Raw(RawValue),
}

/// A change of one entry, ready to be applied.
pub(crate) struct Change<V> {
    pub(crate) key: Key,
    pub(crate) new: New<V>,
    pub(crate) life: Life,
    /// Encoded bytes of the value, or its weight.
    pub(crate) bytes: u32,
    /// Whether the key is known to be alive outside the map.
    pub(crate) was_cold: bool,
    /// The session goes on: a deadline that was moved further meanwhile stays, and so does its
    /// end.
    pub(crate) later: bool,
}

/// What changes have added to the gauges.
#[derive(Default)]
pub(crate) struct Tally {
    memory: i64,
    count: i64,
}

impl<V> Engine<V> {
    /// Makes a change visible. Cannot fail. The stripe must be the key's, and locked; the change
    /// must have been appended as `lsn`. Returns the value that was there, to be dropped after
    /// the stripe is unlocked.
    pub(crate) fn apply(&self, stripe: &mut Stripe, change: Change<V>, lsn: u64) -> Option<Arc<V>> {
        let mut tally = Tally::default();
        let old = self.apply_as(stripe, change, lsn, |life| life, &mut tally);
        self.settle_tally(tally);
        old
    }

    /// The same for a session whose times in memory are those that `shown` makes of the logged
    /// ones, and leaving it to the caller to settle the tally.
    pub(crate) fn apply_as(
        &self,
        stripe: &mut Stripe,
        change: Change<V>,
        lsn: u64,
        shown: impl Fn(Life) -> Life,
        tally: &mut Tally,
    ) -> Option<Arc<V>> {
        let Change { key, new, life, bytes, was_cold, later } = change;
        let generation = self.generation();
        let (state, value, raw) = match new {
            New::Warm(value) => (State::Warm, Some(value), None),
            New::Cold => (State::Cold, None, None),
            New::Gone => (State::Gone, None, None),
            New::Raw(raw) => (State::Raw, None, Some(raw)),
        };
        let life = if state == State::Gone { Life { deadline: DEAD, ..life } } else { life };
        let value = Cell::new(value);
        let Stripe { slab, wheel, dirty, note, raw: raws } = stripe;
        let slab = RefCell::new(slab);
        let (slot, was, old) = self.map.upsert(
            key,
            |mut entry| {
                let found = entry.view();
                if found.is_of(generation) {
                    let (slot, was) = (found.slot(), (found.state(), found.life()));
                    let life = if later { life.or_later(was.1) } else { shown(life) };
                    (slot, Some(was), entry.set(state, value.take(), life))
                } else {
                    let slot = slab.borrow_mut().insert(key);
                    let new = Entry::new(state, value.take(), shown(life), slot, generation);
                    (slot, None, entry.replace(new).into_value())
                }
            },
            || {
                let slot = slab.borrow_mut().insert(key);
                let new = Entry::new(state, value.take(), shown(life), slot, generation);
                (new, (slot, None, None))
            },
        );
        let slab = slab.into_inner();
        let Some(node) = slab.get_mut(slot) else { return old };
        let (old_cost, old_logged) = (was.map_or(0, |was| cost(was.0, node.bytes())), node.logged);
        node.set_bytes(bytes);
        node.logged = life.deadline;
        if self.disk.is_some() {
            if node.lsn() <= *note {
                dirty.push(key);
            }
            node.set_lsn(lsn);
        }
        // What has expired counts until the wheel takes it out.
        let was_alive = was.map_or(was_cold, |(state, _)| state != State::Gone);
        let is_alive = state != State::Gone;
        if let Some(raw) = raw {
            raws.insert(slot, raw);
        } else if was.is_some_and(|was| was.0 == State::Raw) {
            raws.remove(slot);
        }
        // A wheel that looks too early files the node again, so one that only moved later may
        // stay where it is.
        let stays = was.is_some_and(|(state, was)| {
            state != State::Gone && life.deadline >= old_logged && life.idle >= was.idle
        });
        if state == State::Gone {
            wheel.remove(slab, slot);
        } else if !stays {
            wheel.insert(slab, slot, self.second_for(life, life.deadline));
        }
        tally.memory += cost(state, bytes).cast_signed() - old_cost.cast_signed();
        tally.count += i64::from(is_alive) - i64::from(was_alive);
        old
    }

    /// Brings what applying has changed into the store's own figures.
    pub(crate) fn settle_tally(&self, tally: Tally) {
        // Wraps round to a smaller one, as it should.
        self.gauges.memory.fetch_add(tally.memory.cast_unsigned(), Ordering::Relaxed);
        self.gauges.count.fetch_add(tally.count, Ordering::Relaxed);
    }

    /// Takes an entry out of memory without leaving anything. The stripe must be the key's, and
    /// the bases must say the same of the key as the entry does.
    pub(crate) fn vanish(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        condition: impl FnOnce(View<'_, V>) -> bool,
    ) -> Option<Entry<V>> {
        let generation = self.generation();
        let entry = self.map.remove_if(key, |entry| entry.is_of(generation) && condition(entry))?;
        let (slot, state) = (entry.view().slot(), entry.view().state());
        stripe.wheel.remove(&mut stripe.slab, slot);
        let bytes = stripe.slab.get(slot).map_or(0, |node| node.bytes());
        stripe.slab.remove(slot);
        if state == State::Raw {
            stripe.raw.remove(slot);
        }
        self.account(cost(state, bytes), 0);
        Some(entry)
    }

    pub(crate) fn account(&self, old: u64, new: u64) {
        if new >= old {
            self.gauges.memory.fetch_add(new - old, Ordering::Relaxed);
        } else {
            self.gauges.memory.fetch_sub(old - new, Ordering::Relaxed);
        }
    }

    /// Where a node whose deadline is as it was last logged is filed in the wheel, in seconds:
    /// at its deadline, or earlier to see whether it has been touched.
    pub(crate) fn second_for(&self, life: Life, logged: Tick) -> u32 {
        let mut at = life.deadline;
        if self.disk.is_some() && life.idle > 0 {
            at = at.min(logged).min(self.now().saturating_add(grace(life.idle) / 2));
        }
        second_of(at)
    }
}

/// What an entry costs in memory, by `max_memory`'s account.
pub(crate) fn cost(state: State, bytes: u32) -> u64 {
    match state {
        State::Warm | State::Raw => ENTRY_OVERHEAD_BYTES + u64::from(bytes),
        State::Cold | State::Gone => ENTRY_OVERHEAD_BYTES,
    }
}

/// How far the deadline in the log may lag behind the true one, in ticks.
pub(crate) fn grace(idle: Tick) -> Tick {
    (idle / 16).max(30 * 8).min(idle)
}
