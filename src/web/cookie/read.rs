//! Finds our cookie among the bytes of the `Cookie` header fields. Trusts none of them, knows
//! nothing of what the value means.
//!
//! Servers that trim more than browsers do, or decode names, let a page plant a cookie that a
//! browser keeps apart from ours and the server takes for it. So this splits on `;`, strips spaces
//! and tabs, compares bytes, and does nothing else.

use std::fmt;

use crate::limits::{COOKIE_BYTES_READ_MAX, COOKIES_READ_MAX};

/// What a request has under our name. All but [`One`](Self::One) mean: no session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// No cookie of that name.
    None,
    /// One, with this value: raw bytes from the network, which may be anything.
    One(&'a [u8]),
    /// More than one, be they equal or not. Only one can be ours, and nothing tells which.
    Duplicate,
    /// More than 64 cookies, or 16 KiB of them: none was looked at in earnest.
    TooMany,
}

/// The value is left out: it may be a secret.
impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Found::None => "None",
            Found::One(_) => "One(…)",
            Found::Duplicate => "Duplicate",
            Found::TooMany => "TooMany",
        })
    }
}

/// Looks through all fields. `name` is a token, so it holds neither `=` nor `;`.
pub(super) fn find<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &[u8]) -> Found<'a> {
    let (mut found, mut bytes, mut cookies) = (Found::None, 0_usize, 0);
    for field in fields {
        bytes = bytes.saturating_add(field.len());
        if bytes > COOKIE_BYTES_READ_MAX {
            return Found::TooMany;
        }
        let mut rest = Some(field);
        while let Some(bytes) = rest {
            let (pair, after) = cut(bytes);
            rest = after;
            let pair = strip(pair);
            if pair.is_empty() {
                continue;
            }
            cookies += 1;
            if cookies > COOKIES_READ_MAX {
                return Found::TooMany;
            }
            let value = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="));
            found = match (value, found) {
                (None, found) => found,
                (Some(value), Found::None) => Found::One(value),
                (Some(_), _) => Found::Duplicate,
            };
        }
    }
    found
}

/// What is before the first `;`, and what is behind it if there is one.
fn cut(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.split_at_checked(semicolon(bytes)) {
        Some((pair, [_, after @ ..])) => (pair, Some(after)),
        _ => (bytes, None),
    }
}

/// Where the first `;` is, or the length. Eight bytes at a time: this is most of the work.
fn semicolon(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const WANTED: u64 = u64::from_le_bytes([b';'; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A zero byte borrows from its high bit. Only bytes above the first zero can be wrong.
        let zero_if_wanted = u64::from_le_bytes(*word) ^ WANTED;
        let hits = zero_if_wanted.wrapping_sub(ONES) & !zero_if_wanted & HIGH;
        if hits != 0 {
            return index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let end = tail.iter().position(|byte| *byte == b';').unwrap_or(tail.len());
    words.len() * 8 + end
}

/// Without spaces and tabs at both ends, and only these: browsers strip no others.
fn strip(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_is_found_at_every_place_among_all_bytes() {
        for other in (0..=255).filter(|byte| *byte != b';') {
            for length in 0..20 {
                let plain = vec![other; length];
                assert_eq!(semicolon(&plain), length);
                for place in 0..length {
                    let mut bytes = plain.clone();
                    bytes[place] = b';';
                    assert_eq!(semicolon(&bytes), place, "{bytes:?}");
                    bytes[length - 1] = b';';
                    assert_eq!(semicolon(&bytes), place, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_stripped() {
        assert_eq!(strip(b" \t a b\t "), b"a b");
        assert_eq!(strip(b" \t "), b"");
        for byte in (0..=255).filter(|byte| ![b' ', b'\t'].contains(byte)) {
            assert_eq!(strip(&[b' ', byte, b'x', byte, b' ']), [byte, b'x', byte]);
        }
    }
}
