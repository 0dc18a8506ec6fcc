//! The header of a base: what the file is, where its parts lie, and what it holds in sum.
//!
//! Knows the layout of the first page, not how the parts are laid out inside.

use super::histogram::Histogram;
use super::{Fields, PAGE, Seal, VALUE_MAX};
use super::{directory, filter, lost::Lost};
use crate::clock::{Epoch, Tick};
use crate::error::{Error, ErrorKind, Result};
use crate::hash::Seed;

/// No text, and damaged by whatever would take it for text.
const MAGIC: [u8; 8] = *b"\x89base\r\n\x1a";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
/// Bytes of the header of this version, checksum included.
const LENGTH: usize = 764;
/// Bytes that every version agrees on: magic, versions, length.
const PREFIX: usize = 16;
/// Flags that a reader must understand. There is none yet.
const INCOMPAT: u32 = 0;
/// [`Seed::hash`], the only hash there is.
const HASH_FOLDED: u32 = 1;
/// [`Seal`], the only checksum there is.
const CHECKSUM_CRC32: u32 = 1;
/// Offset of the first data block.
pub(super) const BLOCKS_AT: u64 = PAGE as u64;
/// Most pages that the largest record needs.
pub(super) const BLOCK_PAGES_MAX: u32 = (VALUE_MAX / PAGE + 2) as u32;

/// A part of the file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The fields of the header, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) uuid: [u8; 16],
    pub(super) number: u64,
    pub(super) cut: u64,
    pub(super) highest: u64,
    pub(super) seed: Seed,
    pub(super) epoch: Epoch,
    pub(super) salt: u32,
    pub(super) codec: u32,
    pub(super) schema: u64,
    pub(super) values: u64,
    pub(super) tombstones: u64,
    pub(super) value_bytes: u64,
    pub(super) deadline_min: Tick,
    pub(super) deadline_max: Tick,
    pub(super) block_count: u32,
    pub(super) page_count: u32,
    pub(super) blocks: Section,
    pub(super) directory: Section,
    pub(super) fences: Section,
    pub(super) filter: Section,
    pub(super) lost: Section,
    pub(super) file_bytes: u64,
    pub(super) histogram: Histogram,
}

impl Header {
    /// The page to write.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE);
        let mut put = |bytes: &[u8]| page.extend_from_slice(bytes);
        put(&MAGIC);
        put(&MAJOR.to_le_bytes());
        put(&MINOR.to_le_bytes());
        put(&(LENGTH as u32).to_le_bytes());
        put(&INCOMPAT.to_le_bytes());
        put(&0u32.to_le_bytes());
        put(&self.uuid);
        put(&self.number.to_le_bytes());
        put(&self.cut.to_le_bytes());
        put(&self.highest.to_le_bytes());
        put(&self.seed.to_bytes());
        put(&self.epoch.as_millis().to_le_bytes());
        put(&self.salt.to_le_bytes());
        put(&self.codec.to_le_bytes());
        put(&self.schema.to_le_bytes());
        put(&HASH_FOLDED.to_le_bytes());
        put(&CHECKSUM_CRC32.to_le_bytes());
        put(&self.values.to_le_bytes());
        put(&self.tombstones.to_le_bytes());
        put(&self.value_bytes.to_le_bytes());
        put(&self.deadline_min.to_le_bytes());
        put(&self.deadline_max.to_le_bytes());
        put(&self.block_count.to_le_bytes());
        put(&self.page_count.to_le_bytes());
        for section in [self.blocks, self.directory, self.fences, self.filter, self.lost] {
            put(&section.offset.to_le_bytes());
            put(&section.length.to_le_bytes());
        }
        put(&self.file_bytes.to_le_bytes());
        put(&self.histogram.first.to_le_bytes());
        put(&self.histogram.shift.to_le_bytes());
        for count in self.histogram.buckets {
            put(&count.to_le_bytes());
        }
        let crc = Seal::new(0, 0).add(&page).value();
        page.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(page.len(), LENGTH);
        page.resize(PAGE, 0);
        page
    }

    /// Reads the first page of a file of `size` bytes.
    ///
    /// # Errors
    /// `is_corrupt`, with the offset, or `is_mismatch` if another version must read this.
    pub(super) fn decode(page: &[u8], size: u64) -> Result<Self> {
        let mut fields = Fields(page);
        if fields.take() != Some(MAGIC) {
            return Err(corrupt(0, "this is not a base: it does not begin like one"));
        }
        let (Some(major), Some(minor)) = (fields.u16(), fields.u16()) else { return Err(short()) };
        let length = fields.u32().unwrap_or(0) as usize;
        let Some(sealed) = page.get(..length).filter(|_| length > PREFIX) else {
            return Err(corrupt(12, format!("a header of {length} bytes cannot be")));
        };
        let Some((sealed, crc)) = sealed.split_last_chunk::<4>() else { return Err(short()) };
        let (stored, computed) = (u32::from_le_bytes(*crc), Seal::new(0, 0).add(sealed).value());
        if stored != computed {
            let message = format!("the header's checksum is {stored:08x}, not {computed:08x}");
            return Err(corrupt(sealed.len() as u64, message));
        }
        if major != MAJOR {
            let message = format!(
                "this base has format {major}.{minor}; this version of the crate reads \
                 {MAJOR}.x: open it with the version that wrote it"
            );
            return Err(Error::new(ErrorKind::Mismatch, message).offset(8));
        }
        let mut fields = Fields(sealed.get(PREFIX..).unwrap_or_default());
        let incompat = fields.u32().unwrap_or(0);
        if incompat & !INCOMPAT != 0 {
            let message = format!(
                "this base has format {major}.{minor} with features {incompat:#x} that this \
                 version of the crate does not know: open it with a newer one"
            );
            return Err(Error::new(ErrorKind::Mismatch, message).offset(PREFIX as u64));
        }
        let Some((header, hash, checksum)) = Header::fields(&mut fields) else {
            return Err(short());
        };
        if (hash, checksum) != (HASH_FOLDED, CHECKSUM_CRC32) {
            let message = format!(
                "this base uses hash {hash} and checksum {checksum}, which this version of the \
                 crate does not know: open it with a newer one"
            );
            return Err(Error::new(ErrorKind::Mismatch, message).offset(104));
        }
        header.check(size)?;
        Ok(header)
    }

    /// The header, the id of the hash and the id of the checksum.
    fn fields(fields: &mut Fields<'_>) -> Option<(Self, u32, u32)> {
        let _compat = fields.u32()?;
        let uuid = fields.take()?;
        let (number, cut, highest) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let seed = Seed::from_bytes(fields.take()?);
        let epoch = Epoch::from_millis(i64::from_le_bytes(fields.take()?));
        let (salt, codec, schema) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let (hash, checksum) = (fields.u32()?, fields.u32()?);
        let (values, tombstones, value_bytes) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (deadline_min, deadline_max) = (fields.u32()?, fields.u32()?);
        let (block_count, page_count) = (fields.u32()?, fields.u32()?);
        let mut section = || Some(Section { offset: fields.u64()?, length: fields.u64()? });
        let (blocks, directory, fences) = (section()?, section()?, section()?);
        let (filter, lost) = (section()?, section()?);
        let file_bytes = fields.u64()?;
        let mut histogram = Histogram::new();
        (histogram.first, histogram.shift) = (fields.u32()?, fields.u32()?);
        for count in histogram.buckets.iter_mut() {
            *count = fields.u64()?;
        }
        let header = Header {
            uuid,
            number,
            cut,
            highest,
            seed,
            epoch,
            salt,
            codec,
            schema,
            values,
            tombstones,
            value_bytes,
            deadline_min,
            deadline_max,
            block_count,
            page_count,
            blocks,
            directory,
            fences,
            filter,
            lost,
            file_bytes,
            histogram,
        };
        Some((header, hash, checksum))
    }

    /// Whether size and parts fit together. A header that verifies and does not is our mistake,
    /// and is refused all the same.
    fn check(&self, size: u64) -> Result<()> {
        if self.file_bytes != size {
            let message = format!(
                "the file has {size} bytes, and its header says {}: it was cut or extended",
                self.file_bytes
            );
            return Err(corrupt(size.min(self.file_bytes), message));
        }
        let pages = directory::pages_for(self.block_count.into());
        let parts = [
            (self.blocks, self.blocks.length == u64::from(self.page_count) * PAGE as u64),
            (self.directory, self.directory.length == pages * directory::DIRECTORY_PAGE as u64),
            (self.fences, self.fences.length == directory::fence_bytes(pages)),
            (self.filter, self.filter.length >= filter::LINE as u64),
            (self.filter, self.filter.length.is_multiple_of(filter::LINE as u64)),
            (self.lost, self.lost.length % 16 == Lost::bytes(0)),
        ];
        let mut end = BLOCKS_AT;
        for (section, sound) in parts {
            let after = section.offset.checked_add(section.length);
            let Some(after) = after.filter(|after| sound && *after <= size) else {
                return Err(corrupt(0, format!("the header has an impossible {section:?}")));
            };
            end = end.max(after);
        }
        if self.blocks.offset != BLOCKS_AT
            || end != size
            || self.histogram.shift >= 32
            || self.page_count == u32::MAX
        {
            return Err(corrupt(0, "the parts that the header names do not make up the file"));
        }
        Ok(())
    }
}

fn corrupt(offset: u64, message: impl Into<String>) -> Error {
    Error::corrupt(message).offset(offset)
}

fn short() -> Error {
    corrupt(12, "the header is too short for its version")
}
