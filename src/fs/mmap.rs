//! A sealed file as a memory map that is only ever copied from.
//!
//! The one file in which `unsafe` is allowed. Knows no names and no formats. It never makes a
//! reference into the map: another process could change the bytes under it, and a `&[u8]` says
//! that nobody does. So what was copied out is to be verified on the copy.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::ptr;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::Image;

/// A read-only, shared map of a whole file, as long as the file was when it was mapped.
///
/// A page that the disk cannot deliver, or that somebody has cut off the file since, ends the
/// process with SIGBUS; whoever wants an error instead asks for an image that is not mapped.
pub(super) struct Mapped {
    map: MmapRaw,
}

impl Mapped {
    /// Maps `file`, which may be closed afterwards. Costs address space, no memory until read.
    pub(super) fn new(file: &fs::File) -> io::Result<Mapped> {
        let map = MmapOptions::new().map_raw_read_only(file)?;
        // Hints. A kernel that refuses them still reads right: it reads ahead for nothing, or
        // writes sessions into a core dump.
        let _ = map.advise(Advice::Random);
        let _ = map.advise(Advice::DontDump);
        Ok(Mapped { map })
    }
}

impl Image for Mapped {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = start_within(self.map.len(), offset, buf.len())?;
        // SAFETY: `start_within` has checked that `start + buf.len()` is at most the length of
        // the map, which stays mapped and readable for as long as `self` lives: a `MmapRaw` is
        // unmapped by its drop alone, and nothing here remaps it. `buf` is borrowed exclusively
        // and lies outside the map, because no reference into the map is ever made. Bytes that
        // another process changes meanwhile are still bytes, which `u8` takes as they come.
        // The tests below read up to the last byte, past it, and past the address space.
        unsafe {
            ptr::copy_nonoverlapping(self.map.as_ptr().add(start), buf.as_mut_ptr(), buf.len());
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.map.len() as u64
    }
}

/// Where `count` bytes at `offset` begin, if they lie within a map of `size` bytes.
fn start_within(size: usize, offset: u64, count: usize) -> io::Result<usize> {
    usize::try_from(offset)
        .ok()
        .filter(|start| start.checked_add(count).is_some_and(|end| end <= size))
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size: usize, offset: u64, count: usize, expected: Option<usize>) {
        let start = start_within(size, offset, count);
        assert_eq!(start.as_ref().ok().copied(), expected, "{count} at {offset} of {size}");
        if let Err(error) = start {
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn what_lies_within_is_found() {
        check(10, 0, 10, Some(0));
        check(10, 9, 1, Some(9));
        check(10, 10, 0, Some(10));
        check(0, 0, 0, Some(0));
    }

    #[test]
    fn what_reaches_past_the_end_is_refused() {
        check(10, 0, 11, None);
        check(10, 10, 1, None);
        check(10, 11, 0, None);
        check(0, 0, 1, None);
    }

    #[test]
    fn sums_that_overflow_are_refused() {
        check(10, u64::MAX, 1, None);
        check(10, 5, usize::MAX, None);
        check(usize::MAX, u64::MAX, 1, None);
    }
}
