//! Bases: immutable snapshot files of records in the order of (hash, key).
//!
//! A [`Builder`] writes one in a single pass, a [`Base`] answers from it, [`merge`] makes one of
//! several. This layer knows bytes, hashes and ticks; it knows no type of values, no log and no
//! clock, and gives files no names. `FORMAT.md` beside this file gives every byte.

mod block;
mod build;
mod directory;
mod filter;
mod find;
mod header;
mod histogram;
mod iter;
mod lost;
mod merge;
mod read;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(feature = "cli")]
mod verify;

pub(crate) use build::{Builder, Meta};
pub(crate) use find::Found;
#[cfg(feature = "cli")]
pub(crate) use iter::Iter;
pub(crate) use iter::{Damage, Step};
pub(crate) use merge::{Expired, merge};
pub(crate) use read::{Base, Expect};
#[cfg(feature = "cli")]
pub(crate) use verify::Flaw;

use crate::clock::{DEAD, Epoch, TICK_MAX, Tick};
use crate::id::Key;

/// Bytes of a page, the unit in which blocks are measured.
const PAGE: usize = 4096;
/// Largest value that a record can hold, because its length has 24 bits.
const VALUE_MAX: usize = (1 << 24) - 1;

const _: () = assert!(crate::limits::VALUE_BYTES_MAX <= VALUE_MAX);

/// A record as it is handed to a [`Builder`]. Times are ticks since the epoch of its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordRef<'a> {
    /// What [`Seed::hash`](crate::hash::Seed::hash) says of the key.
    pub hash: u64,
    pub key: Key,
    pub kind: Kind<'a>,
    /// When it expires.
    pub deadline: Tick,
    /// The latest that its deadline may be moved to.
    pub cap: Tick,
    /// How many ticks a read extends the deadline to; 0 if it does not slide.
    pub idle: Tick,
}

/// What a record says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// This is its value.
    Value(&'a [u8]),
    /// It is gone, whatever older bases say.
    Tombstone,
}

/// A record that owns its value, so that one buffer can serve many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub hash: u64,
    pub key: Key,
    /// If so the value means nothing.
    pub tombstone: bool,
    pub deadline: Tick,
    pub cap: Tick,
    pub idle: Tick,
    pub value: Vec<u8>,
}

impl Record {
    /// A record to read others into.
    pub(crate) fn empty() -> Self {
        Record {
            hash: 0,
            key: Key::from_bytes([0; 16]),
            tombstone: true,
            deadline: DEAD,
            cap: DEAD,
            idle: 0,
            value: Vec::new(),
        }
    }

    pub(crate) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            hash: self.hash,
            key: self.key,
            kind: if self.tombstone { Kind::Tombstone } else { Kind::Value(&self.value) },
            deadline: self.deadline,
            cap: self.cap,
            idle: self.idle,
        }
    }
}

/// The tick, counted from `to`, of the instant that `tick` is when counted from `from`. Rounds
/// up, since deadlines are never early. What is dead stays dead, and the mark above the last
/// tick stays itself.
pub(crate) fn rebase(tick: Tick, from: Epoch, to: Epoch) -> Tick {
    if from == to || tick == DEAD || tick > TICK_MAX {
        return tick;
    }
    to.deadline(from.time(tick))
}

/// The checksum of a piece of a base: CRC-32 over the base's salt, the offset that the piece
/// belongs at, and its bytes. What lies in the wrong place or the wrong file does not verify,
/// and since it is never zero, neither does a stretch of zeros.
struct Seal(crc32fast::Hasher);

impl Seal {
    fn new(salt: u32, offset: u64) -> Self {
        Seal::of_placed(&Seal::place(salt, offset))
    }

    /// What the checksum covers before the piece.
    fn place(salt: u32, offset: u64) -> [u8; 16] {
        (u128::from(salt) | u128::from(offset) << 32).to_le_bytes()
    }

    /// For bytes that begin with [`place`](Self::place).
    fn of_placed(bytes: &[u8]) -> Self {
        Seal(crc32fast::Hasher::new()).add(bytes)
    }

    fn add(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn value(self) -> u32 {
        match self.0.finalize() {
            0 => u32::MAX,
            crc => crc,
        }
    }
}

/// Puts the seal of `bytes[4..]` into the first four bytes.
fn seal(bytes: &mut [u8], salt: u32, offset: u64) {
    if let Some((slot, rest)) = bytes.split_first_chunk_mut::<4>() {
        *slot = Seal::new(salt, offset).add(rest).value().to_le_bytes();
    }
}

/// Whether the first four bytes are the seal of the rest.
fn verifies(bytes: &[u8], salt: u32, offset: u64) -> bool {
    bytes.split_first_chunk::<4>().is_some_and(|(slot, rest)| {
        Seal::new(salt, offset).add(rest).value() == u32::from_le_bytes(*slot)
    })
}

/// Reads fixed fields one after the other; `None` at the end of the bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
