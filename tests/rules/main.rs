//! The rules that durability and "gone is final" rest on, one test each: small, without chance, and
//! made so that taking the rule out of the store turns it red. `tests/mutations` does that.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::unit_arg)]

mod again;
mod full;
mod gone;
mod levels;
mod power;
mod publish;
mod recovery;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod time;

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use sessile::testing::{Keep, ManualClock, SimFs};
use sessile::{Background, Builder, Key, Store};
use stage::Stage;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything takes that is not stuck.
const LONG: Duration = Duration::from_secs(20);

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// With segments that hold a few small values each.
fn builder() -> Builder<String> {
    Store::builder().background(Background::Callers).segment_bytes(8192)
}

fn on(clock: &ManualClock) -> Builder<String> {
    builder().clock(clock.clone()).idle(60 * SECOND).absolute(3600 * SECOND)
}

fn opened(stage: &Stage) -> Store<String> {
    builder().open_fs(stage.open()).unwrap()
}

/// What is found in a directory that a crash has left.
#[track_caller]
fn found(fs: SimFs) -> Store<String> {
    builder().open_fs(Arc::new(fs)).unwrap()
}

fn value(store: &Store<String>, number: u64) -> Option<String> {
    store.peek(&key(number)).unwrap().map(|value| (*value).clone())
}

/// Some text that is `bytes` long.
fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Which of the keys in this range there are.
fn there(store: &Store<String>, range: Range<u64>) -> Vec<u64> {
    range.filter(|number| value(store, *number).is_some()).collect()
}

/// Ways to keep a part of so many changes: all there are if they are few.
fn keeps(pending: usize) -> Vec<Keep> {
    if pending <= 5 {
        return (0..1 << pending).map(Keep::Chosen).collect();
    }
    let all_but_one = (0..pending.min(24)).map(|lost| Keep::Chosen(!(1 << lost)));
    let some = (0..20).map(Keep::Random);
    [Keep::Nothing, Keep::Everything].into_iter().chain(all_but_one).chain(some).collect()
}

/// Cuts the power now, in many ways, and shows what is found to `check`.
fn cut_now(fs: &SimFs, check: impl Fn(&Store<String>, &str)) {
    for keep in keeps(fs.pending()) {
        check(&found(fs.power_cut(keep)), &format!("{keep:?}"));
    }
}

/// Ends the process after each call that changes the disk while `work` runs, by a kill and by power
/// cuts of many kinds, and shows what is found to `check`.
fn cut_everywhere(fs: &SimFs, work: impl FnOnce(), check: impl Fn(&Store<String>, &str)) {
    fs.record();
    work();
    let moments = fs.moments();
    assert!(moments.len() > 1, "nothing has happened");
    for moment in moments {
        let when = format!("after call {} ({})", moment.call, moment.what);
        check(&found(moment.kill()), &format!("{when}, killed"));
        for keep in keeps(moment.pending()) {
            check(&found(moment.power_cut(keep)), &format!("{when}, {keep:?}"));
        }
    }
}

/// Runs `work` on a thread of its own; fails if it does not end.
fn within(work: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        work();
        let _ = sender.send(());
    });
    let done = receiver.recv_timeout(LONG);
    if done.is_err() && !thread.is_finished() {
        panic!("it does not end");
    }
    thread.join().unwrap();
}
