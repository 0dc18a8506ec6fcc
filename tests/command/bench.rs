//! `sessile bench`: every work is done, and the directory is left as it was found, however it ends.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::at;
use crate::support::{Temp, within};

const SMALL: [&str; 6] = ["--sessions", "300", "--threads", "2", "--seconds", "0.02"];

/// Waits until there is nothing at `path`: whoever cleans up there may still be at it.
fn is_gone(path: &Path) {
    let path = path.to_owned();
    within(Duration::from_secs(60), move || {
        while path.exists() {
            thread::yield_now();
        }
    });
}

#[test]
fn every_work_is_measured_and_nothing_is_left() {
    let temp = Temp::new();
    let ended = at("bench", temp.path(), &[&SMALL[..], &["--json"]].concat()).with(0);
    assert!(!temp.path().exists(), "it was not there before");
    let report = ended.json();
    let works = report["works"].as_array().unwrap();
    let names: Vec<&str> = works.iter().map(|work| work["work"].as_str().unwrap()).collect();
    let expected = [
        "get-warm",
        "miss",
        "insert-memory",
        "insert-process",
        "insert-power",
        "insert-power",
        "update",
        "web",
        "get-cold",
    ];
    assert_eq!(names, expected);
    for work in works {
        let figure = |name: &str| work[name].as_f64().unwrap();
        assert!(figure("ops_per_s") > 0.0, "{work}");
        assert!(figure("p50_ns") <= figure("p99_ns"), "{work}");
        assert!(figure("p99_ns") <= figure("p99.9_ns"), "{work}");
        assert_eq!(work["work"] == "insert-power", work["bound_ops_per_s"].is_number(), "{work}");
    }
    assert!(report["disk"]["appended_per_s"].as_f64().unwrap() > 0.0);
    assert!(report["disk"]["allocated_per_s"].as_f64().unwrap() > 0.0);
    let open = report["open"].as_array().unwrap();
    assert_eq!((&open[0]["after"], &open[1]["after"]), (&"kill -9".into(), &"close".into()));
    assert!(open[0]["replayed_frames"].as_u64().unwrap() >= 300, "{report}");
    assert_eq!(open[1]["replayed_frames"], 0, "{report}");
}

#[test]
fn an_empty_directory_stays_and_the_table_has_a_line_for_each_work() {
    let temp = Temp::new();
    fs::DirBuilder::new().mode(0o700).create(temp.path()).unwrap();
    let text = at("bench", temp.path(), &SMALL).with(0).out;
    assert!(temp.names("").is_empty() && temp.path().exists());
    for word in ["get-warm", "web", "% reached", "syncs/s", "opening after kill -9"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_directory_with_something_in_it_is_refused_and_left_alone() {
    let temp = crate::filled();
    let before = temp.contents();
    let ended = at("bench", temp.path(), &SMALL).with(2);
    assert!(ended.err.contains("not empty"), "{ended:?}");
    // Nor do the processes that it starts itself as touch what it has not made.
    for command in ["bench-fill", "bench-sweep"] {
        let ended = at(command, temp.path(), &[]).with(2);
        assert!(ended.err.contains("has not made this"), "{ended:?}");
    }
    assert!(temp.contents() == before);
}

/// Measures until somebody ends it: in all its works longer than a test takes to see it begin.
fn long(temp: &Temp) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessile"));
    command.arg("bench").arg(temp.path()).args(["--sessions", "1000", "--seconds", "1"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn what_was_made_goes_when_it_is_killed() {
    let temp = Temp::new();
    let mut child = long(&temp);
    let path = temp.path().join("sessile-bench.allocated");
    within(Duration::from_secs(60), move || {
        while !path.exists() {
            thread::yield_now();
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    is_gone(temp.path());
}
