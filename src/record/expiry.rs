//! How long a record lives: the policy of a store, the wish of a caller, and the terms they make.

use std::time::Duration;

use crate::clock::{DEAD, Epoch, TICK_MAX, Tick, Timestamp, ticks};
use crate::error::{Error, Result};
use crate::limits::LIFETIME_MAX;

/// When a record ends. Reads extend an idle deadline and never the absolute one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// As the store's builder says: its idle time, under its absolute time.
    #[default]
    Default,
    /// This long after the last read or write, and never after the absolute deadline that the
    /// store, or the record, has already.
    Idle(Duration),
    /// At this instant, read or not.
    At(Timestamp),
    /// This long from now, read or not.
    After(Duration),
    /// This long after the last read or write, and never after `until`.
    IdleUntil {
        /// How far a read or write moves the deadline.
        idle: Duration,
        /// The end in any case.
        until: Timestamp,
    },
}

/// What a store does to records that are given no expiry of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// `None`: reads do not extend.
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Duration,
}

/// A record's times in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// When it ends unless it is touched.
    pub(crate) deadline: Tick,
    /// When it ends in any case.
    pub(crate) cap: Tick,
    /// How far a touch moves the deadline; 0 if it does not.
    pub(crate) idle: Tick,
}

impl Life {
    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.deadline <= now
    }

    /// These times, with a deadline that is not sooner than `other`'s; ended if that has ended.
    pub(crate) fn or_later(self, other: Life) -> Life {
        let deadline = match other.deadline {
            DEAD => DEAD,
            deadline if self.idle > 0 => self.deadline.max(deadline.min(self.cap)),
            _ => self.deadline,
        };
        Life { deadline, ..self }
    }

    /// Where a touch at `now` would move the deadline.
    pub(crate) fn touched(&self, now: Tick) -> Tick {
        if self.idle == 0 || self.deadline == DEAD {
            return self.deadline;
        }
        now.saturating_add(self.idle).min(self.cap).max(self.deadline)
    }
}

/// The terms of a record under `expiry`, begun at `now`; `cap` is the absolute deadline that it
/// has already.
///
/// # Errors
/// A config error for a duration of zero or beyond [`LIFETIME_MAX`].
pub(crate) fn terms(
    expiry: Expiry,
    policy: Policy,
    epoch: Epoch,
    now: Tick,
    cap: Option<Tick>,
) -> Result<Life> {
    let add = |duration: Duration| now.saturating_add(ticks(duration)).min(TICK_MAX);
    let standing = || cap.unwrap_or_else(|| add(policy.absolute));
    let sliding =
        |idle: Duration, cap: Tick| Life { deadline: add(idle).min(cap), cap, idle: ticks(idle) };
    let fixed = |deadline: Tick| Life { deadline, cap: deadline, idle: 0 };
    let latest = add(LIFETIME_MAX);
    Ok(match expiry {
        Expiry::Default => match policy.idle {
            Some(idle) => sliding(idle, standing()),
            None => fixed(standing()),
        },
        Expiry::Idle(idle) => sliding(check("Expiry::Idle", idle)?, standing()),
        Expiry::At(time) => fixed(epoch.deadline(time).min(latest)),
        Expiry::After(duration) => fixed(add(check("Expiry::After", duration)?)),
        Expiry::IdleUntil { idle, until } => {
            sliding(check("Expiry::IdleUntil", idle)?, epoch.deadline(until).min(latest))
        }
    })
}

/// A lifetime that makes sense.
///
/// # Errors
/// A config error naming `option`.
pub(crate) fn check(option: &str, duration: Duration) -> Result<Duration> {
    if duration.is_zero() || duration > LIFETIME_MAX {
        return Err(Error::config(format!(
            "{option} is {duration:?}; it must be more than zero and at most {} days",
            LIFETIME_MAX.as_secs() / 86_400
        )));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = 1 << 31;

    fn life(expiry: Expiry, cap: Option<Tick>) -> Life {
        let policy =
            Policy { idle: Some(Duration::from_secs(10)), absolute: Duration::from_secs(60) };
        terms(expiry, policy, Epoch::from_millis(0), NOW, cap).unwrap()
    }

    #[test]
    fn every_wish_has_its_terms() {
        let at = |ticks: Tick| Epoch::from_millis(0).time(NOW + ticks);
        let cases = [
            (Expiry::Default, None, (80, 480, 80)),
            (Expiry::Default, Some(40), (40, 40, 80)),
            (Expiry::Idle(Duration::from_secs(5)), None, (40, 480, 40)),
            (Expiry::Idle(Duration::from_secs(100)), Some(48), (48, 48, 800)),
            (Expiry::At(at(17)), Some(3), (17, 17, 0)),
            (Expiry::After(Duration::from_millis(126)), None, (2, 2, 0)),
            (Expiry::IdleUntil { idle: Duration::from_secs(1), until: at(20) }, None, (8, 20, 8)),
        ];
        for (expiry, cap, (deadline, end, idle)) in cases {
            let expected = Life { deadline: NOW + deadline, cap: NOW + end, idle };
            assert_eq!(life(expiry, cap.map(|cap| NOW + cap)), expected, "{expiry:?}");
        }
    }

    #[test]
    fn a_touch_never_shortens_and_never_passes_the_cap() {
        let life = life(Expiry::Default, None);
        assert_eq!(life.touched(NOW - 5), life.deadline);
        assert_eq!(life.touched(NOW + 5), life.deadline + 5);
        assert_eq!(life.touched(NOW + 470), life.cap);
        assert_eq!(Life { deadline: DEAD, ..life }.touched(NOW), DEAD);
    }

    #[test]
    fn senseless_durations_are_refused_by_name() {
        let error = check("idle", Duration::ZERO).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("idle"));
        assert!(check("idle", Duration::MAX).is_err());
    }
}
