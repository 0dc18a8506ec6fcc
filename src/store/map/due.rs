//! When an entry is to be looked at: its deadline and the moment from which a touch would move it,
//! in one word, so that a read compares once and reads nothing else.
//!
//! Pure arithmetic. The word is the first tick at which a read has more to do than to answer:
//! the deadline itself, or, where a touch could move that, the tick at which it would move it far
//! enough. With the cap and the idle time the deadline can be told from it: a word before
//! `cap - idle` is of the second kind, for what lies less than a least move before its cap is of
//! the first, and an idle time is never shorter than its least move.

use crate::clock::{DEAD, Tick};
use crate::record::expiry::Life;

/// The times of an entry that stand beside its word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    cap: Tick,
    idle: Tick,
}

/// The spans of a shard, each at the slot of its entry: entries that come are written one behind
/// the other, and what moves in the table leaves them where they are.
#[derive(Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// The span at a slot; an entry that a `clear` has ended may find another's there, or none.
    #[inline]
    pub(super) fn of(&self, slot: u32) -> Span {
        self.0.get(slot as usize).copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self, slot: u32, span: Span) {
        let (at, len) = (slot as usize, self.0.len());
        if at >= len {
            if at >= self.0.capacity() {
                // By itself it would double.
                self.0.reserve_exact(at + 1 - len + at / 8);
            }
            self.0.resize(at + 1, Span::default());
        }
        if let Some(place) = self.0.get_mut(at) {
            *place = span;
        }
    }

    /// Gives back the memory of the slots from `slots` on.
    pub(super) fn trim(&mut self, slots: usize) {
        self.0.truncate(slots);
        if self.0.capacity() / 2 > self.0.len() {
            self.0.shrink_to_fit();
        }
    }
}

/// The least that a touch moves a deadline by: a session that is read thousands of times a second
/// is written to a few times.
#[inline]
pub(super) fn least_move(idle: Tick) -> Tick {
    (idle >> 8).max(1)
}

impl Span {
    /// The span of a life, and its word: [`DEAD`] exactly if the deadline is.
    pub(super) fn of(life: Life) -> (Span, Tick) {
        let Life { deadline, cap, idle } = life;
        // A deadline so near the epoch that the word would lie before it: no store has one, for
        // its time begins later than the longest idle time; bytes from a disk may.
        let idle = if deadline == DEAD { idle } else { idle.min(deadline) };
        let span = Span { cap, idle };
        (span, span.due(deadline))
    }

    /// The word of another deadline of this span. It must not lie less than the idle time after
    /// the epoch, unless it is [`DEAD`].
    #[inline]
    pub(super) fn due(self, deadline: Tick) -> Tick {
        let least = least_move(self.idle);
        if deadline == DEAD || self.idle == 0 || self.cap.saturating_sub(deadline) < least {
            return deadline;
        }
        deadline - (self.idle - least)
    }

    /// The life that a word is of.
    #[inline]
    pub(super) fn life(self, due: Tick) -> Life {
        let Span { cap, idle } = self;
        let slides = due != DEAD && idle > 0 && due <= cap.saturating_sub(idle);
        let deadline = if slides { due.saturating_add(idle - least_move(idle)) } else { due };
        Life { deadline, cap, idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_told_from_its_word_and_its_span() {
        for idle in [0, 1, 2, 3, 255, 256, 300, 512, 513, 1000, 5000] {
            for cap in [0, 1, 2, 255, 999, 1000, 1001, Tick::MAX] {
                for deadline in (0..1300).chain([Tick::MAX - 1, Tick::MAX]) {
                    let life = Life { deadline, cap, idle };
                    let (span, due) = Span::of(life);
                    let found = span.life(due);
                    assert_eq!((found.deadline, found.cap), (deadline, cap), "{life:?}");
                    let near = (1..idle).contains(&deadline);
                    assert_eq!(found.idle, if near { deadline } else { idle }, "{life:?}");
                    assert_eq!(due == DEAD, deadline == DEAD, "{life:?}");
                }
            }
        }
    }

    #[test]
    fn spans_lie_at_their_slots_and_take_memory_by_them() {
        let mut spans = Spans::default();
        assert_eq!(spans.of(0).cap, 0);
        for slot in [3, 0, 1000, 3] {
            spans.put(slot, Span { cap: slot + 1, idle: 0 });
        }
        let caps = [0, 1, 3, 1000, 1001].map(|slot| spans.of(slot).cap);
        assert_eq!(caps, [1, 0, 4, 1001, 0]);
        for slot in 0..10_000 {
            spans.put(slot, Span::default());
            assert!(spans.0.capacity() < (slot as usize).max(1000) * 9 / 8 + 2);
        }
        spans.put(3, Span { cap: 4, idle: 0 });
        spans.trim(512);
        assert_eq!((spans.0.capacity(), spans.of(3).cap, spans.of(600).cap), (512, 4, 0));
    }

    #[test]
    fn any_word_beside_any_span_is_some_life() {
        let ends = [0, 1, 2, 255, 256, 1 << 31, Tick::MAX - 1, Tick::MAX];
        for idle in ends {
            for cap in ends {
                for due in ends {
                    let life = Span { cap, idle }.life(due);
                    assert!(life.deadline >= due && (life.deadline == DEAD) == (due == DEAD));
                }
            }
        }
    }
}
