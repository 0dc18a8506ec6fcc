//! Checks every checksum of the log that was read, also of frames that the bases speak for.
//!
//! Says where something is that is no frame, not what that means: the watermark has decided it.

use super::{Recovered, Segment, used};
use crate::fs::layout::Kind;
use crate::log::frame::{self, ALIGN};
use crate::log::segment::{FRAMES_AT, copies};

/// A place in a segment that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) kind: FaultKind,
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// One of the two copies of the header.
    Header,
    /// No frames, where those with the first to the last of these LSNs should be.
    Frames(u64, u64),
    /// So many bytes from here to the last that is not zero, which no frame follows.
    Tail(u64),
}

impl Recovered {
    /// Everything in the chain that does not verify, and how many frames and bytes were looked
    /// at.
    pub(crate) fn verify(&self) -> (Vec<Fault>, u64, u64) {
        let (mut faults, mut frames, mut bytes) = (Vec::new(), 0, 0);
        for segment in &self.segments {
            let file = Kind::Log.name(segment.header.number);
            let mut note = |offset, kind| faults.push(Fault { file: file.clone(), offset, kind });
            for (at, whole) in copies(&segment.bytes) {
                if !whole {
                    note(at, FaultKind::Header);
                }
            }
            frames += segment.scan(&mut note);
            bytes += segment.bytes.len() as u64;
        }
        (faults, frames, bytes)
    }
}

impl Segment {
    /// Goes through the frames; returns how many there are.
    fn scan(&self, note: &mut impl FnMut(u64, FaultKind)) -> u64 {
        let (mut offset, mut frames) = (FRAMES_AT as usize, 0);
        let (mut last, mut bad) = (self.header.previous.lsn, None);
        while let Some(rest) = self.bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let Ok(frame) = frame::read(rest, self.header.salt) else {
                bad.get_or_insert(offset);
                offset += ALIGN + frame::distance(rest.get(ALIGN..).unwrap_or_default());
                continue;
            };
            if let Some(start) = bad.take() {
                let missing =
                    FaultKind::Frames(last.saturating_add(1), frame.lsn.saturating_sub(1));
                note(start as u64, missing);
            }
            last = frame.lsn;
            frames += 1;
            offset += frame.size;
        }
        let tail = bad.map(|start| (start, used(self.bytes.get(start..).unwrap_or_default())));
        if let Some((start, bytes)) = tail.filter(|(_, bytes)| *bytes > 0) {
            note(start as u64, FaultKind::Tail(bytes));
        }
        frames
    }
}
