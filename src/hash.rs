//! The one hash of the crate: it picks a key's stripe, its shard of the map, its place in a base.
//!
//! Stored in files, so it never changes; knows keys and nothing else. It is keyed so that nobody
//! outside can choose keys that collide, and not meant to hide anything.

use std::fmt;

use crate::id::Key;

/// Constants with nothing up their sleeve: the first bits behind the point of e, of the root of
/// two, of pi and of the golden ratio; the last one made odd.
const E: u64 = 0xb7e1_5162_8aed_2a6a;
const ROOT: u64 = 0x6a09_e667_f3bc_c908;
const PI: u64 = 0x243f_6a88_85a3_08d3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What makes the hash of one store differ from that of every other: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed([u64; 2]);

impl Seed {
    /// The words are kept xored with constants, so that a seed of zeros is no worse than others.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let [low, high] = halves(bytes);
        Seed([low ^ E, high ^ ROOT])
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let [low, high] = self.0;
        (u128::from(low ^ E) | u128::from(high ^ ROOT) << 64).to_le_bytes()
    }

    /// The hash of a key; every bit is as good as any other. Costs two multiplications.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.hash_bytes(*key.as_bytes())
    }

    #[inline]
    fn hash_bytes(&self, bytes: [u8; 16]) -> u64 {
        let [low, high] = halves(bytes);
        let [first, second] = self.0;
        fold(fold(low ^ first, high ^ second) ^ PI, GOLDEN)
    }

    /// A key with the same hash as every other made by this seed, for tests: its first half
    /// undoes the seed's.
    #[cfg(test)]
    pub(crate) fn twin(&self, number: u64) -> Key {
        let [low, _] = self.0;
        Key::from_bytes((u128::from(low) | u128::from(number) << 64).to_le_bytes())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

#[inline]
fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let word = u128::from_le_bytes(bytes);
    [word as u64, (word >> 64) as u64]
}

/// The 128-bit product with its halves xored into one: every bit of it depends on most of both.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(GOLDEN);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    fn seed() -> Seed {
        Seed::from_bytes(*b"0123456789abcdef")
    }

    #[test]
    fn the_hash_of_a_stored_key_never_changes() {
        assert_eq!(seed().hash(&Key::from_bytes([0; 16])), 0x66d1_f60b_ce1c_1d08);
        assert_eq!(seed().hash(&Key::from_bytes(*b"sixteen bytes ..")), 0x2e23_144c_48e8_d18d);
        assert_eq!(Seed::from_bytes(seed().to_bytes()), seed());
    }

    #[test]
    fn every_bit_of_a_key_moves_every_bit_of_the_hash_half_of_the_time() {
        let (mut next, trials) = (words(1), 8192);
        let mut flips = vec![[0u32; 64]; 128];
        for _ in 0..trials {
            let key = u128::from(next()) | u128::from(next()) << 64;
            let hash = seed().hash(&Key::from_bytes(key.to_le_bytes()));
            for (bit, flips) in flips.iter_mut().enumerate() {
                let other = Key::from_bytes((key ^ 1 << bit).to_le_bytes());
                let changed = hash ^ seed().hash(&other);
                for (place, count) in flips.iter_mut().enumerate() {
                    *count += (changed >> place & 1) as u32;
                }
            }
        }
        for (bit, flips) in flips.iter().enumerate() {
            for (place, count) in flips.iter().enumerate() {
                let share = f64::from(*count) / f64::from(trials);
                assert!((share - 0.5).abs() < 0.05, "bit {bit} of the key, {place}: {share}");
            }
        }
    }

    fn check_even(seed: Seed, places: u32) {
        for shift in [0, 7, 20, 40, 50, 57] {
            let mut buckets = [0u32; 128];
            for count in 0u128..1 << 16 {
                let key = Key::from_bytes((count << places).to_le_bytes());
                buckets[(seed.hash(&key) >> shift & 127) as usize] += 1;
            }
            let (low, high) = (buckets.iter().min().unwrap(), buckets.iter().max().unwrap());
            assert!(*low > 350 && *high < 700, "from bit {shift}: {low} to {high}, 512 expected");
        }
    }

    #[test]
    fn keys_that_count_fill_all_slices_of_the_hash_evenly() {
        for places in [0, 8, 40, 64, 112] {
            check_even(seed(), places);
            check_even(Seed::from_bytes([0; 16]), places);
            check_even(Seed::from_bytes([7; 16]), places);
            check_even(Seed::from_bytes([255; 16]), places);
        }
    }
}
