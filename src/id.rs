//! Ids and keys: the secret that a cookie carries, and the digest under which it is stored.
//!
//! A [`Key`] can be made by hashing only, so a raw id never reaches the map, the log or a disk.

use std::fmt;
use std::hash::{Hash, Hasher};

use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of an id before encoding: 192 bits, so that 32 letters spell it without a spare bit.
const ID_BYTES: usize = 24;
/// Letters of an id.
const ID_LETTERS: usize = 32;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Separates these digests from every other use of SHA-256.
const DOMAIN: &[u8] = b"sessile/key/v1\0";

/// What a store files its values under: 16 bytes of a domain-tagged SHA-256.
///
/// A digest cannot be turned back, so a store cannot list the names it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a name: any bytes. Costs one SHA-256 block, about 50 ns.
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        let digest = Sha256::new().chain_update(DOMAIN).chain_update(name.as_ref()).finalize();
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        Key(key)
    }

    /// A key that was taken out with [`to_bytes`](Self::to_bytes). Not for names: use
    /// [`of`](Self::of) for those.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Key(bytes)
    }

    /// The 16 bytes. Not a secret, but enough to tell two sessions apart: mind where it goes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    #[inline]
    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first four bytes in hexadecimal: enough for a log line, useless for a lookup.
    pub fn fingerprint(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

// One write of 16 bytes and no length, so that a map hashes a key as `hash::Seed` does.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}…)", self.fingerprint())
    }
}

/// The secret that a browser keeps: 192 random bits from the operating system, spelt as 32
/// letters of base64url. It has no `Display` and its `Debug` shows a fingerprint, so that it
/// does not end up in a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Id([u8; ID_LETTERS]);

impl Id {
    /// Draws a new id.
    ///
    /// # Errors
    /// If the operating system gives no random bytes: never a weak id.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; ID_BYTES];
        SysRng.try_fill_bytes(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Io, "the operating system gave no random bytes").caused_by(error)
        })?;
        Ok(Self::spell(bytes))
    }

    fn spell(bytes: [u8; ID_BYTES]) -> Self {
        let mut letters = [0; ID_LETTERS];
        let (triples, _) = bytes.as_chunks::<3>();
        let (quads, _) = letters.as_chunks_mut::<4>();
        for ([a, b, c], quad) in triples.iter().zip(quads) {
            let word = u32::from_be_bytes([0, *a, *b, *c]);
            *quad = [18, 12, 6, 0].map(|shift| letter(word >> shift));
        }
        Id(letters)
    }

    /// Reads an id as a cookie carries it; `None` if it is not one. Malformed is absent.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let letters: [u8; ID_LETTERS] = text.as_ref().try_into().ok()?;
        // All of them, without a branch for each: thirty times as fast as a search for each.
        letters.iter().fold(true, |all, byte| all & is_letter(*byte)).then_some(Id(letters))
    }

    /// The 32 letters, to be put into a cookie and nowhere else.
    pub fn expose(&self) -> &str {
        // The alphabet is ASCII, so this cannot fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The key under which a store files what belongs to this id.
    pub fn key(&self) -> Key {
        Key::of(self.0)
    }
}

fn letter(word: u32) -> u8 {
    ALPHABET.get((word & 63) as usize).copied().unwrap_or(b'A')
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_')
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({}…)", self.key().fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_parsed_as_it_is_spelt() {
        let id = Id::new().unwrap();
        assert_eq!(Id::parse(id.expose()), Some(id.clone()));
        assert_eq!(Id::spell([0; 24]).expose(), "A".repeat(32));
        assert_eq!(Id::spell([255; 24]).expose(), "_".repeat(32));
        assert_eq!(
            Id::spell(*b"the quick brown fox jump").expose(),
            "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1w"
        );
    }

    #[test]
    fn what_is_not_an_id_is_absent() {
        for text in
            ["", "short", &"A".repeat(31), &"A".repeat(33), &"=".repeat(32), &"é".repeat(16)]
        {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_byte_that_is_no_letter_is_refused_at_every_place() {
        for (byte, place) in (0..=255).flat_map(|byte| (0..ID_LETTERS).map(move |p| (byte, p))) {
            let mut letters = [b'A'; ID_LETTERS];
            letters[place] = byte;
            assert_eq!(Id::parse(letters).is_some(), ALPHABET.contains(&byte), "{byte:#x}");
        }
    }

    #[test]
    fn every_letter_occurs_at_every_place() {
        let mut seen = [[false; 64]; ID_LETTERS];
        for _ in 0..4000 {
            let id = Id::new().unwrap();
            for (place, byte) in id.expose().bytes().enumerate() {
                let index = ALPHABET.iter().position(|letter| *letter == byte).unwrap();
                seen[place][index] = true;
            }
        }
        assert!(seen.iter().flatten().all(|seen| *seen));
    }

    #[test]
    fn debug_shows_no_secret() {
        let id = Id::new().unwrap();
        assert!(!format!("{id:?}").contains(id.expose()));
        assert!(!format!("{:?}", id.key()).contains(&format!("{:?}", id.key().to_bytes())));
    }
}
