//! Replay: the log's frames applied to an empty map, and what an earlier run may not have logged
//! made good.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::rebase;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::Key;
use crate::log::frame::{Op, Terms};
use crate::log::recovery::{Event, Recovered};
use crate::log::segment::Encoding;
use crate::record::expiry::Life;
use crate::store::current::Current;
use crate::store::disk::{Disk, Layer, carry_over, within};
use crate::store::engine::{Change, Engine, New};
use crate::store::map::State;
use crate::store::open::Salvage;
use crate::store::stripe::{RawValue, Stripe};

impl<V: Clone> Engine<V> {
    /// Applies the log to the empty map. No deadline is judged before its end.
    pub(crate) fn replay(
        &self,
        recovered: &Recovered,
        salvage: Option<Salvage>,
        count: u64,
    ) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let now = self.now();
        let from = |layer: &Arc<Layer>| {
            layer.base.live_at(rebase(now, self.time.epoch(), layer.base.epoch()))
        };
        let live: u64 = disk.bases().layers.iter().map(from).sum();
        self.gauges
            .count
            .store(i64::try_from(count.min(live)).unwrap_or(i64::MAX), Ordering::Relaxed);
        recovered.replay(|event| {
            match event {
                Event::Gap if salvage == Some(Salvage::KeepOlder) => {}
                Event::Gap => self.forget_all(disk, recovered.last_lsn.min(disk.log.appended())),
                Event::Op(lsn, encoding, op) => self.redo(disk, lsn, encoding, op),
            }
            Ok::<(), Error>(())
        })?;
        self.carry_over_all(disk);
        Ok(())
    }

    fn redo(&self, disk: &Disk, lsn: u64, encoding: Encoding, op: Op<'_>) {
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
            Op::Terms(key, terms) => return self.redo_terms(key, life_of(terms), lsn),
            Op::Clear => return self.forget_all(disk, lsn),
            Op::Mark(_) => return,
        };
        let was_cold = matches!(new, New::Gone);
        let mut stripe = self.stripes.of(self.hash(&key)).lock();
        drop(self.apply(
            &mut stripe,
            Change { key, new, life, bytes, was_cold, later: false },
            lsn,
        ));
    }

    fn redo_terms(&self, key: Key, life: Life, lsn: u64) {
        let mut stripe = self.stripes.of(self.hash(&key)).lock();
        let generation = self.generation();
        let state =
            self.map.read(&key, |entry| entry.is_of(generation).then(|| entry.state())).flatten();
        if state == Some(State::Gone) {
            return;
        }
        let in_map = state.is_some();
        let bytes = self.raw(&stripe, &key).map_or(0, |(raw, _)| raw.bytes.len());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let current = Current { alive: true, over: false, value: None, life, lsn, in_map, bytes };
        self.apply_terms(&mut stripe, key, &current, life, lsn);
    }

    /// Everything up to here is gone.
    fn forget_all(&self, disk: &Disk, lsn: u64) {
        let generation = self.generation() + 1;
        disk.forget_bases(lsn, generation);
        self.enter_generation(generation);
        for index in 0..self.stripes.count() {
            let mut stripe = self.stripes.at(index).lock();
            let fresh = Stripe::new(self.now(), self.seed, disk.cut());
            let old = std::mem::replace(&mut *stripe, fresh);
            self.leavings.lock().push(old.slab);
        }
        self.sweep(usize::MAX);
        self.gauges.count.store(0, Ordering::Relaxed);
        self.gauges.memory.store(0, Ordering::Relaxed);
    }

    /// Gives what was replayed the grace for touches that were not logged.
    fn carry_over_all(&self, disk: &Disk) {
        let now = self.now();
        for index in 0..self.stripes.count() {
            let stripe = self.stripes.at(index).lock();
            let slots = u32::try_from(stripe.slab.capacity()).unwrap_or(u32::MAX);
            for (_, node) in stripe.slab.iter_range(0, slots) {
                self.map.change(&node.key, |mut entry| {
                    let (state, life) = (entry.view().state(), entry.view().life());
                    if state != State::Gone {
                        entry.set_life(within(carry_over(life, disk.inherited_mark), now));
                    }
                });
            }
        }
    }
}
