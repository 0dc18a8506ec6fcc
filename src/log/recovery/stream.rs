//! The stream of frames as those see it who apply it.

use std::ops::Range;

use super::{Found, Recovered, What};
use crate::id::Key;
use crate::log::frame::{self, Frame, Op};
use crate::log::segment::Encoding;

/// A part of the stream that is applied in one step.
pub(crate) enum Step {
    /// Changes of single records and marks, by their place in the stream: those of different
    /// records may be applied in any order.
    Changes(Range<usize>),
    /// Everything up to this LSN is gone.
    Clear(u64),
    /// Frames are missing here.
    Gap,
}

/// What replay tells its caller.
#[cfg(any(feature = "cli", feature = "__inside"))]
pub(crate) enum Event<'a> {
    /// A frame, and how the value in it is encoded.
    Op(u64, Encoding, Op<'a>),
    /// Frames are missing here.
    Gap,
}

impl Recovered {
    /// Gives the frames of the stream in order.
    #[cfg(any(feature = "cli", feature = "__inside"))]
    pub(crate) fn replay<E>(
        &self,
        mut apply: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for found in &self.frames {
            let (encoding, rest) = self.at(found);
            let Ok(frame) = frame::parse(rest) else { continue };
            if found.gap {
                apply(Event::Gap)?;
            }
            apply(Event::Op(frame.lsn, encoding, frame.op))?;
        }
        if self.lacks_its_end() {
            apply(Event::Gap)?;
        }
        Ok(())
    }

    /// The stream in steps.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let (mut steps, mut first) = (Vec::new(), 0);
        for (found, at) in self.frames.iter().zip(0..) {
            if !found.gap && found.what != What::Clear {
                continue;
            }
            steps.push(Step::Changes(first..at));
            first = at;
            if found.gap {
                steps.push(Step::Gap);
            }
            if found.what == What::Clear {
                steps.push(Step::Clear(found.lsn));
                first += 1;
            }
        }
        steps.push(Step::Changes(first..self.frames.len()));
        if self.lacks_its_end() {
            steps.push(Step::Gap);
        }
        steps
    }

    /// Gives the changes of a step in order, of those records that are `wanted`.
    pub(crate) fn changes(
        &self,
        step: Range<usize>,
        wanted: impl Fn(&Key) -> bool,
        mut apply: impl FnMut(u64, Encoding, Op<'_>),
    ) {
        for found in self.frames.get(step).unwrap_or_default() {
            let (encoding, rest) = self.at(found);
            let is_wanted =
                found.what != What::Mark && frame::key(rest).is_some_and(|key| wanted(&key));
            if is_wanted && let Ok(frame) = frame::parse(rest) {
                apply(frame.lsn, encoding, frame.op);
            }
        }
    }

    /// The bytes from a frame on, and how its value is encoded.
    fn at(&self, found: &Found) -> (Encoding, &[u8]) {
        let Some(segment) = self.segments.get(found.segment as usize) else {
            return (Encoding { codec: 0, schema: 0 }, &[]);
        };
        let rest = segment.bytes.get(found.offset..).unwrap_or_default();
        (segment.header.identity.encoding, rest)
    }

    /// Whether frames are missing behind the last one.
    fn lacks_its_end(&self) -> bool {
        self.lost.last().is_some_and(|lost| lost.last > self.last_lsn)
    }

    /// The times in the stream's marks.
    pub(crate) fn marks(&self) -> impl Iterator<Item = i64> {
        let marks = self.frames.iter().filter(|found| found.what == What::Mark);
        marks.filter_map(|found| match frame::parse(self.at(found).1) {
            Ok(Frame { op: Op::Mark(time), .. }) => Some(time),
            _ => None,
        })
    }

    /// Whether marks are all there is, and was.
    pub(crate) fn has_only_marks(&self) -> bool {
        let is_mark = |found: &Found| found.what == What::Mark && !found.gap;
        self.frames.iter().all(is_mark) && !self.lacks_its_end()
    }

    /// How the values in the stream are encoded, each.
    pub(crate) fn encodings(&self) -> impl Iterator<Item = Encoding> {
        let puts = self.frames.iter().filter(|found| found.what == What::Put);
        puts.map(|found| self.at(found).0)
    }
}
