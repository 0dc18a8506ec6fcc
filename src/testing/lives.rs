//! The lives that a session of the model may have: after a crash two stores may show the same,
//! and tell only later, by what a read or a change moves, which of them it is. Knows no sessions.

use std::ops::RangeInclusive;

use crate::testing::life::Life;
use crate::testing::model::ColdReads;

/// One or more, of which no two have the same terms. Each is moved by what happens as if it were
/// the only one, and struck out by the first observation that contradicts it.
///
/// There are no more than changes that a crash may have taken back, and seldom more than two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lives(Vec<Life>);

impl From<Life> for Lives {
    fn from(life: Life) -> Self {
        Lives(vec![life])
    }
}

impl Lives {
    fn of(lives: impl IntoIterator<Item = Life>) -> Self {
        let mut these = Lives(Vec::new());
        lives.into_iter().for_each(|life| these.add(life));
        these
    }

    fn add(&mut self, life: Life) {
        match self.0.iter_mut().find(|known| known.has_the_terms_of(life)) {
            Some(known) => *known = known.or(life),
            None => self.0.push(life),
        }
    }

    /// Whether it has not ended, or may not have.
    pub(super) fn may_be_alive(&self, now: i64) -> bool {
        self.0.iter().any(|life| life.latest > now)
    }

    /// What a change makes of them: it has found the session alive.
    pub(super) fn changed(&self, now: i64, change: impl Fn(Life) -> Life) -> Self {
        Lives::of(self.0.iter().filter(|life| life.latest > now).map(|life| change(*life)))
    }

    /// What a read makes of them, which may have found it ended.
    pub(super) fn read(&mut self, now: i64, cold: ColdReads) {
        for life in self.0.iter_mut().filter(|life| life.latest > now) {
            *life = life.read(now, cold);
        }
    }

    /// What the end of the process makes of them.
    pub(super) fn end(&mut self, end: impl Fn(Life) -> Life) {
        self.0.iter_mut().for_each(|life| *life = end(*life));
    }

    /// Those that have ended by now are struck out. False: all of them.
    pub(super) fn outlive(&mut self, now: i64) -> bool {
        self.0.retain(|life| life.latest > now);
        !self.0.is_empty()
    }

    /// Between which ticks it ends.
    pub(super) fn deadline(&self, now: i64) -> RangeInclusive<i64> {
        let alive = || self.0.iter().filter(|life| life.latest > now);
        let earliest = alive().map(|life| life.earliest).min();
        let latest = alive().map(|life| life.latest).max();
        earliest.unwrap_or(now)..=latest.unwrap_or(now)
    }

    /// Whether one of them agrees with the deadline that was seen, or with there being none.
    pub(super) fn agree(&self, seen: Option<i64>, now: i64) -> bool {
        self.0.iter().any(|life| life.agrees(seen, now))
    }

    /// Strikes out those that do not, and leaves no range to the others.
    pub(super) fn narrow(&mut self, seen: Option<i64>, now: i64) {
        self.0.retain(|life| life.agrees(seen, now));
        for life in &mut self.0 {
            (life.earliest, life.latest) = match seen {
                Some(deadline) => (deadline, deadline),
                None => (life.earliest.min(now), life.latest.min(now)),
            };
        }
    }

    /// These or those.
    pub(super) fn or(&mut self, others: Lives) {
        others.0.into_iter().for_each(|life| self.add(life));
    }
}
