//! Frames: any bytes are read as the page of the format says, or refused; and what is written is
//! read back, by the crate and by the slow scanner, until a bit of it is flipped.

use sessile::Key;
use sessile::testing::inside::{self, Said};

use super::input::Input;
use super::scanner::{self, LSN_END};

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 2 {
        0 => stream(&mut input),
        _ => round_trip(&mut input),
    }
}

/// The crate's reader says what the other one says, at every place of the stream.
fn stream(input: &mut Input<'_>) {
    let salt = input.u32();
    let mut rest = input.rest();
    while !rest.is_empty() {
        let frame = check_read(rest, salt);
        rest = rest.get(frame.map_or(1, |frame| frame.size)..).unwrap_or_default();
    }
    assert_eq!(check_read(rest, salt), None);
}

fn check_read(bytes: &[u8], salt: u32) -> Option<inside::Frame> {
    let frame = inside::read_frame(bytes, salt);
    let slow = scanner::frame(bytes, salt).map(|slow| inside::Frame {
        lsn: slow.lsn,
        watermark: slow.claim,
        continues: slow.continues,
        left: slow.left,
        size: slow.size,
        said: slow.said,
    });
    assert_eq!(frame, slow);
    frame
}

fn said(input: &mut Input<'_>) -> Said {
    let kind = input.u8();
    let key = Key::of([input.u8()]);
    let mut terms = || (input.odd() as i64, input.u64() as i64, input.odd() as u32);
    match kind % 5 {
        0 => {
            let terms = terms();
            let length = usize::from(input.u8());
            let mut value = input.bytes(length).to_vec();
            if kind & 0x80 != 0 {
                value.resize(value.len() * 40, kind);
            }
            Said::Put(key, terms, value)
        }
        1 => Said::Remove(key),
        2 => Said::Terms(key, terms()),
        3 => Said::Clear,
        _ => Said::Mark(input.u64() as i64),
    }
}

fn round_trip(input: &mut Input<'_>) {
    let (lsn, behind, salt) = (input.odd() % (LSN_END - 1000), input.odd(), input.u32());
    let (other_lsn, other_salt, flip) = (input.odd() % (LSN_END - 1000), input.u32(), input.u32());
    let watermark = lsn.saturating_sub(behind);
    let count = 1 + usize::from(input.u8() % 8);
    let ops: Vec<Said> = (0..count).map(|_| said(input)).collect();
    let mut bytes = inside::write_group(&ops, lsn, watermark, salt);
    check_group(&bytes, &ops, lsn, watermark, salt);
    check_flipped(&bytes, salt, flip as usize);
    inside::reseal(&mut bytes, salt, other_lsn, other_lsn, other_salt);
    check_group(&bytes, &ops, other_lsn, other_lsn, other_salt);
}

fn check_group(bytes: &[u8], ops: &[Said], lsn: u64, watermark: u64, salt: u32) {
    let mut rest = bytes;
    for (index, op) in ops.iter().enumerate() {
        let frame = check_read(rest, salt).expect("a frame that was written");
        assert_eq!(&frame.said, op);
        assert_eq!(frame.lsn, lsn + index as u64);
        assert_eq!((frame.continues, usize::from(frame.left)), (index > 0, ops.len() - 1 - index));
        let lag = frame.lsn - watermark;
        assert_eq!(frame.watermark, (lag < u32::MAX.into()).then_some(watermark));
        rest = &rest[frame.size..];
    }
    assert!(rest.is_empty());
}

/// One flipped bit is seen, unless it is in the padding; and so is an end that is missing.
fn check_flipped(bytes: &[u8], salt: u32, place: usize) {
    let whole = check_read(bytes, salt).expect("it was read before");
    let used = 32 + u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
    let bit = place % (whole.size * 8);
    let mut damaged = bytes.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(check_read(&damaged, salt), (bit / 8 >= used).then(|| whole.clone()));
    assert_eq!(check_read(&bytes[..place % used], salt), None);
    assert_eq!(check_read(&bytes[..used], salt), Some(whole));
}
