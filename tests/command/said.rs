//! What the command says and how it ends: text and JSON, and what it makes of bad arguments.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use sessile::{Expiry, Timestamp};

use crate::support::{Temp, key};
use crate::{at, builder, filled, sessile};

#[test]
fn stat_counts_what_is_warm_cold_gone_and_expired() {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    (0..20).for_each(|number| store.insert(key(number), format!("value {number}")).unwrap());
    let hour = Expiry::After(Duration::from_secs(3600));
    store.insert_with(key(20), "an hour".to_owned(), hour).unwrap();
    store.flush().unwrap();
    store.insert(key(1), "again".to_owned()).unwrap();
    store.remove(&key(2)).unwrap();
    store.insert(key(30), "new".to_owned()).unwrap();
    let deadline = store.deadline(&key(20)).unwrap().unwrap().as_millis();
    let temp = temp.copy();
    let stat = |now: i64| {
        let report = at("stat", temp.path(), &["--json", "--at", &now.to_string()]).with(0).json();
        let count = |name: &str| report[name].as_u64().unwrap();
        ["sessions", "warm", "cold", "gone", "expired", "unknown"].map(count)
    };
    assert_eq!(stat(deadline - 1000), [21, 2, 19, 1, 0, 0]);
    assert_eq!(stat(deadline), [20, 2, 18, 1, 1, 0]);
    let report = at("stat", temp.path(), &["--json"]).with(0).json();
    assert_eq!(report["format"], "1.0");
    assert_eq!(report["lsn"]["last"], 24);
    assert_eq!(report["lsn"]["cut"], 21);
    assert_eq!(report["lsn"]["durable"], 23, "the removal was synced, the last write was not");
    assert_eq!(report["log"]["frames"], 3);
    assert_eq!(report["first_deadline_ms"], deadline);
    let files = report["files"].as_array().unwrap();
    let counts = files.iter().filter(|file| file["role"] == "counts").count();
    assert_eq!(counts, 3, "a manifest, a base, a segment: {report}");
    for file in files {
        let path = temp.path().join(file["name"].as_str().unwrap());
        assert_eq!(file["bytes"], fs::metadata(path).unwrap().len());
    }
    let text = at("stat", temp.path(), &[]).with(0).out;
    for line in [
        "sessions   21: 2 in the log, 19 in bases only",
        "           0 expired and 1 gone, not merged away yet",
        "LSN        24: 23 known to be on disk, 21 in the bases",
        "log        3 frames, ",
        "state      not in use, format 1.0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn keys_says_where_each_value_lies_and_lists_the_expired_only_if_asked() {
    let temp = filled();
    let lines = at("keys", temp.path(), &["--json"]).with(0).lines();
    assert_eq!(lines.len(), 24);
    let lies_in = |kind: &str| {
        let is_in = |line: &&serde_json::Value| line["file"].as_str().unwrap().starts_with(kind);
        lines.iter().filter(is_in).count()
    };
    assert_eq!((lies_in("base."), lies_in("log.")), (19, 5));
    let later = lines.iter().map(|line| line["ends_ms"].as_i64().unwrap()).max().unwrap();
    let later = ["--at", &later.to_string()];
    assert_eq!(at("keys", temp.path(), &later).with(0).out.lines().count(), 1, "the heading");
    let expired = at("keys", temp.path(), &[&later[..], &["--expired"]].concat()).with(0).out;
    assert_eq!(expired.lines().filter(|line| line.ends_with(", expired")).count(), 24);
    let one = lines[0]["key"].as_str().unwrap();
    at("get", temp.path(), &[&later[..], &[one]].concat()).with(3);
    at("get", temp.path(), &[one]).with(0);
}

#[test]
fn get_shows_what_describes_itself_and_bytes_otherwise() {
    let temp = filled();
    let hex = crate::dump::hex(&key(3).to_bytes());
    let report = at("get", temp.path(), &[&hex, "--json"]).with(0).json();
    assert_eq!(report["hex"], crate::dump::hex(b"\x07value 3"));
    assert_eq!((&report["codec"], &report["bytes"]), (&1.into(), &8.into()));
    let temp = Temp::new();
    let store = builder().codec::<sessile::Json>().open(temp.path()).unwrap();
    store.insert(key(3), "value 3".to_owned()).unwrap();
    let report = at("get", temp.path(), &[&hex.to_uppercase(), "--json"]).with(0).json();
    assert_eq!(report["value"], "value 3");
    let text = at("get", temp.path(), &[&hex]).with(0).out;
    assert!(text.contains("\n\"value 3\"\n"), "{text}");
    let ended = at("get", temp.path(), &[&"00".repeat(16)]).with(3);
    assert!(ended.err.contains("no such session") && ended.out.is_empty(), "{ended:?}");
}

#[test]
fn what_cannot_be_read_ends_with_2_and_says_what_to_do() {
    let temp = Temp::new();
    for command in ["stat", "verify", "keys"] {
        let ended = at(command, temp.path(), &[]).with(2);
        assert!(ended.err.contains("give the path of a store's directory"), "{ended:?}");
    }
    fs::DirBuilder::new().mode(0o700).create(temp.path()).unwrap();
    let ended = at("stat", temp.path(), &[]).with(2);
    assert!(ended.err.contains("no store in this directory"), "{ended:?}");
    assert!(temp.names("").is_empty(), "looking makes nothing");
    fs::write(temp.path().join("file"), "").unwrap();
    let ended = at("stat", &temp.path().join("file"), &[]).with(2);
    assert!(ended.err.contains("file"), "{ended:?}");
}

#[test]
fn what_is_not_understood_ends_with_2_and_says_where_to_look() {
    for words in [
        &[][..],
        &["frob"],
        &["stat"],
        &["stat", "x", "--frob"],
        &["stat", "x", "-j"],
        &["stat", "x", "--at"],
        &["keys", "x", "y"],
        &["get", "x"],
        &["get", "x", "not-a-key"],
    ] {
        let ended = sessile(words).with(2);
        assert!(ended.err.contains("sessile --help"), "{words:?}: {ended:?}");
        assert!(ended.out.is_empty(), "{words:?}: {ended:?}");
    }
    let help = sessile(&["--help"]).with(0).out;
    assert!(["stat", "verify", "keys", "get", "bench"].iter().all(|word| help.contains(word)));
    assert!(sessile(&["--version"]).with(0).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    (0..20_000).for_each(|number| store.insert(key(number), "x".to_owned()).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessile"));
    command.arg("keys").arg(temp.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("written"), "{said}");
}

#[test]
fn a_time_before_the_store_lived_ends_nothing_and_revives_nothing() {
    let temp = filled();
    let early = Timestamp::from_millis(0).as_millis().to_string();
    let keys = at("keys", temp.path(), &["--json", "--at", &early]).with(0).out;
    assert_eq!(keys.lines().count(), 24);
    assert_eq!(keys, at("keys", temp.path(), &["--json"]).with(0).out);
}
