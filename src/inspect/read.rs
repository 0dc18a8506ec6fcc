//! One reading of a directory: manifest, bases, log, and what is wrong with them.
//!
//! Takes the files in the order that a flush publishes them in reverse, so that what is replaced
//! meanwhile shows as a file that is gone, and then everything is read again.

use std::sync::Arc;

use super::Damage;
use super::overlay::Overlay;
use crate::clock::{Clock, Epoch, Tick, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Fs;
use crate::fs::layout::Kind;
use crate::log::manifest::{Manifest, STILL_RUNNING};
use crate::log::recovery::{Lost, Recovered, Start, recover};
use crate::store::disk::{Layer, open_layer};
use crate::store::open::{Names, check_same_store, latest_mark};
use crate::store::time::{SuspectClock, Time};

/// Readings of a directory that is changed meanwhile, before it is given up.
const READINGS_MAX: usize = 16;

/// What all sessions before something lost may be.
const MAYBE_ENDED: &str = "what it said: sessions in it may be missing, and others of which it \
                           said that they have ended may be shown";

/// A directory, as it was at one moment.
pub(crate) struct Reading {
    pub(crate) names: Names,
    /// The manifest that counts, and its number.
    pub(crate) number: u64,
    pub(crate) manifest: Manifest,
    /// Bases, newest first.
    pub(super) layers: Vec<Arc<Layer>>,
    pub(crate) log: Recovered,
    pub(super) overlay: Overlay,
    pub(super) times: Times,
    /// What was seen to be damaged, the blocks of the bases not looked at.
    pub(crate) damage: Vec<Damage>,
}

/// The times that deadlines are judged by, as an opening would set them.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) epoch: Epoch,
    pub(super) now: Tick,
    /// The time to which the store is known to have looked at its deadlines.
    pub(super) mark: Timestamp,
}

/// A clock that stands.
struct At(Timestamp);

impl Clock for At {
    fn wall(&self) -> Timestamp {
        self.0
    }

    fn boot_ms(&self) -> u64 {
        0
    }
}

impl Reading {
    /// Reads the directory. Costs one pass over the log and a few pages of each base, twice if
    /// there is damage; holds the log in memory.
    ///
    /// # Errors
    /// `is_config` if there is no store in it; `is_corrupt` if no manifest can be read;
    /// `is_mismatch` for a newer format; those of the operating system. All other damage is told
    /// in the reading.
    pub(crate) fn of(fs: &dyn Fs, at: Timestamp) -> Result<Reading> {
        let mut before = None;
        for _ in 0..READINGS_MAX {
            let reading = match Reading::once(fs, at) {
                // A flush or a merge has taken it away in between.
                Err(error) if error.is_missing() => continue,
                Err(error) if error.is_corrupt() => Err(error),
                Err(error) => return Err(error),
                Ok(reading) if reading.damage.is_empty() => return Ok(reading),
                Ok(reading) => Ok(reading),
            };
            let found = match &reading {
                Ok(reading) => reading.damage.clone(),
                Err(error) => vec![Damage::of(error, "")],
            };
            if before.replace(found.clone()).is_some_and(|before| before == found) {
                return reading;
            }
        }
        let message = "the directory changes faster than it can be read; try again, or read a copy";
        Err(Error::new(ErrorKind::Io, message).at(fs.path()))
    }

    /// The time to which the store is known to have lived.
    pub(crate) fn mark(&self) -> Timestamp {
        self.times.mark
    }

    /// Records in the bases and entries of the log: as many as a walk looks at, at most.
    pub(crate) fn records(&self) -> u64 {
        let of = |layer: &Arc<Layer>| layer.base.values() + layer.base.tombstones();
        self.layers.iter().map(of).sum::<u64>() + self.overlay.entries.len() as u64
    }

    /// Whether the manifest names the base with this number.
    pub(crate) fn needs_base(&self, number: u64) -> bool {
        self.manifest.bases.iter().any(|base| base.number == number)
    }

    /// Whether the segment with this number is part of the log.
    pub(crate) fn needs_log(&self, number: u64) -> bool {
        self.log.segments().iter().any(|(segment, _)| *segment == number)
    }

    fn once(fs: &dyn Fs, at: Timestamp) -> Result<Reading> {
        let names = Names::read(fs)?;
        let mut damage = Vec::new();
        let (number, manifest) = choose(fs, &names, &mut damage)?;
        match check_same_store(fs, &names, &manifest, number) {
            Err(error) if error.is_corrupt() => {
                damage.push(Damage::of(&error, "the files of one of the two stores"));
            }
            checked => checked?,
        }
        let Manifest { uuid, cut, watermark, first_segment, .. } = manifest;
        let start = Start { uuid, cut, watermark, first_segment };
        let log = recover(fs, &names.logs, start, true)?;
        damage.extend(log.lost.iter().map(lost_frames));
        let (mark, only_marks) = latest_mark(&log, Timestamp::from_millis(manifest.mark_ms));
        let layers = layers(fs, &manifest, mark, &mut damage)?;
        let known = Some((Epoch::from_millis(manifest.epoch_ms), mark));
        let nothing = layers.is_empty() && only_marks;
        let clock = Arc::new(At(at));
        let time = Time::anchor(clock, known.filter(|_| !nothing), SuspectClock::Serve)?;
        let times = Times { epoch: time.epoch(), now: time.now(), mark };
        let overlay = Overlay::of(&log, &manifest, times);
        Ok(Reading { names, number, manifest, layers, log, overlay, times, damage })
    }
}

/// The newest manifest that can be read. Those that cannot are damage: an older one may name what
/// has been removed since.
fn choose(fs: &dyn Fs, names: &Names, damage: &mut Vec<Damage>) -> Result<(u64, Manifest)> {
    let mut first = None;
    for number in names.manifests.iter().rev() {
        match Manifest::load(fs, *number) {
            Ok(manifest) => return Ok((*number, manifest)),
            Err(error) if error.is_corrupt() => {
                damage.push(Damage::of(&error, MAYBE_ENDED));
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or_else(|| match names.bases.is_empty() && names.logs.is_empty() {
        true => Error::config("there is no store in this directory").at(fs.path()),
        false => Error::corrupt(
            "there are bases or log segments but no manifest, so nobody knows what they are; \
             restore it from a copy",
        )
        .at(fs.path()),
    }))
}

fn lost_frames(lost: &Lost) -> Damage {
    let what = "a frame of the log cannot be read, and was acknowledged as on disk";
    let cost = format!(
        "LSN {} to {}: what was written there; sessions that were ended there may be shown",
        lost.first, lost.last
    );
    Damage::new(&lost.file, lost.offset, what, cost)
}

/// What was lost before the base was written, and is not known since.
fn lost_ranges(layer: &Layer) -> impl Iterator<Item = Damage> {
    let file = Kind::Base.name(layer.base.number());
    layer.base.lost().ranges().iter().map(move |(lo, hi)| Damage {
        file: file.clone(),
        offset: None,
        what: "records were lost to damage of a file that this base was made of".to_owned(),
        lost: format!("the sessions with hashes {lo:016x} to {hi:016x}, for long"),
    })
}

fn layers(
    fs: &dyn Fs,
    manifest: &Manifest,
    mark: Timestamp,
    damage: &mut Vec<Damage>,
) -> Result<Vec<Arc<Layer>>> {
    let mut layers = Vec::new();
    for entry in &manifest.bases {
        let ended = entry.mark_ms == STILL_RUNNING;
        let inherited = if ended { mark } else { Timestamp::from_millis(entry.mark_ms) };
        match open_layer(fs, manifest.uuid, entry.number, false, Some(inherited)) {
            Ok(layer) if layer.base.file_bytes() == entry.size => {
                damage.extend(lost_ranges(&layer));
                layers.push(layer);
            }
            Ok(layer) => {
                let (name, size) = (Kind::Base.name(entry.number), layer.base.file_bytes());
                let what = format!("the manifest says that this base has {} bytes", entry.size);
                damage.push(Damage::new(&name, size.min(entry.size), &what, MAYBE_ENDED));
            }
            Err(error) if error.is_missing() => damage.push(Damage {
                file: Kind::Base.name(entry.number),
                offset: None,
                what: "the manifest names this base, and it is not there".to_owned(),
                lost: MAYBE_ENDED.to_owned(),
            }),
            Err(error) if error.is_corrupt() => damage.push(Damage::of(&error, MAYBE_ENDED)),
            Err(error) => return Err(error),
        }
    }
    Ok(layers)
}
