//! See `src/base.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::base::run(bytes));
