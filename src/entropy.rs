//! Where random bits come from: the operating system, or in tests a seed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;

/// A source of random bits that are no secrets: salts, seeds of hashes, names of stores.
#[derive(Debug)]
pub(crate) enum Entropy {
    System,
    /// The same bits in the same order, so that a run repeats to the byte.
    #[cfg_attr(not(any(test, feature = "testing")), expect(dead_code, reason = "for tests"))]
    Seeded(AtomicU64),
}

impl Entropy {
    pub(crate) fn bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        match self {
            Entropy::System => SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?,
            Entropy::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    // SplitMix64.
                    let state = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
                    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                    let mixed = (mixed ^ (mixed >> 31)).to_le_bytes();
                    chunk.iter_mut().zip(mixed).for_each(|(to, from)| *to = from);
                }
            }
        }
        Ok(bytes)
    }
}
