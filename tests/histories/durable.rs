//! A4: a second remove returns only when the first one's frame is durable. A5: no acknowledged write
//! is missed by a flush that runs while the map grows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Durability, Expiry, Store};

use super::common::{Directory, unsynced, watched};
use super::{Gate, LONG, SECOND, builder, key, open, reopened, value, whole_copy};

/// What a second caller does while the first one's removal is on its way to the disk.
fn second_waits(name: &str, second: impl FnOnce(&Store<String>) + Send) {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let (gate, arrived) = Gate::new(false);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.sync().unwrap();
    gate.shut();
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| assert!(store.remove(&key(1)).unwrap()));
        arrived.recv_timeout(LONG).unwrap();
        scope.spawn(|| {
            second(&store);
            returned.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!returned.load(Ordering::SeqCst), "{name} did not wait for the sync");
        gate.open();
    });
    assert!(returned.load(Ordering::SeqCst));
}

#[test]
fn a4_a_second_remove_returns_when_the_first_is_durable() {
    second_waits("remove", |store| assert!(!store.remove(&key(1)).unwrap()));
    second_waits("take", |store| assert!(store.take(&key(1)).unwrap().is_none()));
    second_waits("rename", |store| assert!(!store.rename(&key(1), &key(2)).unwrap()));
    second_waits("update", |store| {
        let store = store.at(Durability::Power);
        assert!(store.update(&key(1), |_| ()).unwrap().is_none());
    });
    second_waits("clear", |store| store.clear().unwrap());
}

/// The same in a flush: between the cut and the sync the first frame is not durable yet, and the
/// tombstone must not be let go before it is.
#[test]
fn a4_a_second_remove_waits_while_a_flush_is_syncing_the_first() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let (gate, arrived) = Gate::new(false);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.sync().unwrap();
    assert!(store.at(Durability::Memory).remove(&key(1)).unwrap());
    gate.shut();
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| store.flush().unwrap());
        arrived.recv_timeout(LONG).unwrap();
        scope.spawn(|| {
            assert!(!store.remove(&key(1)).unwrap());
            returned.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!returned.load(Ordering::SeqCst), "the answer rests on a frame not yet durable");
        gate.open();
    });
}

/// A removal answers for good even if the session had expired already: after a kill the grace
/// for lost touches must not bring back what somebody was told is gone.
#[test]
fn a4_a_removal_of_what_has_just_expired_is_durable_too() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let store = open(directory.path(), &clock);
    for number in [1, 2] {
        store.insert(key(number), "one".into()).unwrap();
    }
    clock.advance(61 * SECOND);
    assert!(!store.remove(&key(1)).unwrap());
    assert!(store.take(&key(2)).unwrap().is_none());
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!((value(&left, 1), value(&left, 2)), (None, None));
}

/// The same where the expiry was shortened at the weakest level and the frame is lost.
#[test]
fn a4_a_removal_waits_for_the_frame_by_which_it_had_expired() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert(key(1), "one".into()).unwrap();
    store.at(Durability::Memory).set_expiry(&key(1), Expiry::After(SECOND)).unwrap();
    clock.advance(5 * SECOND);
    assert!(!store.remove(&key(1)).unwrap());
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!(value(&left, 1), None);
}

#[test]
fn a5_no_acknowledged_write_is_missed_by_a_flush_while_the_map_grows() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 6000;
    let directory = Directory::new("a5");
    let options = || Store::<u64>::builder().flush_bytes(64 << 10).segment_bytes(256 << 10);
    let store = options().open_fs(unsynced(directory.path())).unwrap();
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let check = |store: &Store<u64>, known: &[u64]| {
        for (writer, known) in (0..WRITERS).zip(known) {
            for number in 0..*known {
                let key = key(writer << 32 | number);
                // Every third is removed as soon as it is there, every fifth is written twice.
                let expected = (number % 3 != 0).then_some(number + u64::from(number % 5 == 0));
                let seen = store.peek(&key).unwrap().map(|value| *value);
                assert_eq!(seen, expected, "writer {writer}, {number} of {known}");
            }
        }
    };
    let mut copies = Vec::new();
    thread::scope(|scope| {
        for (writer, acknowledged) in (0..WRITERS).zip(&acknowledged) {
            let store = store.clone();
            scope.spawn(move || {
                let removing = store.at(Durability::Process);
                for number in 0..EACH {
                    let key = key(writer << 32 | number);
                    store.insert(key, number).unwrap();
                    if number % 5 == 0 {
                        assert!(store.update(&key, |value| *value += 1).unwrap().is_some());
                    }
                    if number % 3 == 0 {
                        assert!(removing.remove(&key).unwrap());
                    }
                    acknowledged.store(number + 1, Ordering::Release);
                }
            });
        }
        let done = || acknowledged.iter().all(|done| done.load(Ordering::Acquire) == EACH);
        while !done() {
            store.flush().unwrap();
            if copies.len() < 4 {
                // Nothing may be published or removed while the files are copied one by one.
                thread::sleep(Duration::from_millis(20));
                let known: Vec<u64> =
                    acknowledged.iter().map(|done| done.load(Ordering::Acquire)).collect();
                if let Some(copy) = whole_copy(&store, &directory) {
                    copies.push((copy, known));
                }
            }
        }
    });
    for (copy, known) in &copies {
        check(&options().open(copy.path()).unwrap(), known);
    }
    let all = [EACH; WRITERS as usize];
    let left = || std::iter::repeat_with(|| whole_copy(&store, &directory)).flatten().next();
    check(&store, &all);
    check(&options().open(left().unwrap().path()).unwrap(), &all);
    store.flush().unwrap();
    check(&options().open(left().unwrap().path()).unwrap(), &all);
    store.close().unwrap();
    let store = options().open(directory.path()).unwrap();
    check(&store, &all);
    store.merge().unwrap();
    check(&store, &all);
}
