//! The load: sessions that come, are read and changed, and go, at a given pace; and a memory,
//! bounded, of what must not come back and what must not be lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sessile::testing::Random;
use sessile::{Builder, Durability, Error, Expiry, Key, Store};

pub type Value = Vec<u8>;

/// Sessions that a worker remembers as its own.
const OWN: usize = 10_000;
/// Ended and new ones that it remembers.
const REMEMBERED: usize = 512;
/// Set in the number of a session that was renamed.
const RENAMED: u64 = 1 << 63;

pub fn builder(idle: Duration) -> Builder<Value> {
    Store::builder()
        .idle(idle)
        .absolute(3 * idle)
        .max_memory(4 << 20)
        .flush_bytes(1 << 20)
        .segment_bytes(256 << 10)
        .sync_every(Duration::from_millis(250))
}

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// What came of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub calls: u64,
    /// Refused: a limit of the store's own.
    pub full: u64,
    /// Refused, or open: the disk has no room.
    pub disk_full: u64,
    /// Any other error. There must be none.
    pub failed: u64,
    /// Answers that no correct store gives. There must be none.
    pub wrong: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.full += other.full;
        self.disk_full += other.disk_full;
        self.failed += other.failed;
        self.wrong += other.wrong;
    }
}

/// One worker.
pub struct Work {
    random: Random,
    /// Numbers are never given twice.
    next: u64,
    own: Vec<u64>,
    /// Ended, and known to be so on disk.
    ended: VecDeque<u64>,
    /// Made just now, and known to survive a kill.
    fresh: VecDeque<(u64, Instant)>,
    pub tally: Tally,
}

impl Work {
    /// `first` is the first number of a range that is this worker's alone.
    pub fn new(seed: u64, first: u64) -> Self {
        Work {
            random: Random::new(seed ^ first),
            next: first,
            own: Vec::new(),
            ended: VecDeque::new(),
            fresh: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// So many calls. While `cut_off` says so, errors mean nothing.
    pub fn burst(&mut self, store: &Store<Value>, calls: u64, cut_off: impl Fn() -> bool) {
        for _ in 0..calls {
            let done = self.step(store);
            self.tally.calls += 1;
            if let Err(error) = done
                && !cut_off()
            {
                self.note(&error);
            }
        }
    }

    fn note(&mut self, error: &Error) {
        if error.is_disk_full() {
            self.tally.disk_full += 1;
        } else if error.is_full() {
            self.tally.full += 1;
        } else {
            self.tally.failed += 1;
            eprintln!("a call failed: {error}");
        }
    }

    fn wrong(&mut self, what: &str, number: u64) {
        self.tally.wrong += 1;
        eprintln!("{what}: {number:#x}");
    }

    fn value(&mut self, number: u64) -> Value {
        let mut value = number.to_le_bytes().to_vec();
        let scale = 4 << self.random.below(8);
        value.resize(8 + self.random.below(scale) as usize * 4, 0x5a);
        value
    }

    /// One of the worker's own; it may have ended.
    fn some(&mut self) -> u64 {
        let at = self.random.below(self.own.len() as u64) as usize;
        self.own.get(at).copied().unwrap_or(self.next)
    }

    fn look(&mut self, number: u64, value: Option<&Value>) {
        let Some(value) = value else { return };
        if value.get(..8) != Some(&(number & !RENAMED).to_le_bytes()) {
            self.wrong("a value under another's key", number);
        }
    }

    /// Whatever comes of the call that follows, this one need not be there after it.
    fn forget_fresh(&mut self, number: u64) {
        self.fresh.retain(|(fresh, _)| *fresh != number);
    }

    fn remember_ended(&mut self, number: u64) {
        self.ended.push_back(number);
        if self.ended.len() > REMEMBERED {
            self.ended.pop_front();
        }
    }

    fn step(&mut self, store: &Store<Value>) -> sessile::Result<()> {
        let number = self.some();
        if self.own.is_empty() {
            return self.create(store);
        }
        match self.random.below(100) {
            0..20 => self.create(store)?,
            20..65 => {
                let value = store.get(&key(number))?;
                self.look(number, value.as_deref());
            }
            65..70 => {
                let value = store.peek(&key(number))?;
                self.look(number, value.as_deref());
            }
            70..80 => {
                let longer = self.random.below(2) == 0;
                store.update(&key(number), |value| {
                    let size = if longer { value.len() + 16 } else { 8 };
                    value.resize(size.min(4096), 0xa5);
                })?;
            }
            80..84 => {
                self.forget_fresh(number);
                store.at(self.level()).remove(&key(number))?;
                self.remember_ended(number);
            }
            84..86 => {
                self.forget_fresh(number);
                let value = store.at(self.level()).take(&key(number))?;
                self.remember_ended(number);
                self.look(number, value.as_deref());
            }
            86..88 => self.rename(store, number)?,
            88..90 => {
                let soon = Duration::from_millis(200 + self.random.below(3000));
                self.forget_fresh(number);
                store.at(Durability::Process).set_expiry(&key(number), Expiry::After(soon))?;
            }
            90..92 => self.transact(store)?,
            92..97 => {
                let at = self.random.below(self.ended.len() as u64) as usize;
                let Some(ended) = self.ended.get(at).copied() else { return Ok(()) };
                if store.get(&key(ended))?.is_some() || store.update(&key(ended), |_| {})?.is_some()
                {
                    self.wrong("ended, and back", ended);
                }
            }
            97 => store.iter().take(50).try_for_each(|next| next.map(drop))?,
            98 => drop(store.deadline(&key(number))?),
            _ => {
                store.len();
                store.stats();
            }
        }
        Ok(())
    }

    /// Now and then on disk, mostly safe from a kill: syncs are what costs others most.
    fn level(&mut self) -> Durability {
        if self.random.below(20) == 0 { Durability::Power } else { Durability::Process }
    }

    fn create(&mut self, store: &Store<Value>) -> sessile::Result<()> {
        let number = self.next;
        self.next += 1;
        let value = self.value(number);
        if !store.create(key(number), value)? {
            self.wrong("there before it was made", number);
        }
        self.fresh.push_back((number, Instant::now()));
        if self.fresh.len() > REMEMBERED {
            self.fresh.pop_front();
        }
        if self.own.len() < OWN {
            self.own.push(number);
        } else {
            let at = self.random.below(OWN as u64) as usize;
            if let Some(place) = self.own.get_mut(at) {
                *place = number;
            }
        }
        Ok(())
    }

    fn rename(&mut self, store: &Store<Value>, number: u64) -> sessile::Result<()> {
        if number & RENAMED != 0 {
            return Ok(());
        }
        self.forget_fresh(number);
        let renamed = store.at(self.level()).rename(&key(number), &key(number | RENAMED))?;
        if renamed {
            // If there was none it had expired, by a clock that may be wrong: that ends nothing.
            self.remember_ended(number);
            self.own.iter_mut().filter(|own| **own == number).for_each(|own| *own |= RENAMED);
        }
        Ok(())
    }

    /// Ends one and makes another, as a login does.
    fn transact(&mut self, store: &Store<Value>) -> sessile::Result<()> {
        let (old, new) = (self.some(), self.next);
        self.next += 1;
        let value = self.value(new);
        self.forget_fresh(old);
        store.at(self.level()).transact(&[key(old), key(new)], |slots| {
            slots.remove(0);
            slots.set(1, value);
        })?;
        self.remember_ended(old);
        self.own.iter_mut().filter(|own| **own == old).for_each(|own| *own = new);
        Ok(())
    }

    /// After a kill: what had ended has ended, and what was made `since` is there.
    pub fn check(&mut self, store: &Store<Value>, since: Instant) -> sessile::Result<()> {
        for number in self.ended.clone() {
            if store.peek(&key(number))?.is_some() {
                self.wrong("ended, and back after a kill", number);
            }
        }
        for (number, made) in std::mem::take(&mut self.fresh) {
            if made > since && store.peek(&key(number))?.is_none() {
                self.wrong("lost by a kill", number);
            }
        }
        Ok(())
    }
}
