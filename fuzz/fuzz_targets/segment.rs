//! See `src/segment.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::segment::run(bytes));
