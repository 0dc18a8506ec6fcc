//! What the model test has found, each in its shortest form.

use std::sync::Arc;

use sessile::testing::{ManualClock, SimFs};
use sessile::{Durability, Expiry};

use super::common::Directory;
use super::{SECOND, builder, key, later, open, reopened, value};

/// The first change of a session that a read had brought in from a base did not count as dirty,
/// so the next flush left it out and went past its frame.
#[test]
fn a_change_after_a_cold_read_survives_a_close() {
    let (directory, clock) = (Directory::new("found"), ManualClock::new());
    let store = open(directory.path(), &clock);
    for number in 0..3 {
        store.insert(key(number), "old".into()).unwrap();
    }
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    for number in 0..3 {
        assert!(store.get(&key(number)).unwrap().is_some());
    }
    store.insert(key(0), "new".into()).unwrap();
    store.update(&key(1), |value| *value = "new".into()).unwrap();
    store.remove(&key(2)).unwrap();
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    assert_eq!(value(&store, 0).as_deref(), Some("new"));
    assert_eq!(value(&store, 1).as_deref(), Some("new"));
    assert_eq!(value(&store, 2), None);
}

/// A merge gave an expired record the times of the entry in memory, which was a later session
/// under the same key; when that was lost in a crash, the expired one was back.
#[test]
fn a_merge_does_not_revive_what_a_newer_session_replaced() {
    let (directory, clock) = (Directory::new("found"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert_with(key(1), "expired".into(), Expiry::After(SECOND)).unwrap();
    store.flush().unwrap();
    clock.advance(2 * SECOND);
    store.at(Durability::Memory).insert(key(1), "lost".into()).unwrap();
    store.merge().unwrap();
    let (left, _directory) = reopened(&directory, &clock);
    assert_ne!(value(&left, 1).as_deref(), Some("expired"));
}

/// The other way round: a record that has expired in its base while a longer expiry is in the
/// log is the only copy of the value, and a merge must keep it.
#[test]
fn a_merge_keeps_what_lives_by_the_log_alone() {
    let (directory, clock) = (Directory::new("found"), ManualClock::new());
    let store = open(directory.path(), &clock);
    for number in [1, 2] {
        store.insert_with(key(number), "one".into(), Expiry::After(SECOND)).unwrap();
    }
    store.flush().unwrap();
    store.set_expiry(&key(1), Expiry::After(100 * SECOND)).unwrap();
    clock.advance(5 * SECOND);
    store.merge().unwrap();
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!(value(&left, 1).as_deref(), Some("one"));
    assert_eq!(value(&left, 2), None);
    assert_eq!(value(&store, 1).as_deref(), Some("one"));
}

/// Looking at a session that was replayed and not read since extended it.
#[test]
fn a_peek_and_a_walk_touch_nothing_after_a_crash_either() {
    let (directory, clock) = (Directory::new("found"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert(key(1), "one".into()).unwrap();
    clock.advance(50 * SECOND);
    for walk in [false, true] {
        let (left, _directory) = reopened(&directory, &clock);
        let deadline = left.deadline(&key(1)).unwrap();
        if walk {
            assert_eq!(left.iter().count(), 1);
        } else {
            assert!(value(&left, 1).is_some());
        }
        assert_eq!(left.deadline(&key(1)).unwrap(), deadline);
    }
}

/// A clean close took the time up to which it had looked at deadlines for granted in bases of an
/// earlier run too, where deadlines may lie behind what that run had promised by its grace.
#[test]
fn a_grace_once_given_outlives_a_clean_close() {
    for read in [false, true] {
        let (directory, clock) = (Directory::new("found"), ManualClock::new());
        let store = open(directory.path(), &clock);
        store.insert_with(key(1), "one".into(), Expiry::Idle(5 * SECOND)).unwrap();
        store.close().unwrap();
        clock.advance(5 * SECOND);
        let store = open(directory.path(), &clock);
        let promised = store.deadline(&key(1)).unwrap();
        assert_eq!(promised, Some(later(&clock, 5 * SECOND)));
        if read {
            assert!(store.get(&key(1)).unwrap().is_some());
        }
        store.close().unwrap();
        let store = open(directory.path(), &clock);
        assert!(store.deadline(&key(1)).unwrap() >= promised, "read: {read}");
    }
}

/// A session that had just expired was not removed by a transaction, and came back after a crash
/// for the time of the grace.
#[test]
fn a_transaction_removes_what_has_just_expired_too() {
    for flushed in [false, true] {
        let (directory, clock) = (Directory::new("found"), ManualClock::new());
        let store = open(directory.path(), &clock);
        store.insert(key(1), "one".into()).unwrap();
        if flushed {
            store.flush().unwrap();
        }
        clock.advance(61 * SECOND);
        store.transact(&[key(1)], |slots| slots.remove(0)).unwrap();
        let (left, _directory) = reopened(&directory, &clock);
        assert_eq!(value(&left, 1), None, "flushed: {flushed}");
    }
}

/// A merge published that all deadlines up to now had been looked at, while the touches that
/// this had found were still on their way: after a crash a session that had just been read was
/// over, without the grace that is there for exactly that.
#[test]
fn a_manifest_does_not_take_for_granted_what_is_not_in_the_log_yet() {
    for merge in [false, true] {
        let (directory, clock) = (Directory::new("found"), ManualClock::new());
        let store = open(directory.path(), &clock);
        store.insert(key(1), "one".into()).unwrap();
        store.flush().unwrap();
        store.insert(key(2), "two".into()).unwrap();
        store.flush().unwrap();
        clock.advance(59 * SECOND);
        assert!(store.get(&key(1)).unwrap().is_some());
        clock.advance(2 * SECOND);
        if merge {
            store.merge().unwrap();
        }
        let (left, _directory) = reopened(&directory, &clock);
        assert!(value(&left, 1).is_some(), "merge: {merge}");
    }
}

/// A `heal` that found no room on a full disk left the log failed for good, although a full disk
/// ends by itself.
#[test]
fn a_heal_that_finds_no_room_leaves_a_full_disk_that_ends_by_itself() {
    let (fs, clock) = (SimFs::new(1), ManualClock::new());
    let store = builder(&clock).segment_bytes(4096).open_fs(Arc::new(fs.clone())).unwrap();
    store.insert(key(0), "first".into()).unwrap();
    fs.set_capacity(Some(0));
    let refused = |number| store.insert(key(number), "x".repeat(60_000)).err();
    let error = (1..100).find_map(refused).unwrap();
    assert!(error.is_disk_full(), "{error}");
    let error = store.heal().unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    assert!(refused(100).unwrap().is_disk_full());
    assert!(!store.stats().disk.unwrap().poisoned);
    fs.set_capacity(None);
    store.at(Durability::Power).insert(key(101), "last".into()).unwrap();
    let left = builder(&clock).open_fs(Arc::new(fs.power_cut(sessile::testing::Keep::Nothing)));
    let left = left.unwrap();
    assert_eq!(value(&left, 0).as_deref(), Some("first"));
    assert_eq!(value(&left, 101).as_deref(), Some("last"));
}

/// A session had new times in memory and its value in a block that was damaged meanwhile: every
/// flush failed, and the log grew.
#[test]
fn new_times_of_a_damaged_session_do_not_stop_the_flush() {
    let (fs, clock) = (SimFs::new(1), ManualClock::new());
    let open = || builder(&clock).open_fs(Arc::new(fs.kill())).unwrap();
    let store = builder(&clock).open_fs(Arc::new(fs.clone())).unwrap();
    store.insert(key(0), "<damaged>".into()).unwrap();
    store.close().unwrap();
    drop(store);
    let store = builder(&clock).open_fs(Arc::new(fs.clone())).unwrap();
    assert!(store.set_expiry(&key(0), Expiry::After(5 * SECOND)).unwrap());
    let base = fs.names().into_iter().find(|name| name.starts_with("base")).unwrap();
    let mut bytes = fs.bytes(&base).unwrap();
    let whole = bytes.clone();
    let at = bytes.windows(9).position(|window| window == b"<damaged>").unwrap();
    bytes[at] ^= 1;
    fs.put(&base, &bytes);
    store.flush().unwrap();
    assert!(store.peek(&key(0)).unwrap_err().is_corrupt());
    // It was ended sooner than the base knows. Nor is it back if the disk thinks better of it.
    fs.put(&base, &whole);
    clock.advance(6 * SECOND);
    for store in [store, open()] {
        assert!(!store.peek(&key(0)).is_ok_and(|value| value.is_some()));
        store.insert(key(0), "new".into()).unwrap();
        assert_eq!(value(&store, 0).as_deref(), Some("new"));
    }
}
