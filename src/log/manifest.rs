//! The manifest: one small checksummed record of what makes up the store.
//!
//! It names the bases, the LSN up to which they speak, and the segment that replay begins with.
//! A new one is a new file; the old one is never overwritten. Described in `FORMAT.md`.

use crate::error::{Error, Result};
use crate::fs::layout::{Kind, Numbers};
use crate::fs::{Fs, read_all};
use crate::limits::LSN_READ_MAX;
use crate::log::bytes::{Reader, Writer};
use crate::log::segment::{check_flags, check_version};

const MAGIC: [u8; 8] = *b"\x93SSMAN\r\n";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
/// Bytes of a manifest without bases.
const FIXED_BYTES: usize = 8 + 2 + 2 + 4 + 4 + 4 + 16 + 16 + 8 + 8 + 8 + 8 + 8 + 8 + 8 + 4;
/// Where the uuid stands.
pub(crate) const UUID_AT: u64 = 24;
/// Where its number stands, and how many bases it names.
const NUMBER_AT: usize = 56;
const COUNT_AT: usize = 112;
/// More bases than any store keeps; bounds what is read.
const BASES_READ_MAX: usize = 4096;

/// What makes up a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) uuid: [u8; 16],
    /// Seeds the hash that orders bases and chooses stripes.
    pub(crate) seed: [u8; 16],
    /// Where ticks are counted from, in wall milliseconds.
    pub(crate) epoch_ms: i64,
    /// The bases speak for every LSN up to this one.
    pub(crate) cut: u64,
    /// Every LSN up to this one was on disk when the manifest was written.
    pub(crate) watermark: u64,
    /// The time that the store is known to have lived to, in wall milliseconds.
    pub(crate) mark_ms: i64,
    /// Replay needs no segment with a smaller number.
    pub(crate) first_segment: u64,
    /// Sessions at the time, as far as they had been counted.
    pub(crate) count: u64,
    /// Bases, newest first.
    pub(crate) bases: Vec<BaseEntry>,
}

/// A base, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaseEntry {
    pub(crate) number: u64,
    /// In bytes.
    pub(crate) size: u64,
    /// The time to which the run that wrote it had looked at its deadlines, in wall
    /// milliseconds; [`STILL_RUNNING`] while that run goes on.
    pub(crate) mark_ms: i64,
}

/// The run that wrote a base has not ended, or ended without saying so.
pub(crate) const STILL_RUNNING: i64 = i64::MIN;

impl Manifest {
    fn to_bytes(&self, number: u64) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&MAGIC).u16(MAJOR).u16(MINOR).u32(FIXED_BYTES as u32).u32(0).u32(0);
        writer.bytes(&self.uuid).bytes(&self.seed).u64(number).i64(self.epoch_ms);
        writer.u64(self.cut).u64(self.watermark).i64(self.mark_ms).u64(self.first_segment);
        writer.u64(self.count).u32(u32::try_from(self.bases.len()).unwrap_or(u32::MAX));
        for base in &self.bases {
            writer.u64(base.number).u64(base.size).i64(base.mark_ms);
        }
        let crc = crc32fast::hash(&writer.0);
        writer.u32(crc);
        writer.0
    }

    fn from_bytes(bytes: &[u8], number: u64) -> Result<Manifest> {
        let damaged = |what: &str, offset: usize| {
            let message = format!(
                "the manifest is damaged ({what}), so the store does not know its files; restore \
                 it from a copy, or open with `Recovery::StartFresh` to set everything aside"
            );
            Error::corrupt(message).offset(offset as u64)
        };
        let short = || damaged("too short", bytes.len());
        let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(short)?;
        let mut reader = Reader::new(fields);
        if reader.take() != MAGIC {
            return Err(damaged("wrong magic", 0));
        }
        let versions = (reader.u16(), reader.u16());
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return Err(damaged("checksum", fields.len()));
        }
        check_version("manifest", versions.0, versions.1, MAJOR)?;
        let (_length, _compatible, incompatible) = (reader.u32(), reader.u32(), reader.u32());
        check_flags("manifest", incompatible)?;
        let (uuid, seed) = (reader.take(), reader.take());
        if reader.u64() != number {
            return Err(damaged("it is another manifest under this name", NUMBER_AT));
        }
        let mut manifest = Manifest {
            uuid,
            seed,
            epoch_ms: reader.i64(),
            cut: reader.u64(),
            watermark: reader.u64(),
            mark_ms: reader.i64(),
            first_segment: reader.u64(),
            count: reader.u64(),
            bases: Vec::new(),
        };
        if manifest.cut > LSN_READ_MAX || manifest.watermark > LSN_READ_MAX {
            return Err(damaged("an LSN that cannot be", 72));
        }
        let bases = reader.u32() as usize;
        if bases > BASES_READ_MAX {
            return Err(damaged("too many bases", COUNT_AT));
        }
        for _ in 0..bases {
            let (number, size, mark_ms) = (reader.u64(), reader.u64(), reader.i64());
            manifest.bases.push(BaseEntry { number, size, mark_ms });
        }
        if !reader.complete() {
            return Err(short());
        }
        Ok(manifest)
    }

    /// Reads the manifest with this number.
    ///
    /// # Errors
    /// `is_corrupt` if it is damaged, `is_mismatch` if a newer crate wrote it.
    pub(crate) fn load(fs: &dyn Fs, number: u64) -> Result<Manifest> {
        let name = Kind::Manifest.name(number);
        let path = fs.path().join(&name);
        let bytes = fs
            .open(&name)
            .and_then(|file| read_all(&*file))
            .map_err(|error| Error::io("the manifest cannot be read", error).at(&path))?;
        Manifest::from_bytes(&bytes, number).map_err(|error| error.at(path))
    }

    /// Writes the manifest and makes it the one that counts: file, sync, rename, directory sync.
    /// Returns its number. Costs two syncs.
    ///
    /// # Errors
    /// With `ambiguous` set if the new manifest may or may not be the one found after a crash;
    /// then nothing that the old one needs may be deleted.
    pub(crate) fn publish(&self, fs: &dyn Fs, numbers: &Numbers) -> Result<u64, PublishError> {
        let number = numbers.next();
        let (temporary, name) = (Kind::Manifest.temporary(number), Kind::Manifest.name(number));
        let path = fs.path().join(&name);
        let bytes = self.to_bytes(number);
        let written = fs.create(&temporary).and_then(|file| {
            file.write_at(&bytes, 0)?;
            file.sync()
        });
        if let Err(error) = written {
            // Nothing refers to it; what stays is collected at a later opening.
            let _ = fs.remove(&temporary);
            let error = Error::io("the manifest cannot be written", error).at(&path);
            return Err(PublishError { error, ambiguous: false });
        }
        fs.rename(&temporary, &name).and_then(|()| fs.sync_dir()).map_err(|error| {
            let error = Error::io("the manifest cannot be published", error).at(&path);
            PublishError { error, ambiguous: true }
        })?;
        Ok(number)
    }
}

/// Why a manifest was not published.
#[derive(Debug)]
pub(crate) struct PublishError {
    pub(crate) error: Error,
    pub(crate) ambiguous: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            uuid: [1; 16],
            seed: [2; 16],
            epoch_ms: -3,
            cut: 4,
            watermark: 5,
            mark_ms: 6,
            first_segment: 7,
            count: 8,
            bases: vec![
                BaseEntry { number: 9, size: 10, mark_ms: STILL_RUNNING },
                BaseEntry { number: 11, size: 12, mark_ms: 13 },
            ],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let bytes = manifest().to_bytes(77);
        assert_eq!(bytes.len(), FIXED_BYTES + 2 * 24 + 4);
        assert_eq!(Manifest::from_bytes(&bytes, 77).unwrap(), manifest());
        assert!(Manifest::from_bytes(&bytes, 78).unwrap_err().is_corrupt());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let mut bytes = manifest().to_bytes(77);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = Manifest::from_bytes(&bytes, 77).unwrap_err();
            assert!(error.is_corrupt() && error.byte_offset().is_some(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            assert!(Manifest::from_bytes(&bytes[..length], 77).unwrap_err().is_corrupt());
        }
    }
}
