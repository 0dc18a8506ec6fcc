//! Reading: the map first, then the bases; and bringing what was cold into memory.
//!
//! A warm read is one look into the map. Everything else is here to be correct beside writers:
//! no entry means that the bases speak, any entry is the answer, and only what still is the
//! truth under the key's stripe may be put into the map.

use std::cell::Cell;
use std::sync::Arc;

use crate::clock::{DEAD, Tick};
use crate::error::Result;
use crate::id::Key;
use crate::limits::RETURNED_MAX;
use crate::record::expiry::Life;
use crate::store::apply::grace;
use crate::store::disk::{Answer, Bases, Disk, Moment};
use crate::store::engine::Engine;
use crate::store::map::{Entry, State, Touched, View};
use crate::store::stripe::Stripe;
use crate::sync::thread_local;

/// Whether a read extends an idle deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Yes,
    No,
}

/// The LSN of an entry whose record an earlier run wrote: its deadline has had its grace.
pub(crate) const INHERITED: u64 = 0;

/// What was found in the bases.
pub(crate) struct Cold<V> {
    pub(crate) value: Arc<V>,
    pub(crate) life: Life,
    /// Encoded.
    pub(crate) bytes: u32,
    pub(crate) inherited: bool,
}

/// What a look into the map found.
pub(crate) enum Seen<V> {
    /// Nothing: the bases speak.
    Nothing,
    /// Gone or expired.
    Gone,
    Warm(Arc<V>),
    /// In a base, with these times.
    Cold(Life),
    /// In the stripe, not decoded.
    Raw,
}

/// What came of putting an entry where there was none.
pub(crate) struct Placed<V> {
    pub(crate) slot: u32,
    /// A touch would hardly move its deadline.
    pub(crate) settled: bool,
    /// What a `clear` had left under this key: to be dropped after the stripe is unlocked.
    pub(crate) left: Option<Arc<V>>,
}

thread_local! {
    static BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer for one value.
pub(crate) fn with_bytes<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut bytes = BYTES.with(Cell::take);
    bytes.clear();
    let result = f(&mut bytes);
    BYTES.with(|cell| cell.set(bytes));
    result
}

impl<V> Engine<V> {
    /// Reads a session.
    #[inline]
    pub(crate) fn get(&self, key: &Key, touch: Touch) -> Result<Option<Arc<V>>> {
        self.enter()?;
        self.reads.begin();
        let now = self.now();
        let generation = self.generation();
        let found = self.map.glance(key, |entry| {
            // One comparison says that it lives and that no touch is due.
            (entry.is_settled(now) && entry.is_of(generation)).then(|| entry.value().cloned())
        });
        if let Some(Some(Some(value))) = found {
            return Ok(Some(value));
        }
        self.get_unsettled(key, now, touch, found.is_none().then_some(generation))
    }

    /// `absent`: the map has nothing, looked at after it was of this generation.
    #[inline(never)]
    fn get_unsettled(
        &self,
        key: &Key,
        now: Tick,
        touch: Touch,
        absent: Option<u32>,
    ) -> Result<Option<Arc<V>>> {
        let found = self.find(key, now, touch, absent);
        match &found {
            Ok(Some(_)) => {}
            Ok(None) => self.reads.miss(),
            Err(_) => self.reads.fail(),
        }
        found
    }

    /// `absent`: the map had nothing, looked at in this generation.
    fn find(
        &self,
        key: &Key,
        now: Tick,
        touch: Touch,
        absent: Option<u32>,
    ) -> Result<Option<Arc<V>>> {
        if absent.is_some() {
            return self.get_slow(key, now, touch, absent);
        }
        let generation = self.generation();
        match self.map.read(key, |entry| self.see(key, entry, now, generation, touch)) {
            Some(Seen::Warm(value)) => Ok(Some(value)),
            Some(Seen::Gone) => Ok(None),
            _ => self.get_slow(key, now, touch, None),
        }
    }

    fn see(
        &self,
        key: &Key,
        entry: View<'_, V>,
        now: Tick,
        generation: u32,
        touch: Touch,
    ) -> Seen<V> {
        if !entry.is_of(generation) {
            return Seen::Nothing;
        }
        if entry.life().is_over(now) {
            // Under a suspect clock nothing is ended for good.
            if !self.time.is_suspect() && entry.lives(now) {
                return self.see(key, entry, now, generation, touch);
            }
            return Seen::Gone;
        }
        if touch == Touch::Yes {
            match entry.touch(now) {
                Touched::Alive => {}
                Touched::Moved(by) => self.note_return(key, &entry, by),
                Touched::Ended => return Seen::Gone,
            }
        }
        match (entry.value(), entry.state()) {
            (Some(value), _) => Seen::Warm(value.clone()),
            (None, State::Cold) => Seen::Cold(entry.life()),
            (None, State::Raw) => Seen::Raw,
            (None, _) => Seen::Gone,
        }
    }

    /// Has the touch of a session that had been left alone for long logged soon: the wheel would
    /// come to it in its own time, and a crash before that would take most of it back.
    fn note_return(&self, key: &Key, entry: &View<'_, V>, by: Tick) {
        if by <= grace(entry.life().idle) / 2 || self.disk.is_none() {
            return;
        }
        // A hint, never waited for: what is not noted here the wheel finds.
        if let Some(mut returned) = self.returned.try_lock()
            && returned.len() < RETURNED_MAX
        {
            returned.push(*key);
        }
    }

    /// What the map says of a key, touching nothing.
    pub(crate) fn look(&self, key: &Key, now: Tick) -> Seen<V> {
        let generation = self.generation();
        let seen = self.map.read(key, |entry| self.see(key, entry, now, generation, Touch::No));
        seen.unwrap_or(Seen::Nothing)
    }

    #[inline(never)]
    fn get_slow(
        &self,
        key: &Key,
        now: Tick,
        touch: Touch,
        mut absent: Option<u32>,
    ) -> Result<Option<Arc<V>>> {
        let Some(disk) = &self.disk else { return Ok(None) };
        loop {
            // The first time round it may have been looked for already.
            let (generation, seen) = match absent.take() {
                Some(generation) => (generation, Seen::Nothing),
                None => (self.generation(), self.look(key, now)),
            };
            let newer = match seen {
                Seen::Warm(value) => return Ok(Some(value)),
                Seen::Gone => return Ok(None),
                Seen::Raw => match self.decode_raw(key)? {
                    Some(value) => return Ok(Some(value)),
                    None => continue,
                },
                Seen::Nothing => None,
                Seen::Cold(life) => Some(life),
            };
            self.reads.cold();
            let list = disk.bases();
            if list.generation != generation {
                // A `clear` is between its two steps: an entry that it has ended already must not
                // make an older record speak, so its second step is done for it.
                self.enter_generation(list.generation);
                continue;
            }
            let Some(cold) = self.read_bases(disk, &list, key, newer, now)? else {
                return Ok(None);
            };
            let value = cold.value.clone();
            if touch == Touch::Yes {
                self.promote(disk, &list, key, newer.is_some(), cold);
            }
            return Ok(Some(value));
        }
    }

    /// Reads and decodes a key's value from the bases. `newer` are the times that the map has
    /// for it, if any; then those in the base decide nothing.
    pub(crate) fn read_bases(
        &self,
        disk: &Disk,
        list: &Bases,
        key: &Key,
        newer: Option<Life>,
        now: Tick,
    ) -> Result<Option<Cold<V>>> {
        with_bytes(|bytes| {
            let now = if newer.is_some() { 0 } else { now };
            let at = Moment { now, epoch: self.time.epoch() };
            let Answer::Value { life, encoding, inherited } = disk.find(list, key, at, bytes)?
            else {
                return Ok(None);
            };
            let value = Arc::new(self.decode(key, bytes, encoding)?);
            let bytes = self.weigh(&value, bytes.len());
            let life = newer.unwrap_or(life);
            Ok(Some(Cold { value, life, bytes, inherited }))
        })
    }

    /// Puts what a reader found in the bases into the map, if it is still the truth there and
    /// nobody is writing. A reader never waits.
    fn promote(&self, disk: &Disk, list: &Arc<Bases>, key: &Key, known: bool, cold: Cold<V>) {
        if self.is_over_memory() {
            // One comes, others go: what is promoted here can go the same way.
            self.evict(2);
        }
        let Some(mut stripe) = self.stripes.of(self.hash(key)).try_lock() else { return };
        // A later tick than the one the value was read at: a merge may have dropped it since.
        if !disk.is_current(list) || cold.life.is_over(self.now()) {
            return;
        }
        let mut left = None;
        let promoted = if known {
            self.warm_up(&mut stripe, key, State::Cold, cold.value, cold.bytes)
        } else {
            self.promote_new(&mut stripe, list.cut, key, cold, &mut left)
        };
        drop(stripe);
        drop(left);
        if promoted {
            self.reads.promoted();
        }
    }

    fn promote_new(
        &self,
        stripe: &mut Stripe,
        cut: u64,
        key: &Key,
        cold: Cold<V>,
        left: &mut Option<Arc<V>>,
    ) -> bool {
        let Cold { value, life, bytes, inherited } = cold;
        let placed = self.place(stripe, key, State::Warm, Some(value), life);
        let Some(Placed { slot, settled, left: was_left }) = placed else { return false };
        *left = was_left;
        if let Some(node) = stripe.slab.get_mut(slot) {
            // As new as the bases: clean, until it is written again.
            node.set_lsn(if inherited { INHERITED } else { cut });
            node.logged = life.deadline;
            node.set_bytes(bytes);
        }
        let second = self.second_for(life, life.deadline);
        stripe.wheel.insert(&mut stripe.slab, slot, second);
        self.account(0, crate::store::apply::cost(State::Warm, bytes));
        if settled {
            return true;
        }
        // Touched only now that everybody sees it, and with the time as it is now.
        let now = self.now();
        self.map.read(key, |entry| entry.lives(now) && entry.touch(now) != Touched::Ended);
        true
    }

    /// A new entry where there is none of this generation; `None` if there is one. What is over by
    /// now has ended.
    pub(crate) fn place(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        state: State,
        value: Option<Arc<V>>,
        life: Life,
    ) -> Option<Placed<V>> {
        let generation = self.generation();
        let parts = Cell::new(Some((value, &mut stripe.slab)));
        let make = || {
            let (value, slab) = parts.take()?;
            let slot = slab.insert(*key);
            // Read under the map's lock: a reader who found nothing here had read the time before
            // that, and what it finds expired in the bases is expired here too.
            let now = self.now();
            let ended = life.is_over(now) && !self.time.is_suspect();
            let life = if ended { Life { deadline: DEAD, ..life } } else { life };
            let entry = Entry::new(state, value, life, slot, generation);
            let settled = entry.view().is_settled(now);
            Some((entry, Placed { slot, settled, left: None }))
        };
        self.map.upsert(
            *key,
            |mut entry| {
                let (new, placed) = (!entry.view().is_of(generation)).then(make)??;
                Some(Placed { left: entry.replace(new).into_value(), ..placed })
            },
            || match make() {
                Some((entry, placed)) => (entry, Some(placed)),
                None => unreachable!("an entry is made once"),
            },
        )
    }

    /// Gives an entry that lives, and is still in `from`, its decoded value.
    fn warm_up(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        from: State,
        value: Arc<V>,
        bytes: u32,
    ) -> bool {
        let generation = self.generation();
        let now = self.now();
        let warmed = self.map.change(key, |mut entry| {
            let found = entry.view();
            let fits = found.is_of(generation) && found.state() == from && found.lives(now);
            let (life, slot) = (found.life(), found.slot());
            fits.then(|| (entry.set(State::Warm, Some(value), life), slot))
        });
        let Some(Some((_, slot))) = warmed else { return false };
        if let Some(node) = stripe.slab.get_mut(slot) {
            let old = crate::store::apply::cost(from, node.bytes());
            node.set_bytes(bytes);
            self.account(old, crate::store::apply::cost(State::Warm, bytes));
        }
        stripe.raw.remove(slot);
        true
    }

    /// Decodes a value that was replayed and not read since. `None`: it is no longer that.
    fn decode_raw(&self, key: &Key) -> Result<Option<Arc<V>>> {
        let lock = self.stripes.of(self.hash(key));
        let Some((raw, lsn)) = self.raw(&lock.lock(), key) else { return Ok(None) };
        // The user's `Deserialize` runs without the lock.
        let value = Arc::new(self.decode(key, &raw.bytes, raw.encoding)?);
        let mut stripe = lock.lock();
        let same = self.raw(&stripe, key).is_some_and(|(_, now)| now == lsn);
        let bytes = self.weigh(&value, raw.bytes.len());
        if same && self.warm_up(&mut stripe, key, State::Raw, value.clone(), bytes) {
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// The encoded value of an entry that is `Raw`, and the LSN it was written with.
    pub(crate) fn raw(
        &self,
        stripe: &Stripe,
        key: &Key,
    ) -> Option<(crate::store::stripe::RawValue, u64)> {
        let generation = self.generation();
        let slot = self.map.read(key, |entry| {
            (entry.is_of(generation) && entry.state() == State::Raw).then(|| entry.slot())
        })??;
        let lsn = stripe.slab.get(slot)?.lsn();
        Some((stripe.raw.get(slot)?.clone(), lsn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn what_is_over_when_it_comes_into_memory_is_not_extended_by_a_reader_with_an_older_time() {
        let store: Store<u8> = Store::builder().in_memory().unwrap();
        let (engine, key) = (store.engine(), Key::from_bytes([7; 16]));
        let (now, value) = (engine.now(), Some(Arc::new(1)));
        let life = Life { deadline: now, cap: now + 1000, idle: 100 };
        let mut stripe = engine.stripes.of(engine.hash(&key)).lock();
        let placed = engine.place(&mut stripe, &key, State::Warm, value, life).unwrap();
        assert!(!placed.settled);
        let touched = engine.map.read(&key, |entry| entry.touch(now - 1));
        assert_eq!(touched, Some(Touched::Ended));
    }
}
