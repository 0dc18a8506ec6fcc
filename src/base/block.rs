//! Blocks and the records in them, as bytes.
//!
//! Knows neither files nor where a block lies beyond its page number. A block is a head, an
//! index of (tag, offset) in the order of its records, and the records; the tag is the low 16
//! bits of the hash. A record too large to share a block has one of as many pages as it needs.

use super::{Fields, Kind, PAGE, RecordRef, Seal};
use crate::clock::Tick;
use crate::id::Key;

/// Bytes of a block before its index.
pub(super) const HEAD: usize = 20;
/// Bytes of one index entry.
pub(super) const SLOT: usize = 4;
/// Bytes of a record before its value.
pub(super) const RECORD_HEAD: usize = 36;
const TOMBSTONE: u8 = 1;

/// Where in the file a page begins.
pub(super) fn offset_of(page: u32) -> u64 {
    u64::from(page) * PAGE as u64
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) crc: u32,
    pub(super) page: u32,
    pub(super) first: u64,
    pub(super) count: u16,
    pub(super) pages: u16,
}

impl Head {
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        let mut fields = Fields(block);
        Some(Head {
            crc: fields.u32()?,
            page: fields.u32()?,
            first: fields.u64()?,
            count: fields.u16()?,
            pages: fields.u16()?,
        })
    }

    /// What the checksum covers, its own field left out.
    fn sealed(&self) -> [u8; HEAD - 4] {
        let word = u128::from(self.page)
            | u128::from(self.first) << 32
            | u128::from(self.count) << 96
            | u128::from(self.pages) << 112;
        word.to_le_bytes()
    }

    /// Bytes of the whole block.
    pub(super) fn bytes(&self) -> usize {
        usize::from(self.pages) * PAGE
    }
}

/// One entry of the index: the low 16 bits of a hash, and where in the block its record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) tag: u16,
    pub(super) offset: u16,
}

pub(super) fn tag(hash: u64) -> u16 {
    hash as u16
}

/// The first `count` index entries; `None` if `block` does not reach that far.
#[inline]
pub(super) fn slots(block: &[u8], count: u16) -> Option<impl Iterator<Item = Slot>> {
    let bytes = block.get(HEAD..HEAD + SLOT * usize::from(count))?;
    let (slots, _) = bytes.as_chunks::<SLOT>();
    Some(slots.iter().map(|[a, b, c, d]| Slot {
        tag: u16::from_le_bytes([*a, *b]),
        offset: u16::from_le_bytes([*c, *d]),
    }))
}

/// The head of a record: all but its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    crc: u32,
    pub(super) tombstone: bool,
    pub(super) length: usize,
    pub(super) deadline: Tick,
    pub(super) cap: Tick,
    pub(super) idle: Tick,
    pub(super) key: Key,
}

impl RecordHead {
    /// `None` for what no writer has written.
    #[inline]
    pub(super) fn parse(bytes: &[u8; RECORD_HEAD]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let crc = fields.u32()?;
        let [a, b, c, flags] = fields.take()?;
        Some(RecordHead {
            crc,
            tombstone: match flags {
                0 => false,
                TOMBSTONE => true,
                _ => return None,
            },
            length: u32::from_le_bytes([a, b, c, 0]) as usize,
            deadline: fields.u32()?,
            cap: fields.u32()?,
            idle: fields.u32()?,
            key: Key::from_bytes(fields.take()?),
        })
    }

    /// Whether the record, given the bytes of its head and its value, is as it was written to
    /// the block at `offset`.
    #[inline]
    pub(super) fn verifies(
        &self,
        head: &[u8; RECORD_HEAD],
        value: &[u8],
        salt: u32,
        offset: u64,
    ) -> bool {
        // In one piece, since a checksum costs by the piece; the place covers the stored one.
        let mut start = [0; 12 + RECORD_HEAD];
        if let Some((_, end)) = start.split_last_chunk_mut::<RECORD_HEAD>() {
            *end = *head;
        }
        if let Some((place, _)) = start.split_first_chunk_mut::<16>() {
            *place = Seal::place(salt, offset);
        }
        Seal::of_placed(&start).add(value).value() == self.crc
    }
}

/// A record of a block that has been verified: its head and its value. `None` if there is none
/// at this place.
pub(super) fn record(block: &[u8], offset: u16) -> Option<(RecordHead, &[u8])> {
    let (head, rest) = block.get(usize::from(offset)..)?.split_first_chunk()?;
    let head = RecordHead::parse(head)?;
    Some((head, rest.get(..head.length)?))
}

/// A block that is being filled, for the file with `salt`.
pub(super) struct Writer {
    salt: u32,
    page: u32,
    first: u64,
    slots: Vec<(u16, usize)>,
    records: Vec<u8>,
}

impl Writer {
    /// The block will begin at `page`.
    pub(super) fn new(salt: u32, page: u32) -> Self {
        Writer { salt, page, first: 0, slots: Vec::new(), records: Vec::with_capacity(PAGE) }
    }

    pub(super) fn page(&self) -> u32 {
        self.page
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether one more record with a value of so many bytes still makes a block of one page.
    pub(super) fn fits(&self, value: usize) -> bool {
        let slots = SLOT * (self.slots.len() + 1);
        HEAD + slots + self.records.len() + RECORD_HEAD + value <= PAGE
    }

    /// Appends a record. If it is the first it may be larger than a page.
    pub(super) fn add(&mut self, record: &RecordRef<'_>) {
        if self.slots.is_empty() {
            self.first = record.hash;
        }
        let (flags, value) = match record.kind {
            Kind::Value(value) => (0, value),
            Kind::Tombstone => (TOMBSTONE, [].as_slice()),
        };
        let start = self.records.len();
        let length = value.len() as u32 | u32::from(flags) << 24;
        self.records.extend_from_slice(&[0; 4]);
        self.records.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(&record.deadline.to_le_bytes());
        self.records.extend_from_slice(&record.cap.to_le_bytes());
        self.records.extend_from_slice(&record.idle.to_le_bytes());
        self.records.extend_from_slice(record.key.as_bytes());
        self.records.extend_from_slice(value);
        if let Some(bytes) = self.records.get_mut(start..) {
            super::seal(bytes, self.salt, offset_of(self.page));
        }
        self.slots.push((tag(record.hash), start));
    }

    /// Appends the block to `out`, and is then an empty one that begins behind it; gives the
    /// number of pages. `None` if the block has more than can be, or too high a page number.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Option<u16> {
        let before = HEAD + SLOT * self.slots.len();
        let used = before + self.records.len();
        let pages = u16::try_from(used.div_ceil(PAGE)).ok()?;
        let count = u16::try_from(self.slots.len()).ok()?;
        let start = out.len();
        let head = Head { crc: 0, page: self.page, first: self.first, count, pages };
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&head.sealed());
        for (tag, offset) in &self.slots {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&u16::try_from(before + offset).ok()?.to_le_bytes());
        }
        out.extend_from_slice(&self.records);
        out.resize(start + head.bytes(), 0);
        super::seal(out.get_mut(start..)?, self.salt, offset_of(self.page));
        self.page = self.page.checked_add(u32::from(pages))?;
        self.slots.clear();
        self.records.clear();
        Some(pages)
    }
}
