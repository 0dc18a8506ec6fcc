//! Tokens against cross-site requests, for those who want them beside
//! [`CrossSiteLayer`](crate::web::CrossSiteLayer): browsers too old for its headers, or a form that
//! must have been shown before it is sent. Knows not where a token is kept: the session is the
//! place, and a login the time for a new one.
//!
//! ```
//! use sessile::web::csrf::Token;
//!
//! # fn main() -> sessile::Result<()> {
//! let token = Token::new()?; // once for each session, and kept in it as `token.expose()`
//! let field = token.masked()?; // into the form, another one for each page
//! assert!(token.verify(field.as_bytes())); // what came back
//! assert!(!token.verify(b"something else"));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::hint::black_box;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::{Error, ErrorKind, Result};
use crate::id::Id;
use crate::web::base64;

const BYTES: usize = 24;
/// A pad, and the token under it.
const MASKED_BYTES: usize = 2 * BYTES;
const MASKED_LETTERS: usize = base64::letters(MASKED_BYTES);

/// A secret that a page of ours knows and one of another site does not: 192 random bits. It has
/// no `Display`, its `Debug` shows nothing, and it is compared with [`verify`](Self::verify) only.
#[derive(Clone)]
pub struct Token(Id);

impl Token {
    /// Draws a new one.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn new() -> Result<Self> {
        Id::new().map(Token)
    }

    /// Reads what [`expose`](Self::expose) gave; `None` if it is something else.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        Id::parse(text).map(Token)
    }

    /// The 32 letters, to be kept in the session. A page gets [`masked`](Self::masked) ones.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The token for a page or a header: 64 letters, others each time, so that nobody can guess it
    /// piece by piece from the lengths of compressed pages. One allocation.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn masked(&self) -> Result<String> {
        let mut bytes = [0; MASKED_BYTES];
        let (pad, under) = bytes.split_at_mut(BYTES);
        SysRng.try_fill_bytes(pad).map_err(|error| {
            Error::new(ErrorKind::Io, "the operating system gave no random bytes").caused_by(error)
        })?;
        for ((to, pad), byte) in under.iter_mut().zip(pad).zip(self.bytes()) {
            *to = *pad ^ byte;
        }
        let mut letters = vec![0; MASKED_LETTERS];
        base64::encode(&bytes, &mut letters);
        // The alphabet is ASCII, so this cannot fail.
        Ok(String::from_utf8(letters).unwrap_or_default())
    }

    /// Whether this is the token, [masked](Self::masked). Takes the same time wherever a wrong one
    /// is wrong, and allocates nothing.
    pub fn verify(&self, masked: &[u8]) -> bool {
        let mut bytes = [0; MASKED_BYTES];
        if !base64::decode(masked, &mut bytes) {
            return false;
        }
        let (pad, under) = bytes.split_at(BYTES);
        let parts = pad.iter().zip(under).zip(self.bytes());
        parts.fold(0, |differ, ((pad, under), byte)| black_box(differ | (pad ^ under ^ byte))) == 0
    }

    fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        // An id is 32 letters of the alphabet, so this cannot fail.
        let _ = base64::decode(self.expose().as_bytes(), &mut bytes);
        bytes
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_a_token_is_verified_only_masked_and_only_by_itself() {
        let (token, other) = (Token::new().unwrap(), Token::new().unwrap());
        let again = Token::parse(token.expose()).unwrap();
        for _ in 0..100 {
            let masked = token.masked().unwrap();
            assert_eq!(masked.len(), 64);
            assert!(token.verify(masked.as_bytes()) && again.verify(masked.as_bytes()));
            assert!(!other.verify(masked.as_bytes()));
        }
        for wrong in ["", token.expose(), &"A".repeat(64), &"=".repeat(64), &"A".repeat(10_000)] {
            assert!(!token.verify(wrong.as_bytes()), "{wrong}");
        }
        assert!(Token::parse("short").is_none());
    }

    #[test]
    fn r10_every_flipped_bit_of_a_masked_token_is_refused() {
        let token = Token::new().unwrap();
        let masked = token.masked().unwrap().into_bytes();
        for bit in 0..masked.len() * 8 {
            let mut flipped = masked.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!token.verify(&flipped), "bit {bit}");
        }
    }

    /// Every letter of a masked token changes from one page to the next, so no part of a page
    /// repeats what another part guesses.
    #[test]
    fn r10_no_letter_of_a_masked_token_stays() {
        let token = Token::new().unwrap();
        let first = token.masked().unwrap().into_bytes();
        let mut changed = [false; MASKED_LETTERS];
        for _ in 0..100 {
            let masked = token.masked().unwrap().into_bytes();
            let places = changed.iter_mut().zip(first.iter().zip(&masked));
            places.for_each(|(changed, (a, b))| *changed |= a != b);
        }
        assert!(changed.iter().all(|changed| *changed));
    }

    #[test]
    fn r15_debug_shows_no_token() {
        assert_eq!(format!("{:?}", Token::new().unwrap()), "Token(…)");
    }
}
