//! The filter of a base: a Bloom filter whose answer for a key lies in one line of 64 bytes.
//!
//! Knows hashes alone. A line holds 480 bits and its seal. A hash finds its line by its high
//! bits, as it finds its block, and its bits inside the line by a mix of all of them. "No" is
//! believed only from a line that verifies; a damaged one says nothing.

use super::Seal;
use crate::hash::fold;

/// Bytes of a line, seal included.
pub(super) const LINE: usize = 64;
/// Bits of a line that answer.
const BITS: u64 = 480;
/// Bits that a record sets.
const PROBES: u32 = 6;
/// Records per line that the size is chosen for: ten bits for each, about 1 % false answers.
const RECORDS: u64 = 48;

/// Lines of a filter for so many records; at least one.
pub(super) fn lines_for(records: u64) -> u64 {
    records.div_ceil(RECORDS).max(1)
}

/// The line, of so many, that speaks of `hash`.
#[inline]
pub(super) fn line_of(hash: u64, lines: u64) -> u64 {
    ((u128::from(hash) * u128::from(lines)) >> 64) as u64
}

/// The places of the bits of `hash` in its line.
#[inline]
fn places(hash: u64) -> impl Iterator<Item = (usize, u8)> {
    let mix = fold(hash ^ 0xa409_3822_299f_31d1, 0xd6e8_feb8_6659_fd93);
    (0..PROBES).map(move |probe| {
        let bit = (((mix >> (10 * probe)) & 1023) * BITS) >> 10;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// There is no record with this hash.
    No,
    /// There may be one.
    Maybe,
    /// The line is damaged.
    Damaged,
}

/// Asks the copy of a line that lies at `offset`.
#[inline]
pub(super) fn ask(line: &[u8; LINE], hash: u64, salt: u32, offset: u64) -> Says {
    if places(hash).all(|(byte, bit)| line.get(byte).is_some_and(|byte| byte & bit != 0)) {
        return Says::Maybe;
    }
    if verifies(line, salt, offset) { Says::No } else { Says::Damaged }
}

/// Whether the copy of a line that lies at `offset` is as it was written.
pub(super) fn verifies(line: &[u8; LINE], salt: u32, offset: u64) -> bool {
    line.split_last_chunk::<4>().is_some_and(|(bits, crc)| {
        Seal::new(salt, offset).add(bits).value() == u32::from_le_bytes(*crc)
    })
}

/// A filter that is being filled, in memory.
pub(super) struct Filter(Vec<[u8; LINE]>);

impl Filter {
    /// For about `records` records; more only make it answer "maybe" more often.
    pub(super) fn new(records: u64) -> Self {
        Filter(vec![[0; LINE]; lines_for(records) as usize])
    }

    pub(super) fn add(&mut self, hash: u64) {
        let index = line_of(hash, self.0.len() as u64) as usize;
        let Some(line) = self.0.get_mut(index) else { return };
        for (byte, bit) in places(hash) {
            if let Some(byte) = line.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// The lines, sealed for the place where the first of them will lie.
    pub(super) fn seal(mut self, salt: u32, offset: u64) -> Vec<[u8; LINE]> {
        for (line, at) in self.0.iter_mut().zip((offset..).step_by(LINE)) {
            if let Some((bits, crc)) = line.split_last_chunk_mut::<4>() {
                *crc = Seal::new(salt, at).add(bits).value().to_le_bytes();
            }
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Seed;
    use crate::id::Key;

    fn hash(number: u64) -> u64 {
        Seed::from_bytes([7; 16]).hash(&Key::from_bytes(u128::from(number).to_le_bytes()))
    }

    fn asked(lines: &[[u8; LINE]], hash: u64) -> Says {
        let index = line_of(hash, lines.len() as u64);
        ask(&lines[index as usize], hash, 9, 4096 + index * LINE as u64)
    }

    #[test]
    fn what_was_added_is_never_denied_and_the_rest_seldom_confirmed() {
        let mut filter = Filter::new(20_000);
        (0..20_000).for_each(|number| filter.add(hash(number)));
        let lines = filter.seal(9, 4096);
        assert!((0..20_000).all(|number| asked(&lines, hash(number)) == Says::Maybe));
        let wrong = (20_000..120_000).filter(|n| asked(&lines, hash(*n)) == Says::Maybe).count();
        assert!(wrong < 2_000, "{wrong} of 100000 others were confirmed");
    }

    #[test]
    fn a_damaged_line_never_says_no() {
        let mut filter = Filter::new(0);
        (0..10).for_each(|number| filter.add(hash(number)));
        let lines = filter.seal(9, 4096);
        for bit in 0..LINE * 8 {
            let mut line = lines[0];
            line[bit / 8] ^= 1 << (bit % 8);
            assert!((0..100).all(|number| ask(&line, hash(number), 9, 4096) != Says::No));
        }
        assert_eq!(ask(&[0; LINE], hash(1), 9, 4096), Says::Damaged);
        assert_eq!(asked(&Filter::new(0).seal(9, 4096), hash(1)), Says::No);
    }
}
