//! Reads the log back: finds the chain of segments, verifies it, and tells a torn tail from
//! damage. Only reads; decides nothing about memory.
//!
//! The log is one stream of frames with gapless LSNs. At the first LSN n that cannot be read,
//! the durable watermark W, the highest claim of any frame or manifest that survives, alone
//! decides: n ≤ W is damage, acknowledged bytes are gone; n > W is a torn tail, and the stream
//! ends there.

mod stream;
#[cfg(feature = "cli")]
mod verify;

#[cfg(any(feature = "cli", feature = "__inside"))]
pub(crate) use stream::Event;
pub(crate) use stream::Step;
#[cfg(feature = "cli")]
pub(crate) use verify::{Fault, FaultKind};

use crate::error::{Error, Result};
use crate::fs::layout::Kind;
use crate::fs::{Fs, read_all};
use crate::log::frame::{self, ALIGN, Frame, Op};
use crate::log::segment::{FRAMES_AT, Header, Position};
use crate::sync::{helpers, share_out};

/// Bytes of log that are worth a thread of their own.
const SHARE_BYTES: usize = 4 << 20;

/// What replay starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) uuid: [u8; 16],
    /// The bases speak up to here.
    pub(crate) cut: u64,
    /// What the manifest knows to be on disk.
    pub(crate) watermark: u64,
    /// No smaller segment is needed.
    pub(crate) first_segment: u64,
}

/// A segment in memory.
struct Segment {
    header: Header,
    bytes: Vec<u8>,
    /// Segments of one run follow one another. Between two runs a segment is missing.
    run: usize,
}

/// Where a valid frame lies, and what has to be known of it before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    lsn: u64,
    offset: usize,
    segment: u32,
    size: u32,
    left: u16,
    continues: bool,
    /// LSNs before this one are missing; only ever true while salvaging.
    gap: bool,
    what: What,
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Put,
    /// Another change of one record.
    Other,
    Clear,
    Mark,
}

impl Found {
    fn end(&self) -> usize {
        self.offset + self.size as usize
    }
}

/// LSNs that were acknowledged as durable and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) file: String,
    pub(crate) offset: u64,
}

/// The log, read and verified, not yet applied.
pub(crate) struct Recovered {
    segments: Vec<Segment>,
    frames: Vec<Found>,
    /// The last LSN of the stream.
    pub(crate) last_lsn: u64,
    /// The last LSN that was ever given out, as far as can be seen.
    pub(crate) highest_lsn: u64,
    /// Every LSN up to this one is on disk where it was read.
    pub(crate) watermark: u64,
    /// Valid frames that are no part of the stream: a torn tail, or of a group that is not whole.
    pub(crate) torn_frames: u64,
    /// Bytes after the end of the stream that are not zero.
    pub(crate) torn_bytes: u64,
    /// Damage that was passed over.
    pub(crate) lost: Vec<Lost>,
    /// Files that are no part of the chain.
    pub(crate) strays: Vec<String>,
}

/// Reads every segment in `numbers` that the chain needs. Costs one pass over their bytes.
///
/// # Errors
/// `is_corrupt` at damage, unless `salvage`; an error of the file system; `is_mismatch` for a
/// newer format.
pub(crate) fn recover(
    fs: &dyn Fs,
    numbers: &[u64],
    start: Start,
    salvage: bool,
) -> Result<Recovered> {
    let mut strays = Vec::new();
    let mut segments = load(fs, numbers, start, &mut strays)?;
    keep_chain(&mut segments, start, &mut strays);
    let survey = Survey::of(&segments, start);
    let (watermark, highest) = (survey.watermark, survey.highest);
    let judged = judge(survey, &segments, start, salvage);
    if let Some(lost) = judged.lost.first().filter(|_| !salvage) {
        let error = Error::corrupt(format!(
            "the log is damaged: LSN {} cannot be read, and everything up to LSN {} was \
             acknowledged as on disk; restore the directory from a copy, or open with \
             `Recovery::Salvage` to keep what can be verified",
            lost.first, watermark
        ));
        return Err(error.at(fs.path().join(&lost.file)).offset(lost.offset));
    }
    let last_lsn = judged.frames.last().map_or(start.cut, |found| found.lsn);
    Ok(Recovered {
        last_lsn,
        highest_lsn: highest.max(last_lsn),
        watermark: watermark.min(last_lsn),
        torn_frames: judged.torn_frames,
        torn_bytes: torn_bytes(&segments, judged.end),
        lost: judged.lost,
        frames: judged.frames,
        strays,
        segments,
    })
}

fn load(
    fs: &dyn Fs,
    numbers: &[u64],
    start: Start,
    strays: &mut Vec<String>,
) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for number in numbers.iter().filter(|number| **number >= start.first_segment) {
        let name = Kind::Log.name(*number);
        let path = fs.path().join(&name);
        let file = fs
            .open(&name)
            .map_err(|error| Error::io("the log segment cannot be opened", error).at(&path))?;
        let bytes = read_all(&*file)
            .map_err(|error| Error::io("the log segment cannot be read", error).at(&path))?;
        match Header::read(&bytes).map_err(|error| error.at(&path))? {
            Some(header) if header.number == *number && header.identity.uuid == start.uuid => {
                segments.push(Segment { header, bytes, run: 0 });
            }
            _ => strays.push(name),
        }
    }
    segments.sort_by_key(|segment| segment.header.number);
    Ok(segments)
}

/// Keeps the segments that lead to the newest one, oldest first, each cut where its successor
/// says that it ends.
fn keep_chain(segments: &mut Vec<Segment>, start: Start, strays: &mut Vec<String>) {
    let mut wanted = segments.last().map(|newest| newest.header.number);
    let (mut end, mut run) = (u64::MAX, usize::MAX);
    let mut kept = Vec::new();
    while let Some(mut segment) = segments.pop() {
        let number = segment.header.number;
        if wanted.is_none_or(|wanted| number > wanted) {
            strays.push(Kind::Log.name(number));
            continue;
        }
        if wanted != Some(number) {
            // A loss of power may take a segment that no sync covered and leave the one after it.
            // What lies before still counts, and what lies behind does not follow on it.
            (end, run) = (u64::MAX, run - 1);
        }
        segment.bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        segment.run = run;
        let previous = segment.header.previous;
        wanted = (previous.number != 0 && previous.lsn > start.cut).then_some(previous.number);
        end = previous.offset;
        kept.push(segment);
    }
    kept.reverse();
    *segments = kept;
}

/// Every valid frame of the chain in its order, and the highest claim of what is durable.
#[derive(Default)]
struct Survey {
    frames: Vec<Found>,
    watermark: u64,
    /// The last LSN of any frame.
    highest: u64,
}

impl Survey {
    fn of(segments: &[Segment], start: Start) -> Survey {
        let bytes = segments.iter().map(|segment| segment.bytes.len()).sum();
        let threads = helpers(bytes, SHARE_BYTES);
        let part = |number: usize| -> Vec<Survey> {
            let mine = segments.iter().enumerate().skip(number).step_by(threads);
            mine.map(|(index, segment)| Survey::of_one(index, segment)).collect()
        };
        let mut parts: Vec<_> = share_out(threads, part).into_iter().map(Vec::into_iter).collect();
        let mut survey = Survey { watermark: start.watermark.max(start.cut), ..Survey::default() };
        for index in 0..segments.len() {
            let Some(part) = parts.get_mut(index % threads).and_then(Iterator::next) else { break };
            survey.watermark = survey.watermark.max(part.watermark);
            survey.highest = survey.highest.max(part.highest);
            survey.frames.extend_from_slice(&part.frames);
        }
        survey
    }

    fn of_one(index: usize, segment: &Segment) -> Survey {
        let mut survey = Survey::default();
        let mut offset = FRAMES_AT as usize;
        while let Some(rest) = segment.bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            match frame::read(rest, segment.header.salt) {
                Ok(frame) => {
                    survey.note(index as u32, offset, &frame);
                    offset += frame.size;
                }
                // Whatever verifies further on still makes its claim.
                Err(_) => offset += ALIGN + frame::distance(rest.get(ALIGN..).unwrap_or_default()),
            }
        }
        survey
    }

    fn note(&mut self, segment: u32, offset: usize, frame: &Frame<'_>) {
        self.watermark = self.watermark.max(frame.watermark.unwrap_or(0));
        self.highest = self.highest.max(frame.lsn);
        let Frame { lsn, continues, left, size, op, .. } = *frame;
        let what = match op {
            Op::Put(..) => What::Put,
            Op::Remove(_) | Op::Terms(..) => What::Other,
            Op::Clear => What::Clear,
            Op::Mark(_) => What::Mark,
        };
        let size = size as u32;
        self.frames.push(Found { lsn, offset, segment, size, left, continues, gap: false, what });
    }
}

/// What of the valid frames is the stream.
struct Judged {
    frames: Vec<Found>,
    lost: Vec<Lost>,
    torn_frames: u64,
    /// Segment and offset at which the stream ends.
    end: (usize, usize),
}

fn judge(survey: Survey, segments: &[Segment], start: Start, salvage: bool) -> Judged {
    let Survey { mut frames, watermark, .. } = survey;
    let mut judged = Judged {
        frames: Vec::new(),
        lost: Vec::new(),
        torn_frames: 0,
        end: (0, FRAMES_AT as usize),
    };
    let mut next = start.cut + 1;
    let mut gap = false;
    let run_of = |segment: u32| segments.get(segment as usize).map_or(0, |segment| segment.run);
    let mut run = run_of(0);
    frames.retain_mut(|found| {
        if found.lsn <= start.cut {
            return false;
        }
        // Behind a missing segment the same LSN may be another frame.
        let apart = run_of(found.segment) != run;
        if (found.lsn > next || apart && found.lsn == next) && next <= watermark && salvage {
            judged.miss(segments, start, next, (found.lsn - 1).min(watermark).max(next));
            (next, run) = (found.lsn, run_of(found.segment));
            gap = true;
        }
        if found.lsn != next || run_of(found.segment) != run {
            judged.torn_frames += 1;
            return false;
        }
        next += 1;
        found.gap = std::mem::take(&mut gap);
        judged.end = (found.segment as usize, found.end());
        true
    });
    judged.frames = frames;
    if next <= watermark {
        judged.miss(segments, start, next, watermark);
    }
    judged.torn_frames += drop_parts(&mut judged.frames);
    judged
}

impl Judged {
    fn miss(&mut self, segments: &[Segment], start: Start, first: u64, last: u64) {
        let (segment, offset) = self.end;
        // Where no segment is left, the one that should be the first is missing.
        let number =
            segments.get(segment).map_or(start.first_segment, |segment| segment.header.number);
        self.lost.push(Lost { first, last, file: Kind::Log.name(number), offset: offset as u64 });
    }
}

/// Takes out the frames of groups that are not whole. Returns how many.
fn drop_parts(frames: &mut Vec<Found>) -> u64 {
    if frames.iter().all(|found| found.left == 0 && !found.continues) {
        return 0;
    }
    let before = frames.len();
    let mut whole: Vec<Found> = Vec::with_capacity(before);
    let mut group: Vec<Found> = Vec::new();
    let mut gap = false;
    for found in frames.drain(..) {
        gap |= found.gap;
        let follows = group
            .last()
            .is_some_and(|last| !found.gap && Some(last.left) == found.left.checked_add(1));
        if found.continues != follows || !found.continues {
            group.clear();
        }
        if found.continues && !follows {
            continue;
        }
        group.push(found);
        if found.left == 0 {
            if let Some(first) = group.first_mut() {
                first.gap = std::mem::take(&mut gap);
            }
            whole.append(&mut group);
        }
    }
    *frames = whole;
    (before - frames.len()) as u64
}

/// Bytes up to the last that is not zero. Most of a segment is allocated and was never written.
fn used(bytes: &[u8]) -> u64 {
    let (pieces, rest) = bytes.as_chunks::<64>();
    let in_rest = rest.iter().rposition(|byte| *byte != 0).map(|at| pieces.len() * 64 + at + 1);
    let last = || pieces.iter().rposition(|piece| *piece != [0; 64]);
    in_rest.or_else(|| last().map(|at| (at + 1) * 64)).map_or(0, |end| {
        let zeros = bytes.get(..end).unwrap_or(bytes).iter().rev().take_while(|byte| **byte == 0);
        (end - zeros.count()) as u64
    })
}

fn torn_bytes(segments: &[Segment], end: (usize, usize)) -> u64 {
    let (last, offset) = end;
    let mut torn = 0;
    for (index, segment) in segments.iter().enumerate().skip(last) {
        let from = if index == last { offset } else { FRAMES_AT as usize };
        torn += used(segment.bytes.get(from..).unwrap_or_default());
    }
    torn
}

impl Recovered {
    /// The place behind the frame with this LSN; nowhere if it is not in the log.
    pub(crate) fn position(&self, lsn: u64) -> Position {
        let at = self.frames.binary_search_by_key(&lsn, |found| found.lsn).ok();
        let found = at.and_then(|at| self.frames.get(at));
        found.map_or(Position { number: 0, offset: 0, lsn }, |found| Position {
            number: self
                .segments
                .get(found.segment as usize)
                .map_or(0, |segment| segment.header.number),
            offset: found.end() as u64,
            lsn,
        })
    }

    /// The frames after this LSN, unsealed, to be written into another segment.
    pub(crate) fn frames_after(&self, lsn: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for found in self.frames.iter().filter(|found| found.lsn > lsn) {
            let Some(segment) = self.segments.get(found.segment as usize) else { continue };
            let (start, size) = (bytes.len(), found.size as usize);
            let rest = segment.bytes.get(found.offset..).unwrap_or_default();
            bytes.extend_from_slice(rest.get(..size).unwrap_or(rest));
            // A file may end in the padding of its last frame.
            bytes.resize(start + size, 0);
            frame::unseal(bytes.get_mut(start..).unwrap_or_default(), segment.header.salt);
        }
        bytes
    }

    /// Frames of the stream.
    pub(crate) fn count(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Bytes of the frames of the stream.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.iter().map(|found| u64::from(found.size)).sum()
    }

    /// The segments of the chain: number and the last LSN that lies in them, oldest first.
    pub(crate) fn segments(&self) -> Vec<(u64, u64)> {
        let next = self.segments.iter().skip(1).map(|next| next.header.previous.lsn);
        // Behind the end of the stream nothing is needed: those LSNs are given out once more.
        let ends = next.chain([self.last_lsn]).map(|end| end.min(self.last_lsn));
        self.segments.iter().map(|segment| segment.header.number).zip(ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segment::{Encoding, Identity};

    /// Behind a missing segment lies a frame whose LSN is the next one, of a tail that was cut off
    /// before: it is another frame than the one that followed.
    #[test]
    fn the_next_lsn_behind_a_missing_segment_is_another_frame() {
        let encoding = Encoding { codec: 1, schema: 0 };
        let segment = |number, run| Segment {
            header: Header {
                identity: Identity { uuid: [7; 16], encoding },
                number,
                previous: Position::default(),
                salt: 0,
            },
            bytes: Vec::new(),
            run,
        };
        let frame = |segment, lsn| Found {
            segment,
            offset: FRAMES_AT as usize + 8 * lsn as usize,
            size: 8,
            lsn,
            continues: false,
            left: 0,
            gap: false,
            what: What::Put,
        };
        let start = Start { uuid: [7; 16], cut: 0, watermark: 0, first_segment: 1 };
        for (run, lsns, torn) in [(0, vec![1, 2, 3], 0), (1, vec![1, 2], 1)] {
            let segments = [segment(1, 0), segment(3, run)];
            let frames = vec![frame(0, 1), frame(0, 2), frame(1, 3)];
            let judged = judge(Survey { frames, ..Survey::default() }, &segments, start, false);
            let found: Vec<u64> = judged.frames.iter().map(|found| found.lsn).collect();
            assert_eq!((found, judged.torn_frames), (lsns, torn), "run {run}");
        }
    }
}
