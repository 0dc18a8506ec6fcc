//! A store's figures, gathered.

use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::metrics::{BaseStats, Counter, DiskStats, Stats};
use crate::store::disk::Disk;
use crate::store::engine::Engine;
use crate::store::pending::Pending;

fn load(counter: &Counter) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl<V> Engine<V> {
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let error = self.disk.as_ref().and_then(|disk| disk.background_error.lock().clone());
        Stats {
            sessions: self.len(),
            entries: self.map.len() as u64,
            memory_bytes: self.gauges.memory.load(Ordering::Relaxed),
            memory_bytes_max: self.settings.max_memory,
            hits: self.reads.hits(),
            misses: self.reads.misses(),
            cold_reads: self.reads.cold_reads(),
            promoted: self.reads.promotions(),
            expired: load(&counters.expired),
            evicted: load(&counters.evicted),
            touches_logged: load(&counters.touches_logged),
            refused: load(&counters.refused),
            flushes: load(&counters.flushes),
            merges: load(&counters.merges),
            background_errors: load(&counters.background_errors),
            background_error: error.map(|error| error.to_string()),
            disk: self.disk.as_ref().map(|disk| self.disk_stats(disk)),
        }
    }

    fn disk_stats(&self, disk: &Disk) -> DiskStats {
        let bases = disk.bases();
        let of = |layer: &std::sync::Arc<crate::store::disk::Layer>| BaseStats {
            number: layer.base.number(),
            records: layer.base.values(),
            tombstones: layer.base.tombstones(),
            bytes: layer.base.file_bytes(),
        };
        DiskStats {
            lsn_appended: disk.log.appended(),
            lsn_written: disk.log.written(),
            lsn_durable: disk.log.durable(),
            lsn_cut: bases.cut,
            log_bytes: disk.log_bytes(),
            segments: disk.log.segments(),
            log_writes: load(&disk.log.counters().writes),
            log_syncs: load(&disk.log.counters().syncs),
            bases: bases.layers.iter().map(of).collect(),
            poisoned: disk.log.is_poisoned(),
            disk_full: disk.log.is_disk_full(),
            clock_suspect: self.time.is_suspect(),
            recovery: disk.recovery.clone(),
        }
    }

    /// Something to wait for that means: everything until now is on disk.
    pub(crate) fn sync_point(&self) -> Result<Pending<'_, ()>> {
        self.reach(crate::log::Durability::Power)
    }

    /// Something to wait for that means: everything until now has come to `level`.
    pub(crate) fn reach(&self, level: crate::log::Durability) -> Result<Pending<'_, ()>> {
        self.enter()?;
        let log = self.log();
        if let Some(log) = log {
            // For the room it may find on a full disk. What cannot be written is for `Pending` to
            // say: a removal may still reach its level out of the reserve.
            let _ = log.check();
        }
        let lsn = log.map_or(0, |log| log.appended());
        Ok(Pending::new(log, lsn, level, ()))
    }
}
