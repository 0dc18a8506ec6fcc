//! A3: a clear against update, touch, flush and promotion: everything older is gone, everything newer
//! stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Durability, Expiry, Store};

use super::common::{Directory, unsynced, watched};
use super::{AtBase, Gate, LONG, builder, key, open, reopened, value, whole_copy};

#[test]
fn a3_a_clear_during_a_flush_ends_what_is_older_and_nothing_that_is_newer() {
    for inherited in [false, true] {
        let (directory, clock) = (Directory::new("a3"), ManualClock::new());
        if inherited {
            let store = open(directory.path(), &clock);
            store.insert(key(1), "old".into()).unwrap();
            store.close().unwrap();
        }
        let at_base = Arc::new(AtBase::default());
        let store = builder(&clock).open_fs(watched(directory.path(), at_base.clone())).unwrap();
        store.insert(key(2), "old".into()).unwrap();
        let other = store.clone();
        at_base.next(move || {
            other.clear().unwrap();
            other.insert(key(3), "new".into()).unwrap();
        });
        store.flush().unwrap();
        let check = |store: &Store<String>, when: &str| {
            let there: Vec<_> = (1..4).map(|number| value(store, number).is_some()).collect();
            assert_eq!(there, [false, false, true], "{when}, inherited: {inherited}");
            assert_eq!(store.count().unwrap(), 1, "{when}");
        };
        check(&store, "cleared");
        check(&reopened(&directory, &clock).0, "killed");
        store.flush().unwrap();
        check(&store, "flushed");
        check(&reopened(&directory, &clock).0, "flushed and killed");
        store.close().unwrap();
        check(&open(directory.path(), &clock), "reopened");
    }
}

/// A flush that has its cut and none of its lists yet is overtaken by a clear: what was written
/// after the clear is in the lists, and must not go with the flush.
#[test]
fn a3_what_is_written_after_a_clear_survives_the_flush_that_the_clear_made_void() {
    let (directory, clock) = (Directory::new("a3"), ManualClock::new());
    let (gate, arrived) = Gate::new(true);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "old".into()).unwrap();
    gate.shut();
    thread::scope(|scope| {
        scope.spawn(|| store.insert(key(2), "old".into()).unwrap());
        arrived.recv_timeout(LONG).unwrap();
        // The flush waits for the writer's role before it takes its lists.
        let flush = scope.spawn(|| store.flush());
        thread::sleep(Duration::from_millis(200));
        store.at(Durability::Memory).clear().unwrap();
        store.at(Durability::Memory).insert(key(3), "new".into()).unwrap();
        gate.open();
        flush.join().unwrap().unwrap();
    });
    store.flush().unwrap();
    let check = |store: &Store<String>, when: &str| {
        let there: Vec<_> = (1..4).map(|number| value(store, number).is_some()).collect();
        assert_eq!(there, [false, false, true], "{when}");
    };
    check(&store, "flushed");
    check(&reopened(&directory, &clock).0, "killed");
    store.close().unwrap();
    check(&open(directory.path(), &clock), "reopened");
}

/// Sessions say in which round they were made. While rounds of clears go on, threads update,
/// read, flush and merge: nobody may ever see one of an earlier round after its clear.
#[test]
fn a3_nothing_older_than_a_clear_is_seen_after_it() {
    const KEYS: u64 = 200;
    const ROUNDS: u64 = 60;
    let directory = Directory::new("a3");
    let store: Store<u64> = Store::builder()
        .flush_bytes(16 << 10)
        .segment_bytes(64 << 10)
        .removal_durability(Durability::Process)
        .open_fs(unsynced(directory.path()))
        .unwrap();
    let cleared = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (store, stop, cleared) = (&store, &stop, &cleared);
            scope.spawn(move || {
                let mut number = thread;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let key = key(number % KEYS);
                    let least = cleared.load(Ordering::SeqCst);
                    match number % 7 {
                        0 => {
                            let seen = store.update(&key, |round| *round).unwrap();
                            assert!(seen.is_none_or(|round| round >= least), "{seen:?} < {least}");
                        }
                        1 if thread == 0 => store.flush().unwrap(),
                        2 if thread == 1 => match store.merge() {
                            Ok(()) => {}
                            Err(error) => panic!("{error:?}"),
                        },
                        3 => drop(store.set_expiry(&key, Expiry::After(LONG)).unwrap()),
                        _ => {
                            let seen = store.get(&key).unwrap().map(|round| *round);
                            assert!(seen.is_none_or(|round| round >= least), "{seen:?} < {least}");
                        }
                    }
                }
            });
        }
        for round in 1..=ROUNDS {
            for number in 0..KEYS {
                store.insert(key(number), round).unwrap();
            }
            thread::sleep(Duration::from_millis(5));
            if round < ROUNDS {
                store.clear().unwrap();
                cleared.store(round + 1, Ordering::SeqCst);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let check = |store: &Store<u64>| {
        for number in 0..KEYS {
            assert_eq!(store.get(&key(number)).unwrap().as_deref(), Some(&ROUNDS), "{number}");
        }
        assert_eq!(store.count().unwrap(), KEYS);
    };
    check(&store);
    let left = std::iter::repeat_with(|| whole_copy(&store, &directory)).flatten().next().unwrap();
    check(&Store::builder().open(left.path()).unwrap());
    store.close().unwrap();
    check(&Store::builder().open(directory.path()).unwrap());
}
