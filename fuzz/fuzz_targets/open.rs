//! See `src/open.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::open::run(bytes));
