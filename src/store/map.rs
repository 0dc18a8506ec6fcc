//! The concurrent map: who is in memory, with what, until when.
//!
//! `shards` has the locks, none of which is held beyond one call, so that another map can take
//! their place; `table` is what is under each. Knows no log and no disk.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::{DEAD, Tick};
use crate::limits::GENERATIONS;
use crate::record::expiry::Life;
use crate::sync::atomic::{AtomicU32, Ordering};

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The decoded value.
    Warm,
    /// The value is in a base; the times here are newer.
    Cold,
    /// Nothing, and the bases are not to be asked.
    Gone,
    /// The encoded value, in the stripe, not decoded since it was replayed.
    Raw,
}

/// An entry: what a read needs and no more. What only writes need is in the stripe's slab.
pub(crate) struct Entry<V> {
    value: Option<Arc<V>>,
    deadline: AtomicU32,
    cap: Tick,
    idle: Tick,
    /// Slot in the stripe's slab (26 bits), state (2), generation (4, counted from one: so that
    /// a place in the table costs nothing beside what is in it).
    place: NonZeroU32,
}

// The checkers' atomics are larger.
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Option<Entry<[u8; 100]>>>() == 24, "a place in the map");

const SLOT_BITS: u32 = 26;
const GENERATION_SHIFT: u32 = SLOT_BITS + 2;

impl<V> Entry<V> {
    pub(crate) fn new(
        state: State,
        value: Option<Arc<V>>,
        life: Life,
        slot: u32,
        generation: u32,
    ) -> Self {
        Entry {
            value,
            deadline: AtomicU32::new(life.deadline),
            cap: life.cap,
            idle: life.idle,
            place: pack(slot | (state as u32) << SLOT_BITS | mark(generation)),
        }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.place.get() & ((1 << SLOT_BITS) - 1)
    }

    pub(crate) fn state(&self) -> State {
        match (self.place.get() >> SLOT_BITS) & 3 {
            0 => State::Warm,
            1 => State::Cold,
            2 => State::Gone,
            _ => State::Raw,
        }
    }

    fn set_state(&mut self, state: State) {
        self.place = pack(self.place.get() & !(3 << SLOT_BITS) | (state as u32) << SLOT_BITS);
    }

    #[inline]
    pub(crate) fn is_of(&self, generation: u32) -> bool {
        self.place.get() >> GENERATION_SHIFT == mark(generation) >> GENERATION_SHIFT
    }

    pub(crate) fn value(&self) -> Option<&Arc<V>> {
        self.value.as_ref()
    }

    pub(crate) fn into_value(self) -> Option<Arc<V>> {
        self.value
    }

    pub(crate) fn life(&self) -> Life {
        Life { deadline: self.deadline.load(Ordering::Relaxed), cap: self.cap, idle: self.idle }
    }

    /// Gives the entry a new content and new times; returns the value it held.
    pub(crate) fn set(
        &mut self,
        state: State,
        value: Option<Arc<V>>,
        life: Life,
    ) -> Option<Arc<V>> {
        self.set_state(state);
        self.set_life(life);
        std::mem::replace(&mut self.value, value)
    }

    /// Gives the entry new times.
    pub(crate) fn set_life(&mut self, life: Life) {
        self.deadline = AtomicU32::new(life.deadline);
        (self.cap, self.idle) = (life.cap, life.idle);
    }

    /// Whether the entry lives at `now` and a touch would hardly move its deadline: what most
    /// reads find.
    #[inline]
    pub(crate) fn is_settled(&self, now: Tick) -> bool {
        let touched = now.saturating_add(self.idle).min(self.cap);
        let due = touched.saturating_sub(least_move(self.idle));
        self.deadline.load(Ordering::Relaxed) > now.max(due)
    }

    /// Whether the entry lives at `now`. If it does not, it never will again: whoever sees it
    /// expired makes it so, and no slower reader can extend it afterwards.
    pub(crate) fn lives(&self, now: Tick) -> bool {
        let mut deadline = self.deadline.load(Ordering::Relaxed);
        while deadline <= now {
            if deadline == DEAD {
                return false;
            }
            let ended = self.deadline.compare_exchange_weak(
                deadline,
                DEAD,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match ended {
                Ok(_) => return false,
                Err(other) => deadline = other,
            }
        }
        true
    }

    /// Moves the deadline to `until` if that is later. False if the entry is over at `now`: then
    /// it has ended, as with [`lives`](Self::lives).
    pub(crate) fn prolong(&self, now: Tick, until: Tick) -> bool {
        let mut deadline = self.deadline.load(Ordering::Relaxed);
        while deadline > now {
            if deadline >= until {
                return true;
            }
            let moved = self.deadline.compare_exchange_weak(
                deadline,
                until,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match moved {
                Ok(_) => return true,
                Err(other) => deadline = other,
            }
        }
        self.lives(now)
    }

    /// Moves an idle deadline to where a touch at `now` puts it, unless that is hardly further
    /// than it is. The entry must have been found alive.
    pub(crate) fn touch(&self, now: Tick) -> Touched {
        if self.idle == 0 {
            return Touched::Alive;
        }
        let mut deadline = self.deadline.load(Ordering::Relaxed);
        loop {
            if deadline <= now {
                return if self.lives(now) { Touched::Alive } else { Touched::Ended };
            }
            let touched = now.saturating_add(self.idle).min(self.cap);
            if touched <= deadline || touched - deadline < least_move(self.idle) {
                return Touched::Alive;
            }
            let moved = self.deadline.compare_exchange_weak(
                deadline,
                touched,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match moved {
                Ok(_) => return Touched::Moved(touched - deadline),
                Err(other) => deadline = other,
            }
        }
    }
}

/// The generation's bits of a place: never none.
#[inline]
fn mark(generation: u32) -> u32 {
    (generation % GENERATIONS + 1) << GENERATION_SHIFT
}

fn pack(place: u32) -> NonZeroU32 {
    match NonZeroU32::new(place) {
        Some(place) => place,
        None => unreachable!("a place has its generation"),
    }
}

/// What a touch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// Nothing worth doing.
    Alive,
    /// It moved the deadline, by so many ticks.
    Moved(Tick),
    /// The entry has ended since it was found alive.
    Ended,
}

/// The least that a touch moves a deadline by: a session that is read thousands of times a second
/// is written to a few times.
#[inline]
fn least_move(idle: Tick) -> Tick {
    (idle >> 8).max(1)
}

mod shards;
mod table;
pub(crate) use shards::Map;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(deadline: Tick, idle: Tick) -> Entry<u8> {
        Entry::new(State::Warm, Some(Arc::new(1)), Life { deadline, cap: 1000, idle }, 5, 16)
    }

    #[test]
    fn state_slot_and_generation_do_not_mix() {
        let mut entry = entry(10, 0);
        for state in [State::Gone, State::Raw, State::Cold, State::Warm] {
            entry.set_state(state);
            assert_eq!((entry.state(), entry.slot()), (state, 5));
            assert!(entry.is_of(1) && entry.is_of(16) && !entry.is_of(2));
        }
        for generation in 0..GENERATIONS {
            let entry = Entry::<u8>::new(State::Warm, None, Life::default(), 0, generation);
            let of = |other: &u32| entry.is_of(*other);
            assert_eq!((0..GENERATIONS).filter(of).collect::<Vec<_>>(), [generation]);
            assert_eq!((entry.state(), entry.slot()), (State::Warm, 0));
        }
    }

    #[test]
    fn what_was_seen_expired_is_not_extended_by_a_reader_with_an_older_time() {
        let entry = entry(10, 100);
        assert!(entry.lives(9));
        assert!(!entry.lives(10));
        assert_eq!(entry.touch(9), Touched::Ended);
        assert_eq!(entry.life().deadline, DEAD);
    }

    #[test]
    fn a_writer_prolongs_what_lives_and_nothing_else() {
        let entry = entry(10, 0);
        assert!(entry.prolong(9, 50) && entry.prolong(9, 20));
        assert_eq!(entry.life().deadline, 50);
        assert!(!entry.prolong(50, 90) && !entry.prolong(1, 90));
        assert_eq!(entry.life().deadline, DEAD);
    }

    #[test]
    fn an_entry_is_settled_exactly_while_it_lives_and_a_touch_does_nothing() {
        for (deadline, idle) in [(300, 0), (512, 512), (900, 512), (999, 512), (1000, 512), (40, 3)]
        {
            for now in 0..=1001 {
                let entry = entry(deadline, idle);
                let settled = entry.is_settled(now);
                let nothing = entry.lives(now) && entry.touch(now) == Touched::Alive;
                assert_eq!(settled, nothing, "deadline {deadline}, idle {idle}, now {now}");
            }
        }
    }

    #[test]
    fn touches_move_rarely_and_only_forward() {
        let entry = entry(512, 512);
        assert_eq!(entry.touch(1), Touched::Alive, "hardly further");
        assert_eq!(entry.touch(100), Touched::Moved(100));
        assert_eq!(entry.touch(50), Touched::Alive);
        assert_eq!(entry.touch(600), Touched::Moved(388), "the cap");
        assert_eq!(entry.life().deadline, 1000);
    }
}
