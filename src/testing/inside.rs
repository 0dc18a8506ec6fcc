//! Doors to the layers below the store, for the fuzzers of this repository; no part of the
//! interface. Turns bytes and files into plain data, and knows nothing of what is right.

mod base;
mod wheel;

use std::convert::Infallible;

use serde::Serialize;

pub use base::{Answer, OpenBase, Record, Walked, write_base};
pub use wheel::Timer;

use crate::error::Result;
use crate::fs::Fs;
use crate::fs::layout::Numbers;
use crate::id::Key;
use crate::log::frame::{self, Group};
use crate::log::manifest::{self, BaseEntry};
use crate::log::recovery;
use crate::log::segment::{Encoding, Header, Identity, Position};
use crate::record::codec::{Codec, CodecError, Sink};
use crate::store::Recovery;
use crate::store::open::{Names, choose};

/// What a frame says. Terms are deadline, cap (in milliseconds) and idle (in ticks).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kinds are those of the format")]
pub enum Said {
    Put(Key, (i64, i64, u32), Vec<u8>),
    Remove(Key),
    Terms(Key, (i64, i64, u32)),
    Clear,
    Mark(i64),
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the format")]
pub struct Frame {
    pub lsn: u64,
    pub watermark: Option<u64>,
    pub continues: bool,
    pub left: u16,
    pub size: usize,
    pub said: Said,
}

fn said(op: frame::Op<'_>) -> Said {
    let of = |terms: frame::Terms| (terms.deadline_ms, terms.cap_ms, terms.idle);
    match op {
        frame::Op::Put(key, terms, value) => Said::Put(key, of(terms), value.to_vec()),
        frame::Op::Remove(key) => Said::Remove(key),
        frame::Op::Terms(key, terms) => Said::Terms(key, of(terms)),
        frame::Op::Clear => Said::Clear,
        frame::Op::Mark(time) => Said::Mark(time),
    }
}

fn op(said: &Said) -> frame::Op<'_> {
    let of = |(deadline_ms, cap_ms, idle)| frame::Terms { deadline_ms, cap_ms, idle };
    match said {
        Said::Put(key, terms, value) => frame::Op::Put(*key, of(*terms), value),
        Said::Remove(key) => frame::Op::Remove(*key),
        Said::Terms(key, terms) => frame::Op::Terms(*key, of(*terms)),
        Said::Clear => frame::Op::Clear,
        Said::Mark(time) => frame::Op::Mark(*time),
    }
}

/// Reads the frame at the beginning of `bytes`.
pub fn read_frame(bytes: &[u8], salt: u32) -> Option<Frame> {
    let frame::Frame { lsn, watermark, continues, left, size, op } =
        frame::read(bytes, salt).ok()?;
    Some(Frame { lsn, watermark, continues, left, size, said: said(op) })
}

/// The group of these frames, sealed.
pub fn write_group(ops: &[Said], first_lsn: u64, watermark: u64, salt: u32) -> Vec<u8> {
    let mut group = Group::default();
    ops.iter().for_each(|said| group.add(&op(said)));
    let mut bytes = group.bytes().to_vec();
    frame::seal(&mut bytes, first_lsn, watermark, salt);
    bytes
}

/// The same frames sealed for another place.
pub fn reseal(bytes: &mut [u8], from: u32, first_lsn: u64, watermark: u64, salt: u32) {
    frame::unseal(bytes, from);
    frame::seal(bytes, first_lsn, watermark, salt);
}

/// The first page of a segment; its predecessor is number, offset, LSN.
pub fn write_page(
    uuid: [u8; 16],
    encoding: (u32, u64),
    number: u64,
    previous: (u64, u64, u64),
    salt: u32,
) -> Vec<u8> {
    let encoding = Encoding { codec: encoding.0, schema: encoding.1 };
    let (before, offset, lsn) = previous;
    let previous = Position { number: before, offset, lsn };
    Header { identity: Identity { uuid, encoding }, number, previous, salt }.page()
}

/// What recovery starts from.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are those of the format")]
pub struct Start {
    pub uuid: [u8; 16],
    pub cut: u64,
    pub watermark: u64,
    pub first_segment: u64,
}

/// One thing that replay tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Frames are missing here.
    Gap,
    /// A frame: LSN, codec, schema tag, what it says.
    Frame(u64, u32, u64, Said),
}

/// The log as recovery leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last LSN of the stream.
    pub last_lsn: u64,
    /// The highest LSN of any valid frame.
    pub highest_lsn: u64,
    /// Up to where the stream is on disk for certain.
    pub watermark: u64,
    /// Valid frames that are no part of the stream, and bytes behind its end.
    pub torn: (u64, u64),
    /// First and last LSN that is lost, where the stream broke off: file and offset.
    pub lost: Vec<(u64, u64, String, u64)>,
    /// Files that are no part of the chain.
    pub strays: Vec<String>,
    /// The segments of the chain, oldest first.
    pub chain: Vec<u64>,
    /// What replay tells.
    pub events: Vec<Event>,
    /// Where the next segment takes over: number, offset, LSN.
    pub position: (u64, u64, u64),
    /// The frames that it takes over, sealed with salt 0.
    pub carried: Vec<u8>,
}

/// Recovers the log from the segments with these numbers.
///
/// # Errors
/// Those of recovery.
pub fn recover(fs: &dyn Fs, numbers: &[u64], start: Start, salvage: bool) -> Result<Recovered> {
    let Start { uuid, cut, watermark, first_segment } = start;
    let begin = recovery::Start { uuid, cut, watermark, first_segment };
    let found = recovery::recover(fs, numbers, begin, salvage)?;
    let mut events = Vec::new();
    let Ok(()) = found.replay(|event| {
        events.push(match event {
            recovery::Event::Gap => Event::Gap,
            recovery::Event::Op(lsn, Encoding { codec, schema }, op) => {
                Event::Frame(lsn, codec, schema, said(op))
            }
        });
        Ok::<(), Infallible>(())
    });
    let safe = found.watermark.max(cut);
    let Position { number, offset, lsn } = found.position(safe);
    let mut carried = found.frames_after(safe);
    frame::seal(&mut carried, safe.saturating_add(1), safe, 0);
    let lost = found.lost.iter();
    Ok(Recovered {
        last_lsn: found.last_lsn,
        highest_lsn: found.highest_lsn,
        watermark: found.watermark,
        torn: (found.torn_frames, found.torn_bytes),
        lost: lost.map(|lost| (lost.first, lost.last, lost.file.clone(), lost.offset)).collect(),
        strays: found.strays.clone(),
        chain: found.segments().into_iter().map(|(number, _)| number).collect(),
        events,
        position: (number, offset, lsn),
        carried,
    })
}

/// A manifest. Bases are number, size and mark.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the format")]
pub struct Manifest {
    pub uuid: [u8; 16],
    pub seed: [u8; 16],
    pub epoch_ms: i64,
    pub cut: u64,
    pub watermark: u64,
    pub mark_ms: i64,
    pub first_segment: u64,
    pub count: u64,
    pub bases: Vec<(u64, u64, i64)>,
}

/// The manifest that counts and its number; `None` for a new store.
///
/// # Errors
/// Those of opening.
pub fn choose_manifest(fs: &dyn Fs, recovery: Recovery) -> Result<Option<(u64, Manifest)>> {
    let chosen = choose(fs, &Names::read(fs)?, recovery)?;
    Ok(chosen.map(|(found, number)| {
        let bases = found.bases.iter().map(|base| (base.number, base.size, base.mark_ms));
        let manifest = Manifest {
            bases: bases.collect(),
            uuid: found.uuid,
            seed: found.seed,
            epoch_ms: found.epoch_ms,
            cut: found.cut,
            watermark: found.watermark,
            mark_ms: found.mark_ms,
            first_segment: found.first_segment,
            count: found.count,
        };
        (number, manifest)
    }))
}

/// Publishes a manifest under the number after `highest`.
///
/// # Errors
/// Those of the file system.
pub fn publish_manifest(fs: &dyn Fs, manifest: &Manifest, highest: u64) -> Result<u64> {
    let bases = manifest.bases.iter();
    let bases = bases.map(|(number, size, mark_ms)| BaseEntry {
        number: *number,
        size: *size,
        mark_ms: *mark_ms,
    });
    let manifest = manifest::Manifest {
        bases: bases.collect(),
        uuid: manifest.uuid,
        seed: manifest.seed,
        epoch_ms: manifest.epoch_ms,
        cut: manifest.cut,
        watermark: manifest.watermark,
        mark_ms: manifest.mark_ms,
        first_segment: manifest.first_segment,
        count: manifest.count,
    };
    manifest.publish(fs, &Numbers::after(highest)).map_err(|error| error.error)
}

/// What a codec makes of a value.
///
/// # Errors
/// Those of the codec.
pub fn encode<C: Codec, T: Serialize>(value: &T) -> std::result::Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    C::encode(value, &mut Sink::new(&mut bytes, usize::MAX))?;
    Ok(bytes)
}
