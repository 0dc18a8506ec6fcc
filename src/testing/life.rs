//! When a session of the model ends: a range of ticks, and what moves it. Knows no sessions.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits::TICK_MS;
use crate::testing::model::ColdReads;

/// Times in ticks since 1970. The deadline lies between `earliest` and `latest`; a session whose
/// `latest` has passed has ended, and is kept because a crash may have it end a little later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// The deadline that is certain to be in the log: that of the last change.
    pub(super) logged: i64,
    pub(super) cap: i64,
    pub(super) idle: i64,
}

impl Life {
    pub(super) fn fixed(deadline: i64) -> Self {
        Life { earliest: deadline, latest: deadline, logged: deadline, cap: deadline, idle: 0 }
    }

    pub(super) fn sliding(deadline: i64, cap: i64, idle: i64) -> Self {
        Life { cap, idle, ..Life::fixed(deadline.min(cap)) }
    }

    pub(super) fn has_the_terms_of(self, other: Life) -> bool {
        (self.cap, self.idle) == (other.cap, other.idle)
    }

    /// This one or that one, which has the same terms: everything moves both in the same way.
    pub(super) fn or(self, other: Life) -> Self {
        Life {
            earliest: self.earliest.min(other.earliest),
            latest: self.latest.max(other.latest),
            logged: self.logged.min(other.logged),
            ..self
        }
    }

    /// Whether it may end at that tick, or, if nothing was seen of it, may have ended.
    pub(super) fn agrees(self, seen: Option<i64>, now: i64) -> bool {
        match seen {
            Some(deadline) => {
                self.latest > now && (self.earliest..=self.latest).contains(&deadline)
            }
            None => self.earliest <= now,
        }
    }

    /// Where a change at `now` moves the deadline.
    pub(super) fn changed(self, now: i64) -> Self {
        let touched = if self.idle == 0 { self.latest } else { (now + self.idle).min(self.cap) };
        let earliest = self.earliest.max(touched);
        let latest = self.latest.max(touched);
        Life { earliest, latest, logged: earliest, ..self }
    }

    /// Where a read at `now` moves the deadline: not at all if that is hardly further.
    pub(super) fn read(self, now: i64, cold: ColdReads) -> Self {
        if self.idle == 0 {
            return self;
        }
        let touched = (now + self.idle).min(self.cap);
        let near = touched - (self.idle >> 8).max(1);
        let earliest = match cold {
            ColdReads::MayTouch => self.earliest,
            ColdReads::Touch if self.earliest > near => self.earliest,
            ColdReads::Touch if self.latest <= near => touched,
            ColdReads::Touch => near + 1,
        };
        Life { earliest, latest: self.latest.max(touched), ..self }
    }

    /// How far the log may lag behind.
    fn grace(self) -> i64 {
        (self.idle / 16).max(30 * 8).min(self.idle)
    }

    fn later(self) -> Self {
        Life { latest: (self.latest + self.grace()).min(self.cap).max(self.latest), ..self }
    }

    pub(super) fn after_close(self) -> Self {
        // Opening adds the grace to what is on disk, so that is no further behind.
        Life { logged: self.logged.max(self.earliest - self.grace()), ..self.later() }
    }

    pub(super) fn after_crash(self) -> Self {
        Life { earliest: self.logged.min(self.earliest), ..self.later() }
    }
}

/// A duration in ticks, rounded up.
pub(super) fn ticks(duration: Duration) -> i64 {
    let ticks = duration.as_millis().div_ceil(TICK_MS.unsigned_abs().into());
    i64::try_from(ticks).unwrap_or(i64::MAX / 4)
}

pub(super) fn time(tick: i64) -> Timestamp {
    Timestamp::from_millis(tick * TICK_MS)
}
