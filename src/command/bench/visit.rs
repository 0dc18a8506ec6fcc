//! What a session of the measurements holds, and random numbers.

use serde::{Deserialize, Serialize};

/// A visitor who has logged in and put two things into a cart: about 95 bytes as bincode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Visit {
    pub(super) number: u64,
    name: String,
    email: String,
    token: String,
    cart: Vec<(u32, u16)>,
    pub(super) seen: u64,
    staff: bool,
}

impl Visit {
    /// The session with this number: the same each time, so that what is read can be checked.
    pub(super) fn of(number: u64) -> Visit {
        let mut random = Random(number);
        Visit {
            number,
            name: format!("Ada {:08x}", random.next() as u32),
            email: format!("ada.{:06}@example.org", random.next() % 1_000_000),
            token: format!("{:016x}{:016x}", random.next(), random.next()),
            cart: vec![(random.next() as u32, 1), (random.next() as u32, 2)],
            seen: random.next() >> 20,
            staff: false,
        }
    }

    /// The same under another number.
    pub(super) fn numbered(&self, number: u64) -> Visit {
        Visit { number, ..self.clone() }
    }
}

/// SplitMix64: quick, even, and the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}
