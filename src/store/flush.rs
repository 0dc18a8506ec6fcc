//! Flush: what is dirty becomes a small base, and the log before the cut is no longer needed.
//!
//! Nothing stops meanwhile. The lists of dirty keys are taken stripe by stripe; what an entry
//! holds when the flush comes to it may be newer than the cut, which is why the log is synced
//! through the newest LSN the base can contain before the manifest says that the base counts.
//! An *exact* flush holds all stripes while it copies, so that its base holds nothing newer than
//! its cut: the way out for a log that cannot be synced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::{Builder, Kind as RecordKind, Meta, RecordRef};
use crate::clock::Tick;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::layout::Kind;
use crate::id::Key;
use crate::log::Durability;
use crate::metrics::count;
use crate::record::codec::{CodecError, Sink};
use crate::record::expiry::Life;
use crate::store::disk::{Answer, Bases, Disk, Layer, Moment};
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::read::with_bytes;
use crate::store::stripe::RawValue;
use crate::sync::thread;

/// Entries that are given up in one hold of a stripe.
const STEP: usize = 64;
/// Records after which a flush lets others have the processor. A thread that wakes up for a
/// visitor would else wait until the scheduler's slice is over, some milliseconds.
const YIELD_RECORDS: u64 = 256;

/// What a flush takes.
struct Taken<V> {
    cut: u64,
    bytes: u64,
    floor: u64,
    /// By stripe, in order.
    lists: Vec<Vec<Key>>,
    /// For an exact flush: what the keys held at the cut.
    held: Option<Vec<Vec<Held<V>>>>,
}

/// What an entry held.
struct Held<V> {
    key: Key,
    life: Life,
    content: Content<V>,
}

enum Content<V> {
    Value(Arc<V>),
    /// Encoded.
    Bytes(RawValue),
    Cold,
    Gone,
}

/// A deadline that a base now has, by stripe.
type Flushed = Vec<Vec<(Key, Tick)>>;

impl<V: Clone> Engine<V> {
    /// Makes a base of what is dirty. Blocks; one at a time.
    ///
    /// # Errors
    /// Whatever the file system says; the store goes on with the bases it has.
    pub(crate) fn flush(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let _turn = disk.flush.lock();
        if disk.log.appended() <= disk.cut() {
            return Ok(());
        }
        self.flush_as_holder(disk, false)
    }

    /// Takes the store out of a failed state: a base of everything that is in memory and was not
    /// in one, and a new segment after it.
    ///
    /// # Errors
    /// What stands in the way; the state is what it was.
    pub(crate) fn heal(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let _turn = disk.flush.lock();
        if disk.log.check().is_ok() && !disk.publish.lock().ambiguous {
            return disk.log.sync();
        }
        self.flush_as_holder(disk, true)
    }

    pub(crate) fn flush_as_holder(&self, disk: &Disk, exact: bool) -> Result<()> {
        disk.flushing.store(true, Ordering::Release);
        let mut taken = if exact { self.collect_exact(disk) } else { self.collect_dirty(disk) };
        let number = disk.numbers.next();
        let mut flushed = Flushed::new();
        let written = self.write_base(disk, number, &mut taken, &mut flushed);
        let done = written.and_then(|made| self.publish(disk, number, made, &taken, exact));
        match &done {
            Ok(true) => {
                disk.bytes_at_cut.store(taken.bytes, Ordering::Relaxed);
                disk.bytes_replayed.store(0, Ordering::Relaxed);
                if exact {
                    disk.log.end_heal(taken.cut);
                }
                count(&self.counters.flushes);
                self.settle_flushed(&flushed, taken.cut);
            }
            // Not published. After a `clear` the lists hold keys written since as well.
            Ok(false) | Err(_) => self.give_back(taken.lists),
        }
        disk.flushing.store(false, Ordering::Release);
        if matches!(done, Ok(true)) {
            disk.collect(&mut disk.publish.lock());
        } else if exact {
            disk.log.abandon_heal();
        }
        disk.log.event().notify();
        done.map(drop)
    }

    fn collect_dirty(&self, disk: &Disk) -> Taken<V> {
        let floor = disk.floor();
        let (cut, bytes) = disk.log.cut();
        // So that the segments up to here can go when the base is there.
        disk.log.seal_segment();
        let mut lists = Vec::with_capacity(self.stripes.count());
        for index in 0..self.stripes.count() {
            let mut stripe = self.stripes.at(index).lock();
            stripe.note = disk.log.appended();
            lists.push(std::mem::take(&mut stripe.dirty));
        }
        Taken { cut, bytes, floor, lists, held: None }
    }

    fn collect_exact(&self, disk: &Disk) -> Taken<V> {
        let mut guards: Vec<_> =
            (0..self.stripes.count()).map(|index| self.stripes.at(index).lock()).collect();
        let floor = disk.floor();
        let cut = disk.log.begin_heal();
        let mut lists = Vec::new();
        let mut held = Vec::new();
        for stripe in &mut guards {
            stripe.note = cut;
            let list = std::mem::take(&mut stripe.dirty);
            held.push(
                list.iter()
                    .filter_map(|key| self.hold(key, |key| self.raw(stripe, key).map(|raw| raw.0)))
                    .collect(),
            );
            lists.push(list);
        }
        drop(guards);
        Taken { cut, bytes: disk.log.appended_bytes(), floor, lists, held: Some(held) }
    }

    fn give_back(&self, lists: Vec<Vec<Key>>) {
        for (index, list) in lists.into_iter().enumerate() {
            self.stripes.at(index).lock().dirty.extend(list);
        }
    }

    /// What the entry of a dirty key holds now; `None` if it has none.
    fn hold(&self, key: &Key, raw: impl Fn(&Key) -> Option<RawValue>) -> Option<Held<V>> {
        loop {
            let generation = self.generation();
            let (state, value, life) = self.map.read(key, |entry| {
                let found = (entry.state(), entry.value().cloned(), entry.life());
                entry.is_of(generation).then_some(found)
            })??;
            let over = life.is_over(self.now()) && !self.time.is_suspect();
            let content = match (state, value) {
                (State::Gone, _) => Content::Gone,
                _ if over => Content::Gone,
                (_, Some(value)) => Content::Value(value),
                (State::Raw, None) => match raw(key) {
                    Some(raw) => Content::Bytes(raw),
                    // Somebody has decoded or changed it since: it is looked at again. Left out
                    // here it would be lost with its segment.
                    None => continue,
                },
                (_, None) => Content::Cold,
            };
            return Some(Held { key: *key, life, content });
        }
    }

    /// Encodes a value that encoded once before.
    ///
    /// # Errors
    /// `is_decode` if it does not now, or panics: the flush must not go on without it.
    fn encode_again(&self, key: &Key, value: &V, bytes: &mut Vec<u8>) -> Result<()> {
        let refused = |why: CodecError| {
            let message = format!("the value of key {} does not encode", key.fingerprint());
            Error::new(ErrorKind::Decode, message).caused_by(why)
        };
        if let Some(coder) = &self.settings.coder {
            let mut bounded = Sink::new(bytes, usize::MAX);
            let encoded = catch_unwind(AssertUnwindSafe(|| coder.encode(value, &mut bounded)));
            encoded.unwrap_or_else(|_| Err(CodecError::new("it panicked"))).map_err(refused)?;
        }
        Ok(())
    }

    /// Writes, syncs and names the base. `None` if there was nothing to put into one.
    fn write_base(
        &self,
        disk: &Disk,
        number: u64,
        taken: &mut Taken<V>,
        flushed: &mut Flushed,
    ) -> Result<Option<Arc<Layer>>> {
        let name = Kind::Base.temporary(number);
        let expected = taken.lists.iter().map(|list| list.len() as u64).sum();
        let meta = Meta {
            number,
            uuid: disk.uuid,
            seed: disk.seed,
            cut: taken.cut,
            epoch: self.time.epoch(),
            codec: self.encoding().codec,
            schema: self.settings.schema_tag,
            expected_records: expected,
        };
        let made = Builder::create(&*disk.fs, &name, meta).and_then(|mut builder| {
            self.fill(disk, &mut builder, taken, flushed)?;
            if builder.records() == 0 && !builder.has_lost() {
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
        made
    }

    fn fill(
        &self,
        disk: &Disk,
        builder: &mut Builder,
        taken: &mut Taken<V>,
        flushed: &mut Flushed,
    ) -> Result<()> {
        let list = disk.bases();
        let mut held = taken.held.take().map(Vec::into_iter);
        for (index, keys) in taken.lists.iter().enumerate() {
            let mut keys: Vec<(u64, Key)> = keys.iter().map(|key| (self.hash(key), *key)).collect();
            keys.sort_unstable();
            keys.dedup();
            let mut done = Vec::with_capacity(keys.len());
            if let Some(held) = &mut held {
                let mut held: Vec<(u64, Held<V>)> = held
                    .next()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|held| (self.hash(&held.key), held))
                    .collect();
                held.sort_by_key(|(hash, held)| (*hash, held.key));
                held.dedup_by_key(|(_, held)| held.key);
                for (hash, held) in held {
                    self.push(disk, &list, builder, hash, &held)?;
                    done.push((held.key, held.life.deadline));
                }
            } else {
                for (hash, key) in keys {
                    let raw =
                        |key: &Key| self.raw(&self.stripes.at(index).lock(), key).map(|raw| raw.0);
                    let Some(held) = self.hold(&key, raw) else { continue };
                    self.push(disk, &list, builder, hash, &held)?;
                    done.push((key, held.life.deadline));
                }
            }
            flushed.push(done);
        }
        Ok(())
    }

    fn push(
        &self,
        disk: &Disk,
        list: &Bases,
        builder: &mut Builder,
        hash: u64,
        held: &Held<V>,
    ) -> Result<()> {
        if builder.records().is_multiple_of(YIELD_RECORDS) && !disk.is_pressed() {
            thread::yield_now();
        }
        let Held { key, life, content } = held;
        let lsn = disk.log.appended();
        let (key, life) = (*key, *life);
        match content {
            Content::Value(value) => with_bytes(|bytes| {
                self.encode_again(&key, value, bytes)?;
                builder.push(&record(hash, key, life, RecordKind::Value(bytes)), lsn)
            }),
            Content::Gone => {
                let older =
                    list.layers.iter().any(|layer| layer.base.contains(hash) || layer.has_lost());
                if older {
                    builder.push(&record(hash, key, life, RecordKind::Tombstone), lsn)
                } else {
                    Ok(())
                }
            }
            Content::Bytes(raw) => {
                let bytes = self.transcode(&key, raw)?;
                let value = RecordKind::Value(bytes.as_deref().unwrap_or(&raw.bytes));
                builder.push(&record(hash, key, life, value), lsn)
            }
            Content::Cold => with_bytes(|bytes| {
                // The times in the base are older than the entry's and decide nothing.
                let at = Moment { now: 0, epoch: self.time.epoch() };
                let encoding = match disk.find(list, &key, at, bytes) {
                    Ok(Answer::Value { encoding, .. }) => encoding,
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_corrupt() => {
                        // The newer times may end it, and without its value they cannot be
                        // written: nobody is to believe what might be read some other day.
                        builder.add_lost(hash, hash);
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                };
                let raw = RawValue { bytes: bytes.as_slice().into(), encoding };
                let bytes = self.transcode(&key, &raw)?;
                let value = RecordKind::Value(bytes.as_deref().unwrap_or(&raw.bytes));
                builder.push(&record(hash, key, life, value), lsn)
            }),
        }
    }

    /// The value in this store's encoding; `None` if it is that already.
    pub(crate) fn transcode(&self, key: &Key, raw: &RawValue) -> Result<Option<Vec<u8>>> {
        if raw.encoding == self.encoding() {
            return Ok(None);
        }
        let value = catch_unwind(AssertUnwindSafe(|| self.decode(key, &raw.bytes, raw.encoding)));
        let value = value.unwrap_or_else(|_| {
            let message = format!("decoding the value of key {} panicked", key.fingerprint());
            Err(Error::new(ErrorKind::Decode, message))
        })?;
        let mut bytes = Vec::new();
        self.encode_again(key, &value, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Makes the base count. False if a `clear` has made it void.
    fn publish(
        &self,
        disk: &Disk,
        number: u64,
        made: Option<Arc<Layer>>,
        taken: &Taken<V>,
        exact: bool,
    ) -> Result<bool> {
        // Read before the log is synced: the touches that it vouches for are in there.
        let mark = self.time.mark();
        if !exact {
            disk.log.wait(disk.log.appended(), Durability::Power)?;
        }
        let mut published = disk.publish.lock();
        if disk.floor() != taken.floor {
            let _ = disk.fs.remove(&Kind::Base.name(number));
            return Ok(false);
        }
        let mut layers: Vec<_> = made.into_iter().collect();
        let current = disk.bases();
        layers.extend(current.layers.iter().cloned());
        let list = Bases::new(layers, taken.cut, current.generation);
        let result =
            disk.publish_as_holder(&mut published, list, mark, self.time.epoch(), self.len());
        match result {
            Ok(()) => Ok(true),
            Err(error) => {
                if !error.ambiguous {
                    let _ = disk.fs.remove(&Kind::Base.name(number));
                }
                Err(error.error)
            }
        }
    }

    /// Lets go what the new base makes superfluous: tombstones, and entries without a value.
    fn settle_flushed(&self, flushed: &Flushed, cut: u64) {
        let generation = self.generation();
        for (index, keys) in flushed.iter().enumerate() {
            thread::yield_now();
            for keys in keys.chunks(STEP) {
                let mut stripe = self.stripes.at(index).lock();
                for (key, deadline) in keys {
                    let found = self.map.read(key, |entry| {
                        entry.is_of(generation).then(|| (entry.slot(), entry.state(), entry.life()))
                    });
                    let Some((slot, state, life)) = found.flatten() else { continue };
                    let Some(node) = stripe.slab.get_mut(slot).filter(|node| node.lsn() <= cut)
                    else {
                        continue;
                    };
                    node.logged = *deadline;
                    let spent = state == State::Gone
                        || (state == State::Cold && life.deadline == *deadline);
                    if spent {
                        drop(self.vanish(&mut stripe, key, |entry| {
                            entry.state() == State::Gone || entry.life().deadline == *deadline
                        }));
                    }
                }
            }
        }
    }
}

fn record(hash: u64, key: Key, life: Life, kind: RecordKind<'_>) -> RecordRef<'_> {
    RecordRef { hash, key, kind, deadline: life.deadline, cap: life.cap, idle: life.idle }
}
