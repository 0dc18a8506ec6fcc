//! Opening: from what is in the directory to a running engine.
//!
//! Lock, manifest, log, bases (a page or two of each), in this order; nothing is written before
//! all of it is understood, and what was read is never changed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Epoch, Timestamp};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::layout::{Kind, LOCK, Name, Numbers, QUARANTINE, parse};
use crate::fs::{Fs, Locked};
use crate::hash::Seed;
use crate::limits::CLOCK_AHEAD_MAX;
use crate::log::manifest::{Manifest, STILL_RUNNING, UUID_AT};
use crate::log::recovery::{Recovered, Start, recover};
use crate::log::segment::{Identity, Position};
use crate::log::{Log, Setup};
use crate::metrics::{Counters, Reads, RecoveryStats};
use crate::store::disk::{Bases, Disk, Layer, Parts, Published, open_layer};
use crate::store::engine::{Engine, Gauges, Settings, mismatch};
use crate::store::map::Map;
use crate::store::stripe::Stripes;
use crate::store::time::{SuspectClock, Time};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// What to do with a directory that is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Refuse, and say where the damage is.
    #[default]
    Strict,
    /// Keep what can be verified.
    Salvage(Salvage),
    /// Move everything into `quarantine` and begin with an empty store.
    StartFresh,
}

/// What becomes of sessions that were last written before something that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Salvage {
    /// They end: what was lost may have ended them.
    #[default]
    DropOlder,
    /// They stay, also those that a lost removal had ended. The one mode in which what is gone
    /// may come back.
    KeepOlder,
}

/// How an engine is to be opened.
pub(crate) struct Opening<V> {
    pub(crate) settings: Settings<V>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stripes: usize,
    pub(crate) suspect_clock: SuspectClock,
    pub(crate) recovery: Recovery,
    pub(crate) wait_for_lock: Duration,
    pub(crate) mapped: bool,
    pub(crate) flush_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) merge_rate: u64,
    pub(crate) threadless: bool,
    pub(crate) entropy: Arc<Entropy>,
}

/// An engine, and the lock on its directory.
pub(crate) type Opened<V> = (Arc<Engine<V>>, Box<dyn Send + Sync>);

/// What the names in the directory say.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) manifests: Vec<u64>,
    pub(crate) bases: Vec<u64>,
    pub(crate) logs: Vec<u64>,
    pub(crate) ours: Vec<String>,
    pub(crate) unknown: Vec<String>,
    highest: u64,
}

impl Names {
    pub(crate) fn read(fs: &dyn Fs) -> Result<Names> {
        let list = fs
            .list()
            .map_err(|error| Error::io("the directory cannot be read", error).at(fs.path()))?;
        let mut names = Names::default();
        for name in list {
            let number = match parse(&name) {
                Name::Ours(kind, number) => {
                    match kind {
                        Kind::Manifest => names.manifests.push(number),
                        Kind::Base => names.bases.push(number),
                        Kind::Log => names.logs.push(number),
                    }
                    number
                }
                Name::Temporary(number) => number,
                Name::Fixed => continue,
                Name::Unknown => {
                    names.unknown.push(name);
                    continue;
                }
            };
            names.highest = names.highest.max(number);
            names.ours.push(name);
        }
        names.manifests.sort_unstable();
        names.logs.sort_unstable();
        Ok(names)
    }
}

impl<V: Clone + Send + Sync> Opening<V> {
    /// An engine without a disk.
    pub(crate) fn in_memory(self) -> Result<Arc<Engine<V>>> {
        let seed = Seed::from_bytes(random(&self.entropy)?);
        let time = Time::anchor(self.clock.clone(), None, SuspectClock::Trust)?;
        Ok(Arc::new(self.engine(seed, time, None)))
    }

    /// An engine on a directory, and the lock on it.
    pub(crate) fn on_disk(self, fs: Arc<dyn Fs>) -> Result<Opened<V>> {
        let lock = take_lock(&*fs, self.wait_for_lock)?;
        let mut names = Names::read(&*fs)?;
        if self.recovery == Recovery::StartFresh && !names.ours.is_empty() {
            set_aside(&*fs, &names)?;
            names =
                Names { unknown: names.unknown, highest: names.highest + 1, ..Names::default() };
        }
        let numbers = Arc::new(Numbers::after(names.highest));
        let (manifest, number) = match choose(&*fs, &names, self.recovery)? {
            Some(found) => found,
            None => self.begin(&*fs, &numbers)?,
        };
        check_same_store(&*fs, &names, &manifest, number)?;
        let engine = self.restore(fs, names, numbers, manifest, number)?;
        Ok((engine, lock))
    }

    /// The first manifest of a new store.
    fn begin(&self, fs: &dyn Fs, numbers: &Numbers) -> Result<(Manifest, u64)> {
        let now = self.clock.wall();
        let manifest = Manifest {
            uuid: random(&self.entropy)?,
            seed: random(&self.entropy)?,
            epoch_ms: Epoch::around(now).as_millis(),
            cut: 0,
            watermark: 0,
            mark_ms: now.as_millis(),
            first_segment: 0,
            count: 0,
            bases: Vec::new(),
        };
        let number = manifest.publish(fs, numbers).map_err(|error| error.error)?;
        Ok((manifest, number))
    }

    fn restore(
        self,
        fs: Arc<dyn Fs>,
        names: Names,
        numbers: Arc<Numbers>,
        manifest: Manifest,
        manifest_number: u64,
    ) -> Result<Arc<Engine<V>>> {
        let salvage = match self.recovery {
            Recovery::Salvage(salvage) => Some(salvage),
            Recovery::Strict | Recovery::StartFresh => None,
        };
        let Manifest { uuid, cut, watermark, first_segment, .. } = manifest;
        let start = Start { uuid, cut, watermark, first_segment };
        let recovered = recover(&*fs, &names.logs, start, salvage.is_some())?;
        let mut report = report(&recovered, names.unknown);
        let (mark, only_marks) = latest_mark(&recovered, Timestamp::from_millis(manifest.mark_ms));
        let is_newer = |other: &&u64| **other > manifest_number;
        report.lost_manifests = names.manifests.iter().rev().filter(is_newer).copied().collect();
        let layers = match salvage {
            // What was passed over may have ended all that these hold.
            Some(Salvage::DropOlder) if !report.lost_manifests.is_empty() => Vec::new(),
            _ => self.layers(&*fs, &manifest, mark, salvage, &mut report)?,
        };
        // Where there is nothing, nothing can revive: then a clock that was far ahead, this one or
        // the last one, has nobody to do harm to.
        let nothing = layers.is_empty() && only_marks;
        let wall = self.clock.wall();
        let was_far = nothing && mark.since(wall) > CLOCK_AHEAD_MAX;
        let far = was_far || nothing && wall.since(mark) > CLOCK_AHEAD_MAX;
        let known = (Epoch::from_millis(manifest.epoch_ms), mark);
        let known = Some(known).filter(|_| !far);
        let time = Time::anchor(self.clock.clone(), known, self.suspect_clock)?;
        // The mark that is on disk must not be met again.
        let rewrite = was_far
            || !recovered.lost.is_empty()
            || !report.lost_bases.is_empty()
            || !report.lost_manifests.is_empty()
            || self.foreign(&recovered)?;
        let identity = Identity { uuid, encoding: self.settings.encoding() };
        let log = Log::new(self.log_setup(&fs, &numbers, identity, &recovered, cut, rewrite));
        let published = Published {
            manifest: manifest_number,
            mark: Timestamp::from_millis(manifest.mark_ms),
            bases: manifest.bases.iter().map(|base| base.number).collect(),
            orphans: Vec::new(),
            strays: recovered.strays.clone(),
            opened_at: names.highest + 1,
            ambiguous: false,
        };
        let seed = Seed::from_bytes(manifest.seed);
        let (inherited_mark, opened) = (time.epoch().tick(mark), time.now());
        let disk = Disk::new(Parts {
            fs,
            log: Arc::new(log),
            numbers,
            uuid,
            seed,
            mapped: self.mapped,
            flush_bytes: self.flush_bytes,
            merge_rate: self.merge_rate,
            bases: Bases::new(layers, cut, 0),
            floor: 0,
            published,
            recovery: report,
            inherited_mark,
            opened,
            threadless: self.threadless,
        });
        let engine = Arc::new(self.engine(seed, time, Some(disk)));
        engine.replay(&recovered, salvage, manifest.count);
        if let Some(disk) = engine.disk.as_ref().filter(|_| rewrite) {
            let _turn = disk.flush.lock();
            engine.flush_as_holder(disk, true)?;
        }
        Ok(engine)
    }

    fn engine(self, seed: Seed, time: Time, disk: Option<Disk>) -> Engine<V> {
        let cut = disk.as_ref().map_or(0, Disk::cut);
        Engine {
            map: Map::new(self.stripes, seed),
            stripes: Stripes::new(self.stripes, time.now(), cut),
            seed,
            time,
            generation: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            disk,
            settings: self.settings,
            reads: Reads::default(),
            counters: Counters::default(),
            gauges: Gauges::default(),
            hand: AtomicU64::new(0),
            returned: Mutex::new(Vec::new()),
            marks: Mutex::default(),
            leavings: Mutex::new(Vec::new()),
        }
    }

    fn layers(
        &self,
        fs: &dyn Fs,
        manifest: &Manifest,
        mark: Timestamp,
        salvage: Option<Salvage>,
        report: &mut RecoveryStats,
    ) -> Result<Vec<Arc<Layer>>> {
        let mut layers = Vec::new();
        for entry in &manifest.bases {
            // A base of the run that has just ended: now is known how far that run came.
            let ended = entry.mark_ms == STILL_RUNNING;
            let inherited = if ended { mark } else { Timestamp::from_millis(entry.mark_ms) };
            let opened = open_layer(fs, manifest.uuid, entry.number, self.mapped, Some(inherited));
            let opened = opened.and_then(|layer| {
                if layer.base.file_bytes() == entry.size {
                    return Ok(layer);
                }
                let message = format!("the manifest says that this base has {} bytes", entry.size);
                Err(Error::corrupt(message).at(layer.base.path()))
            });
            match (opened, salvage) {
                (Ok(layer), _) => {
                    self.check_encoding(&layer)?;
                    layers.push(layer);
                }
                // Only damage may be passed over: what cannot be read today, or by this release,
                // is all there.
                (Err(error), Some(kind)) if error.is_corrupt() || error.is_missing() => {
                    report.lost_bases.push(entry.number);
                    if kind == Salvage::DropOlder {
                        // It may have ended what the older ones hold.
                        break;
                    }
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(layers)
    }

    fn check_encoding(&self, layer: &Layer) -> Result<()> {
        let found = layer.encoding();
        let ours = self.settings.encoding();
        if found == ours || self.settings.migrate.is_some() || layer.base.values() == 0 {
            return Ok(());
        }
        Err(mismatch(found, ours).at(layer.base.path()))
    }

    /// Whether the log holds values in another encoding, which a base must take over at once.
    fn foreign(&self, recovered: &Recovered) -> Result<bool> {
        let ours = self.settings.encoding();
        match recovered.encodings().filter(|found| *found != ours).last() {
            Some(found) if self.settings.migrate.is_none() => Err(mismatch(found, ours)),
            found => Ok(found.is_some()),
        }
    }

    fn log_setup(
        &self,
        fs: &Arc<dyn Fs>,
        numbers: &Arc<Numbers>,
        identity: Identity,
        recovered: &Recovered,
        cut: u64,
        rewrite: bool,
    ) -> Setup {
        let (position, carry, last_lsn) = if rewrite {
            let lsn = recovered.highest_lsn;
            (Position { number: 0, offset: 0, lsn }, Vec::new(), lsn)
        } else {
            let safe = recovered.watermark.max(cut);
            (recovered.position(safe), recovered.frames_after(safe), recovered.last_lsn)
        };
        Setup {
            fs: fs.clone(),
            numbers: numbers.clone(),
            entropy: self.entropy.clone(),
            identity,
            segment_bytes: self.segment_bytes,
            position,
            carry,
            last_lsn,
            segments: recovered.segments(),
            threadless: self.threadless,
        }
    }
}

/// The manifest that counts, and its number; `None` if the store is new.
pub(crate) fn choose(
    fs: &dyn Fs,
    names: &Names,
    recovery: Recovery,
) -> Result<Option<(Manifest, u64)>> {
    let mut error = None;
    for number in names.manifests.iter().rev() {
        match Manifest::load(fs, *number) {
            Ok(manifest) => return Ok(Some((manifest, *number))),
            // Never a silent fall-back: an older manifest may name what has been removed since.
            Err(damage) if !matches!(recovery, Recovery::Salvage(_)) || !damage.is_corrupt() => {
                return Err(damage);
            }
            Err(damage) => error.get_or_insert(damage),
        };
    }
    match error {
        Some(error) => Err(error),
        None if names.bases.is_empty() && names.logs.is_empty() => Ok(None),
        None => Err(Error::corrupt(
            "there are bases or log segments but no manifest, so the store does not know what \
             they are; restore it from a copy, or open with `Recovery::StartFresh` to set \
             everything aside",
        )
        .at(fs.path())),
    }
}

/// That the manifest before this one is of the same store: a file that came here by mistake must
/// not pass all others off as nobody's.
pub(crate) fn check_same_store(
    fs: &dyn Fs,
    names: &Names,
    manifest: &Manifest,
    number: u64,
) -> Result<()> {
    let Some(older) = names.manifests.iter().rev().find(|older| **older < number) else {
        return Ok(());
    };
    match Manifest::load(fs, *older) {
        Ok(older) if older.uuid != manifest.uuid => Err(Error::corrupt(
            "this manifest and the one before it belong to different stores; take out the files \
             that do not belong here, or open with `Recovery::StartFresh` to set everything aside",
        )
        .at(fs.path().join(Kind::Manifest.name(number)))
        .offset(UUID_AT)),
        Ok(_) => Ok(()),
        // One that is superseded may be damaged; one that cannot be read today says nothing.
        Err(error) if error.is_corrupt() || error.is_mismatch() || error.is_missing() => Ok(()),
        Err(error) => Err(error),
    }
}

fn take_lock(fs: &dyn Fs, wait: Duration) -> Result<Box<dyn Send + Sync>> {
    let owner = format!("{}\n", std::process::id());
    let locked = fs
        .lock(LOCK, &owner, wait)
        .map_err(|error| Error::io("the lock cannot be taken", error).at(fs.path().join(LOCK)))?;
    match locked {
        Locked::Ours(guard) => Ok(guard),
        Locked::Theirs(owner) => {
            let pid = owner.trim();
            let whose = if pid == std::process::id().to_string() {
                "this process has it open already; clone the `Store` instead".to_owned()
            } else if pid.is_empty() {
                "another process has it open".to_owned()
            } else {
                format!("process {pid} has it open; end it, or use `wait_for_lock`")
            };
            let message = format!("the directory is in use: {whose}");
            Err(Error::new(ErrorKind::Locked, message).at(fs.path()))
        }
    }
}

/// Moves everything that is ours into the quarantine.
fn set_aside(fs: &dyn Fs, names: &Names) -> Result<()> {
    let folder = format!("{QUARANTINE}/{:012}", names.highest + 1);
    let moved = names.ours.iter().try_for_each(|name| fs.set_aside(name, &folder));
    moved.and_then(|()| fs.sync_dir()).map_err(|error| {
        Error::io("what is in the directory cannot be moved into quarantine", error)
            .at(fs.path().join(folder))
    })
}

fn report(recovered: &Recovered, unknown: Vec<String>) -> RecoveryStats {
    let mut unknown_files = unknown;
    unknown_files.extend(recovered.strays.iter().cloned());
    RecoveryStats {
        frames: recovered.count(),
        bytes: recovered.bytes(),
        torn_frames: recovered.torn_frames,
        torn_bytes: recovered.torn_bytes,
        lost: recovered.lost.iter().map(|lost| (lost.first, lost.last)).collect(),
        lost_bases: Vec::new(),
        lost_manifests: Vec::new(),
        unknown_files,
    }
}

/// The last time that the log or `known` says, and whether the log says nothing else.
pub(crate) fn latest_mark(recovered: &Recovered, known: Timestamp) -> (Timestamp, bool) {
    let mark = recovered.marks().map(Timestamp::from_millis).fold(known, Timestamp::max);
    (mark, recovered.has_only_marks())
}

fn random(entropy: &Entropy) -> Result<[u8; 16]> {
    entropy.bytes().map_err(|error| {
        Error::new(ErrorKind::Io, "the operating system gave no random bytes").caused_by(error)
    })
}
