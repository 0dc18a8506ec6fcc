//! What time it is for one store: a monotonic clock, anchored to wall time when it was opened,
//! published as a tick that readers load.
//!
//! While the process runs, steps of the wall clock change nothing. Across restarts a high-water
//! mark keeps a clock that was set back from reviving anything, and a clock that is implausibly
//! far ahead is *suspect*: then nothing is dropped for expiry and the mark stays.

use std::sync::Arc;

use crate::clock::{Clock, Epoch, TICK_MAX, Tick, Timestamp, ticks};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{CLOCK_AHEAD_MAX, LIFETIME_MAX};
use crate::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// What to do when the wall clock at opening is more than 400 days ahead of the last time that
/// the directory is known to have been in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SuspectClock {
    /// Serve with that clock, but drop nothing for expiry: a clock that is put right before the
    /// next opening leaves no trace.
    #[default]
    Serve,
    /// Believe it.
    Trust,
    /// Do not open.
    Refuse,
}

/// See the module's text.
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    /// Wall time at opening, or the mark if that was later.
    anchor: Timestamp,
    boot_ms: u64,
    now: AtomicU32,
    /// The store is known to have lived, and to have looked at its deadlines, up to here.
    mark: AtomicI64,
    suspect: bool,
}

impl Time {
    /// Anchors the time. `mark` is what the directory knows; `epoch` the one it counts from.
    ///
    /// # Errors
    /// `is_suspect_clock` if the policy says so.
    pub(crate) fn anchor(
        clock: Arc<dyn Clock>,
        known: Option<(Epoch, Timestamp)>,
        policy: SuspectClock,
    ) -> Result<Time> {
        let (wall, boot_ms) = (clock.wall(), clock.boot_ms());
        let mark = known.map_or(wall, |(_, mark)| mark);
        let ahead = wall.since(mark) > CLOCK_AHEAD_MAX;
        if ahead && policy == SuspectClock::Refuse {
            return Err(suspect(wall, mark));
        }
        let suspect = ahead && policy == SuspectClock::Serve;
        let anchor = wall.max(mark);
        let middle = if suspect { mark } else { anchor };
        let epoch = match known {
            Some((epoch, _)) if epoch.fits(middle) => epoch,
            _ => Epoch::around(middle),
        };
        let now = AtomicU32::new(epoch.tick(anchor));
        let mark = AtomicI64::new(mark.as_millis());
        Ok(Time { clock, epoch, anchor, boot_ms, now, mark, suspect })
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The published tick.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The published tick, for a write: it needs room for deadlines after it.
    ///
    /// # Errors
    /// `is_suspect_clock` if there is none.
    pub(crate) fn now_for_writing(&self) -> Result<Tick> {
        let now = self.now();
        if now > TICK_MAX - ticks(LIFETIME_MAX) {
            return Err(suspect(
                self.wall(),
                Timestamp::from_millis(self.mark.load(Ordering::Relaxed)),
            ));
        }
        Ok(now)
    }

    /// Wall time as the store sees it.
    pub(crate) fn wall(&self) -> Timestamp {
        let passed = self.clock.boot_ms().saturating_sub(self.boot_ms);
        self.anchor.after(std::time::Duration::from_millis(passed))
    }

    /// Reads the clock and publishes what it says. Never goes back.
    pub(crate) fn advance(&self) -> Tick {
        let now = self.epoch.tick(self.wall());
        self.now.fetch_max(now, Ordering::Relaxed).max(now)
    }

    pub(crate) fn mark(&self) -> Timestamp {
        Timestamp::from_millis(self.mark.load(Ordering::Relaxed))
    }

    /// Every deadline up to `tick` has been looked at. Returns the mark, risen unless the clock
    /// is suspect.
    pub(crate) fn looked(&self, tick: Tick) -> Timestamp {
        if !self.suspect {
            self.mark.fetch_max(self.epoch.time(tick).as_millis(), Ordering::Relaxed);
        }
        self.mark()
    }
}

fn suspect(wall: Timestamp, mark: Timestamp) -> Error {
    Error::new(
        ErrorKind::SuspectClock,
        format!(
            "the clock says {wall} since 1970 and the store was last in use at {mark}; set the \
             clock, or open with `suspect_clock(SuspectClock::Trust)` if it is right"
        ),
    )
}
