//! Replay: the log's frames applied to an empty map, and what an earlier run may not have logged
//! made good.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::rebase;
use crate::clock::{DEAD, Timestamp};
use crate::id::Key;
use crate::log::frame::{Op, Terms};
use crate::log::recovery::{Recovered, Step};
use crate::log::segment::Encoding;
use crate::record::expiry::Life;
use crate::store::apply::{Change, New, Tally};
use crate::store::disk::{Disk, Layer, carry_over, within};
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::open::Salvage;
use crate::store::stripe::{RawValue, Stripe};
use crate::sync::{helpers, share_out};

/// Frames that are worth a thread of their own.
const SHARE_FRAMES: usize = 1 << 14;

impl<V: Clone + Send + Sync> Engine<V> {
    /// Applies the log to the empty map. No deadline is judged before its end.
    pub(crate) fn replay(&self, recovered: &Recovered, salvage: Option<Salvage>, count: u64) {
        let Some(disk) = &self.disk else { return };
        let now = self.now();
        let from = |layer: &Arc<Layer>| {
            layer.base.live_at(rebase(now, self.time.epoch(), layer.base.epoch()))
        };
        let live: u64 = disk.bases().layers.iter().map(from).sum();
        self.gauges
            .count
            .store(i64::try_from(count.min(live)).unwrap_or(i64::MAX), Ordering::Relaxed);
        for step in recovered.steps() {
            match step {
                Step::Gap if salvage == Some(Salvage::KeepOlder) => {}
                Step::Gap => self.forget_all(disk, recovered.last_lsn.min(disk.log.appended())),
                Step::Clear(lsn) => self.forget_all(disk, lsn),
                Step::Changes(changes) => self.redo_all(disk, recovered, changes),
            }
        }
    }

    /// Redoes changes of single records: of different stripes at the same time, of one in order.
    fn redo_all(&self, disk: &Disk, recovered: &Recovered, changes: Range<usize>) {
        let threads = helpers(changes.len(), SHARE_FRAMES);
        let work = |thread: usize| {
            let mut tally = Tally::default();
            let mine =
                |key: &Key| threads == 1 || self.stripes.index(self.hash(key)) % threads == thread;
            recovered.changes(changes.clone(), mine, |lsn, encoding, op| {
                self.redo(disk, lsn, encoding, op, &mut tally);
            });
            self.settle_tally(tally);
        };
        share_out(threads, work);
    }

    fn redo(&self, disk: &Disk, lsn: u64, encoding: Encoding, op: Op<'_>, tally: &mut Tally) {
        let epoch = self.time.epoch();
        let life_of = |terms: Terms| Life {
            deadline: epoch.deadline(Timestamp::from_millis(terms.deadline_ms)),
            cap: epoch.deadline(Timestamp::from_millis(terms.cap_ms)),
            idle: terms.idle,
        };
        let (key, new, life, bytes) = match op {
            Op::Put(key, terms, bytes) => {
                let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                (key, New::Raw(RawValue { bytes: bytes.into(), encoding }), life_of(terms), size)
            }
            Op::Remove(key) => (key, New::Gone, Life::default(), 0),
            Op::Terms(key, terms) => (key, New::Cold, life_of(terms), 0),
            Op::Clear | Op::Mark(_) => return,
        };
        let was_cold = matches!(new, New::Gone);
        let mut change = Change { key, new, life, bytes, was_cold, later: false };
        let mut stripe = self.stripes.of(self.hash(&key)).lock();
        if matches!(change.new, New::Cold) && !self.keep_value(&mut stripe, &mut change) {
            return;
        }
        // What an earlier run knew of a touch may not be in its log.
        let shown = |life: Life| match life.deadline {
            DEAD => life,
            _ => within(carry_over(life, disk.inherited_mark), self.now()),
        };
        drop(self.apply_as(&mut stripe, change, lsn, shown, tally));
    }

    /// Makes a change of the times alone one that leaves the value where it is. False if there is
    /// nothing to give times to.
    fn keep_value(&self, stripe: &mut Stripe, change: &mut Change<V>) -> bool {
        let generation = self.generation();
        let found = self.map.read(&change.key, |entry| {
            entry.is_of(generation).then(|| (entry.state(), entry.slot()))
        });
        match found.flatten() {
            Some((State::Gone, _)) => return false,
            Some((State::Raw, slot)) => {
                if let Some(raw) = stripe.raw.take(slot) {
                    change.bytes = u32::try_from(raw.bytes.len()).unwrap_or(u32::MAX);
                    change.new = New::Raw(raw);
                }
            }
            Some(_) => {}
            // It is in a base, if anywhere.
            None => change.was_cold = true,
        }
        true
    }

    /// Everything up to here is gone.
    fn forget_all(&self, disk: &Disk, lsn: u64) {
        let generation = self.generation() + 1;
        disk.forget_bases(lsn, generation);
        self.enter_generation(generation);
        for index in 0..self.stripes.count() {
            let mut stripe = self.stripes.at(index).lock();
            let fresh = Stripe::new(self.now(), disk.cut());
            let old = std::mem::replace(&mut *stripe, fresh);
            self.leavings.lock().push(old.slab);
        }
        self.sweep(usize::MAX);
        self.gauges.count.store(0, Ordering::Relaxed);
        self.gauges.memory.store(0, Ordering::Relaxed);
    }
}
