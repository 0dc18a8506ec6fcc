//! What a key holds now, seen under its stripe's lock.
//!
//! What is not in memory is read before the lock is taken and checked again under it: no file is
//! read, and no value decoded, while writers wait.

use std::sync::Arc;

use crate::clock::Tick;
use crate::error::Result;
use crate::id::Key;
use crate::record::expiry::Life;
use crate::store::disk::{Answer, Bases, Disk, Moment};
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::read::{Cold, Seen, with_bytes};
use crate::store::stripe::Stripe;
use crate::sync::MutexGuard;

/// A list that is short nearly always, and then takes no allocation: most transactions have one key
/// or two.
pub(crate) type Few<T> = smallvec::SmallVec<[T; 2]>;

/// How much a caller wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Whether there is a session.
    Presence,
    /// The same, where one that cannot be read counts as there: to end it.
    Doubt,
    /// Its value too.
    Value,
    /// Its value too, where one that cannot be read counts as there and has none: to replace it.
    Legible,
}

/// What a key holds.
pub(crate) struct Current<V> {
    /// It lives.
    pub(crate) alive: bool,
    /// It does not live, but something of it is there that has expired.
    pub(crate) over: bool,
    /// Its value, if it lives and was asked for.
    pub(crate) value: Option<Arc<V>>,
    pub(crate) life: Life,
    /// What this answer rests on: whoever returns it waits for this LSN.
    pub(crate) lsn: u64,
    pub(crate) in_map: bool,
    /// Encoded bytes of the value.
    pub(crate) bytes: u32,
}

/// What was read of a key before its stripe was locked.
struct Fetched<V> {
    list: Option<Arc<Bases>>,
    raw: Option<u64>,
    alive: bool,
    over: bool,
    value: Option<Arc<V>>,
    life: Life,
    bytes: u32,
}

impl<V> Engine<V> {
    /// Locks the key's stripe and says what the key holds.
    ///
    /// # Errors
    /// With [`Need::Value`], if the value cannot be read or decoded.
    pub(crate) fn lock(
        &self,
        key: &Key,
        need: Need,
    ) -> Result<(MutexGuard<'_, Stripe>, Current<V>)> {
        loop {
            let (fetched, need) = self.fetch_or_doubt(key, need)?;
            let stripe = self.stripes.of(self.hash(key)).lock();
            if let Some(current) = self.settle(&stripe, key, need, fetched) {
                return Ok((stripe, current));
            }
        }
    }

    /// Locks the stripes of all the keys, in order, and says what each key holds. The second list
    /// has, for each key, the place of its stripe in the first.
    #[expect(clippy::type_complexity, reason = "three lists that belong together")]
    pub(crate) fn lock_all(
        &self,
        keys: &[Key],
        need: Need,
    ) -> Result<(Few<MutexGuard<'_, Stripe>>, Few<usize>, Few<Current<V>>)> {
        let of = |key: &Key| self.stripes.index(self.hash(key));
        let mut indices: Few<usize> = keys.iter().map(of).collect();
        indices.sort_unstable();
        indices.dedup();
        let places: Few<usize> =
            keys.iter().map(|key| indices.binary_search(&of(key)).unwrap_or_default()).collect();
        'again: loop {
            let mut fetched: Few<_> = Few::with_capacity(keys.len());
            for key in keys {
                fetched.push(self.fetch_or_doubt(key, need)?);
            }
            let guards: Few<_> =
                indices.iter().map(|index| self.stripes.at(*index).lock()).collect();
            let mut currents: Few<_> = Few::with_capacity(keys.len());
            for ((key, place), (fetched, need)) in keys.iter().zip(&places).zip(fetched) {
                let Some(stripe) = guards.get(*place) else { continue 'again };
                let Some(current) = self.settle(stripe, key, need, fetched) else {
                    continue 'again;
                };
                currents.push(current);
            }
            return Ok((guards, places, currents));
        }
    }

    /// Fetches, and says what of `need` can be had.
    fn fetch_or_doubt(&self, key: &Key, need: Need) -> Result<(Option<Fetched<V>>, Need)> {
        if need != Need::Legible {
            return Ok((self.fetch(key, need)?, need));
        }
        match self.fetch(key, Need::Value) {
            Err(error) if error.is_damage() => Ok((self.fetch(key, Need::Doubt)?, Need::Doubt)),
            fetched => Ok((fetched?, Need::Value)),
        }
    }

    fn fetch(&self, key: &Key, need: Need) -> Result<Option<Fetched<V>>> {
        let Some(disk) = &self.disk else { return Ok(None) };
        let now = self.now();
        let blank = || Fetched {
            list: None,
            raw: None,
            alive: true,
            over: false,
            value: None,
            life: Life::default(),
            bytes: 0,
        };
        match self.look(key, now) {
            Seen::Warm(_) | Seen::Gone => Ok(None),
            Seen::Cold(_) | Seen::Raw if need != Need::Value => Ok(None),
            Seen::Raw => {
                let raw = self.raw(&self.stripes.of(self.hash(key)).lock(), key);
                let Some((raw, lsn)) = raw else { return Ok(None) };
                let value = Some(Arc::new(self.decode(key, &raw.bytes, raw.encoding)?));
                let bytes = u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX);
                Ok(Some(Fetched { raw: Some(lsn), value, bytes, ..blank() }))
            }
            Seen::Cold(life) => {
                let list = disk.bases();
                let found = self.read_bases(disk, &list, key, Some(life), now)?;
                let bytes = found.as_ref().map_or(0, |cold| cold.bytes);
                let value = found.map(|cold| cold.value);
                let alive = value.is_some();
                Ok(Some(Fetched { list: Some(list), alive, value, life, bytes, ..blank() }))
            }
            Seen::Nothing if need != Need::Value => {
                let list = disk.bases();
                let blank = Fetched { list: Some(list), alive: false, ..blank() };
                let found =
                    with_bytes(|bytes| self.ask(disk, blank.list.as_ref(), key, now, bytes));
                Ok(Some(match found {
                    Ok(Answer::Value { life, .. }) => Fetched { alive: true, life, ..blank },
                    Ok(Answer::Over) => Fetched { over: true, ..blank },
                    Ok(Answer::Absent) => blank,
                    // What cannot be read can be removed: it may be there.
                    Err(_) if need == Need::Doubt => {
                        let life = Life { deadline: u32::MAX, ..Life::default() };
                        Fetched { alive: true, life, ..blank }
                    }
                    Err(error) => return Err(error),
                }))
            }
            Seen::Nothing => {
                let list = disk.bases();
                let found = self.read_bases(disk, &list, key, None, now)?;
                let blank = Fetched { list: Some(list), alive: false, ..blank() };
                let Some(cold) = found else {
                    let found =
                        with_bytes(|bytes| self.ask(disk, blank.list.as_ref(), key, now, bytes))?;
                    return Ok(Some(Fetched { over: found == Answer::Over, ..blank }));
                };
                let Cold { value, life, bytes, .. } = cold;
                Ok(Some(Fetched { alive: true, value: Some(value), life, bytes, ..blank }))
            }
        }
    }

    fn ask(
        &self,
        disk: &Disk,
        list: Option<&Arc<Bases>>,
        key: &Key,
        now: Tick,
        bytes: &mut Vec<u8>,
    ) -> Result<Answer> {
        let at = Moment { now, epoch: self.time.epoch() };
        list.map_or(Ok(Answer::Absent), |list| disk.find(list, key, at, bytes))
    }

    /// What the key holds, under its stripe. `None`: what was fetched is no longer the truth.
    fn settle(
        &self,
        stripe: &Stripe,
        key: &Key,
        need: Need,
        fetched: Option<Fetched<V>>,
    ) -> Option<Current<V>> {
        let now = self.now();
        let generation = self.generation();
        let entry = self.map.read(key, |entry| {
            entry.is_of(generation).then(|| {
                let alive = entry.state() != State::Gone && !entry.life().is_over(now);
                // Seen expired is expired: nobody may extend it from here on.
                let alive = alive || (!self.time.is_suspect() && entry.lives(now));
                let value = entry.value().filter(|_| alive).cloned();
                (entry.state(), alive, value, entry.life(), entry.slot())
            })
        });
        let Some((state, alive, value, life, slot)) = entry.flatten() else {
            return self.settle_absent(fetched, now);
        };
        let node = stripe.slab.get(slot)?;
        let (lsn, bytes) = (node.lsn(), node.bytes());
        // A tombstone that expiry left has its idle time still; one that was logged has none.
        let over = !alive && (state != State::Gone || life.idle > 0);
        let mut current = Current { alive, over, value, life, lsn, in_map: true, bytes };
        if alive && need == Need::Value && current.value.is_none() {
            let fetched = fetched?;
            let valid = match state {
                State::Raw => fetched.raw == Some(lsn),
                State::Cold => fetched.raw.is_none() && self.still_current(fetched.list.as_ref()),
                State::Warm | State::Gone => false,
            };
            if !valid {
                return None;
            }
            current.alive = fetched.alive;
            current.value = fetched.value;
            current.bytes = fetched.bytes;
        }
        Some(current)
    }

    fn settle_absent(&self, fetched: Option<Fetched<V>>, now: u32) -> Option<Current<V>> {
        let lsn = self.disk.as_ref().map_or(0, |disk| disk.floor());
        let nothing = Current {
            alive: false,
            over: false,
            value: None,
            life: Life::default(),
            lsn,
            in_map: false,
            bytes: 0,
        };
        if self.disk.is_none() {
            return Some(nothing);
        }
        let fetched = fetched?;
        if fetched.raw.is_some() || !self.still_current(fetched.list.as_ref()) {
            return None;
        }
        if !fetched.alive || fetched.life.is_over(now) {
            let over = fetched.over || fetched.alive;
            return Some(Current { over, ..nothing });
        }
        let Fetched { value, life, bytes, .. } = fetched;
        Some(Current { alive: true, value, life, bytes, ..nothing })
    }

    fn still_current(&self, list: Option<&Arc<Bases>>) -> bool {
        match (&self.disk, list) {
            (Some(disk), Some(list)) => disk.is_current(list),
            _ => false,
        }
    }
}
