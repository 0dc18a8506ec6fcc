//! Bytes on disk that are not what this store would have written: another encoding, another
//! version, damage. Never a guess, never a wrong value, and nothing is changed by looking.
#![cfg(all(feature = "bincode", feature = "postcard"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sessile::{
    Background, Bincode, Builder, Durability, Error, Postcard, Recovery, Salvage, Store, Written,
};
use support::{Rng, Temp, key, seed};

fn builder() -> Builder<String> {
    Store::builder().background(Background::Callers)
}

fn text(number: u64) -> String {
    format!("<the value of session {number}>")
}

#[track_caller]
fn mentions(error: &Error, words: &[&str]) {
    let message = error.to_string();
    words.iter().for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
}

#[track_caller]
fn holds(store: &Store<String>, numbers: std::ops::Range<u64>, expected: bool) {
    for number in numbers {
        let value = store.peek(&key(number)).unwrap();
        let expected = expected.then(|| text(number));
        assert_eq!(value.as_deref(), expected.as_ref(), "key {number}");
    }
}

/// A directory with sessions 0 to 19 in a base, or in the log as a kill leaves it.
fn filled(builder: Builder<String>, in_base: bool) -> Temp {
    let temp = Temp::new();
    let store = builder.open(temp.path()).unwrap();
    (0..20).for_each(|number| store.insert(key(number), text(number)).unwrap());
    store.sync().unwrap();
    // Its frame says that all before it are on disk.
    store.insert(key(99), text(99)).unwrap();
    if in_base {
        store.close().unwrap();
    }
    temp.copy()
}

/// Where `text` begins in the one file whose name begins with `kind`.
fn find(temp: &Temp, kind: &str, text: &str) -> (std::path::PathBuf, usize) {
    for name in temp.names(kind) {
        let path = temp.path().join(name);
        let bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            return (path, at);
        }
    }
    panic!("{text} is in no {kind}");
}

fn flip(path: &Path, at: usize, mask: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= mask;
    fs::write(path, bytes).unwrap();
}

#[test]
fn another_codec_or_tag_is_a_mismatch_that_names_both() {
    for in_base in [true, false] {
        let temp = filled(builder().codec::<Bincode>().schema_tag(7), in_base);
        let before = temp.contents();
        let cases = [
            (builder().codec::<Postcard>().schema_tag(7), ["codec 1", "codec 2"]),
            (builder().codec::<Bincode>().schema_tag(8), ["tag 7", "tag 8"]),
        ];
        for (other, words) in cases {
            let error = other.open(temp.path()).unwrap_err();
            assert!(error.is_mismatch(), "{in_base}: {error:?}");
            mentions(&error, &words);
            mentions(&error, &["migrate"]);
            assert_eq!(temp.contents(), before, "{in_base}");
        }
        holds(&builder().codec::<Bincode>().schema_tag(7).open(temp.path()).unwrap(), 0..20, true);
    }
}

#[test]
fn a_migration_is_asked_until_everything_has_been_written_anew() {
    for in_base in [true, false] {
        let temp = filled(builder().codec::<Bincode>().schema_tag(7), in_base);
        let new = || builder().codec::<Postcard>().schema_tag(8);
        let migrate = |written: Written, bytes: &[u8]| {
            assert_eq!((written.codec, written.schema_tag), (1, 7));
            String::from_utf8(bytes[1..].to_vec()).map_err(|error| error.to_string())
        };
        let store = new().migrate(migrate).open(temp.path()).unwrap();
        holds(&store, 0..20, true);
        assert!(store.remove(&key(0)).unwrap());
        store.update(&key(1), |value| value.push('!')).unwrap().unwrap();
        store.merge().unwrap();
        store.close().unwrap();
        let store = new().migrate(migrate).open(temp.path()).unwrap();
        store.merge().unwrap();
        store.close().unwrap();
        let store = new().open(temp.path()).unwrap();
        holds(&store, 0..1, false);
        holds(&store, 2..20, true);
        assert_eq!(store.peek(&key(1)).unwrap().unwrap().as_str(), text(1) + "!");
    }
}

#[test]
fn a_migration_that_refuses_leaves_the_value_as_it_is() {
    let temp = filled(builder().schema_tag(7), true);
    let refuse = |_: Written, _: &[u8]| Err("it cannot".to_owned());
    let store = builder().schema_tag(8).migrate(refuse).open(temp.path()).unwrap();
    let error = store.get(&key(3)).unwrap_err();
    assert!(error.is_decode(), "{error:?}");
    mentions(&error, &["it cannot", &key(3).fingerprint()]);
    assert!(store.merge().is_err());
    drop(store);
    holds(&builder().schema_tag(7).open(temp.path()).unwrap(), 0..20, true);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Changed {
    a: u64,
    b: (String, String),
}

#[test]
fn a_forgotten_tag_shows_as_such_and_the_session_can_be_replaced() {
    for in_base in [true, false] {
        let temp = filled(builder(), in_base);
        let builder = || Store::<Changed>::builder().background(Background::Callers);
        let store = builder().open(temp.path()).unwrap();
        let errors = [
            store.get(&key(1)).map(drop),
            store.peek(&key(1)).map(drop),
            store.update(&key(1), |_| ()).map(drop),
            store.take(&key(1)).map(drop),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert!(error.is_decode(), "{in_base}: {error:?}");
            mentions(&error, &[&key(1).fingerprint(), "schema_tag"]);
        }
        let new = Changed { a: 1, b: (text(1), text(2)) };
        assert!(store.remove(&key(1)).unwrap());
        store.insert(key(2), new.clone()).unwrap();
        assert!(!store.create(key(3), new.clone()).unwrap());
        store.flush().unwrap();
        store.merge().unwrap();
        assert!(store.get(&key(1)).unwrap().is_none());
        store.close().unwrap();
        let store = builder().open(temp.path()).unwrap();
        assert_eq!(store.get(&key(2)).unwrap().as_deref(), Some(&new));
        assert!(store.get(&key(4)).unwrap_err().is_decode());
    }
}

/// Gives the header another major version and the checksum that goes with it.
fn raise_version(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    // How far the checksum reaches, and what it covers before the bytes.
    let (sealed, place): (_, &[u8]) = match &bytes[1..6] {
        b"SSLOG" => (112, &[]),
        b"base\r" => (u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize, &[0; 16]),
        _ => (bytes.len(), &[]),
    };
    bytes[8] = 9;
    let crc = crc32fast::hash(&[place, &bytes[..sealed - 4]].concat());
    bytes[sealed - 4..sealed].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_format_is_refused_and_both_versions_are_named() {
    for (kind, in_base) in [("manifest", true), ("base", true), ("log", false)] {
        let temp = filled(builder(), in_base);
        raise_version(&temp.path().join(temp.names(kind).pop().unwrap()));
        let before = temp.contents();
        for recovery in [Recovery::Strict, Recovery::Salvage(Salvage::DropOlder)] {
            let error = builder().recovery(recovery).open(temp.path()).unwrap_err();
            assert!(error.is_mismatch(), "{kind}, {recovery:?}: {error:?}");
            mentions(&error, &["9.0", "1", kind]);
            assert_eq!(temp.contents(), before);
        }
    }
}

#[test]
fn damage_in_the_log_is_told_with_file_and_offset() {
    let temp = filled(builder(), false);
    let (path, at) = find(&temp, "log", &text(10));
    flip(&path, at, 4);
    let before = temp.contents();
    let error = builder().open(temp.path()).unwrap_err();
    assert!(error.is_corrupt(), "{error:?}");
    assert_eq!(error.path(), Some(&*path));
    let offset = error.byte_offset().unwrap() as usize;
    assert!(offset <= at && at - offset < 200, "{offset} {at}");
    mentions(&error, &["LSN", "Salvage"]);
    assert_eq!(temp.contents(), before, "looking changes nothing");
}

#[test]
fn salvage_keeps_what_it_is_told_to() {
    for kind in [Salvage::DropOlder, Salvage::KeepOlder] {
        let temp = filled(builder(), false);
        let (path, at) = find(&temp, "log", &text(10));
        flip(&path, at, 4);
        let store = builder().recovery(Recovery::Salvage(kind)).open(temp.path()).unwrap();
        assert_eq!(store.stats().disk.unwrap().recovery.lost.len(), 1);
        let check = |store: &Store<String>| {
            holds(store, 0..10, kind == Salvage::KeepOlder);
            holds(store, 10..11, false);
            holds(store, 11..20, true);
        };
        check(&store);
        // What was saved needs no salvage again, even if the next thing is another kill.
        check(&builder().open(temp.copy().path()).unwrap());
        store.at(Durability::Power).insert(key(10), text(10)).unwrap();
        store.close().unwrap();
        holds(&builder().open(temp.path()).unwrap(), 10..20, true);
    }
}

#[test]
fn a_torn_tail_is_cut_and_counted() {
    let temp = filled(builder(), false);
    let (path, at) = find(&temp, "log", &text(99));
    flip(&path, at, 4);
    let store = builder().open(temp.path()).unwrap();
    holds(&store, 0..20, true);
    holds(&store, 99..100, false);
    assert!(store.stats().disk.unwrap().recovery.torn_bytes > 0);
}

#[test]
fn start_fresh_sets_everything_aside() {
    let temp = filled(builder(), true);
    let manifest = temp.path().join(temp.names("manifest").pop().unwrap());
    flip(&manifest, 40, 1);
    let error = builder().open(temp.path()).unwrap_err();
    assert!(error.is_corrupt(), "{error:?}");
    mentions(&error, &["StartFresh"]);
    let names = temp.names("").into_iter().filter(|name| name != "lock").collect::<Vec<_>>();
    let store = builder().recovery(Recovery::StartFresh).open(temp.path()).unwrap();
    holds(&store, 0..20, false);
    store.insert(key(1), text(1)).unwrap();
    store.close().unwrap();
    let quarantine = temp.path().join("quarantine");
    let folder = fs::read_dir(quarantine).unwrap().next().unwrap().unwrap().path();
    names.iter().for_each(|name| assert!(folder.join(name).exists(), "{name}"));
    holds(&builder().open(temp.path()).unwrap(), 1..2, true);
}

#[test]
fn a_damaged_block_is_an_error_for_its_keys_only_and_can_be_written_over() {
    let temp = Temp::new();
    let long = |number: u64| format!("{}{}", text(number), "x".repeat(1500));
    let store = builder().open(temp.path()).unwrap();
    (0..100).for_each(|number| store.insert(key(number), long(number)).unwrap());
    store.close().unwrap();
    let (path, at) = find(&temp, "base", &text(50));
    flip(&path, at + 3, 4);
    let store = builder().open(temp.path()).unwrap();
    let damaged = |store: &Store<String>| -> Vec<u64> {
        let is_damaged = |number: &u64| match store.peek(&key(*number)) {
            Ok(value) => {
                assert_eq!(value.as_deref(), Some(&long(*number)), "{number}");
                false
            }
            Err(error) => {
                assert!(error.is_corrupt() && error.byte_offset().is_some(), "{error:?}");
                mentions(&error, &[temp.path().to_str().unwrap()]);
                true
            }
        };
        (0..100).filter(is_damaged).collect()
    };
    let lost = damaged(&store);
    assert!(lost.contains(&50) && lost.len() < 10, "{lost:?}");
    assert!(store.update(&key(50), String::clear).unwrap_err().is_corrupt());
    assert!(store.take(&key(50)).unwrap_err().is_corrupt());
    assert!(
        store.create(key(50), long(50)).is_ok_and(|made| !made)
            || store.create(key(50), long(50)).unwrap_err().is_corrupt()
    );
    // What is lost stays an error through merges: it is not known to be absent.
    store.insert(key(1000), long(1)).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    let merged = damaged(&store);
    assert!(merged.contains(&50) && merged.len() < 10, "{merged:?}");
    store.insert(key(50), long(50)).unwrap();
    merged.iter().filter(|number| **number != 50).for_each(|number| {
        assert!(store.remove(&key(*number)).unwrap());
        store.insert(key(*number), long(*number)).unwrap();
    });
    assert_eq!(damaged(&store), Vec::<u64>::new());
    store.close().unwrap();
    let store = builder().open(temp.path()).unwrap();
    assert_eq!(damaged(&store), Vec::<u64>::new());
}

/// Whatever bit flips in whatever file: an error, or the right values; never a panic, never a
/// wrong value, never a session that is silently gone.
#[test]
fn any_flipped_bit_is_harmless_or_told() {
    let mut rng = Rng(seed());
    for in_base in [true, false] {
        let temp = filled(builder(), in_base);
        let files: Vec<_> = temp.contents().into_iter().filter(|file| !file.1.is_empty()).collect();
        for _ in 0..80 {
            let (name, bytes) = &files[rng.below(files.len() as u64) as usize];
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let (at, mask) = (rng.below(used as u64) as usize, 1 << rng.below(8));
            let what = format!("{in_base}, {name}, byte {at}, mask {mask}");
            let copy = temp.copy();
            flip(&copy.path().join(name), at, mask);
            let store = match builder().open(copy.path()) {
                Ok(store) => store,
                Err(error) => {
                    assert!(error.is_corrupt() || error.is_mismatch(), "{what}: {error:?}");
                    assert!(error.path().is_some(), "{what}: {error:?}");
                    continue;
                }
            };
            for number in 0..20 {
                match store.peek(&key(number)) {
                    Ok(value) => assert_eq!(value.as_deref(), Some(&text(number)), "{what}"),
                    Err(error) => assert!(error.is_corrupt(), "{what}: {error:?}"),
                }
            }
        }
    }
}
