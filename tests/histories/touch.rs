//! A6: touches never resurrect, never shorten, survive eviction to cold.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Clock, Expiry, Key, Store};

use super::common::Directory;
use super::{LONG, SECOND, builder, key, later, open, reopened, value, wait_until};

#[test]
fn a6_touches_do_not_resurrect() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    type End = fn(&Store<String>, &Key);
    let ended: [(u64, End); 3] = [
        (1, |store, key| assert!(store.remove(key).unwrap())),
        (2, |store, key| assert!(store.set_expiry(key, Expiry::After(SECOND)).unwrap())),
        (3, |store, key| assert!(store.rename(key, &Key::of("elsewhere")).unwrap())),
    ];
    for flushed in [false, true] {
        for (number, end) in ended {
            let key = key(number);
            store.insert(key, "one".into()).unwrap();
            clock.advance(40 * SECOND);
            assert!(store.get(&key).unwrap().is_some());
            if flushed {
                store.flush().unwrap();
            }
            end(&store, &key);
            assert!(number == 2 || store.get(&key).unwrap().is_none());
            // The wheel comes by at the time of every touch there was.
            for _ in 0..20 {
                clock.advance(5 * SECOND);
                assert!(store.get(&key).unwrap().is_none());
            }
            let (left, _directory) = reopened(&directory, &clock);
            assert!(left.get(&key).unwrap().is_none());
        }
    }
}

#[test]
fn a6_touches_do_not_shorten() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    let until = later(&clock, 3000 * SECOND);
    let idle = Expiry::IdleUntil { idle: 60 * SECOND, until };
    store.insert_with(key(1), "fixed".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.insert_with(key(2), "long".into(), Expiry::Idle(900 * SECOND)).unwrap();
    store.insert_with(key(3), "capped".into(), idle).unwrap();
    let mut ends = [None; 3];
    for round in 0..200 {
        clock.advance(15 * SECOND);
        for (number, end) in (1..).zip(&mut ends) {
            let seen = store.get(&key(number)).unwrap().is_some();
            let deadline = store.deadline(&key(number)).unwrap();
            assert_eq!(seen, deadline.is_some());
            if seen {
                assert!(deadline >= *end, "{number} in round {round}");
                *end = deadline;
            }
        }
        if round % 7 == 3 {
            store.flush().unwrap();
        }
        if round % 50 == 49 {
            store.merge().unwrap();
        }
    }
    assert_eq!(value(&store, 1), None);
    assert!(value(&store, 2).is_some());
    assert_eq!((value(&store, 3), ends[2]), (None, Some(until)));
}

/// A store that has room for a few of its sessions only: reads bring them in, others leave, and
/// every one lives as long as its last read says.
#[test]
fn a6_touches_survive_eviction_and_reopening() {
    const SESSIONS: u64 = 60;
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let options = || builder(&clock).max_memory(1 << 20).flush_bytes(64 << 20);
    let mut store = options().open(directory.path()).unwrap();
    let value = "#".repeat(40_000);
    for number in 0..SESSIONS {
        if store.insert(key(number), value.clone()).is_err_and(|error| error.is_full()) {
            store.flush().unwrap();
            store.insert(key(number), value.clone()).unwrap();
        }
    }
    store.flush().unwrap();
    // Far beyond the first deadline of 60 s; the second half is not read and ends.
    for round in 0..12 {
        clock.advance(25 * SECOND);
        for number in 0..SESSIONS / 2 {
            let number = (number * 7 + round) % (SESSIONS / 2);
            assert!(store.get(&key(number)).unwrap().is_some(), "{number} in round {round}");
        }
        for number in SESSIONS / 2..SESSIONS {
            assert_eq!(store.peek(&key(number)).unwrap().is_some(), round < 2);
        }
        match round {
            4 | 9 => store.flush().unwrap(),
            6 => store.merge().unwrap(),
            7 => {
                store.close().unwrap();
                store = options().open(directory.path()).unwrap();
            }
            _ => {
                // More writes, so that memory is short.
                for number in 0..10 {
                    let spare = key(1000 + number);
                    if store.insert(spare, value.clone()).is_err_and(|error| error.is_full()) {
                        store.flush().unwrap();
                    }
                }
            }
        }
    }
    assert!(store.stats().evicted > 0, "nothing was evicted");
    clock.advance(61 * SECOND);
    for number in 0..SESSIONS {
        assert!(store.get(&key(number)).unwrap().is_none());
    }
    assert_eq!(store.count().unwrap(), 0);
}

/// A clean close knows every touch, however far it moved the deadline.
#[test]
fn a6_touches_survive_a_clean_close() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    let idle = 1000 * SECOND;
    store.insert_with(key(1), "one".into(), Expiry::Idle(idle)).unwrap();
    store.flush().unwrap();
    clock.advance(900 * SECOND);
    assert!(store.get(&key(1)).unwrap().is_some());
    let promised = store.deadline(&key(1)).unwrap();
    assert_eq!(promised, Some(later(&clock, idle)));
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    assert!(store.deadline(&key(1)).unwrap() >= promised);
    clock.advance(999 * SECOND);
    assert!(value(&store, 1).is_some());
}

/// While a closure runs, time passes beyond the deadline and a reader is told that the session
/// has ended. Then it has.
#[test]
fn a6_an_update_does_not_resurrect_what_a_reader_saw_expire() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert(key(1), "one".into()).unwrap();
    clock.advance(59 * SECOND);
    let (inside, entered) = channel();
    let (release, released) = channel::<()>();
    thread::scope(|scope| {
        let update = scope.spawn(|| {
            store.update(&key(1), move |_| {
                inside.send(()).unwrap();
                released.recv().unwrap();
            })
        });
        entered.recv_timeout(LONG).unwrap();
        // The wheel waits for the stripe; the time has moved before.
        let before = clock.wall();
        scope.spawn(|| clock.advance(5 * SECOND));
        wait_until("the clock moves", || clock.wall() > before);
        thread::sleep(Duration::from_millis(50));
        let seen = store.peek(&key(1)).unwrap().is_some();
        release.send(()).unwrap();
        assert!(update.join().unwrap().unwrap().is_some());
        let after = store.peek(&key(1)).unwrap().is_some();
        assert!(seen || !after, "seen expired, and back");
    });
}
