//! The plain reader of a base: every page is looked at for a block, every block for its records,
//! as the page of the format has them; no directory, no filter. And a sealer, for what a writer
//! would never write.

use sessile::Key;
use sessile::testing::inside::Record;

use super::wire::{bytes_at, crc, u16_at, u32_at, u64_at};

const PAGE: usize = 4096;

/// The seal of a piece that belongs at this offset.
pub fn seal_of(piece: &[u8], salt: u32, offset: u64) -> u32 {
    let mut place = salt.to_le_bytes().to_vec();
    place.extend(offset.to_le_bytes());
    place.extend([0; 4]);
    match crc(piece, crc(&place, 0)) {
        0 => u32::MAX,
        crc => crc,
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a key.
pub fn hash(seed: [u8; 16], key: &Key) -> u64 {
    let (low, high) = (u64_at(&key.to_bytes(), 0), u64_at(&key.to_bytes(), 8));
    let low = low ^ u64_at(&seed, 0) ^ 0xb7e1_5162_8aed_2a6a;
    let high = high ^ u64_at(&seed, 8) ^ 0x6a09_e667_f3bc_c908;
    fold(fold(low, high) ^ 0x243f_6a88_85a3_08d3, 0x9e37_79b9_7f4a_7c15)
}

/// A key with the same hash as all others made for this seed.
pub fn twin(seed: [u8; 16], number: u64) -> Key {
    let low = u64_at(&seed, 0) ^ 0xb7e1_5162_8aed_2a6a;
    Key::from_bytes((u128::from(low) | u128::from(number) << 64).to_le_bytes())
}

/// Whether the header's seal is right.
pub fn has_header(file: &[u8]) -> bool {
    let Some(page) = file.get(..PAGE).filter(|page| page.starts_with(b"\x89base\r\n\x1a")) else {
        return false;
    };
    let length = u32_at(page, 12) as usize;
    (20..=PAGE).contains(&length) && seal_of(&page[..length - 4], 0, 0) == u32_at(page, length - 4)
}

/// The pages of the blocks, by a header that is as it was written.
fn pages(file: &[u8]) -> usize {
    u32_at(file, 148) as usize
}

/// Every record in a block that verifies, in the order of the file. The header must be sound.
pub fn records(file: &[u8]) -> Vec<Record> {
    let (salt, pages) = (u32_at(file, 88), pages(file));
    let (mut found, mut page) = (Vec::new(), 1);
    while page <= pages {
        let offset = page * PAGE;
        let count = file.get(offset..offset + 20).map_or(0, |head| u16_at(head, 18) as usize);
        let block = file.get(offset..offset + count.max(1) * PAGE).unwrap_or_default();
        let sound = count > 0
            && block.len() == count * PAGE
            && u32_at(block, 4) as usize == page
            && seal_of(&block[4..], salt, offset as u64) == u32_at(block, 0);
        if sound {
            let records = (0..usize::from(u16_at(block, 16))).map(|index| {
                let at = usize::from(u16_at(block, 22 + 4 * index));
                record(&block[at..], salt, offset as u64)
            });
            found.extend(records);
        }
        page += if sound { count } else { 1 };
    }
    found
}

fn record(bytes: &[u8], salt: u32, block: u64) -> Record {
    let length = u32_at(bytes, 4) as usize & 0xFF_FFFF;
    let seal = seal_of(&bytes[4..36 + length], salt, block);
    assert_eq!(seal, u32_at(bytes, 0), "a record in a block that verifies");
    let tombstone = bytes[7] == 1;
    assert!(tombstone || bytes[7] == 0);
    Record {
        key: Key::from_bytes(bytes_at(bytes, 20)),
        value: (!tombstone).then(|| bytes[36..36 + length].to_vec()),
        deadline: u32_at(bytes, 8),
        cap: u32_at(bytes, 12),
        idle: u32_at(bytes, 16),
    }
}

/// Puts the right seals on whatever the pieces hold, as far as they can be made out.
pub fn reseal(file: &mut [u8]) {
    let Some(page) = file.get(..PAGE) else { return };
    let (salt, length) = (u32_at(page, 88), u32_at(page, 12) as usize);
    let section = |at: usize| (u64_at(page, at) as usize, u64_at(page, at + 8) as usize);
    let [directory, fences, filter, lost] = [168, 184, 200, 216].map(section);
    if (20..=PAGE).contains(&length) {
        let seal = seal_of(&file[..length - 4], 0, 0);
        file[length - 4..length].copy_from_slice(&seal.to_le_bytes());
    }
    for page in 1..=pages(file).min(file.len() / PAGE) {
        reseal_block(file, page * PAGE, salt);
    }
    for (offset, length) in [fences, lost] {
        reseal_piece(file, offset, offset.saturating_add(length), salt);
    }
    for at in (0..directory.1.min(file.len())).step_by(512) {
        reseal_piece(
            file,
            directory.0.saturating_add(at),
            directory.0.saturating_add(at + 512),
            salt,
        );
    }
    for at in (0..filter.1.min(file.len())).step_by(64) {
        let offset = filter.0.saturating_add(at);
        if let Some(line) = file.get_mut(offset..offset.saturating_add(64)) {
            let seal = seal_of(&line[..60], salt, offset as u64);
            line[60..].copy_from_slice(&seal.to_le_bytes());
        }
    }
}

fn reseal_piece(file: &mut [u8], start: usize, end: usize, salt: u32) {
    let Some(piece) = file.get_mut(start..end).filter(|piece| piece.len() >= 4) else { return };
    let seal = seal_of(&piece[4..], salt, start as u64);
    piece[..4].copy_from_slice(&seal.to_le_bytes());
}

/// The records of a block, where they are whole, and then the block.
fn reseal_block(file: &mut [u8], offset: usize, salt: u32) {
    let Some(head) = file.get(offset..offset + 20) else { return };
    let pages = usize::from(u16_at(head, 18));
    let end = offset + pages.max(1) * PAGE;
    let Some(block) = file.get_mut(offset..end) else { return };
    let count = usize::from(u16_at(block, 16)).min(1000);
    for index in 0..count {
        let at = usize::from(u16_at(block, 22 + 4 * index));
        let Some(record) = block.get_mut(at..).filter(|record| record.len() >= 36) else {
            continue;
        };
        let length = u32_at(record, 4) as usize & 0xFF_FFFF;
        if let Some(record) = record.get_mut(..36 + length) {
            let seal = seal_of(&record[4..], salt, offset as u64);
            record[..4].copy_from_slice(&seal.to_le_bytes());
        }
    }
    let seal = seal_of(&block[4..], salt, offset as u64);
    block[..4].copy_from_slice(&seal.to_le_bytes());
}
