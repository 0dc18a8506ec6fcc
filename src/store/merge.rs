//! Merge: several bases become one, from files only, while everything goes on.

use std::sync::Arc;

use crate::base::{Base, Builder, Expired, Meta, Record, merge};
use crate::error::{Error, Result};
use crate::fs::layout::Kind;
use crate::limits::BASES_MAX;
use crate::log::Durability;
use crate::metrics::count;
use crate::record::expiry::Life;
use crate::store::disk::{Bases, Disk, Layer, Moment};
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::stripe::RawValue;
use crate::sync::thread;

/// Which bases to merge: this many of the list, from this place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    first: usize,
    count: usize,
}

impl<V: Clone> Engine<V> {
    /// Merges all bases into one, dropping what is gone or expired. Blocks; one at a time.
    ///
    /// # Errors
    /// Whatever the file system says, or the migration; the store goes on with the bases it has.
    pub(crate) fn merge(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let _turn = disk.merge.lock();
        let list = disk.bases();
        let choice = Choice { first: 0, count: list.layers.len() };
        let worth = list.layers.iter().any(|layer| {
            layer.base.tombstones() > 0
                || self.expired_share(layer) > 0.0
                || layer.encoding() != self.encoding()
        });
        if choice.count < 2 && !worth {
            return Ok(());
        }
        self.merge_as_holder(disk, &list, choice, false)
    }

    /// Merges what is worth merging, at the pace set for the background.
    pub(crate) fn merge_if_due(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let _turn = disk.merge.lock();
        let list = disk.bases();
        match self.choose(&list) {
            Some(choice) => self.merge_as_holder(disk, &list, choice, true),
            None => Ok(()),
        }
    }

    pub(crate) fn is_merge_due(&self, disk: &Disk) -> bool {
        self.choose(&disk.bases()).is_some()
    }

    fn choose(&self, list: &Bases) -> Option<Choice> {
        let (bottom, small) = list.layers.split_last()?;
        let small_bytes: u64 = small.iter().map(|layer| layer.base.file_bytes()).sum();
        let all = Choice { first: 0, count: list.layers.len() };
        if !small.is_empty() && small_bytes * 2 > bottom.base.file_bytes() {
            return Some(all);
        }
        if self.expired_share(bottom) > 0.3 {
            return Some(all);
        }
        (small.len() > BASES_MAX).then_some(Choice { first: 0, count: small.len() })
    }

    /// About how much of a base has expired.
    fn expired_share(&self, layer: &Layer) -> f64 {
        let values = layer.base.values();
        if values == 0 || self.time.is_suspect() {
            return 0.0;
        }
        let now = crate::base::rebase(self.now(), self.time.epoch(), layer.base.epoch());
        (values - layer.base.live_at(now).min(values)) as f64 / values as f64
    }

    fn merge_as_holder(
        &self,
        disk: &Disk,
        list: &Arc<Bases>,
        choice: Choice,
        paced: bool,
    ) -> Result<()> {
        let floor = disk.floor();
        let Some(inputs) = list.layers.get(choice.first..choice.first + choice.count) else {
            return Ok(());
        };
        let Some(newest) = inputs.first() else { return Ok(()) };
        let bottom = choice.first + choice.count == list.layers.len();
        let number = disk.numbers.next();
        let name = Kind::Base.temporary(number);
        let meta = Meta {
            number,
            uuid: disk.uuid,
            seed: disk.seed,
            cut: newest.base.cut(),
            epoch: self.time.epoch(),
            codec: self.encoding().codec,
            schema: self.settings.schema_tag,
            expected_records: inputs
                .iter()
                .map(|layer| layer.base.values() + layer.base.tombstones())
                .sum(),
        };
        let made = Builder::create(&*disk.fs, &name, meta).and_then(|mut builder| {
            self.merge_into(disk, inputs, bottom, floor, paced, &mut builder)?;
            if builder.records() == 0 && bottom && !builder.has_lost() {
                return Ok(None);
            }
            builder.finish()?;
            let renamed = disk.fs.rename(&name, &Kind::Base.name(number));
            renamed.and_then(|()| disk.fs.sync_dir()).map_err(|error| {
                Error::io("the base cannot be named", error).at(disk.fs.path().join(&name))
            })?;
            disk.open_base(number).map(Some)
        });
        if !matches!(made, Ok(Some(_))) {
            // Nothing refers to it; if it stays it is collected at a later opening.
            let _ = disk.fs.remove(&name);
            let _ = disk.fs.remove(&Kind::Base.name(number));
        }
        match made {
            // A `clear` has ended what was being merged.
            Err(_) if disk.floor() != floor => Ok(()),
            made => self.publish_merged(disk, inputs, made?, number, floor),
        }
    }

    fn merge_into(
        &self,
        disk: &Disk,
        inputs: &[Arc<Layer>],
        bottom: bool,
        floor: u64,
        paced: bool,
        builder: &mut Builder,
    ) -> Result<()> {
        let bases: Vec<_> = inputs.iter().map(|layer| layer.base.clone()).collect();
        let now = (!self.time.is_suspect()).then(|| self.now());
        let mut adjust = |base: &Base, record: &mut Record| match inputs
            .iter()
            .find(|layer| std::ptr::eq(&*layer.base, base))
        {
            Some(layer) => self.adjust(disk, layer, record),
            None => Ok(Expired::Drop),
        };
        let clock = self.time.clock();
        let began = clock.boot_ms();
        let mut pace = |written: u64| {
            if disk.floor() != floor || self.closed.load(std::sync::atomic::Ordering::Acquire) {
                return Err(Error::closed());
            }
            // A thread that wakes up for a visitor would else wait for the end of this one's slice.
            thread::yield_now();
            if paced && disk.merge_rate > 0 {
                let due = written.saturating_mul(1000) / disk.merge_rate;
                let spent = clock.boot_ms().saturating_sub(began);
                let ahead = due.saturating_sub(spent).min(100);
                thread::sleep(std::time::Duration::from_millis(ahead));
            }
            Ok(())
        };
        merge(&bases, bottom, now, builder, &mut adjust, &mut pace).map(drop)
    }

    /// Brings a record into this run's ticks and encoding. An expired one stays, expired as it
    /// is, while its key lives in memory: by newer times that memory, or the log, may hold
    /// without the value.
    fn adjust(&self, disk: &Disk, layer: &Layer, record: &mut Record) -> Result<Expired> {
        let at = Moment { now: self.now(), epoch: self.time.epoch() };
        let life = Life { deadline: record.deadline, cap: record.cap, idle: record.idle };
        let life = disk.carry(layer, life, at);
        (record.deadline, record.cap, record.idle) = (life.deadline, life.cap, life.idle);
        if record.tombstone {
            return Ok(Expired::Drop);
        }
        if layer.encoding() != self.encoding() {
            let raw =
                RawValue { bytes: record.value.as_slice().into(), encoding: layer.encoding() };
            if let Some(bytes) = self.transcode(&record.key, &raw)? {
                record.value = bytes;
            }
        }
        let generation = self.generation();
        let lives = life.is_over(at.now)
            && self.map.read(&record.key, |entry| {
                entry.is_of(generation)
                    && entry.state() != State::Gone
                    && !entry.life().is_over(at.now)
            }) == Some(true);
        Ok(if lives { Expired::Keep } else { Expired::Drop })
    }

    fn publish_merged(
        &self,
        disk: &Disk,
        inputs: &[Arc<Layer>],
        made: Option<Arc<Layer>>,
        number: u64,
        floor: u64,
    ) -> Result<()> {
        // A mark vouches for touches: they must be on disk before it is. If that cannot be had
        // the last one stands.
        let mark = self.time.mark();
        let synced = disk.log.wait(disk.log.appended(), Durability::Power).is_ok();
        let mut published = disk.publish.lock();
        let current = disk.bases();
        let is_input = |layer: &Arc<Layer>| inputs.iter().any(|input| Arc::ptr_eq(input, layer));
        let still_there =
            current.layers.iter().filter(|layer| is_input(layer)).count() == inputs.len();
        if disk.floor() != floor || !still_there {
            let _ = disk.fs.remove(&Kind::Base.name(number));
            return Ok(());
        }
        let at = current.layers.iter().position(is_input).unwrap_or(0);
        let mut layers: Vec<_> =
            current.layers.iter().filter(|layer| !is_input(layer)).cloned().collect();
        if let Some(made) = made {
            layers.insert(at.min(layers.len()), made);
        }
        let list = Bases::new(layers, current.cut, current.generation);
        let mark = if synced { mark } else { published.mark };
        let result =
            disk.publish_as_holder(&mut published, list, mark, self.time.epoch(), self.len());
        if let Err(error) = result {
            if !error.ambiguous {
                let _ = disk.fs.remove(&Kind::Base.name(number));
            }
            return Err(error.error);
        }
        count(&self.counters.merges);
        for input in inputs {
            // Readers that still have it mapped go on reading it.
            let _ = disk.fs.remove(&Kind::Base.name(input.base.number()));
        }
        disk.collect(&mut published);
        Ok(())
    }
}

impl Layer {
    pub(crate) fn has_lost(&self) -> bool {
        !self.base.lost().ranges().is_empty()
    }
}
