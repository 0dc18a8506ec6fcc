//! What the fuzzers do with an input: one function for each target, which panics if something is
//! wrong. The targets in `fuzz_targets` run them on what libFuzzer makes up, and the crate's own
//! tests (`tests/corpus.rs`) on every seed.
//!
//! `wire`, `scanner` and `blocks` are a second reading of the two pages of the format, written
//! for plainness and without the crate's code, to compare it with.

pub mod base;
pub mod blocks;
pub mod codec;
pub mod cookie;
pub mod counting;
pub mod frame;
pub mod history;
pub mod input;
pub mod manifest;
pub mod open;
pub mod scanner;
pub mod seeds;
pub mod segment;
pub mod wheel;
pub mod wire;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// The targets by name, as in `fuzz_targets` and `seeds`.
pub const TARGETS: [(&str, Target); 9] = [
    ("base", base::run),
    ("codec", codec::run),
    ("cookie", cookie::run),
    ("frame", frame::run),
    ("history", history::run),
    ("manifest", manifest::run),
    ("open", open::run),
    ("segment", segment::run),
    ("wheel", wheel::run),
];
