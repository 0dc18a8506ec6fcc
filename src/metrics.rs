//! Counters, and the plain copy of them that a user gets. Knows no store.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

/// Slots that the counters of reads are spread over, so that readers share no cache line.
const SLOTS: usize = 32;

/// Counters that every read bumps, or every cold one.
#[derive(Default)]
#[repr(align(128))]
struct Slot {
    begun: AtomicU64,
    cold: AtomicU64,
    promoted: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
}

/// Reads and how they ended, spread over slots by thread.
///
/// Every read is counted as it begins, and the few that do not hit when they end: a counter that
/// is written behind the map's own atomic steps makes the next read wait, by an eighth of its time.
#[derive(Default)]
pub(crate) struct Reads([Slot; SLOTS]);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

/// A number below 32 for this thread, given out in turn: for things that are kept several times so
/// that threads do not meet.
#[inline]
pub(crate) fn number_of_thread() -> usize {
    let mut index = SLOT.get();
    if index == usize::MAX {
        index = NEXT_SLOT.fetch_add(1, Ordering::Relaxed) % SLOTS;
        SLOT.set(index);
    }
    index
}

impl Reads {
    #[inline]
    fn slot(&self) -> Option<&Slot> {
        self.0.get(number_of_thread())
    }

    #[inline]
    fn add(&self, counter: impl FnOnce(&Slot) -> &AtomicU64) {
        // Load and store instead of an atomic addition: two threads that share a slot may lose a
        // count, and a read stays free of locked instructions.
        if let Some(counter) = self.slot().map(counter) {
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// A read begins.
    #[inline]
    pub(crate) fn begin(&self) {
        self.add(|slot| &slot.begun);
    }

    /// It has found nothing.
    pub(crate) fn miss(&self) {
        self.add(|slot| &slot.misses);
    }

    /// It has ended in an error.
    pub(crate) fn fail(&self) {
        self.add(|slot| &slot.failures);
    }

    /// It goes to the bases.
    pub(crate) fn cold(&self) {
        self.add(|slot| &slot.cold);
    }

    /// It has brought a session into memory.
    pub(crate) fn promoted(&self) {
        self.add(|slot| &slot.promoted);
    }

    pub(crate) fn cold_reads(&self) -> u64 {
        self.sum(|slot| &slot.cold)
    }

    pub(crate) fn promotions(&self) -> u64 {
        self.sum(|slot| &slot.promoted)
    }

    pub(crate) fn hits(&self) -> u64 {
        let others = self.misses() + self.sum(|slot| &slot.failures);
        self.sum(|slot| &slot.begun).saturating_sub(others)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.sum(|slot| &slot.misses)
    }

    fn sum(&self, counter: impl Fn(&Slot) -> &AtomicU64) -> u64 {
        self.0.iter().map(|slot| counter(slot).load(Ordering::Relaxed)).sum()
    }
}

/// A number that nothing depends on.
pub(crate) type Counter = AtomicU64;

/// Counters of what happens more rarely.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) expired: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) touches_logged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) background_errors: AtomicU64,
}

/// Bumps a counter by one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A store's figures at one moment. Counters begin at opening.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Live sessions, estimated as [`len`](crate::Store::len) does.
    pub sessions: u64,
    /// Entries in memory, those of removed sessions that are not flushed yet included.
    pub entries: u64,
    /// Bytes of memory in use, as `max_memory` counts them.
    pub memory_bytes: u64,
    /// The limit of `memory_bytes`.
    pub memory_bytes_max: u64,
    /// Reads that found a session. Two threads may lose a count between them.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Reads that went to the bases. Two threads may lose a count between them.
    pub cold_reads: u64,
    /// Cold sessions that were brought into memory; the same holds.
    pub promoted: u64,
    /// Sessions that the timer wheel found expired.
    pub expired: u64,
    /// Entries that left memory for lack of room.
    pub evicted: u64,
    /// Touches that were written to the log.
    pub touches_logged: u64,
    /// Writes refused for lack of room.
    pub refused: u64,
    /// Flushes that ended well.
    pub flushes: u64,
    /// Merges that ended well.
    pub merges: u64,
    /// Flushes and merges in the background that failed; they are tried again.
    pub background_errors: u64,
    /// The last error of a flush or merge in the background, if the last one failed.
    pub background_error: Option<String>,
    /// What is on disk; nothing for a store in memory.
    pub disk: Option<DiskStats>,
}

/// The part of [`Stats`] that concerns the directory.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DiskStats {
    /// The last log sequence number given out.
    pub lsn_appended: u64,
    /// The last one that the operating system has.
    pub lsn_written: u64,
    /// The last one that is on disk.
    pub lsn_durable: u64,
    /// The bases speak up to this one.
    pub lsn_cut: u64,
    /// Bytes of log after the cut: what a crash now would have to replay.
    pub log_bytes: u64,
    /// Log segments.
    pub segments: u64,
    /// `write` calls of the log.
    pub log_writes: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Bases, newest first.
    pub bases: Vec<BaseStats>,
    /// A write or sync failed; only `heal` helps.
    pub poisoned: bool,
    /// There is no room on the disk.
    pub disk_full: bool,
    /// The wall clock is implausibly far ahead; nothing is dropped for expiry.
    pub clock_suspect: bool,
    /// What opening found.
    pub recovery: RecoveryStats,
}

/// One base.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct BaseStats {
    /// The number in its name.
    pub number: u64,
    /// Records, expired ones included.
    pub records: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Its size.
    pub bytes: u64,
}

/// What opening the directory found.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RecoveryStats {
    /// Frames that were replayed.
    pub frames: u64,
    /// Bytes of log that were replayed.
    pub bytes: u64,
    /// Valid frames that were not taken, behind the end of the log or of a group that is not whole:
    /// normal after power loss.
    pub torn_frames: u64,
    /// Bytes behind the end of the log.
    pub torn_bytes: u64,
    /// Ranges of sequence numbers that were lost to damage: first and last. Only with
    /// `Recovery::Salvage`.
    pub lost: Vec<(u64, u64)>,
    /// Bases that could not be opened and were left out. Only with `Recovery::Salvage`.
    pub lost_bases: Vec<u64>,
    /// Newer manifests that could not be read and were passed over, newest first. Only with
    /// `Recovery::Salvage`; what the bases hold has ended then, or with `KeepOlder` may be old.
    pub lost_manifests: Vec<u64>,
    /// Files that are not ours, or no longer needed.
    pub unknown_files: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_a_hit_unless_it_ends_otherwise() {
        let reads = Reads::default();
        for _ in 0..5 {
            reads.begin();
        }
        reads.miss();
        reads.miss();
        reads.fail();
        assert_eq!((reads.hits(), reads.misses()), (2, 2));
    }
}
