//! Any bytes as an encoded value and as an id: an error or a value, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sessile::{Bincode, Codec, Id};

type Value = (u64, String, Vec<Option<f64>>, Vec<(u32, Vec<u8>)>, char, [i16; 4]);

fuzz_target!(|bytes: &[u8]| {
    let _ = Bincode::decode::<Value>(bytes);
    if let Some(id) = Id::parse(bytes) {
        assert_eq!(id.expose().as_bytes(), bytes);
    }
});
