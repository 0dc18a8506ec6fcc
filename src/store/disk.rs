//! The part of a store that is on disk: the log, and the list of bases that speak for everything
//! the map has no entry for.
//!
//! The list is one pointer. Whoever has read it can go on with it as long as it likes; whoever
//! wants to put what it read into the map must hold the key's stripe and find it still current.

use std::sync::Arc;

use crate::base::{Base, Expect, Found, rebase};
use crate::clock::{Epoch, Tick, Timestamp, ticks};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::layout::{Kind, Name, Numbers, parse};
use crate::hash::Seed;
use crate::id::Key;
use crate::limits::{CLOCK_AHEAD_MAX, FLUSH_BACKLOG_FACTOR, LIFETIME_MAX};
use crate::log::Log;
use crate::log::event::Event;
use crate::log::manifest::{BaseEntry, Manifest, PublishError, STILL_RUNNING};
use crate::log::segment::Encoding;
use crate::metrics::RecoveryStats;
use crate::record::expiry::Life;
use crate::store::apply::grace;
use crate::store::lists::Lists;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, Receiver, Sender, bounded};

/// A base of this store.
pub(crate) struct Layer {
    pub(crate) base: Arc<Base>,
    /// For a base of an earlier run: the time to which that run had looked at its deadlines.
    /// Touches after that may not be in it.
    pub(crate) inherited: Option<Timestamp>,
}

/// The bases, newest first, the LSN up to which they speak, and the generation of entries that
/// they lie under: a `clear` makes a list of its own.
#[derive(Clone)]
pub(crate) struct Bases {
    pub(crate) layers: Vec<Arc<Layer>>,
    pub(crate) cut: u64,
    pub(crate) generation: u32,
    /// Tells lists apart; given when the list is made the one that counts.
    pub(crate) number: u64,
}

impl Bases {
    pub(crate) fn new(layers: Vec<Arc<Layer>>, cut: u64, generation: u32) -> Self {
        Bases { layers, cut, generation, number: 0 }
    }
}

/// What the bases say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing, or that it is gone.
    Absent,
    /// It has expired.
    Over,
    /// It lives; its value has been copied out.
    Value {
        life: Life,
        encoding: Encoding,
        /// An earlier run wrote it.
        inherited: bool,
    },
}

/// See the module's text.
pub(crate) struct Disk {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) log: Arc<Log>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) uuid: [u8; 16],
    pub(crate) seed: Seed,
    pub(crate) mapped: bool,
    pub(crate) flush_bytes: u64,
    pub(crate) merge_rate: u64,
    bases: Lists,
    cut: AtomicU64,
    /// Log bytes that had been appended at the cut.
    pub(crate) bytes_at_cut: AtomicU64,
    /// Log bytes after the cut that were found at opening.
    pub(crate) bytes_replayed: AtomicU64,
    /// Entries with an LSN up to this one, and bases with a cut below it, are gone.
    pub(crate) floor: AtomicU64,
    /// One flush at a time.
    pub(crate) flush: Mutex<()>,
    /// One merge at a time.
    pub(crate) merge: Mutex<()>,
    /// Held while a manifest is made the one that counts, and by `clear`.
    pub(crate) publish: Mutex<Published>,
    /// A flush is between its cut and the end of its publication.
    pub(crate) flushing: AtomicBool,
    /// What was recovered, and from when.
    pub(crate) recovery: RecoveryStats,
    /// Every deadline up to here had been looked at when the last run ended.
    pub(crate) inherited_mark: Tick,
    /// When this run began.
    pub(crate) opened: Tick,
    pub(crate) background_error: Mutex<Option<Error>>,
    /// Futures that wait for room: told from time to time, so that they give up.
    pub(crate) waits: Event,
    /// Nobody works in the background; callers do it all.
    threadless: bool,
    flush_wanted: (Sender<()>, Receiver<()>),
    merge_wanted: (Sender<()>, Receiver<()>),
}

/// Which manifests there are.
pub(crate) struct Published {
    /// The one that counts.
    pub(crate) manifest: u64,
    /// The mark in it: every touch up to then is on disk.
    pub(crate) mark: Timestamp,
    /// The bases that it names.
    pub(crate) bases: Vec<u64>,
    /// Bases that a `clear` has ended and a manifest may still name.
    pub(crate) orphans: Vec<u64>,
    /// Files that this run found and does not own: never removed.
    pub(crate) strays: Vec<String>,
    /// Names with numbers below this one were there at opening.
    pub(crate) opened_at: u64,
    /// Something went wrong in a way that leaves open which manifest counts after a crash.
    pub(crate) ambiguous: bool,
}

/// What a [`Disk`] is made of.
pub(crate) struct Parts {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) log: Arc<Log>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) uuid: [u8; 16],
    pub(crate) seed: Seed,
    pub(crate) mapped: bool,
    pub(crate) flush_bytes: u64,
    pub(crate) merge_rate: u64,
    pub(crate) bases: Bases,
    pub(crate) floor: u64,
    pub(crate) published: Published,
    pub(crate) recovery: RecoveryStats,
    pub(crate) inherited_mark: Tick,
    pub(crate) opened: Tick,
    pub(crate) threadless: bool,
}

impl Disk {
    pub(crate) fn new(parts: Parts) -> Self {
        Disk {
            cut: AtomicU64::new(parts.bases.cut),
            bases: Lists::new(parts.bases),
            bytes_at_cut: AtomicU64::new(0),
            bytes_replayed: AtomicU64::new(parts.recovery.bytes),
            floor: AtomicU64::new(parts.floor),
            flush: Mutex::new(()),
            merge: Mutex::new(()),
            publish: Mutex::new(parts.published),
            flushing: AtomicBool::new(false),
            fs: parts.fs,
            log: parts.log,
            numbers: parts.numbers,
            uuid: parts.uuid,
            seed: parts.seed,
            mapped: parts.mapped,
            flush_bytes: parts.flush_bytes,
            merge_rate: parts.merge_rate,
            recovery: parts.recovery,
            inherited_mark: parts.inherited_mark,
            opened: parts.opened,
            background_error: Mutex::new(None),
            waits: Event::default(),
            threadless: parts.threadless,
            flush_wanted: bounded(1),
            merge_wanted: bounded(1),
        }
    }

    pub(crate) fn is_threadless(&self) -> bool {
        self.threadless
    }

    /// Asks for a flush in the background.
    pub(crate) fn want_flush(&self) {
        let _ = self.flush_wanted.0.try_send(());
    }

    /// Asks for a merge in the background.
    pub(crate) fn want_merge(&self) {
        let _ = self.merge_wanted.0.try_send(());
    }

    pub(crate) fn flush_wanted(&self) -> &Receiver<()> {
        &self.flush_wanted.1
    }

    pub(crate) fn merge_wanted(&self) -> &Receiver<()> {
        &self.merge_wanted.1
    }

    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Acquire)
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// The list of bases as it is now. Read it after the map has missed, never before.
    pub(crate) fn bases(&self) -> Arc<Bases> {
        self.bases.get()
    }

    /// Whether `list` is the one that counts.
    pub(crate) fn is_current(&self, list: &Arc<Bases>) -> bool {
        self.bases.is_current(list)
    }

    /// Makes `list` the one that counts.
    pub(crate) fn swap(&self, list: Bases) {
        let cut = list.cut;
        self.bases.swap(list);
        self.cut.store(cut, Ordering::Release);
    }

    /// What the bases say ends with `lsn`, and so does everything of an earlier generation.
    pub(crate) fn forget_bases(&self, lsn: u64, generation: u32) {
        self.floor.store(lsn, Ordering::Release);
        self.swap(Bases::new(Vec::new(), self.cut(), generation));
    }

    /// Log bytes that a crash now would have to replay.
    pub(crate) fn log_bytes(&self) -> u64 {
        let appended = self.log.appended_bytes();
        let since = appended.saturating_sub(self.bytes_at_cut.load(Ordering::Relaxed));
        since + self.bytes_replayed.load(Ordering::Relaxed)
    }

    /// Whether a flush that takes its time would have writers wait for it before long.
    pub(crate) fn is_pressed(&self) -> bool {
        self.log_bytes() > self.flush_bytes.saturating_mul(FLUSH_BACKLOG_FACTOR / 2)
    }

    /// Whether the log has outgrown what a flush can be expected to catch up with.
    pub(crate) fn is_behind(&self) -> bool {
        self.log_bytes() > self.flush_bytes.saturating_mul(FLUSH_BACKLOG_FACTOR)
    }

    /// Opens the base with this number.
    pub(crate) fn open_base(&self, number: u64) -> Result<Arc<Layer>> {
        open_layer(&*self.fs, self.uuid, number, self.mapped, None)
    }

    /// Asks the bases for a key, newest first; a value that lives is copied into `out`.
    ///
    /// # Errors
    /// `is_corrupt` if damage stands between the key and its answer; errors of the file system.
    pub(crate) fn find(
        &self,
        list: &Bases,
        key: &Key,
        at: Moment,
        out: &mut Vec<u8>,
    ) -> Result<Answer> {
        let hash = self.seed.hash(key);
        for layer in &list.layers {
            match layer.base.find(hash, key, out)? {
                Found::Absent => {}
                Found::Tombstone => return Ok(Answer::Absent),
                Found::Value { deadline, cap, idle } => {
                    let life = self.carry(layer, Life { deadline, cap, idle }, at);
                    if life.is_over(at.now) {
                        return Ok(Answer::Over);
                    }
                    let (encoding, inherited) = (layer.encoding(), layer.inherited.is_some());
                    return Ok(Answer::Value { life, encoding, inherited });
                }
            }
        }
        Ok(Answer::Absent)
    }

    /// A base's times in this run: in its ticks, with the grace for touches that were not logged
    /// when the last run ended, and within the longest life that it can have left.
    pub(crate) fn carry(&self, layer: &Layer, life: Life, at: Moment) -> Life {
        let from = layer.base.epoch();
        let deadline = rebase(life.deadline, from, at.epoch);
        let cap = rebase(life.cap, from, at.epoch);
        let life = Life { deadline, cap, idle: life.idle };
        match layer.inherited {
            Some(mark) => within(carry_over(life, at.epoch.tick(mark)), self.opened),
            None => life,
        }
    }

    /// Makes the manifest that says `cut` and `layers`, and then the list that says the same.
    pub(crate) fn publish_as_holder(
        &self,
        published: &mut Published,
        list: Bases,
        mark: Timestamp,
        epoch: Epoch,
        count: u64,
    ) -> Result<(), PublishError> {
        let bases = list.layers.iter().map(|layer| BaseEntry {
            number: layer.base.number(),
            size: layer.base.file_bytes(),
            mark_ms: layer.inherited.map_or(STILL_RUNNING, Timestamp::as_millis),
        });
        let manifest = Manifest {
            uuid: self.uuid,
            seed: self.seed.to_bytes(),
            epoch_ms: epoch.as_millis(),
            cut: list.cut,
            watermark: self.log.durable().max(list.cut),
            mark_ms: mark.as_millis(),
            first_segment: self.log.first_needed(list.cut),
            count,
            bases: bases.collect(),
        };
        match manifest.publish(&*self.fs, &self.numbers) {
            Ok(number) => {
                published.manifest = number;
                published.mark = mark;
                published.bases = manifest.bases.iter().map(|base| base.number).collect();
                published.ambiguous = false;
                self.swap(list);
                Ok(())
            }
            Err(error) => {
                published.ambiguous |= error.ambiguous;
                Err(error)
            }
        }
    }

    /// Removes what no manifest needs any more. Never fails: what stays is collected later.
    pub(crate) fn collect(&self, published: &mut Published) {
        if published.ambiguous {
            return;
        }
        self.log.release(self.cut());
        // What the manifest names, not what the list does: a `clear` changes the list at once.
        let needed = std::mem::take(&mut published.bases);
        for number in std::mem::take(&mut published.orphans) {
            if needed.contains(&number) {
                published.orphans.push(number);
            } else {
                // A file that stays is harmless: nothing refers to it.
                let _ = self.fs.remove(&Kind::Base.name(number));
            }
        }
        let names = self.fs.list().unwrap_or_default();
        let mut manifests: Vec<u64> =
            names.iter().filter_map(|name| manifest_number(name)).collect();
        manifests.sort_unstable();
        // The newest two stay, so that a damaged one can be told from one that never was.
        let oldest = manifests.iter().rev().nth(1).copied().unwrap_or(0);
        let first = self.log.first_needed(self.cut());
        for name in names.iter().filter(|name| !published.strays.contains(name)) {
            let gone = match parse(name) {
                Name::Ours(Kind::Manifest, number) => number < oldest,
                Name::Ours(Kind::Base, number) => {
                    number < published.opened_at && !needed.contains(&number)
                }
                Name::Ours(Kind::Log, number) => {
                    number < published.opened_at && (number < first || first == 0)
                }
                Name::Temporary(number) => number < published.opened_at,
                Name::Fixed | Name::Unknown => false,
            };
            if gone {
                // A file that stays is harmless: nothing refers to it.
                let _ = self.fs.remove(name);
            }
        }
        published.bases = needed;
    }
}

fn manifest_number(name: &str) -> Option<u64> {
    match parse(name) {
        Name::Ours(Kind::Manifest, number) => Some(number),
        _ => None,
    }
}

/// The time, as a look into a base needs it.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Tick,
    pub(crate) epoch: Epoch,
}

/// What an earlier run logged of an idle deadline may lag behind what it knew. A deadline that
/// the earlier run had looked at when it passed is exact.
pub(crate) fn carry_over(life: Life, mark: Tick) -> Life {
    if life.idle == 0 || life.deadline <= mark {
        return life;
    }
    Life { deadline: life.deadline.saturating_add(grace(life.idle)).min(life.cap), ..life }
}

/// A deadline beyond the longest life there is, or much further off at the beginning of a run than
/// a touch and some graces could have moved it, was written under a wrong clock.
pub(crate) fn within(life: Life, opened: Tick) -> Life {
    let latest = opened.saturating_add(ticks(LIFETIME_MAX));
    let mut deadline = life.deadline.min(latest);
    let untouched = opened.saturating_add(life.idle).saturating_add(grace(life.idle));
    if life.idle > 0 && deadline.saturating_sub(untouched) > ticks(CLOCK_AHEAD_MAX) / 2 {
        deadline = untouched;
    }
    Life { deadline, cap: life.cap.min(latest), idle: life.idle }
}

pub(crate) fn open_layer(
    fs: &dyn Fs,
    uuid: [u8; 16],
    number: u64,
    mapped: bool,
    inherited: Option<Timestamp>,
) -> Result<Arc<Layer>> {
    let base = Base::open(fs, &Kind::Base.name(number), Expect { uuid, number }, mapped)?;
    Ok(Arc::new(Layer { base: Arc::new(base), inherited }))
}

impl Layer {
    pub(crate) fn encoding(&self) -> Encoding {
        Encoding { codec: self.base.codec(), schema: self.base.schema() }
    }
}
