//! Limits and clocks: what is refused, what makes room, and what a wrong clock may not do.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::path::Path;
use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Background, Builder, Expiry, Store, SuspectClock, Timestamp, WhenFull};
use support::{Temp, key};

const DAY: Duration = Duration::from_secs(24 * 3600);
const START_MS: i64 = 1_790_000_000_000;

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder().clock(clock.clone()).background(Background::Callers)
}

fn later(time: Duration) -> Timestamp {
    Timestamp::from_millis(START_MS).after(time)
}

/// Opens under a clock that shows `wall`.
fn open_at(path: &Path, wall: Timestamp, policy: SuspectClock) -> sessile::Result<Store<String>> {
    builder(&ManualClock::at(wall)).suspect_clock(policy).open(path)
}

fn filled(temp: &Temp) {
    let store = open_at(temp.path(), later(Duration::ZERO), SuspectClock::Serve).unwrap();
    store.insert(key(1), "in a base".into()).unwrap();
    store.flush().unwrap();
    store.insert(key(2), "in the log".into()).unwrap();
    store.close().unwrap();
}

#[test]
fn a_clock_far_ahead_that_is_put_right_leaves_no_trace() {
    let temp = Temp::new();
    filled(&temp);
    let store = open_at(temp.path(), later(500 * DAY), SuspectClock::Serve).unwrap();
    assert!(store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_none(), "by that clock it has expired");
    store.insert(key(3), "under the wrong clock".into()).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    store.close().unwrap();
    let store = open_at(temp.path(), later(DAY), SuspectClock::Serve).unwrap();
    assert!(!store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_some());
    assert!(store.get(&key(2)).unwrap().is_some());
}

#[test]
fn a_suspect_clock_is_refused_or_trusted_as_asked() {
    let temp = Temp::new();
    filled(&temp);
    let ahead = later(500 * DAY);
    let refused = open_at(temp.path(), ahead, SuspectClock::Refuse).unwrap_err();
    assert!(refused.is_suspect_clock(), "{refused}");
    let store = open_at(temp.path(), ahead, SuspectClock::Trust).unwrap();
    assert!(!store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_none());
}

#[test]
fn a_clock_set_back_revives_nothing() {
    let temp = Temp::new();
    filled(&temp);
    open_at(temp.path(), later(20 * DAY), SuspectClock::Serve).unwrap().close().unwrap();
    let store = open_at(temp.path(), later(DAY), SuspectClock::Serve).unwrap();
    assert!(store.get(&key(1)).unwrap().is_none());
}

#[test]
fn a_clock_beyond_all_ticks_refuses_writes_by_name() {
    let temp = Temp::new();
    filled(&temp);
    let store = open_at(temp.path(), later(80 * 366 * DAY), SuspectClock::Serve).unwrap();
    let refused = store.insert(key(3), "no".into()).unwrap_err();
    assert!(refused.is_suspect_clock(), "{refused}");
    drop(store);
    let store = open_at(temp.path(), later(DAY), SuspectClock::Serve).unwrap();
    assert!(store.get(&key(1)).unwrap().is_some());
}

#[test]
fn one_session_too_many_is_refused_and_an_old_one_may_change() {
    let clock = ManualClock::new();
    let store = builder(&clock).max_sessions(2).in_memory().unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.insert_with(key(2), "two".into(), Expiry::After(DAY)).unwrap();
    assert!(store.insert(key(3), "three".into()).unwrap_err().is_full());
    store.insert(key(1), "one again".into()).unwrap();
    clock.advance(2 * DAY);
    store.insert(key(3), "three".into()).unwrap();
}

#[test]
fn where_it_was_chosen_the_nearest_deadline_makes_room() {
    let clock = ManualClock::new();
    let full = WhenFull::EvictNearestDeadline;
    let store = builder(&clock).max_sessions(20).when_full(full).in_memory().unwrap();
    for number in 0..100 {
        store.insert(key(number), "value".into()).unwrap();
    }
    assert_eq!(store.len(), 20);
    assert_eq!(store.stats().evicted, 80);
}

#[test]
fn a_store_may_be_larger_than_its_memory() {
    let (temp, clock) = (Temp::new(), ManualClock::new());
    let store = builder(&clock).max_memory(1 << 20).open(temp.path()).unwrap();
    for number in 0..200 {
        store.insert(key(number), "x".repeat(20_000)).unwrap();
    }
    assert!(store.stats().memory_bytes < 2 << 20, "{:?}", store.stats());
    for number in 0..200 {
        assert_eq!(store.get(&key(number)).unwrap().unwrap().len(), 20_000);
    }
    assert!(store.stats().memory_bytes < 2 << 20, "{:?}", store.stats());
}
