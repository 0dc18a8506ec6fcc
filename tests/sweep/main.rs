//! Damage, swept: every bit, every truncation, every range of sectors, every file. Each case is
//! checked against all that is known of the directory; see `check.rs`.
//!
//! `SESSILE_FULL=1` looks at every case in every way; otherwise the slower ways see a part.
#![cfg(all(feature = "bincode", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod bits;
mod check;
mod files;
mod fixture;
mod ranges;
#[path = "../support/mod.rs"]
mod support;

/// Whether this case, of its number, is looked at in the slower ways too: one of `part`.
fn is_slow_too(number: usize, part: usize) -> bool {
    std::env::var_os("SESSILE_FULL").is_some() || number.is_multiple_of(part)
}
