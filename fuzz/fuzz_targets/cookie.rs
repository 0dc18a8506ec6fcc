//! See `src/cookie.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::cookie::run(bytes));
