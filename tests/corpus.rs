//! The seeds of the fuzzers, and every input that has once shown a bug, through the same
//! functions that the fuzzers run; and what decoding a value may cost in memory.
#![cfg(all(
    feature = "__inside",
    feature = "bincode",
    feature = "postcard",
    feature = "json",
    feature = "tower"
))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![allow(unsafe_code, reason = "an allocator that counts")]

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "a crate of its own elsewhere")]
mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::counting::{Counting, is_counting};

#[global_allocator]
static COUNTING: Counting = Counting;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a target on an input; the name of the input is printed if that fails.
fn run(target: fn(&[u8]), name: &str, bytes: &[u8]) {
    struct Name<'a>(&'a str);
    impl Drop for Name<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input is {}", self.0);
            }
        }
    }
    let _name = Name(name);
    target(bytes);
}

#[test]
fn every_seed_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, function) in fuzz::TARGETS {
        let seeds = files(&root.join(target));
        assert!(!seeds.is_empty(), "no seeds for {target}");
        for seed in seeds {
            let bytes = fs::read(&seed).unwrap();
            assert!(bytes.len() <= 12 << 10, "{} is too large for a seed", seed.display());
            run(function, &seed.display().to_string(), &bytes);
        }
    }
}

#[test]
fn seeds_made_anew_pass() {
    for (target, name, bytes) in fuzz::seeds::all() {
        let (_, function) = fuzz::TARGETS.iter().find(|(known, _)| *known == target).unwrap();
        run(*function, &format!("{target}/{name}"), &bytes);
    }
}

/// What no fuzzer is needed for: the seeds of the codecs, decoded as every type by every codec, cut
/// short at every place, and each time with the last byte replaced.
#[test]
fn no_value_costs_more_memory_than_its_bytes_allow() {
    assert!(is_counting(), "else the target has nothing to measure");
    for (_, name, bytes) in fuzz::seeds::all().into_iter().filter(|seed| seed.0 == "codec") {
        for (choice, end) in
            (0..27).flat_map(|choice| (2..=bytes.len()).map(move |end| (choice, end)))
        {
            let mut bytes = bytes[..end].to_vec();
            bytes[0] = choice;
            run(fuzz::codec::run, &name, &bytes);
            for byte in [0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF] {
                bytes[end - 1] = byte;
                run(fuzz::codec::run, &name, &bytes);
            }
        }
    }
}

/// The measure is worth something only if a codec that believes a length would be caught by it.
#[test]
#[should_panic(expected = "are allowed")]
fn a_codec_that_believes_a_length_is_caught() {
    fuzz::codec::check_greedy(&[0xFF; 4]);
}
