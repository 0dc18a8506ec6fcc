//! A deadline and a list of bases under loom: every order of what touches them, weak memory
//! included.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib orders`. The entry, the list and the
//! map are the store's own. What needs more of the store than this is shuttle's
//! (`tests/shuttle`).

use std::sync::Arc;
use std::time::Duration;

use loom::explore;

use crate::clock::{DEAD, Tick};
use crate::record::expiry::{Expiry, Life};
use crate::store::map::{Entry, State, Touched};
use crate::store::{Background, Store};
use crate::sync::{in_every_order, spawn};
use crate::testing::{ManualClock, SimFs, SlowFs};
use crate::{Durability, Key};

fn entry(deadline: Tick) -> Arc<Entry<u8>> {
    let life = Life { deadline, cap: 100, idle: 10 };
    Arc::new(Entry::new(State::Warm, Some(Arc::new(1)), life, 0, 0))
}

/// Of a reader with an old time, who touches, and one with a later time, who finds it expired,
/// one comes first, and both abide by it.
#[test]
fn seen_expired_is_never_extended() {
    in_every_order(None, || {
        let entry = entry(10);
        explore();
        let other = entry.clone();
        let touching =
            spawn(move || other.view().lives(9) && other.view().touch(9) != Touched::Ended);
        let other = entry.clone();
        let again = spawn(move || other.view().lives(8) && other.view().touch(8) != Touched::Ended);
        let lived = entry.view().lives(12);
        let touched = touching.join().unwrap() | again.join().unwrap();
        let deadline = entry.view().life().deadline;
        if lived {
            assert!(touched && deadline > 12);
        } else {
            assert!(
                deadline == DEAD
                    && entry.view().touch(9) == Touched::Ended
                    && !entry.view().lives(1)
            );
        }
    });
}

/// The same between a writer who lets the session go on and a reader who finds it expired.
#[test]
fn seen_expired_is_never_prolonged() {
    in_every_order(None, || {
        let entry = entry(10);
        explore();
        let other = entry.clone();
        let writing = spawn(move || other.view().prolong(9, 50));
        let other = entry.clone();
        let touching = spawn(move || other.view().touch(9));
        let lived = entry.view().lives(30);
        let prolonged = writing.join().unwrap();
        touching.join().unwrap();
        assert_eq!(lived, entry.view().life().deadline == 50);
        assert!(prolonged || !lived, "only the writer can have kept it alive");
        assert_eq!(entry.view().life().deadline == DEAD, !lived);
    });
}

/// A deadline is never moved back by one who is behind.
#[test]
fn a_deadline_only_rises() {
    in_every_order(None, || {
        let entry = entry(10);
        explore();
        let other = entry.clone();
        let behind = spawn(move || other.view().touch(5));
        let other = entry.clone();
        let between = spawn(move || {
            let first = other.view().life().deadline;
            (first, other.view().life().deadline)
        });
        entry.view().touch(9);
        behind.join().unwrap();
        let (first, second) = between.join().unwrap();
        assert!(first <= second && second <= 19);
        assert_eq!(entry.view().life().deadline, 19);
    });
}

fn key() -> Key {
    Key::of(b"one")
}

fn open(fs: &SlowFs, clock: &ManualClock) -> Store<u64> {
    let builder = Store::builder().background(Background::Callers).clock(clock.clone());
    let builder = builder.random_seed(1).expected_sessions(1);
    builder.open_fs(Arc::new(fs.clone())).unwrap().at(Durability::Memory)
}

/// A store whose one session lies in a base and not in memory.
fn cold(clock: &ManualClock, expiry: Expiry) -> Store<u64> {
    let fs = SlowFs::new(SimFs::new(1));
    let store = open(&fs, clock);
    store.insert_with(key(), 1, expiry).unwrap();
    store.close().unwrap();
    open(&fs, clock)
}

/// What a reader has from the old list of bases does not get into the map when the list is
/// another: the session stays removed. The flush and the merge run in the thread that removes.
#[test]
fn promoted_from_the_current_list_only() {
    in_every_order(Some(2), || {
        let store = cold(&ManualClock::new(), Expiry::Default);
        explore();
        let other = store.clone();
        let reading = spawn(move || other.get(&key()).unwrap().is_some());
        assert!(store.remove(&key()).unwrap());
        store.flush().unwrap();
        store.merge().unwrap();
        reading.join().unwrap();
        assert!(store.get(&key()).unwrap().is_none(), "removed, and found again");
    });
}

/// The same with its end by the clock in the place of the removal: one reader brings it in, one
/// finds that it has ended, and who asks afterwards is told the same.
#[test]
fn promoted_while_it_lives_only() {
    in_every_order(Some(2), || {
        let clock = ManualClock::new();
        let store = cold(&clock, Expiry::Idle(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(19));
        explore();
        let other = store.clone();
        let reading = spawn(move || other.get(&key()).unwrap().is_some());
        let passing = spawn(move || clock.advance(Duration::from_secs(2)));
        let found = store.get(&key()).unwrap().is_some();
        reading.join().unwrap();
        passing.join().unwrap();
        assert!(found || store.get(&key()).unwrap().is_none(), "it had ended and is found again");
    });
}
