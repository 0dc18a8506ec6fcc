//! Time: the trait that tells it, the system's clock, and the two units the crate counts in.
//!
//! The only file that reads a clock. A [`Timestamp`] is wall time on disk and in the API; a
//! [`Tick`] is an eighth of a second since the store's epoch, in memory and in bases.

use std::fmt;
use std::sync::Weak;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::limits::TICK_MS;

/// An instant of wall time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant plus `duration`, at most the end of time.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// How long it is from `earlier` to this instant; zero if it lies before.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A source of time. The system's is [`SystemClock`]; tests use `testing::ManualClock`.
pub trait Clock: Send + Sync + 'static {
    /// Wall time; may step forward and back.
    fn wall(&self) -> Timestamp;

    /// Milliseconds since some fixed instant; never steps back, and counts while the machine
    /// sleeps.
    fn boot_ms(&self) -> u64;

    /// Asks to be told of every change. A clock that moves only when told to keeps `listener`
    /// and answers true: then no thread watches it, and every store on it does the work of a
    /// tick inside the call that moves it.
    fn subscribe(&self, listener: Weak<dyn Listener>) -> bool {
        let _ = listener;
        false
    }
}

/// Somebody whom a hand-moved clock tells that it has moved.
pub trait Listener: Send + Sync {
    /// The clock stands somewhere else now.
    fn moved(&self);
}

/// The clock of the operating system: `CLOCK_BOOTTIME`, which counts through suspend, and wall
/// time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = match since {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp(millis)
    }

    fn boot_ms(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        seconds * 1000 + nanos / 1_000_000
    }
}

/// Processor time that this thread has used, in milliseconds: what it did, not what it waited for.
pub(crate) fn thread_busy_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1000 + nanos / 1_000_000
}

/// How long something takes, in nanoseconds; for measurements, and for nothing that a store does.
#[cfg(feature = "cli")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

#[cfg(feature = "cli")]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Stopwatch(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// An instant in eighths of a second since an [`Epoch`]. Zero means dead: long expired.
pub(crate) type Tick = u32;

/// The tick of something that has ended.
pub(crate) const DEAD: Tick = 0;
/// The last tick that an entry may carry.
pub(crate) const TICK_MAX: Tick = u32::MAX - 1;

/// Where ticks are counted from. It lies half their range, 8.5 years, before the time it was
/// made for, so that every deadline a store can hold has a tick of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(i64);

impl Epoch {
    pub(crate) fn around(time: Timestamp) -> Self {
        let middle = time.0.div_euclid(TICK_MS);
        Epoch((middle - (1 << 31)).saturating_mul(TICK_MS))
    }

    pub(crate) fn from_millis(millis: i64) -> Self {
        Epoch(millis)
    }

    /// Whether `time` is near enough to the middle of the range that years fit on both sides:
    /// after it, the longest life there is, and a run of two years.
    pub(crate) fn fits(self, time: Timestamp) -> bool {
        let offset = time.0.saturating_sub(self.0) / TICK_MS;
        (1 << 30..9 << 28).contains(&offset)
    }

    pub(crate) fn as_millis(self) -> i64 {
        self.0
    }

    /// The tick that `time` lies in; what lies outside the range becomes its nearest end.
    pub(crate) fn tick(self, time: Timestamp) -> Tick {
        let ticks = time.0.saturating_sub(self.0).div_euclid(TICK_MS);
        Tick::try_from(ticks.clamp(1, i64::from(TICK_MAX))).unwrap_or(TICK_MAX)
    }

    /// Like [`tick`](Self::tick), rounded up: for deadlines, which are never early.
    pub(crate) fn deadline(self, time: Timestamp) -> Tick {
        self.tick(Timestamp(time.0.saturating_add(TICK_MS - 1)))
    }

    pub(crate) fn time(self, tick: Tick) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::from(tick) * TICK_MS))
    }
}

/// A duration in ticks, rounded up.
pub(crate) fn ticks(duration: Duration) -> Tick {
    let ticks = duration.as_millis().div_ceil(TICK_MS.unsigned_abs().into());
    Tick::try_from(ticks).unwrap_or(TICK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_a_time_and_back() {
        let epoch = Epoch::around(Timestamp(1_790_000_000_123));
        let time = epoch.time(epoch.tick(Timestamp(1_790_000_000_123)));
        assert_eq!(time.as_millis(), 1_790_000_000_000);
        assert_eq!(epoch.deadline(Timestamp(1_790_000_000_001)), epoch.tick(time) + 1);
    }

    #[test]
    fn an_epoch_that_fits_has_room_for_the_longest_life_and_a_run_of_two_years() {
        let epoch = Epoch::around(Timestamp(0));
        let years = |count: i64| Timestamp(count * 366 * 24 * 3600 * 1000);
        assert!(epoch.fits(Timestamp(0)));
        let last = (0..20).map(years).take_while(|time| epoch.fits(*time)).last().unwrap();
        let end = Timestamp(last.0 + years(2).0).after(crate::limits::LIFETIME_MAX);
        assert!(epoch.tick(end) < TICK_MAX, "{last}");
        assert!(!epoch.fits(years(-5)) && epoch.fits(years(-4)));
    }

    #[test]
    fn times_out_of_range_become_its_ends() {
        let epoch = Epoch::around(Timestamp(0));
        assert_eq!(epoch.tick(Timestamp(i64::MIN)), 1);
        assert_eq!(epoch.tick(Timestamp(i64::MAX)), TICK_MAX);
    }

    #[test]
    fn the_boot_clock_does_not_run_backwards() {
        let first = SystemClock.boot_ms();
        assert!(SystemClock.boot_ms() >= first);
    }
}
