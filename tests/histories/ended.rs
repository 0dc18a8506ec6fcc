//! A1: shorten what an older base holds with a longer expiry, let it end, and it stays ended through
//! everything that rewrites files. A2: what is removed while a flush or a merge has it in hands is gone
//! when that is published.

use std::sync::Arc;

use sessile::testing::ManualClock;
use sessile::{Expiry, Store, Timestamp};

use super::common::{Directory, watched};
use super::{AtBase, AtRead, SECOND, builder, key, open, reopened, value};

/// The steps of A1, each of which may be left out.
#[derive(Clone, Copy)]
struct Steps {
    flush_between: bool,
    wheel: bool,
    flush: bool,
    merge: bool,
    kill: bool,
}

fn shortened_and_ended(steps: Steps) {
    let (directory, clock) = (Directory::new("a1"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert_with(key(1), "old".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.insert_with(key(2), "old".into(), Expiry::Idle(500 * SECOND)).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    store.insert(key(3), "another".into()).unwrap();
    store.flush().unwrap();
    for number in [1, 2] {
        assert!(store.set_expiry(&key(number), Expiry::After(10 * SECOND)).unwrap());
    }
    if steps.flush_between {
        store.flush().unwrap();
    }
    if steps.wheel {
        clock.advance(9 * SECOND);
        assert!(value(&store, 1).is_some());
        clock.advance(3 * SECOND);
    } else {
        // To the tick: the wheel, which counts seconds, may not have taken it out yet.
        clock.advance(10 * SECOND);
    }
    let gone = |store: &Store<String>, when: &str| {
        for number in [1, 2] {
            assert_eq!(value(store, number), None, "{when}");
            assert!(store.get(&key(number)).unwrap().is_none(), "{when}");
            assert!(store.update(&key(number), |_| ()).unwrap().is_none(), "{when}");
            assert!(!store.set_expiry(&key(number), Expiry::Default).unwrap(), "{when}");
            assert_eq!(store.deadline(&key(number)).unwrap(), None, "{when}");
        }
        assert_eq!(store.count().unwrap(), store.iter().count() as u64, "{when}");
    };
    gone(&store, "expired");
    if steps.flush {
        store.flush().unwrap();
        gone(&store, "flushed");
    }
    if steps.merge {
        store.merge().unwrap();
        gone(&store, "merged");
    }
    if steps.kill {
        let (left, _directory) = reopened(&directory, &clock);
        gone(&left, "killed");
        left.merge().unwrap();
        gone(&left, "killed and merged");
    }
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    gone(&store, "reopened");
    store.merge().unwrap();
    gone(&store, "reopened and merged");
    store.close().unwrap();
    gone(&open(directory.path(), &clock), "reopened again");
}

#[test]
fn a1_a_shortened_session_that_has_expired_stays_gone() {
    for bits in 0..32 {
        let bit = |at: u32| bits >> at & 1 == 1;
        shortened_and_ended(Steps {
            flush_between: bit(0),
            wheel: bit(1),
            flush: bit(2),
            merge: bit(3),
            kill: bit(4),
        });
    }
}

#[test]
fn a1_a_merge_between_shortening_and_expiry_keeps_the_shorter_one() {
    let (directory, clock) = (Directory::new("a1"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert_with(key(1), "old".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    // Never read: only the times are in memory.
    assert!(store.set_expiry(&key(1), Expiry::After(5 * SECOND)).unwrap());
    store.insert(key(2), "another".into()).unwrap();
    store.merge().unwrap();
    clock.advance(6 * SECOND);
    store.flush().unwrap();
    store.merge().unwrap();
    assert_eq!(value(&store, 1), None);
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!(value(&left, 1), None);
}

#[test]
fn a2_what_is_removed_during_a_flush_is_gone_when_it_is_published() {
    type End = fn(&Store<String>);
    let ends: [(&str, End); 5] = [
        ("remove", |store| assert!(store.remove(&key(1)).unwrap())),
        ("take", |store| assert!(store.take(&key(1)).unwrap().is_some())),
        ("rename", |store| assert!(store.rename(&key(1), &key(3)).unwrap())),
        ("shorten", |store| {
            let past = Timestamp::from_millis(0);
            assert!(store.set_expiry(&key(1), Expiry::At(past)).unwrap());
        }),
        ("transact", |store| store.transact(&[key(1)], |slots| slots.remove(0)).unwrap()),
    ];
    for (name, end) in ends {
        for twice in [false, true] {
            let (directory, clock) = (Directory::new("a2"), ManualClock::new());
            let at_base = Arc::new(AtBase::default());
            let fs = watched(directory.path(), at_base.clone());
            let store = builder(&clock).open_fs(fs).unwrap();
            if twice {
                store.insert(key(1), "older".into()).unwrap();
                store.flush().unwrap();
            }
            store.insert(key(1), "one".into()).unwrap();
            store.insert(key(2), "two".into()).unwrap();
            let other = store.clone();
            at_base.next(move || end(&other));
            store.flush().unwrap();
            let gone = |store: &Store<String>, when: &str| {
                assert_eq!(value(store, 1), None, "{name}, {when}");
                assert_eq!(value(store, 2).as_deref(), Some("two"), "{name}, {when}");
                let there = store.iter().count() as u64;
                assert_eq!(
                    (there, there),
                    (store.count().unwrap(), 1 + u64::from(name == "rename"))
                );
            };
            gone(&store, "published");
            gone(&reopened(&directory, &clock).0, "killed");
            store.flush().unwrap();
            gone(&store, "flushed");
            store.merge().unwrap();
            gone(&store, "merged");
            gone(&reopened(&directory, &clock).0, "merged and killed");
            store.close().unwrap();
            gone(&open(directory.path(), &clock), "reopened");
        }
    }
}

#[test]
fn a2_what_is_removed_during_a_merge_is_gone_when_it_is_published() {
    let (directory, clock) = (Directory::new("a2"), ManualClock::new());
    let at_base = Arc::new(AtBase::default());
    let store = builder(&clock).open_fs(watched(directory.path(), at_base.clone())).unwrap();
    for number in 0..20 {
        store.insert(key(number), "old".into()).unwrap();
        if number % 5 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    let other = store.clone();
    at_base.next(move || {
        for number in 0..10 {
            assert!(other.remove(&key(number)).unwrap());
        }
        // A base above those that are being merged, and none of its tombstones in memory.
        other.flush().unwrap();
    });
    store.merge().unwrap();
    let check = |store: &Store<String>| {
        for number in 0..20 {
            assert_eq!(value(store, number).is_some(), number >= 10, "{number}");
        }
    };
    check(&store);
    check(&reopened(&directory, &clock).0);
    store.merge().unwrap();
    check(&store);
    store.close().unwrap();
    check(&open(directory.path(), &clock));
}

/// A reader has copied the record out of a base when somebody ends the session; what the reader
/// then brings into memory must not be that record.
#[test]
fn a2_what_is_ended_during_a_cold_read_is_not_promoted() {
    type End = fn(&Store<String>);
    let ends: [(&str, End); 5] = [
        ("remove", |store| assert!(store.remove(&key(1)).unwrap())),
        ("clear", |store| store.clear().unwrap()),
        ("rename", |store| assert!(store.rename(&key(1), &key(3)).unwrap())),
        ("remove, flush", |store| {
            assert!(store.remove(&key(1)).unwrap());
            store.flush().unwrap();
        }),
        ("remove, flush, merge", |store| {
            assert!(store.remove(&key(1)).unwrap());
            store.flush().unwrap();
            store.merge().unwrap();
        }),
    ];
    // A lookup reads a base more than once: act at each of its reads.
    for (name, end) in ends {
        for skip in 0..4 {
            let (directory, clock) = (Directory::new("a2"), ManualClock::new());
            let store = open(directory.path(), &clock);
            store.insert(key(1), "one".into()).unwrap();
            store.insert(key(2), "two".into()).unwrap();
            store.close().unwrap();
            let at_read = Arc::new(AtRead::default());
            let store =
                builder(&clock).open_fs(watched(directory.path(), at_read.clone())).unwrap();
            act(&at_read, &store, skip, end);
            let seen = store.get(&key(1)).unwrap();
            let acted = value(&store, 1).is_none();
            assert!(acted || skip > 0 && seen.is_some(), "{name} at read {skip}");
            if !acted {
                // What is left over holds the store, which holds it.
                drop(at_read.0.0.lock().unwrap().take());
                continue;
            }
            assert!(store.get(&key(1)).unwrap().is_none(), "{name} at read {skip}");
            store.flush().unwrap();
            store.close().unwrap();
            assert_eq!(value(&open(directory.path(), &clock), 1), None, "{name} at read {skip}");
        }
    }
}

/// Acts after so many further reads.
fn act(at_read: &Arc<AtRead>, store: &Store<String>, skip: usize, end: fn(&Store<String>)) {
    let (again, other) = (at_read.clone(), store.clone());
    at_read.0.next(move || match skip {
        0 => end(&other),
        skip => act(&again, &other, skip - 1, end),
    });
}
