//! The slow scanner: what a log says, step by step as the page of the format has it, without the
//! crate's code and without a thought for speed.

use std::collections::BTreeMap;

use sessile::Key;
use sessile::testing::inside::Said;

use super::wire::{bytes_at, crc, u16_at, u32_at, u64_at};

/// Where the frames of a segment begin.
const FRAMES_AT: usize = 4096;
/// LSNs are below this.
pub const LSN_END: u64 = 1 << 47;

/// What recovery starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Of the store.
    pub uuid: [u8; 16],
    /// The bases speak up to here.
    pub cut: u64,
    /// The manifest's.
    pub watermark: u64,
    /// Smaller numbers are not needed.
    pub first_segment: u64,
}

/// Another version of the crate must read this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer;

/// A segment's header, as far as a reader needs it.
#[derive(Clone, Copy, Debug)]
struct Header {
    uuid: [u8; 16],
    number: u64,
    before: u64,
    before_ends: u64,
    before_lsn: u64,
    salt: u32,
    codec: u32,
    schema: u64,
}

/// A valid frame, alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number.
    pub lsn: u64,
    /// LSN − lag, if it claims something.
    pub claim: Option<u64>,
    /// It goes on with a group.
    pub continues: bool,
    /// How many of the group follow.
    pub left: u16,
    /// Bytes, padding included.
    pub size: usize,
    /// What it says.
    pub said: Said,
}

/// A valid frame of a log.
#[derive(Clone, Debug)]
struct Found {
    segment: u64,
    codec: u32,
    schema: u64,
    end: usize,
    /// How many times a segment is missing between here and the end of the log.
    apart: usize,
    frame: Frame,
}

/// What a reader of the log learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The segments of the chain, oldest first.
    pub chain: Vec<u64>,
    /// The other ones.
    pub strays: Vec<u64>,
    /// Everything up to this LSN was on disk.
    pub watermark: u64,
    /// LSNs that were acknowledged and are missing: without salvage the one range that is damage.
    pub lost: Vec<(u64, u64)>,
    /// Behind which frame of the stream the reading broke off: segment and offset.
    pub broke_off: Option<(u64, usize)>,
    /// The stream: gaps, and LSN, codec, schema tag and content of frames.
    pub stream: Vec<Item>,
    /// The end of each frame of the stream: LSN, segment, offset.
    pub places: Vec<(u64, u64, usize)>,
    /// The highest LSN of a valid frame, or the cut.
    pub highest: u64,
    /// Valid frames above the cut that are no part of the stream.
    pub torn_frames: u64,
    /// Whether anything but zeros lies behind the last frame that was taken.
    pub torn_bytes: bool,
}

/// One item of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Frames are missing.
    Gap,
    /// A frame.
    Frame(u64, u32, u64, Said),
}

fn header(file: &[u8]) -> Result<Option<Header>, Newer> {
    for at in [0, 512] {
        let Some(copy) = file.get(at..at + 112) else { continue };
        if u32_at(copy, 108) != crc(&copy[..108], 0) || &copy[..8] != b"\x93SSLOG\r\n" {
            continue;
        }
        if u16_at(copy, 8) > 1 || u32_at(copy, 20) != 0 {
            return Err(Newer);
        }
        return Ok(Some(Header {
            uuid: bytes_at(copy, 24),
            number: u64_at(copy, 40),
            before: u64_at(copy, 48),
            before_ends: u64_at(copy, 56),
            before_lsn: u64_at(copy, 64),
            salt: u32_at(copy, 72),
            codec: u32_at(copy, 76),
            schema: u64_at(copy, 80),
        }));
    }
    Ok(None)
}

/// The frame that begins with `bytes`, if a valid one does.
pub fn frame(bytes: &[u8], salt: u32) -> Option<Frame> {
    let head = bytes.get(..32)?;
    if head[0] != 0xA5 || u32_at(head, 28) != crc(&head[..28], salt) {
        return None;
    }
    let length = u32_at(head, 4) as usize;
    let body = bytes.get(32..32 + length)?;
    if u32_at(head, 20) != crc(body, 0) ^ salt {
        return None;
    }
    let key = || Key::from_bytes(bytes_at(body, 0));
    let terms = || (u64_at(body, 16) as i64, u64_at(body, 24) as i64, u32_at(body, 32));
    let said = match (head[1] & 0x7F, length) {
        (1, 36..) => Said::Put(key(), terms(), body[36..].to_vec()),
        (2, 16) => Said::Remove(key()),
        (3, 36) => Said::Terms(key(), terms()),
        (4, 0) => Said::Clear,
        (5, 8) => Said::Mark(u64_at(body, 0) as i64),
        _ => return None,
    };
    let (lsn, lag) = (u64_at(head, 8), u32_at(head, 16));
    if lsn >= LSN_END {
        return None;
    }
    Some(Frame {
        lsn,
        claim: (lag != u32::MAX).then(|| lsn.saturating_sub(lag.into())),
        continues: head[1] & 0x80 != 0,
        left: u16_at(head, 2),
        size: (32 + length).next_multiple_of(8),
        said,
    })
}

/// A segment of the chain, where it ends for good, and how often one is missing behind it.
type Link = (Header, usize, usize);

/// "Which segments count".
fn chain(files: &BTreeMap<u64, Vec<u8>>, start: Start) -> Result<(Vec<Link>, Vec<u64>), Newer> {
    let (mut usable, mut strays) = (BTreeMap::new(), Vec::new());
    for (number, bytes) in files.iter().filter(|(number, _)| **number >= start.first_segment) {
        match header(bytes)? {
            Some(header) if header.number == *number && header.uuid == start.uuid => {
                usable.insert(*number, header);
            }
            _ => strays.push(*number),
        }
    }
    let mut chain = Vec::new();
    let (mut wanted, mut end, mut below) = (u64::MAX, u64::MAX, u64::MAX);
    let mut apart = 0;
    // The predecessor, or the next smaller one where that is gone.
    while let Some(number) =
        usable.range(..=wanted).rev().map(|(number, _)| *number).find(|number| *number < below)
    {
        let header: Header = usable.remove(&number).expect("it was just found");
        let missing = number != wanted && !chain.is_empty();
        apart += usize::from(missing);
        let ends = if missing { u64::MAX } else { end };
        chain.push((header, usize::try_from(ends).unwrap_or(usize::MAX), apart));
        if header.before == 0 || header.before_lsn <= start.cut {
            break;
        }
        (wanted, end, below) = (header.before, header.before_ends, number);
    }
    chain.reverse();
    strays.extend(usable.keys());
    strays.sort_unstable();
    Ok((chain, strays))
}

/// "Scan each segment of the chain, oldest first, from offset 4096 to its end."
fn scan(file: &[u8], header: &Header, apart: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = FRAMES_AT;
    while at < file.len() {
        let valid = if file[at] == 0xA5 { frame(&file[at..], header.salt) } else { None };
        match valid {
            Some(frame) => {
                at += frame.size;
                let Header { number: segment, codec, schema, .. } = *header;
                found.push(Found { segment, codec, schema, end: at, apart, frame });
            }
            None => at += 8,
        }
    }
    found
}

/// Whether each frame of a run is in a group that is whole.
fn whole(run: &[(bool, Found)]) -> Vec<bool> {
    let mut kept = vec![false; run.len()];
    for first in 0..run.len() {
        if run[first].1.frame.continues {
            continue;
        }
        // The group goes on as long as each frame fits behind the one before.
        let mut last = first;
        while let Some((gap, next)) = run.get(last + 1) {
            let (before, after) = (&run[last].1.frame, &next.frame);
            let fits = after.continues
                && !gap
                && before.lsn.checked_add(1) == Some(after.lsn)
                && before.left.checked_sub(1) == Some(after.left);
            if !fits {
                break;
            }
            last += 1;
        }
        if run[last].1.frame.left == 0 {
            kept[first..=last].fill(true);
        }
    }
    kept
}

/// Reads the log that lies in these files.
///
/// # Errors
/// If a header is of a newer version.
pub fn read(files: &BTreeMap<u64, Vec<u8>>, start: Start, salvage: bool) -> Result<Reading, Newer> {
    let (chain, strays) = chain(files, start)?;
    let mut all = Vec::new();
    for (header, end, apart) in &chain {
        let file = &files[&header.number];
        all.extend(scan(&file[..file.len().min(*end)], header, *apart));
    }
    let claims = all.iter().filter_map(|found| found.frame.claim);
    let watermark = claims.fold(start.watermark.max(start.cut), u64::max);
    // The stream, each frame with whether others are missing before it.
    let mut taken: Vec<(bool, Found)> = Vec::new();
    let (mut lost, mut gap) = (Vec::new(), false);
    let mut apart = chain.first().map_or(0, |link| link.2);
    let mut next = u128::from(start.cut) + 1;
    for found in all.iter().filter(|found| found.frame.lsn > start.cut) {
        let lsn = u128::from(found.frame.lsn);
        let missing = found.apart != apart;
        if (lsn > next || missing && lsn == next) && next <= watermark.into() && salvage {
            let last = (found.frame.lsn - 1).min(watermark);
            lost.push((next as u64, last.max(next as u64)));
            (next, gap, apart) = (lsn, true, found.apart);
        }
        if lsn == next && found.apart == apart {
            taken.push((gap, found.clone()));
            (next, gap) = (next + 1, false);
        }
    }
    let ends_lost = next <= watermark.into();
    if ends_lost {
        lost.push((next as u64, watermark));
    }
    let kept = whole(&taken);
    let (mut stream, mut places) = (Vec::new(), Vec::new());
    for ((gap, found), kept) in taken.iter().zip(&kept) {
        if *gap && stream.last() != Some(&Item::Gap) {
            stream.push(Item::Gap);
        }
        if *kept {
            let Found { segment, codec, schema, end, frame, .. } = found;
            stream.push(Item::Frame(frame.lsn, *codec, *schema, frame.said.clone()));
            places.push((frame.lsn, *segment, *end));
        }
    }
    if ends_lost && stream.last() != Some(&Item::Gap) {
        stream.push(Item::Gap);
    }
    let broke_off = taken.last().map(|(_, found)| (found.segment, found.end));
    let above = all.iter().filter(|found| found.frame.lsn > start.cut).count();
    let highest = all.iter().map(|found| found.frame.lsn).fold(start.cut, u64::max);
    Ok(Reading {
        torn_bytes: torn_bytes(files, &chain, broke_off),
        torn_frames: (above - places.len()) as u64,
        chain: chain.iter().map(|(header, ..)| header.number).collect(),
        strays,
        watermark,
        lost,
        broke_off,
        stream,
        places,
        highest,
    })
}

fn torn_bytes(
    files: &BTreeMap<u64, Vec<u8>>,
    chain: &[Link],
    broke_off: Option<(u64, usize)>,
) -> bool {
    let from = |number: u64| match broke_off {
        Some((last, _)) if number < last => usize::MAX,
        Some((last, end)) if number == last => end,
        _ => FRAMES_AT,
    };
    chain.iter().any(|(header, end, _)| {
        let file = &files[&header.number];
        let file = &file[..file.len().min(*end)];
        file.get(from(header.number)..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
    })
}
