//! Changes of several keys that are whole or absent: `transact`, and `rename` on top of it.

use std::sync::Arc;

use smallvec::smallvec;

use crate::clock::{TICK_MAX, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Key;
use crate::limits::{GROUP_BYTES_MAX, GROUP_KEYS_MAX};
use crate::log::Durability;
use crate::log::frame::{Group, Op};
use crate::record::expiry::{Expiry, Life, terms};
use crate::store::apply::{Change, New};
use crate::store::current::{Current, Few, Need};
use crate::store::engine::{Engine, Inside, with_group};
use crate::store::pending::Pending;
use crate::store::stripe::Stripe;
use crate::store::write::Level;

/// The keys of a transaction, as its closure sees them: by their place in the list of keys.
///
/// What the closure sets is decided, not done: it becomes visible and durable as one whole when
/// the closure has returned, and not at all if it panics.
///
/// # Panics
/// Every method panics if `index` is not below the number of keys.
pub struct Slots<V> {
    slots: Few<Slot<V>>,
}

struct Slot<V> {
    value: Option<Arc<V>>,
    deadline: Timestamp,
    decision: Decision<V>,
}

enum Decision<V> {
    Keep,
    Set(Arc<V>, Wish),
    Remove,
    Expire(Expiry),
}

/// How long what is set is to live.
enum Wish {
    /// As a new session.
    New(Expiry),
    /// As long as the one at this place, its times unchanged.
    As(usize),
    /// As long as what is replaced, touched; a new session if nothing is.
    Same,
    /// What is replaced goes on under this expiry; a new session if nothing is.
    On(Expiry),
}

impl<V> Slots<V> {
    fn slot(&mut self, index: usize) -> &mut Slot<V> {
        let count = self.slots.len();
        match self.slots.get_mut(index) {
            Some(slot) => slot,
            None => panic!("the transaction has {count} keys, and none at {index}"),
        }
    }

    /// The value at `index` when the transaction began, `None` if there is no session.
    pub fn get(&self, index: usize) -> Option<&V> {
        match self.slots.get(index) {
            Some(slot) => slot.value.as_deref(),
            None => panic!("the transaction has {} keys, and none at {index}", self.slots.len()),
        }
    }

    /// When the session at `index` ends if nobody touches it.
    pub fn deadline(&self, index: usize) -> Option<Timestamp> {
        self.get(index)?;
        self.slots.get(index).map(|slot| slot.deadline)
    }

    /// Stores `value`. A session that is there keeps its expiry and counts as touched; otherwise
    /// this is a new one.
    pub fn set(&mut self, index: usize, value: V) {
        self.slot(index).decision = Decision::Set(Arc::new(value), Wish::Same);
    }

    /// Stores `value` and gives the session this expiry. Like [`set`](Self::set), it does not bring
    /// back a session that ends meanwhile; without one, this is a new session.
    pub fn set_with(&mut self, index: usize, value: V, expiry: Expiry) {
        self.slot(index).decision = Decision::Set(Arc::new(value), Wish::On(expiry));
    }

    /// The same with a value that is shared already.
    #[cfg(feature = "session")]
    pub(crate) fn set_shared(&mut self, index: usize, value: Arc<V>, expiry: Option<Expiry>) {
        let wish = expiry.map_or(Wish::Same, Wish::On);
        self.slot(index).decision = Decision::Set(value, wish);
    }

    /// Stores `value` as a new session with this expiry, whatever was there.
    pub fn insert(&mut self, index: usize, value: V, expiry: Expiry) {
        self.slot(index).decision = Decision::Set(Arc::new(value), Wish::New(expiry));
    }

    /// Ends the session at `index`.
    pub fn remove(&mut self, index: usize) {
        self.slot(index).decision = Decision::Remove;
    }

    /// Gives the session at `index` another expiry; does nothing if there is none.
    pub fn set_expiry(&mut self, index: usize, expiry: Expiry) {
        self.slot(index).decision = Decision::Expire(expiry);
    }

    /// Takes back everything that was decided so far.
    pub fn discard(&mut self) {
        for slot in &mut self.slots {
            slot.decision = Decision::Keep;
        }
    }
}

impl<V: Clone> Slots<V> {
    /// Moves the session at `from` to `to`, value and times, replacing what is there.
    fn rename(&mut self, from: usize, to: usize) {
        let Some(value) = self.slot(from).value.clone() else { return };
        self.slot(to).decision = Decision::Set(value, Wish::As(from));
        self.remove(from);
    }
}

/// A decision with its frame in the group.
struct Step<V> {
    new: Option<(New<V>, u32)>,
    life: Life,
    /// The session goes on: a reader may have extended it further meanwhile.
    goes_on: bool,
}

impl<V: Clone> Engine<V> {
    /// Shows the keys' values to `decide`, under the stripes of all of them, and does what it
    /// decided as one group.
    pub(crate) fn transact<R>(
        &self,
        keys: &[Key],
        decide: impl FnOnce(&mut Slots<V>) -> R,
        level: Level,
    ) -> Result<Pending<'_, R>> {
        self.transact_with(keys, Need::Value, decide, level)
    }

    /// The same; with [`Need::Legible`] what cannot be read is an empty slot, and stays what it is
    /// unless something is decided of it.
    pub(crate) fn transact_with<R>(
        &self,
        keys: &[Key],
        need: Need,
        decide: impl FnOnce(&mut Slots<V>) -> R,
        level: Level,
    ) -> Result<Pending<'_, R>> {
        self.enter()?;
        self.time.now_for_writing()?;
        check_keys(keys)?;
        if let [key] = keys {
            return self.transact_one(key, need, decide, level);
        }
        // Declared before the guards, and so dropped after them, also on an error and in a panic:
        // a user's `Drop` runs without the locks.
        let mut left: Few<Option<Arc<V>>> = Few::new();
        let mut slots;
        let mut currents;
        let (mut guards, places);
        (guards, places, currents) = self.lock_all(keys, need)?;
        let epoch = self.time.epoch();
        let shown = currents.iter().map(|current| Slot {
            value: current.value.clone(),
            deadline: epoch.time(current.life.deadline),
            decision: Decision::Keep,
        });
        slots = Slots { slots: shown.collect() };
        let inside = Inside::enter();
        let result = decide(&mut slots);
        for (index, (slot, current)) in slots.slots.iter_mut().zip(&mut currents).enumerate() {
            let place = places.get(index).and_then(|place| guards.get_mut(*place));
            if let (Some(stripe), Some(key)) = (place, keys.get(index)) {
                left.push(self.keep_going(stripe, key, current, slot)?);
            }
        }
        let done = with_group(|group| {
            let mut ends = false;
            let steps = self.plan(group, keys, &currents, slots, &mut ends)?;
            check_size(group)?;
            let basis = currents.iter().map(|current| current.lsn).max().unwrap_or(0);
            let last = if group.count() > 0 { self.append(group)? } else { basis };
            let mut lsn = last.saturating_sub(group.count());
            let mut old: Few<Option<Arc<V>>> = Few::new();
            for (index, step) in steps {
                lsn += 1;
                let place = places.get(index).and_then(|place| guards.get_mut(*place));
                let parts = (place, keys.get(index), currents.get(index));
                if let (Some(stripe), Some(key), Some(current)) = parts {
                    old.push(self.apply_step(stripe, *key, current, step, lsn));
                }
            }
            Ok((last, ends, old))
        });
        drop(inside);
        drop(guards);
        let (lsn, ends, _old) = done?;
        Ok(Pending::new(self.log(), lsn, self.level_of(ends, level), result))
    }

    /// The same for a single key, which most transactions have: without the lists.
    fn transact_one<R>(
        &self,
        key: &Key,
        need: Need,
        decide: impl FnOnce(&mut Slots<V>) -> R,
        level: Level,
    ) -> Result<Pending<'_, R>> {
        // As above: dropped after the guard.
        let mut left = None;
        let mut slots;
        let mut current;
        let mut stripe;
        (stripe, current) = self.lock(key, need)?;
        let deadline = self.time.epoch().time(current.life.deadline);
        let slot = Slot { value: current.value.clone(), deadline, decision: Decision::Keep };
        slots = Slots { slots: smallvec![slot] };
        let inside = Inside::enter();
        let result = decide(&mut slots);
        if let Some(slot) = slots.slots.first_mut() {
            left = self.keep_going(&mut stripe, key, &mut current, slot)?;
        }
        let done = with_group(|group| {
            let mut ends = false;
            let decision = slots.slots.pop().map_or(Decision::Keep, |slot| slot.decision);
            let lives = |_| None;
            let step = self.plan_key(group, *key, &current, decision, lives, &mut ends)?;
            check_size(group)?;
            let last = if group.count() > 0 { self.append(group)? } else { current.lsn };
            let old =
                step.and_then(|step| self.apply_step(&mut stripe, *key, &current, step, last));
            Ok((last, ends, old))
        });
        drop(inside);
        drop(stripe);
        drop(left);
        let (lsn, ends, _old) = done?;
        Ok(Pending::new(self.log(), lsn, self.level_of(ends, level), result))
    }

    /// What ends something is waited for as a removal is.
    fn level_of(&self, ends: bool, level: Level) -> Durability {
        if ends { self.removal_level(level) } else { self.write_level(level) }
    }

    /// Sees to it that a session which is to go on does not end meanwhile. If it has, that is
    /// final, and nothing is done to it.
    fn keep_going(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        current: &mut Current<V>,
        slot: &mut Slot<V>,
    ) -> Result<Option<Arc<V>>> {
        let now = self.now();
        let until = match &slot.decision {
            _ if !current.alive => return Ok(None),
            Decision::Set(_, Wish::Same) => current.life.touched(now),
            Decision::Expire(expiry) | Decision::Set(_, Wish::On(expiry)) => {
                let cap = (current.life.cap <= TICK_MAX).then_some(current.life.cap);
                terms(*expiry, self.settings.policy, self.time.epoch(), now, cap)?.deadline
            }
            _ => return Ok(None),
        };
        let mut left = None;
        if !self.prolong(stripe, key, current, until, &mut left) {
            slot.decision = Decision::Keep;
        }
        Ok(left)
    }

    /// Turns decisions into frames, each with the index of its key. `ends` becomes true if something
    /// ends, or ends sooner.
    fn plan(
        &self,
        group: &mut Group,
        keys: &[Key],
        currents: &[Current<V>],
        slots: Slots<V>,
        ends: &mut bool,
    ) -> Result<Few<(usize, Step<V>)>> {
        let life_of = |index: usize| currents.get(index).map(|current| current.life);
        let mut steps = Few::new();
        for (index, ((slot, key), current)) in
            slots.slots.into_iter().zip(keys).zip(currents).enumerate()
        {
            let step = self.plan_key(group, *key, current, slot.decision, life_of, ends)?;
            steps.extend(step.map(|step| (index, step)));
        }
        Ok(steps)
    }

    /// The same for one key. `life_of` knows the times of the others.
    fn plan_key(
        &self,
        group: &mut Group,
        key: Key,
        current: &Current<V>,
        decision: Decision<V>,
        life_of: impl Fn(usize) -> Option<Life>,
        ends: &mut bool,
    ) -> Result<Option<Step<V>>> {
        let now = self.now();
        let terms_of =
            |expiry, cap| terms(expiry, self.settings.policy, self.time.epoch(), now, cap);
        let cap = (current.life.cap <= TICK_MAX).then_some(current.life.cap);
        Ok(Some(match decision {
            Decision::Keep => return Ok(None),
            Decision::Expire(_) if !current.alive => return Ok(None),
            // What has only expired is ended as well: an opening might grant it more time.
            Decision::Remove if !current.alive && (!current.over || self.disk.is_none()) => {
                return Ok(None);
            }
            Decision::Remove => {
                group.add(&Op::Remove(key));
                *ends = true;
                Step { new: Some((New::Gone, 0)), life: current.life, goes_on: false }
            }
            Decision::Expire(expiry) => {
                let life = terms_of(expiry, cap)?;
                *ends |= life.deadline < current.life.deadline;
                group.add(&Op::Terms(key, self.terms(life)));
                Step { new: None, life, goes_on: false }
            }
            Decision::Set(value, wish) => {
                let goes_on = current.alive && matches!(wish, Wish::Same);
                let life = match wish {
                    Wish::On(expiry) => {
                        let life = terms_of(expiry, cap.filter(|_| current.alive))?;
                        *ends |= current.alive && life.deadline < current.life.deadline;
                        life
                    }
                    Wish::New(expiry) => terms_of(expiry, None)?,
                    Wish::Same if !current.alive => terms_of(Expiry::Default, None)?,
                    Wish::Same => Life { deadline: current.life.touched(now), ..current.life },
                    Wish::As(other) => life_of(other).unwrap_or(current.life),
                };
                let bytes = self.encode(group, key, life, &value)?;
                Step { new: Some((New::Warm(value), bytes)), life, goes_on }
            }
        }))
    }

    fn apply_step(
        &self,
        stripe: &mut Stripe,
        key: Key,
        current: &Current<V>,
        step: Step<V>,
        lsn: u64,
    ) -> Option<Arc<V>> {
        let Step { new, life, goes_on } = step;
        match new {
            Some((New::Gone, _)) => self.put_gone(stripe, key, current, lsn),
            Some((new, bytes)) => {
                let was_cold = current.alive && !current.in_map;
                self.apply(stripe, Change { key, new, life, bytes, was_cold, later: goes_on }, lsn)
            }
            None => {
                self.apply_terms(stripe, key, current, life, lsn);
                None
            }
        }
    }

    /// Moves a session to another key: never both, never neither. False if there is none.
    pub(crate) fn rename(&self, old: Key, new: Key, level: Level) -> Result<Pending<'_, bool>> {
        self.transact(
            &[old, new],
            |slots| {
                let there = slots.get(0).is_some();
                slots.rename(0, 1);
                there
            },
            Some(self.removal_level(level)),
        )
    }
}

fn check_size(group: &Group) -> Result<()> {
    let bytes = group.bytes().len();
    if bytes > GROUP_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the transaction is {bytes} bytes encoded and the limit is {GROUP_BYTES_MAX}"),
        ));
    }
    Ok(())
}

fn check_keys(keys: &[Key]) -> Result<()> {
    if keys.len() > GROUP_KEYS_MAX {
        return Err(Error::config(format!(
            "a transaction of {} keys; at most {GROUP_KEYS_MAX} are allowed",
            keys.len()
        )));
    }
    // One or two are compared as they are.
    match keys {
        [] | [_] => return Ok(()),
        [a, b] if a != b => return Ok(()),
        _ => {}
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a == b);
    match twice {
        Some((key, _)) => {
            Err(Error::config(format!("a transaction names key {} twice", key.fingerprint())))
        }
        None => Ok(()),
    }
}
