//! The concurrent map: who is in memory, with what, until when.
//!
//! `shards` has the locks, none of which is held beyond one call, so that another map can take
//! their place; `table` is what is under each. Knows no log and no disk.

use std::mem;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::{DEAD, Tick};
use crate::limits::GENERATIONS;
use crate::record::expiry::Life;
use crate::store::map::due::{Span, Spans, least_move};
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

/// The part of an entry that every read needs, beside its key in the table. What only writes need
/// is in the stripe's slab.
pub(crate) struct Hot<V> {
    value: Option<Arc<V>>,
    due: AtomicU32,
    /// Slot in the stripe's slab (26 bits), state (2), generation (4, counted from one: so that
    /// a place in the table costs nothing beside what is in it).
    place: NonZeroU32,
}

// The checkers' atomics are larger.
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Option<Hot<[u8; 100]>>>() == 16, "a place in the map");

const SLOT_BITS: u32 = 26;
const GENERATION_SHIFT: u32 = SLOT_BITS + 2;

impl<V> Hot<V> {
    /// Whether the entry lives at `now` and a touch would hardly move its deadline: what most
    /// reads find.
    #[inline]
    pub(crate) fn is_settled(&self, now: Tick) -> bool {
        self.due.load(Ordering::Relaxed) > now
    }

    #[inline]
    pub(crate) fn is_of(&self, generation: u32) -> bool {
        self.place.get() >> GENERATION_SHIFT == mark(generation) >> GENERATION_SHIFT
    }

    pub(crate) fn value(&self) -> Option<&Arc<V>> {
        self.value.as_ref()
    }

    fn slot(&self) -> u32 {
        self.place.get() & ((1 << SLOT_BITS) - 1)
    }
}

/// An entry on its way into the map or out of it.
pub(crate) struct Entry<V> {
    hot: Hot<V>,
    span: Span,
}

impl<V> Entry<V> {
    pub(crate) fn new(
        state: State,
        value: Option<Arc<V>>,
        life: Life,
        slot: u32,
        generation: u32,
    ) -> Self {
        let (span, due) = Span::of(life);
        let place = pack(slot | (state as u32) << SLOT_BITS | mark(generation));
        Entry { hot: Hot { value, due: AtomicU32::new(due), place }, span }
    }

    pub(crate) fn view(&self) -> View<'_, V> {
        View { hot: &self.hot, span: self.span }
    }

    pub(crate) fn into_value(self) -> Option<Arc<V>> {
        self.hot.value
    }
}

/// An entry of the map, to be changed.
pub(crate) struct ViewMut<'a, V> {
    hot: &'a mut Hot<V>,
    spans: &'a mut Spans,
}

impl<V> ViewMut<'_, V> {
    pub(crate) fn view(&self) -> View<'_, V> {
        View { hot: self.hot, span: self.spans.of(self.hot.slot()) }
    }

    /// Puts another entry in the place of this one, which it returns.
    pub(crate) fn replace(&mut self, entry: Entry<V>) -> Entry<V> {
        let span = self.spans.of(self.hot.slot());
        self.spans.put(entry.hot.slot(), entry.span);
        Entry { hot: mem::replace(self.hot, entry.hot), span }
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
        mem::replace(&mut self.hot.value, value)
    }

    /// Gives the entry new times.
    pub(crate) fn set_life(&mut self, life: Life) {
        let (span, due) = Span::of(life);
        self.spans.put(self.hot.slot(), span);
        self.hot.due = AtomicU32::new(due);
    }

    fn set_state(&mut self, state: State) {
        let place = self.hot.place.get() & !(3 << SLOT_BITS) | (state as u32) << SLOT_BITS;
        self.hot.place = pack(place);
    }
}

impl<V> Clone for View<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for View<'_, V> {}

/// An entry of the map, to be looked at and touched.
pub(crate) struct View<'a, V> {
    hot: &'a Hot<V>,
    span: Span,
}

impl<'a, V> View<'a, V> {
    pub(crate) fn is_settled(&self, now: Tick) -> bool {
        self.hot.is_settled(now)
    }

    pub(crate) fn slot(&self) -> u32 {
        self.hot.slot()
    }

    pub(crate) fn state(&self) -> State {
        match (self.hot.place.get() >> SLOT_BITS) & 3 {
            0 => State::Warm,
            1 => State::Cold,
            2 => State::Gone,
            _ => State::Raw,
        }
    }

    pub(crate) fn is_of(&self, generation: u32) -> bool {
        self.hot.is_of(generation)
    }

    pub(crate) fn value(&self) -> Option<&'a Arc<V>> {
        self.hot.value.as_ref()
    }

    #[inline]
    pub(crate) fn life(&self) -> Life {
        self.span.life(self.hot.due.load(Ordering::Relaxed))
    }

    /// Moves the deadline from that of the word `due`, if that is still there; else says which is.
    fn move_deadline(&self, due: Tick, to: Tick) -> Result<(), Tick> {
        let (word, relaxed) = (&self.hot.due, Ordering::Relaxed);
        word.compare_exchange_weak(due, self.span.due(to), relaxed, relaxed).map(|_| ())
    }

    /// Whether the entry lives at `now`. If it does not, it never will again: whoever sees it
    /// expired makes it so, and no slower reader can extend it afterwards.
    pub(crate) fn lives(&self, now: Tick) -> bool {
        let mut due = self.hot.due.load(Ordering::Relaxed);
        while self.span.life(due).deadline <= now {
            if due == DEAD {
                return false;
            }
            match self.move_deadline(due, DEAD) {
                Ok(()) => return false,
                Err(other) => due = other,
            }
        }
        true
    }

    /// Moves the deadline to `until` if that is later. False if the entry is over at `now`: then
    /// it has ended, as with [`lives`](Self::lives).
    pub(crate) fn prolong(&self, now: Tick, until: Tick) -> bool {
        let mut due = self.hot.due.load(Ordering::Relaxed);
        loop {
            let deadline = self.span.life(due).deadline;
            if deadline <= now {
                return self.lives(now);
            }
            if deadline >= until {
                return true;
            }
            match self.move_deadline(due, until) {
                Ok(()) => return true,
                Err(other) => due = other,
            }
        }
    }

    /// Moves an idle deadline to where a touch at `now` puts it, unless that is hardly further
    /// than it is. The entry must have been found alive.
    pub(crate) fn touch(&self, now: Tick) -> Touched {
        let mut due = self.hot.due.load(Ordering::Relaxed);
        loop {
            let Life { deadline, cap, idle } = self.span.life(due);
            if idle == 0 {
                return Touched::Alive;
            }
            if deadline <= now {
                return if self.lives(now) { Touched::Alive } else { Touched::Ended };
            }
            let touched = now.saturating_add(idle).min(cap);
            if touched <= deadline || touched - deadline < least_move(idle) {
                return Touched::Alive;
            }
            match self.move_deadline(due, touched) {
                Ok(()) => return Touched::Moved(touched - deadline),
                Err(other) => due = other,
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

mod due;
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
            let mut spans = Spans::default();
            let mut changed = ViewMut { hot: &mut entry.hot, spans: &mut spans };
            changed.set_state(state);
            let view = changed.view();
            assert_eq!((view.state(), view.slot()), (state, 5));
            assert!(view.is_of(1) && view.is_of(16) && !view.is_of(2));
        }
        for generation in 0..GENERATIONS {
            let entry = Entry::<u8>::new(State::Warm, None, Life::default(), 0, generation);
            let view = entry.view();
            let of = |other: &u32| view.is_of(*other);
            assert_eq!((0..GENERATIONS).filter(of).collect::<Vec<_>>(), [generation]);
            assert_eq!((view.state(), view.slot()), (State::Warm, 0));
        }
    }

    #[test]
    fn what_was_seen_expired_is_not_extended_by_a_reader_with_an_older_time() {
        let entry = entry(110, 100);
        let entry = entry.view();
        assert!(entry.lives(109));
        assert!(!entry.lives(110));
        assert_eq!(entry.touch(109), Touched::Ended);
        assert_eq!(entry.life().deadline, DEAD);
    }

    #[test]
    fn a_writer_prolongs_what_lives_and_nothing_else() {
        let entry = entry(10, 0);
        let entry = entry.view();
        assert!(entry.prolong(9, 50) && entry.prolong(9, 20));
        assert_eq!(entry.life().deadline, 50);
        assert!(!entry.prolong(50, 90) && !entry.prolong(1, 90));
        assert_eq!(entry.life().deadline, DEAD);
    }

    #[test]
    fn an_entry_is_settled_exactly_while_it_lives_and_a_touch_does_nothing() {
        for (deadline, idle) in [
            (300, 0),
            (512, 512),
            (900, 512),
            (997, 512),
            (998, 512),
            (999, 512),
            (1000, 512),
            (40, 3),
        ] {
            for now in 0..=1001 {
                let entry = entry(deadline, idle);
                let settled = entry.hot.is_settled(now);
                let entry = entry.view();
                let nothing = entry.lives(now) && entry.touch(now) == Touched::Alive;
                assert_eq!(settled, nothing, "deadline {deadline}, idle {idle}, now {now}");
            }
        }
    }

    #[test]
    fn touches_move_rarely_and_only_forward() {
        let entry = entry(512, 512);
        let entry = entry.view();
        assert_eq!(entry.touch(1), Touched::Alive, "hardly further");
        assert_eq!(entry.touch(100), Touched::Moved(100));
        assert_eq!(entry.touch(50), Touched::Alive);
        assert_eq!(entry.touch(600), Touched::Moved(388), "the cap");
        assert_eq!(entry.life().deadline, 1000);
    }
}
