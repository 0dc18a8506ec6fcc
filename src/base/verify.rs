//! Checks every checksum of a base: blocks, records, directory, filter. The header, the fences and
//! the lost ranges were checked when it was opened.
//!
//! Goes on behind damage, and says what each piece of it costs.

use super::Record;
use super::directory::DIRECTORY_PAGE;
use super::filter;
use super::iter::{Damage, Step};
use super::read::Base;
use crate::error::Result;

/// Bytes of the filter that are read at a time.
const FILTER_BYTES: usize = 1024 * filter::LINE;

/// A piece that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Records of these hashes are lost.
    Block(Damage),
    /// The rest of the base cannot be gone through.
    Rest(u64),
    /// A record, in the block at this offset.
    Record(u64),
    /// A page of the directory at this offset.
    Directory(u64),
    /// A line of the filter at this offset.
    Filter(u64),
    /// There are so many records, and the header says so many others.
    Count(u64, u64),
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) records: u64,
    /// Records that the header counts and that were not found.
    pub(crate) missing: u64,
}

impl Base {
    /// Reads the whole file, and tells every flaw in it. `progress` is told how far it has come.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn verify(
        &self,
        mut flaw: impl FnMut(Flaw),
        mut progress: impl FnMut(u64),
    ) -> Result<Checked> {
        let mut checked = self.verify_blocks(&mut flaw, &mut progress)?;
        for page in 0..self.fences.count() {
            match self.directory(page) {
                Err(error) if error.is_corrupt() => {
                    flaw(Flaw::Directory(
                        self.header.directory.offset + (page * DIRECTORY_PAGE) as u64,
                    ));
                }
                page => {
                    page?;
                }
            }
        }
        self.verify_filter(&mut flaw)?;
        let counted = self.values() + self.tombstones();
        checked.missing = counted.saturating_sub(checked.records);
        progress(self.file_bytes());
        Ok(checked)
    }

    fn verify_blocks(
        &self,
        flaw: &mut impl FnMut(Flaw),
        progress: &mut impl FnMut(u64),
    ) -> Result<Checked> {
        let (mut records, mut record) = (self.iter(0)?, Record::empty());
        let (mut checked, mut broken) = (Checked::default(), false);
        loop {
            match records.read(&mut record) {
                Ok(Step::Record) => {
                    checked.records += 1;
                    if !records.is_sealed() {
                        flaw(Flaw::Record(records.offset()));
                        broken = true;
                    }
                    if checked.records % 1024 == 0 {
                        progress(records.offset());
                    }
                }
                Ok(Step::Damaged(damage)) => {
                    flaw(Flaw::Block(damage));
                    broken = true;
                }
                Ok(Step::End) => break,
                Err(error) if error.is_corrupt() => {
                    flaw(Flaw::Rest(error.byte_offset().unwrap_or(0)));
                    return Ok(checked);
                }
                Err(error) => return Err(error),
            }
        }
        let counted = self.values() + self.tombstones();
        if !broken && checked.records != counted {
            flaw(Flaw::Count(checked.records, counted));
        }
        Ok(checked)
    }

    fn verify_filter(&self, flaw: &mut impl FnMut(Flaw)) -> Result<()> {
        let part = self.header.filter;
        let mut bytes = Vec::new();
        for start in (0..part.length).step_by(FILTER_BYTES) {
            let count = (part.length - start).min(FILTER_BYTES as u64);
            bytes.resize(usize::try_from(count).unwrap_or(FILTER_BYTES), 0);
            let at = part.offset + start;
            self.copy(at, &mut bytes)?;
            let (lines, _) = bytes.as_chunks();
            for (line, at) in lines.iter().zip((at..).step_by(filter::LINE)) {
                if !filter::verifies(line, self.header.salt, at) {
                    flaw(Flaw::Filter(at));
                }
            }
        }
        Ok(())
    }
}
