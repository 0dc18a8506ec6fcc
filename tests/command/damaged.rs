//! Damaged directories: an honest report with file and offset, whatever byte it is, and never a
//! panic.

use std::fs;

use crate::dump::hex;
use crate::support::{Temp, key};
use crate::{at, builder, filled};

/// The file whose name begins with `kind`; the last one if there are several.
fn file(temp: &Temp, kind: &str) -> String {
    temp.names(kind).pop().unwrap()
}

fn flip(temp: &Temp, name: &str, at: usize) {
    let path = temp.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Where a value lies in a file.
fn place(temp: &Temp, name: &str, value: &str) -> usize {
    let bytes = fs::read(temp.path().join(name)).unwrap();
    bytes.windows(value.len()).position(|window| window == value.as_bytes()).unwrap()
}

#[test]
fn a_damaged_block_is_named_with_its_offset_and_what_it_costs() {
    let temp = filled();
    let base = file(&temp, "base");
    flip(&temp, &base, place(&temp, &base, "value 7"));
    let report = at("verify", temp.path(), &["--json"]).with(1).json();
    let damage = report["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 1, "{report}");
    assert_eq!(
        (damage[0]["file"].as_str(), damage[0]["offset"].as_u64()),
        (Some(&*base), Some(4096))
    );
    assert!(damage[0]["lost"].as_str().unwrap().ends_with(": 20 records"), "{report}");
    let text = at("verify", temp.path(), &[]).with(1).out;
    assert!(text.contains(&format!("{base} at byte 4096")), "{text}");
    assert!(text.contains("to do") && text.contains("damaged in one place"), "{text}");
    // What lies in the log is there all the same.
    let keys = at("keys", temp.path(), &["--json"]).with(1);
    assert_eq!(keys.lines().len(), 5);
    assert!(keys.err.contains("at byte 4096"), "{keys:?}");
    let found = at("get", temp.path(), &[&hex(&key(22).to_bytes())]).with(0);
    assert!(found.out.contains("key"), "{found:?}");
    let lost = at("get", temp.path(), &[&hex(&key(7).to_bytes())]).with(1);
    assert!(lost.err.contains("at byte 4096"), "{lost:?}");
}

#[test]
fn a_frame_that_was_acknowledged_is_damage_and_one_that_was_not_is_an_end() {
    let temp = filled();
    let log = file(&temp, "log");
    let first = place(&temp, &log, "value 21");
    flip(&temp, &log, first);
    let report = at("verify", temp.path(), &["--json"]).with(1).json();
    let damage = report["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 1, "{report}");
    let offset = damage[0]["offset"].as_u64().unwrap();
    assert!(offset < first as u64 && first as u64 - offset < 100, "{report}");
    assert!(damage[0]["lost"].as_str().unwrap().starts_with("LSN 22 to 22"), "{report}");
    let keys = at("keys", temp.path(), &["--json"]).with(1).lines();
    assert_eq!(keys.len(), 19 + 4);

    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    store.insert(key(1), "value 1".to_owned()).unwrap();
    store.insert(key(2), "value 2".to_owned()).unwrap();
    let copy = temp.copy();
    let log = file(&copy, "log");
    flip(&copy, &log, place(&copy, &log, "value 2"));
    let report = at("verify", copy.path(), &["--json"]).with(0).json();
    assert!(report["notes"][0].as_str().unwrap().contains("the log ends here"), "{report}");
    assert_eq!(at("keys", copy.path(), &["--json"]).with(0).lines().len(), 1);
}

#[test]
fn files_that_are_missing_are_named() {
    let temp = filled();
    let base = file(&temp, "base");
    fs::remove_file(temp.path().join(&base)).unwrap();
    let report = at("verify", temp.path(), &["--json"]).with(1).json();
    assert_eq!(report["damage"][0]["file"], *base, "{report}");
    assert!(report["damage"][0]["offset"].is_null(), "{report}");
    for manifest in temp.names("manifest") {
        fs::remove_file(temp.path().join(manifest)).unwrap();
    }
    let ended = at("verify", temp.path(), &[]).with(1);
    assert!(ended.err.contains("no manifest"), "{ended:?}");
}

/// Whatever byte of whatever file is another one: `verify` names that file and a place at or
/// before it, or nothing that counts was changed, and then everything is found as before.
#[test]
fn every_byte_of_a_small_directory() {
    let temp = filled();
    // The segment's space is allocated ahead: what was never written is of no interest.
    let log_name = file(&temp, "log");
    let last_frame = place(&temp, &log_name, "value 24") - 32 - 16 - 20 - 1;
    let log = temp.path().join(&log_name);
    let bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 20;
    fs::write(&log, &bytes[..used]).unwrap();
    let keys = at("keys", temp.path(), &[]).with(0).out;
    let mut seen = 0;
    for (name, bytes) in temp.contents() {
        // Zeros that nothing looks at are most of it: of these, every 61st.
        let is_looked_at = |at: &usize| {
            let near = bytes.get(at.saturating_sub(8)..at + 8).unwrap_or_default();
            at.is_multiple_of(61) || near.iter().any(|byte| *byte != 0)
        };
        for at_byte in (0..bytes.len()).filter(is_looked_at).step_by(STEP) {
            let mut damaged = bytes.clone();
            damaged[at_byte] ^= 1 << (at_byte % 8);
            fs::write(temp.path().join(&name), &damaged).unwrap();
            let ended = at("verify", temp.path(), &["--json"]);
            let what = format!("{name}, byte {at_byte}: {ended:?}");
            match ended.code {
                // The last frame was never acknowledged as on disk.
                0 if name == log_name && ended.out.contains("the log ends here") => {
                    assert!(at_byte >= last_frame, "{what}");
                }
                // All that is written is under a checksum; of the zeros between, not all are.
                0 => {
                    assert_eq!(bytes[at_byte], 0, "{what}");
                    assert_eq!(at("keys", temp.path(), &[]).out, keys, "{what}");
                }
                1 if ended.out.is_empty() => assert!(ended.err.contains(&name), "{what}"),
                1 => {
                    let report = ended.json();
                    let damage = report["damage"].as_array().unwrap();
                    // A header and a manifest have one checksum, which is where they fail.
                    let named = damage.iter().any(|damage| {
                        let offset = damage["offset"].as_u64();
                        let is_there = |offset| offset <= at_byte as u64 || at_byte < 4096;
                        damage["file"] == *name && offset.is_some_and(is_there)
                    });
                    assert!(named, "{what}");
                    seen += 1;
                }
                _ => panic!("{what}"),
            }
        }
        fs::write(temp.path().join(&name), &bytes).unwrap();
    }
    assert!(seen > 300, "{seen}");
}

/// Of the bytes that are looked at: a process for each takes its time.
const STEP: usize = 3;
