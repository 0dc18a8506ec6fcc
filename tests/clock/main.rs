//! Clocks that are wrong: nothing that has ended revives, nothing that lives is dropped on the
//! word of a suspect clock, and a wrong clock that is put right leaves no trace.
//!
//! `twin` compares a store that had a wrong clock with one that never had; `years` compares one
//! whose clock jumps with the model.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod told;
mod twin;
mod years;

use std::path::Path;
use std::time::Duration;

use common::Directory;
use sessile::testing::ManualClock;
use sessile::{Background, Builder, Clock, Key, Store, SuspectClock, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder().clock(clock.clone()).background(Background::Callers).expected_sessions(100)
}

/// Opens under a clock that shows `wall`.
fn open_at(path: &Path, wall: Timestamp) -> (Store<String>, ManualClock) {
    let clock = ManualClock::at(wall);
    (builder(&clock).open_fs(common::unsynced(path)).unwrap(), clock)
}

/// What a killed process would leave, in a directory of its own.
fn killed(directory: &Directory) -> Directory {
    common::copy_to(directory.path(), Directory::quick("clock"))
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis() - by.as_millis() as i64)
}

/// The seed of a run, and how many cases it has.
fn cases(usual: u64) -> (u64, u64) {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = read("SESSILE_SEED").unwrap_or_else(|| {
        sessile::SystemClock.wall().as_millis() as u64 ^ u64::from(std::process::id()) << 40
    });
    println!("SESSILE_SEED={seed}");
    (seed, read("CLOCK_CASES").unwrap_or(usual))
}
