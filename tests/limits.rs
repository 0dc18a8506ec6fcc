//! Limits: what is refused, and what makes room.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Background, Builder, Expiry, Store, WhenFull};
use support::{Temp, key};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder().clock(clock.clone()).background(Background::Callers)
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
