//! Writes a base in one pass, from records that come in order.
//!
//! Knows the order of the parts and what is counted; what a block or a line of the filter looks
//! like is theirs. The header is written last, and nothing has a name that counts before the
//! caller renames the file.

use std::path::PathBuf;
use std::sync::Arc;

use super::directory::Directory;
use super::filter::Filter;
use super::header::{BLOCKS_AT, Header, Section};
use super::histogram::Histogram;
use super::lost::Lost;
use super::{Kind, PAGE, RecordRef, VALUE_MAX, block};
use crate::clock::{Epoch, Tick};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{File, Fs};
use crate::hash::Seed;
use crate::id::Key;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Each part begins at a multiple of this, so that no line of the filter lies on two cache lines.
const ALIGNMENT: usize = 64;

/// What a base is told of itself when it is begun.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// The number of the base; never used twice in a store.
    pub number: u64,
    /// The store that it belongs to.
    pub uuid: [u8; 16],
    pub seed: Seed,
    /// The base speaks for all LSNs up to this one.
    pub cut: u64,
    /// What its ticks are counted from.
    pub epoch: Epoch,
    pub codec: u32,
    pub schema: u64,
    /// How many records there may be. The filter has ten bits for each; with more of them it
    /// only grows less sharp.
    pub expected_records: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub file_bytes: u64,
    pub values: u64,
    pub tombstones: u64,
    pub value_bytes: u64,
    /// The highest LSN of a record in it, or 0.
    pub highest: u64,
}

/// A base that is being written. Dropped unfinished, or after an error, it leaves a file that
/// is no base; the caller removes it.
pub(crate) struct Builder {
    sink: Sink,
    salt: u32,
    meta: Meta,
    block: block::Writer,
    directory: Directory,
    filter: Filter,
    lost: Lost,
    histogram: Histogram,
    deadlines: Option<(Tick, Tick)>,
    values: u64,
    tombstones: u64,
    value_bytes: u64,
    highest: u64,
    last: Option<(u64, Key)>,
}

impl Builder {
    /// Begins the file `name`, which must not exist. Holds ten bits for each expected record
    /// and twelve bytes for each block in memory until it is finished.
    ///
    /// # Errors
    /// `is_disk_full` and other errors of the file system, here and in all that follows.
    pub(crate) fn create(fs: &dyn Fs, name: &str, meta: Meta) -> Result<Self> {
        let path = fs.path().join(name);
        let file = fs
            .create(name)
            .map_err(|error| Error::io("a new base could not be created", error).at(&path))?;
        let salt = salt(&meta);
        Ok(Builder {
            sink: Sink { file, path, buffer: Vec::new(), offset: BLOCKS_AT },
            salt,
            block: block::Writer::new(salt, 1),
            directory: Directory::new(),
            filter: Filter::new(meta.expected_records),
            lost: Lost::new(),
            histogram: Histogram::new(),
            deadlines: None,
            values: 0,
            tombstones: 0,
            value_bytes: 0,
            highest: 0,
            last: None,
            meta,
        })
    }

    /// Appends a record, the newest word on its key as of `lsn`. Records come in ascending
    /// order of (hash, key), each key once.
    ///
    /// # Errors
    /// `is_config` if the order is wrong or the hash is not the key's, `is_too_large` for a
    /// value of 16 MiB or more: then nothing has changed.
    pub(crate) fn push(&mut self, record: &RecordRef<'_>, lsn: u64) -> Result<()> {
        let place = (record.hash, record.key);
        if self.last.is_some_and(|last| last >= place) {
            return Err(self.refuse(ErrorKind::Config, "records must come in ascending order"));
        }
        // Readers work the hash out from the key.
        if self.meta.seed.hash(&record.key) != record.hash {
            return Err(self.refuse(ErrorKind::Config, "the hash of a record is not its key's"));
        }
        let bytes = match record.kind {
            Kind::Value(value) => value.len(),
            Kind::Tombstone => 0,
        };
        if bytes > VALUE_MAX {
            return Err(self.refuse(ErrorKind::TooLarge, "a value is larger than a base can hold"));
        }
        if !self.block.is_empty() && !self.block.fits(bytes) {
            self.close_block()?;
        }
        self.block.add(record);
        self.filter.add(record.hash);
        match record.kind {
            Kind::Value(_) => self.count_value(record.deadline, bytes as u64),
            Kind::Tombstone => self.tombstones += 1,
        }
        self.highest = self.highest.max(lsn);
        self.last = Some(place);
        Ok(())
    }

    fn count_value(&mut self, deadline: Tick, bytes: u64) {
        self.values += 1;
        self.value_bytes += bytes;
        self.histogram.add(deadline);
        let (low, high) = self.deadlines.unwrap_or((deadline, deadline));
        self.deadlines = Some((low.min(deadline), high.max(deadline)));
    }

    /// Says that the records with hashes `lo..=hi` were lost, but for those that are pushed.
    pub(crate) fn add_lost(&mut self, lo: u64, hi: u64) {
        self.lost.add(lo, hi);
    }

    /// Whether ranges were lost: then a base says something even without a record.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.ranges().is_empty()
    }

    /// Bytes written so far, buffered ones included.
    pub(crate) fn bytes(&self) -> u64 {
        self.sink.end()
    }

    /// Records pushed so far, tombstones included.
    pub(crate) fn records(&self) -> u64 {
        self.values + self.tombstones
    }

    pub(crate) fn seed(&self) -> Seed {
        self.meta.seed
    }

    /// Writes what is left, the header last, and syncs the file. The caller then renames it.
    pub(crate) fn finish(mut self) -> Result<Summary> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        let blocks = Section { offset: BLOCKS_AT, length: self.sink.end() - BLOCKS_AT };
        let salt = self.salt;
        let directory = self.directory;
        let section = self
            .sink
            .section(|sink, at| directory.pages(salt, at).try_for_each(|page| sink.put(&page)))?;
        let fences = self.sink.section(|sink, at| sink.put(&directory.fences(salt, at)))?;
        let filter = self.filter;
        let filter = self
            .sink
            .section(|sink, at| filter.seal(salt, at).iter().try_for_each(|line| sink.put(line)))?;
        let lost = self.sink.section(|sink, at| sink.put(&self.lost.encode(salt, at)))?;
        self.sink.flush()?;
        let (deadline_min, deadline_max) = self.deadlines.unwrap_or_default();
        let header = Header {
            uuid: self.meta.uuid,
            number: self.meta.number,
            cut: self.meta.cut,
            highest: self.highest,
            seed: self.meta.seed,
            epoch: self.meta.epoch,
            salt,
            codec: self.meta.codec,
            schema: self.meta.schema,
            values: self.values,
            tombstones: self.tombstones,
            value_bytes: self.value_bytes,
            deadline_min,
            deadline_max,
            block_count: self.sink.number(directory.blocks())?,
            page_count: self.sink.number(blocks.length / PAGE as u64)?,
            blocks,
            directory: section,
            fences,
            filter,
            lost,
            file_bytes: self.sink.end(),
            histogram: self.histogram,
        };
        self.sink.header(&header.encode())?;
        Ok(Summary {
            file_bytes: header.file_bytes,
            values: header.values,
            tombstones: header.tombstones,
            value_bytes: header.value_bytes,
            highest: header.highest,
        })
    }

    fn close_block(&mut self) -> Result<()> {
        self.directory.add(self.block.first(), self.block.page());
        if self.block.close(&mut self.sink.buffer).is_none() {
            return Err(self.refuse(ErrorKind::TooLarge, "a base is larger than its format allows"));
        }
        self.sink.flush_if_full()
    }

    fn refuse(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).at(&self.sink.path)
    }
}

/// Tells the pieces of one base from those of every other: numbers are never used twice.
fn salt(meta: &Meta) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&meta.uuid);
    hasher.update(&meta.number.to_le_bytes());
    hasher.finalize()
}

/// Gathers bytes and writes them one behind the other.
struct Sink {
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    offset: u64,
}

impl Sink {
    fn end(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.flush_if_full()
    }

    /// Writes a part of the file from the next aligned offset on, which it is told.
    fn section(&mut self, write: impl FnOnce(&mut Self, u64) -> Result<()>) -> Result<Section> {
        let padding = self.end().next_multiple_of(ALIGNMENT as u64) - self.end();
        self.buffer.extend(std::iter::repeat_n(0, padding as usize));
        let offset = self.end();
        write(self, offset)?;
        Ok(Section { offset, length: self.end() - offset })
    }

    fn flush_if_full(&mut self) -> Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_at(&self.buffer, self.offset);
        written.map_err(|error| self.failed(self.offset, "could not be written", error))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn header(&mut self, page: &[u8]) -> Result<()> {
        let written = self.file.write_at(page, 0);
        written.map_err(|error| self.failed(0, "could not be written", error))?;
        self.file.sync().map_err(|error| self.failed(0, "could not be synced", error))
    }

    fn failed(&self, offset: u64, what: &str, error: std::io::Error) -> Error {
        Error::io(format!("a new base {what}"), error).at(&self.path).offset(offset)
    }

    fn number(&self, number: u64) -> Result<u32> {
        u32::try_from(number).map_err(|_| {
            Error::new(ErrorKind::TooLarge, "a base is larger than its format allows")
                .at(&self.path)
        })
    }
}
