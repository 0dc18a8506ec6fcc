//! One file of the log: its header, written twice, and where its frames begin.
//!
//! A segment without a readable header does not exist. Described in `FORMAT.md`.

use crate::error::{Error, ErrorKind, Result};
use crate::log::bytes::{Reader, Writer};

/// Frames begin here.
pub(crate) const FRAMES_AT: u64 = 4096;
/// The header is written at each of these.
const COPIES_AT: [usize; 2] = [0, 512];
const MAGIC: [u8; 8] = *b"\x93SSLOG\r\n";
/// Grows when an older crate must not read the log.
const MAJOR: u16 = 1;
/// Grows when an older crate may read the log without what was added.
const MINOR: u16 = 0;
const HEADER_BYTES: usize = 112;

/// What identifies a store, its values' encoding included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uuid: [u8; 16],
    pub(crate) encoding: Encoding,
}

/// How values are encoded: which codec, and which version of the user's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) codec: u32,
    pub(crate) schema: u64,
}

/// A place between two frames: `lsn` is the last one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) number: u64,
    pub(crate) offset: u64,
    pub(crate) lsn: u64,
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    pub(crate) number: u64,
    /// Where the segment before it ends for good. Number 0 if nothing before it is needed.
    pub(crate) previous: Position,
    /// Seeds every checksum in the segment.
    pub(crate) salt: u32,
}

impl Header {
    /// The first page of the segment.
    pub(crate) fn page(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&MAGIC).u16(MAJOR).u16(MINOR).u32(HEADER_BYTES as u32);
        writer.u32(0).u32(0); // flags an older crate may ignore, and those it must not
        writer.bytes(&self.identity.uuid).u64(self.number);
        writer.u64(self.previous.number).u64(self.previous.offset).u64(self.previous.lsn);
        writer.u32(self.salt).u32(self.identity.encoding.codec);
        writer.u64(self.identity.encoding.schema);
        writer.0.resize(HEADER_BYTES - 4, 0);
        let crc = crc32fast::hash(&writer.0);
        writer.u32(crc);
        let mut page = vec![0; FRAMES_AT as usize];
        for at in COPIES_AT {
            if let Some(place) = page.get_mut(at..at + HEADER_BYTES) {
                place.copy_from_slice(&writer.0);
            }
        }
        page
    }

    /// Reads whichever copy of the header is whole; `None` if neither is.
    ///
    /// # Errors
    /// `is_mismatch` if a newer version of the format wrote it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>> {
        for at in COPIES_AT {
            if let Some(header) = bytes.get(at..at + HEADER_BYTES).map_or(Ok(None), read_copy)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}

/// Whether each copy of the header is whole: where it lies, and if it is.
#[cfg(feature = "cli")]
pub(crate) fn copies(bytes: &[u8]) -> [(u64, bool); 2] {
    COPIES_AT.map(|at| {
        let copy = bytes.get(at..at + HEADER_BYTES).map_or(Ok(None), read_copy);
        (at as u64, copy.is_ok_and(|header| header.is_some()))
    })
}

fn read_copy(bytes: &[u8]) -> Result<Option<Header>> {
    let Some((fields, crc)) = bytes.split_last_chunk::<4>() else { return Ok(None) };
    if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
        return Ok(None);
    }
    let mut reader = Reader::new(fields);
    if reader.take() != MAGIC {
        return Ok(None);
    }
    check_version("log segment", reader.u16(), reader.u16(), MAJOR)?;
    let (_length, _compatible, incompatible) = (reader.u32(), reader.u32(), reader.u32());
    check_flags("log segment", incompatible)?;
    let uuid = reader.take();
    let number = reader.u64();
    let previous = Position { number: reader.u64(), offset: reader.u64(), lsn: reader.u64() };
    let salt = reader.u32();
    let encoding = Encoding { codec: reader.u32(), schema: reader.u64() };
    let identity = Identity { uuid, encoding };
    Ok(reader.complete().then_some(Header { identity, number, previous, salt }))
}

pub(crate) fn check_version(what: &str, major: u16, minor: u16, ours: u16) -> Result<()> {
    if major <= ours {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!(
            "this {what} has format version {major}.{minor} and this crate reads up to version \
             {ours}; open the store with the newer release that wrote it"
        ),
    ))
}

pub(crate) fn check_flags(what: &str, incompatible: u32) -> Result<()> {
    if incompatible == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!(
            "this {what} uses features {incompatible:#x} that this crate does not know; open the \
             store with the newer release that wrote it"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let encoding = Encoding { codec: 1, schema: 2 };
        Header {
            identity: Identity { uuid: [7; 16], encoding },
            number: 3,
            previous: Position { number: 2, offset: 4096, lsn: 99 },
            salt: 5,
        }
    }

    #[test]
    fn either_copy_is_enough() {
        let page = header().page();
        assert_eq!(Header::read(&page).unwrap(), Some(header()));
        for at in COPIES_AT {
            let mut damaged = page.clone();
            damaged[at + 40] ^= 1;
            assert_eq!(Header::read(&damaged).unwrap(), Some(header()));
            damaged[512 - at + 40] ^= 1;
            assert_eq!(Header::read(&damaged).unwrap(), None);
        }
        assert_eq!(Header::read(&[]).unwrap(), None);
        assert_eq!(Header::read(&[0; 4096]).unwrap(), None);
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut page = header().page();
        page[8] = 9;
        let crc = crc32fast::hash(&page[..HEADER_BYTES - 4]);
        page[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        let error = Header::read(&page).unwrap_err();
        assert!(error.is_mismatch());
        assert!(error.to_string().contains("9.0"), "{error}");
    }
}
