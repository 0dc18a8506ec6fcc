//! See `src/codec.rs`. Memory is counted.
#![no_main]

#[global_allocator]
static COUNTING: sessile_fuzz::counting::Counting = sessile_fuzz::counting::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessile_fuzz::codec::run(bytes));
