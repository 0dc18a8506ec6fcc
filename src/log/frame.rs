//! The frame: one entry of the log, as bytes.
//!
//! Pure code over slices. A frame is encoded by its author without a number; whoever writes it
//! to a segment *seals* it: number, durable watermark and checksums seeded by the segment's salt.
//! The bytes are described in `FORMAT.md`.

use crate::id::Key;
use crate::limits::LSN_READ_MAX;

/// Bytes of a frame before its body.
pub(crate) const HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// The first byte of every frame; zero is space that was never written.
const TAG: u8 = 0xA5;
/// In the kind byte: this frame goes on with the group of the one before it.
const CONTINUES: u8 = 0x80;
/// In the lag field: no claim about what is durable.
const NO_CLAIM: u32 = u32::MAX;
/// Bytes of the deadlines of a record.
const TERMS_BYTES: usize = 20;

const KIND_PUT: u8 = 1;
const KIND_REMOVE: u8 = 2;
const KIND_TERMS: u8 = 3;
const KIND_CLEAR: u8 = 4;
const KIND_MARK: u8 = 5;

/// How long a record lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// When it ends unless it is touched, in wall milliseconds.
    pub(crate) deadline_ms: i64,
    /// When it ends in any case, in wall milliseconds.
    pub(crate) cap_ms: i64,
    /// How far a touch moves the deadline, in ticks; 0 if touches do not move it.
    pub(crate) idle: u32,
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// The record of this key is now this one.
    Put(Key, Terms, &'a [u8]),
    /// There is no record of this key.
    Remove(Key),
    /// The record of this key, if there is one, has these terms: a touch, or a new expiry.
    Terms(Key, Terms),
    /// There are no records.
    Clear,
    /// It was this time, and every deadline that had passed by then had been looked at.
    Mark(i64),
}

/// A frame that has been read and verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) lsn: u64,
    /// Every frame up to this LSN was on disk when this one was written, as far as it claims.
    pub(crate) watermark: Option<u64>,
    /// It belongs to the same group as the frame before it.
    pub(crate) continues: bool,
    /// How many frames of its group follow.
    pub(crate) left: u16,
    pub(crate) op: Op<'a>,
    /// Bytes in the log, padding included.
    pub(crate) size: usize,
}

/// Why there is no frame where one was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing was written here.
    End,
    /// Something is here, and it is not a frame of this segment.
    Bad,
}

/// Frames on their way into the log: one group, whole or absent.
#[derive(Debug, Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Group {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn count(&self) -> u64 {
        self.starts.len() as u64
    }

    /// Appends a frame; of a put, `value` writes the encoded value behind what is there already
    /// and its error takes the frame back.
    pub(crate) fn push<E>(
        &mut self,
        op: &Op<'_>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        self.bytes.resize(start + HEADER_BYTES, 0);
        let kind = match op {
            Op::Put(key, terms, bytes) => {
                self.bytes.extend_from_slice(key.as_bytes());
                push_terms(&mut self.bytes, terms);
                self.bytes.extend_from_slice(bytes);
                if let Err(error) = value(&mut self.bytes) {
                    self.bytes.truncate(start);
                    return Err(error);
                }
                KIND_PUT
            }
            Op::Remove(key) => {
                self.bytes.extend_from_slice(key.as_bytes());
                KIND_REMOVE
            }
            Op::Terms(key, terms) => {
                self.bytes.extend_from_slice(key.as_bytes());
                push_terms(&mut self.bytes, terms);
                KIND_TERMS
            }
            Op::Clear => KIND_CLEAR,
            Op::Mark(time) => {
                self.bytes.extend_from_slice(&time.to_le_bytes());
                KIND_MARK
            }
        };
        self.finish(start, kind);
        Ok(())
    }

    /// Appends a frame that carries all it says in itself.
    pub(crate) fn add(&mut self, op: &Op<'_>) {
        let done: Result<(), std::convert::Infallible> = self.push(op, |_| Ok(()));
        let Ok(()) = done;
    }

    fn finish(&mut self, start: usize, kind: u8) {
        let body = self.bytes.get(start + HEADER_BYTES..).unwrap_or_default();
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let crc = crc32fast::hash(body);
        let padded = self.bytes.len().next_multiple_of(ALIGN);
        self.bytes.resize(padded, 0);
        let continues = if self.starts.is_empty() { 0 } else { CONTINUES };
        if let Some(header) = header_mut(&mut self.bytes, start) {
            put(header, 0, [TAG, kind | continues]);
            put(header, 4, length.to_le_bytes());
            put(header, 20, crc.to_le_bytes());
        }
        self.starts.push(start);
        // Every earlier frame of the group now has one more behind it. Groups of one, the
        // common case, never come here.
        if let Some((_, earlier)) = self.starts.split_last() {
            for (index, start) in earlier.iter().enumerate() {
                let left = u16::try_from(earlier.len() - index).unwrap_or(u16::MAX);
                if let Some(header) = header_mut(&mut self.bytes, *start) {
                    put(header, 2, left.to_le_bytes());
                }
            }
        }
    }
}

fn push_terms(bytes: &mut Vec<u8>, terms: &Terms) {
    bytes.extend_from_slice(&terms.deadline_ms.to_le_bytes());
    bytes.extend_from_slice(&terms.cap_ms.to_le_bytes());
    bytes.extend_from_slice(&terms.idle.to_le_bytes());
}

type Header = [u8; HEADER_BYTES];

fn header_mut(bytes: &mut [u8], start: usize) -> Option<&mut Header> {
    bytes.get_mut(start..)?.first_chunk_mut()
}

/// Writes `bytes` at a constant place of a header.
fn put<const N: usize>(header: &mut Header, at: usize, bytes: [u8; N]) {
    if let Some(place) = header.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}

/// Reads `N` bytes from a constant place; what is missing reads as zero.
fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn seeded(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// Numbers the frames in `bytes` from `first_lsn` and checksums them for the segment with this
/// `salt`. They must be whole and unsealed. Returns the LSN after the last.
pub(crate) fn seal(bytes: &mut [u8], first_lsn: u64, watermark: u64, salt: u32) -> u64 {
    let mut lsn = first_lsn;
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk_mut::<HEADER_BYTES>() {
        let length = u32::from_le_bytes(get(header, 4)) as usize;
        let lag = u32::try_from(lsn.saturating_sub(watermark)).unwrap_or(NO_CLAIM);
        let body_crc = u32::from_le_bytes(get(header, 20)) ^ salt;
        put(header, 8, lsn.to_le_bytes());
        put(header, 16, lag.to_le_bytes());
        put(header, 20, body_crc.to_le_bytes());
        let header_crc = seeded(salt, header.get(..28).unwrap_or_default());
        put(header, 28, header_crc.to_le_bytes());
        lsn += 1;
        let size = (HEADER_BYTES + length).next_multiple_of(ALIGN);
        rest = rest.get_mut(size..).unwrap_or_default();
    }
    lsn
}

/// Undoes [`seal`], so that the frames can be sealed for another segment.
pub(crate) fn unseal(bytes: &mut [u8], salt: u32) {
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk_mut::<HEADER_BYTES>() {
        let length = u32::from_le_bytes(get(header, 4)) as usize;
        let body_crc = u32::from_le_bytes(get(header, 20)) ^ salt;
        put(header, 20, body_crc.to_le_bytes());
        let size = (HEADER_BYTES + length).next_multiple_of(ALIGN);
        rest = rest.get_mut(size..).unwrap_or_default();
    }
}

/// Reads the frame at the beginning of `bytes`.
///
/// The header is verified before its length is believed, the body before it is looked at.
pub(crate) fn read(bytes: &[u8], salt: u32) -> Result<Frame<'_>, Fault> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(if bytes.iter().all(|byte| *byte == 0) { Fault::End } else { Fault::Bad });
    };
    let [tag, ..] = *header;
    if tag == 0 && header.iter().all(|byte| *byte == 0) {
        return Err(Fault::End);
    }
    let header_crc = u32::from_le_bytes(get(header, 28));
    if tag != TAG || header_crc != seeded(salt, header.get(..28).unwrap_or_default()) {
        return Err(Fault::Bad);
    }
    let length = u32::from_le_bytes(get(header, 4)) as usize;
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(Fault::Bad)?;
    if crc32fast::hash(body) ^ salt != u32::from_le_bytes(get(header, 20)) {
        return Err(Fault::Bad);
    }
    parse(bytes)
}

/// Reads a frame that [`read`] has verified before; its checksums are not computed again.
pub(crate) fn parse(bytes: &[u8]) -> Result<Frame<'_>, Fault> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Fault::Bad)?;
    let [_, kind, ..] = *header;
    let length = u32::from_le_bytes(get(header, 4)) as usize;
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(Fault::Bad)?;
    let lsn = u64::from_le_bytes(get(header, 8));
    if lsn > LSN_READ_MAX {
        return Err(Fault::Bad);
    }
    let lag = u32::from_le_bytes(get(header, 16));
    Ok(Frame {
        lsn,
        watermark: (lag != NO_CLAIM).then(|| lsn.saturating_sub(lag.into())),
        continues: kind & CONTINUES != 0,
        left: u16::from_le_bytes(get(header, 2)),
        op: read_op(kind & !CONTINUES, body).ok_or(Fault::Bad)?,
        size: (HEADER_BYTES + length).next_multiple_of(ALIGN),
    })
}

/// The key in a frame that has been verified before and is about one record.
pub(crate) fn key(bytes: &[u8]) -> Option<Key> {
    Some(Key::from_bytes(*bytes.get(HEADER_BYTES..)?.first_chunk()?))
}

/// How many bytes further on, in steps of [`ALIGN`], something looks like the start of a frame.
pub(crate) fn distance(bytes: &[u8]) -> usize {
    let (steps, rest) = bytes.as_chunks::<ALIGN>();
    let found = steps.iter().position(|[first, ..]| *first == TAG);
    let in_rest = || (rest.first() == Some(&TAG)).then_some(steps.len());
    found.or_else(in_rest).map_or(bytes.len(), |steps| steps * ALIGN)
}

fn read_op(kind: u8, body: &[u8]) -> Option<Op<'_>> {
    let key_and_rest = || {
        let (key, rest) = body.split_first_chunk::<16>()?;
        Some((Key::from_bytes(*key), rest))
    };
    match kind {
        KIND_PUT => {
            let (key, rest) = key_and_rest()?;
            let (terms, value) = rest.split_first_chunk::<TERMS_BYTES>()?;
            Some(Op::Put(key, read_terms(terms), value))
        }
        KIND_REMOVE => {
            key_and_rest().filter(|(_, rest)| rest.is_empty()).map(|(key, _)| Op::Remove(key))
        }
        KIND_TERMS => {
            let (key, rest) = key_and_rest()?;
            Some(Op::Terms(key, read_terms(rest.try_into().ok()?)))
        }
        KIND_CLEAR => body.is_empty().then_some(Op::Clear),
        KIND_MARK => Some(Op::Mark(i64::from_le_bytes(body.try_into().ok()?))),
        _ => None,
    }
}

fn read_terms(bytes: &[u8; TERMS_BYTES]) -> Terms {
    Terms {
        deadline_ms: i64::from_le_bytes(get(bytes, 0)),
        cap_ms: i64::from_le_bytes(get(bytes, 8)),
        idle: u32::from_le_bytes(get(bytes, 16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { deadline_ms: 1_790_000_000_000, cap_ms: -5, idle: 77 };

    fn group() -> Group {
        let key = Key::of("a");
        let mut group = Group::default();
        for op in [
            Op::Put(key, TERMS, b"value"),
            Op::Remove(key),
            Op::Terms(key, TERMS),
            Op::Clear,
            Op::Mark(-1),
        ] {
            group.add(&op);
        }
        group
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut bytes = group().bytes().to_vec();
        assert_eq!(seal(&mut bytes, 100, 90, 7), 105);
        let mut rest = &bytes[..];
        let mut ops = Vec::new();
        for lsn in 100..105 {
            let frame = read(rest, 7).unwrap();
            assert_eq!((frame.lsn, frame.watermark), (lsn, Some(90)));
            assert_eq!(u64::from(frame.left), 104 - lsn);
            assert_eq!(frame.continues, lsn > 100);
            ops.push(frame.op);
            rest = &rest[frame.size..];
        }
        let key = Key::of("a");
        assert_eq!(ops[0], Op::Put(key, TERMS, b"value"));
        assert_eq!(ops[1..], [Op::Remove(key), Op::Terms(key, TERMS), Op::Clear, Op::Mark(-1)]);
        assert_eq!(read(rest, 7), Err(Fault::End));
        assert_eq!(read(&[0; 64], 7), Err(Fault::End));
    }

    #[test]
    fn a_frame_of_another_segment_is_bad() {
        let mut bytes = group().bytes().to_vec();
        seal(&mut bytes, 1, 0, 7);
        assert_eq!(read(&bytes, 8), Err(Fault::Bad));
        unseal(&mut bytes, 7);
        seal(&mut bytes, 1, 0, 8);
        assert!(read(&bytes, 8).is_ok());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let mut group = Group::default();
        group.add(&Op::Put(Key::of("a"), TERMS, b"value"));
        let mut bytes = group.bytes().to_vec();
        seal(&mut bytes, 9, 9, 3);
        let used = HEADER_BYTES + 16 + TERMS_BYTES + 5;
        for bit in 0..used * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bytes, 3), Err(Fault::Bad), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 1..used {
            assert_eq!(read(&bytes[..length], 3), Err(Fault::Bad), "length {length}");
        }
    }

    #[test]
    fn a_value_that_does_not_encode_leaves_no_frame() {
        let mut group = group();
        let before = group.bytes().to_vec();
        assert!(group.push(&Op::Put(Key::of("b"), TERMS, b""), |_| Err(())).is_err());
        assert_eq!((group.bytes(), group.count()), (&before[..], 5));
    }
}
