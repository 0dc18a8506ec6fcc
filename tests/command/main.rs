//! The command `sessile`, as a process: what it prints, how it ends, and what it never does.
#![cfg(all(
    feature = "bincode",
    feature = "cli",
    feature = "json",
    feature = "postcard",
    feature = "testing"
))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod bench;
mod damaged;
#[path = "../format/dump.rs"]
#[allow(dead_code, reason = "another test uses all of it")]
mod dump;
mod golden;
mod ids;
mod in_use;
#[path = "../format/pack.rs"]
#[allow(dead_code, reason = "another test uses all of it")]
mod pack;
mod said;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sessile::{Background, Builder, Store};
use support::{Temp, key};

/// How the command ended, and what it said.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn with(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// Runs the command with `input` on its standard input.
fn sessile_with(words: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessile"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have refused its arguments, and be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it was not killed, and did not panic");
    Ended { code, out: text(output.stdout), err: text(output.stderr) }
}

fn sessile(words: &[&str]) -> Ended {
    sessile_with(words, "")
}

/// Runs `sessile NAME DIRECTORY WORDS…`.
fn at(name: &str, directory: &Path, words: &[&str]) -> Ended {
    sessile(&[&[name, directory.to_str().unwrap()], words].concat())
}

fn builder() -> Builder<String> {
    Store::builder().background(Background::Callers)
}

/// Sessions 0 to 19 in a base, and in the log 20 to 24 and that 19 is gone, as a kill leaves it.
/// LSNs 1 to 25 are known to be on disk, 26 is not.
fn filled() -> Temp {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    (0..20).for_each(|number| store.insert(key(number), format!("value {number}")).unwrap());
    store.flush().unwrap();
    (20..24).for_each(|number| store.insert(key(number), format!("value {number}")).unwrap());
    store.remove(&key(19)).unwrap();
    store.insert(key(24), "value 24".to_owned()).unwrap();
    temp.copy()
}
