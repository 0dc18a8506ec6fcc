//! The session that every side stores: 111 bytes encoded, with the parts a web shop keeps.
//!
//! Knows no store. A record is a function of its key, so that any answer can be checked.

use bincode::Options;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::keys::{Key, Random};

/// Bytes of an encoded [`Record`], each time.
pub const ENCODED: usize = 111;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The evening of the first session, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_760_000_000_000;

/// Somebody who has logged in and put two things into a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub user: u64,
    name: String,
    email: String,
    created_ms: u64,
    seen_ms: u64,
    csrf: String,
    locale: String,
    cart: Vec<Item>,
    theme: Theme,
    verified: bool,
    staff: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    product: u32,
    count: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Theme {
    Light,
    Dark,
}

impl Record {
    /// The record that is filed under `key`. Costs six allocations, as a decoded session does.
    pub fn of(key: &Key) -> Self {
        let mut random = Random::new(key.seed());
        let bits = random.next();
        let created_ms = EPOCH_MS + bits % (30 * DAY_MS);
        Record {
            // Large enough that the varint has always the same length.
            user: 100_000 + (bits >> 40),
            name: spell(&mut random, "Ada ", 8),
            email: spell(&mut random, "ada.", 15),
            created_ms,
            seen_ms: created_ms + (bits >> 32) % DAY_MS,
            csrf: spell(&mut random, "", 32),
            locale: "en-GB".to_owned(),
            cart: vec![item(random.next()), item(random.next())],
            theme: if bits & 1 == 0 { Theme::Light } else { Theme::Dark },
            verified: bits & 2 == 0,
            staff: bits & 1023 == 0,
        }
    }

    /// What a request leaves in its session: the size stays.
    pub fn see(&mut self) {
        self.seen_ms += 1;
    }

    /// Puts the encoded record at the end of `buffer`.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<()> {
        let before = buffer.len();
        bincode::DefaultOptions::new().serialize_into(&mut *buffer, self)?;
        assert_eq!(buffer.len() - before, ENCODED, "every session has the same size");
        Ok(())
    }

    /// The opposite of [`encode`](Self::encode), on exactly its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(bincode::DefaultOptions::new().deserialize(bytes)?)
    }
}

fn item(bits: u64) -> Item {
    Item { product: 100_000 + (bits >> 36) as u32, count: 1 + (bits % 9) as u16 }
}

/// `prefix` and then `letters` random ones.
fn spell(random: &mut Random, prefix: &str, letters: usize) -> String {
    let mut text = String::with_capacity(prefix.len() + letters);
    text.push_str(prefix);
    let mut bits = 0;
    for index in 0..letters {
        if index % 10 == 0 {
            bits = random.next();
        }
        text.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn every_record_takes_111_bytes_and_comes_back() {
        for key in &Keys::new(2000).filed {
            let mut bytes = Vec::new();
            Record::of(key).encode(&mut bytes).unwrap();
            assert_eq!(bytes.len(), ENCODED);
            assert_eq!(Record::decode(&bytes).unwrap(), Record::of(key));
        }
    }
}
