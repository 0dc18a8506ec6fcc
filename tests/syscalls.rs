//! What the real file system is asked for: every other test sees the calls of the port, this one
//! what the kernel gets. A process of its own does a little of everything under `strace`; where
//! there is none, or it may not trace, the test says "skipped: why". `SESSILE_NO_SKIP=1` forbids
//! that.
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::process::{Command, Stdio};

use sessile::{Background, Durability, Recovery, Store};
use support::{Temp, job, key};

/// What the traced process does: makes the directory and one above it, writes at `Power`, flushes,
/// closes, and begins afresh.
#[test]
#[ignore = "the other process of the test below"]
fn traced() {
    let Some(path) = job() else { return };
    let open = |recovery| {
        let builder = Store::<String>::builder().background(Background::Callers);
        builder.recovery(recovery).open(&path).unwrap()
    };
    let store = open(Recovery::Strict);
    store.at(Durability::Power).insert(key(1), "one".into()).unwrap();
    store.at(Durability::Power).insert(key(2), "two".into()).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    drop(open(Recovery::StartFresh));
}

/// The system calls of that process, with the names that descriptors stand for; or why not.
fn trace(path: &std::path::Path) -> Result<Vec<String>, String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "0", "-e", "signal=none"]);
    command.args(["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,pwrite64,fallocate"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["traced", "--exact", "--ignored", "--test-threads=1"]);
    command.env("SESSILE_JOB", path).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("no strace: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || !text.contains("pwrite64") {
        return Err(format!("strace may not trace: {}", text.lines().next().unwrap_or_default()));
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// The places of the calls that begin with `call` and go to a file whose name contains `name`.
fn places(calls: &[String], call: &str, name: &str) -> Vec<usize> {
    let is = |line: &String| {
        let at = line.find(&format!("{call}("));
        at.is_some_and(|at| line[at..].contains(name)) && line.contains("= ")
    };
    calls.iter().enumerate().filter(|(_, line)| is(line)).map(|(place, _)| place).collect()
}

#[test]
fn the_kernel_is_asked_to_sync_files_and_directories_in_the_right_order() {
    let temp = Temp::new();
    let path = temp.path().join("above").join("store");
    let calls = match trace(&path) {
        Ok(calls) => calls,
        Err(why) => {
            assert!(std::env::var_os("SESSILE_NO_SKIP").is_none(), "{why}");
            return println!("skipped: {why}");
        }
    };
    let shown = calls.join("\n");
    let first = |call: &str, name: &str| {
        places(&calls, call, name).first().copied().unwrap_or_else(|| {
            panic!("no {call} of {name}:\n{shown}");
        })
    };
    // The directory above has the name of the one that was made in it.
    let (parent, directory) = ("/above>", "/above/store>");
    let root = format!("{}>", temp.path().file_name().unwrap().to_str().unwrap());
    assert!(first("fsync", &root) < first("fsync", parent), "{shown}");
    assert!(first("fsync", parent) < first("pwrite64", "/manifest."), "{shown}");
    // Bytes, sync, name, sync of the directory: for the manifest and for the base.
    for kind in ["manifest.", "base."] {
        let file = format!("/{kind}");
        let (written, synced) = (first("pwrite64", &file), first("fdatasync", &file));
        let named = calls.iter().position(|line| {
            line.contains("rename")
                && line.contains(&format!("\"{kind}"))
                && line.contains(".tmp\"")
        });
        // With no text shown there are no names: the first rename after the sync is it.
        let named = named.or_else(|| {
            let renames = calls.iter().enumerate().skip(synced);
            renames.filter(|(_, line)| line.contains("rename")).map(|(place, _)| place).next()
        });
        let named = named.unwrap_or_else(|| panic!("{kind} gets no name:\n{shown}"));
        let listed = places(&calls, "fsync", directory);
        assert!(written < synced && synced < named, "{kind}:\n{shown}");
        assert!(listed.iter().any(|place| *place > named), "{kind}:\n{shown}");
    }
    // A write at Power is synced before anything is written after it.
    let (writes, syncs) =
        (places(&calls, "pwrite64", "/log."), places(&calls, "fdatasync", "/log."));
    assert!(writes.len() >= 2 && syncs.len() >= 2, "{shown}");
    assert!(
        syncs.iter().any(|sync| writes[0] < *sync && *sync < *writes.last().unwrap()),
        "{shown}"
    );
    assert!(first("fallocate", "/log.") < writes[0], "{shown}");
    // Quarantine: the folder that holds the files, then the one that holds the folder.
    let moved = places(&calls, "fsync", "/quarantine/");
    let above = places(&calls, "fsync", "/quarantine>");
    assert!(!moved.is_empty() && !above.is_empty() && moved[0] < above[0], "{shown}");
}
