//! See `src/frame.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::frame::run(bytes));
