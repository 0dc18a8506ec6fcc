//! Clocks and marks: nothing revives, and nothing is dropped on the word of a wrong clock.

use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{Call, Keep, ManualClock};
use sessile::{Clock, Durability, Expiry, Store, Timestamp};

use super::{SECOND, Stage, key, on, value};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn start() -> Timestamp {
    ManualClock::new().wall()
}

fn at(time: Timestamp) -> ManualClock {
    ManualClock::at(time)
}

#[test]
fn the_mark_in_the_log_counts() {
    let (stage, clock) = (Stage::new(), at(start()));
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert_with(key(1), "one".into(), Expiry::After(60 * SECOND)).unwrap();
    clock.advance(100 * SECOND);
    assert_eq!(value(&store, 1), None);
    store.sync().unwrap();
    // Killed, and the clock is set back to before the end.
    let left = on(&at(start())).open_fs(Arc::new(stage.fs.kill())).unwrap();
    assert_eq!(value(&left, 1), None);
}

#[test]
fn a_suspect_clock_drops_nothing() {
    let stage = Stage::new();
    let store = on(&at(start())).open_fs(stage.open()).unwrap();
    for number in 0..4 {
        store.insert_with(key(number), "one".into(), Expiry::After(500 * SECOND)).unwrap();
        if number < 2 {
            store.flush().unwrap();
        }
    }
    let wrong = stage.fs.kill();
    let clock = at(start().after(900 * DAY));
    let store = on(&clock).open_fs(Arc::new(wrong.clone())).unwrap();
    assert!(store.stats().disk.unwrap().clock_suspect);
    for _ in 0..2 {
        for number in 0..4 {
            assert_eq!(store.get(&key(number)).unwrap(), None);
            assert!(store.update(&key(number), |_| ()).unwrap().is_none());
        }
        clock.advance(10 * SECOND);
        store.flush().unwrap();
        store.merge().unwrap();
    }
    // A flush has something to write, with what was replayed in its list.
    store.insert_with(key(9), "new".into(), Expiry::After(SECOND)).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    store.close().unwrap();
    let store = on(&at(start().after(SECOND))).open_fs(Arc::new(wrong)).unwrap();
    for number in 0..4 {
        assert!(value(&store, number).is_some(), "{number}");
    }
}

/// A mark says that every touch before it is on disk. This one cannot be brought there.
#[test]
fn a_merge_that_cannot_sync_leaves_the_mark() {
    let (stage, clock) = (Stage::new(), at(start()));
    let store = on(&clock).open_fs(stage.open()).unwrap();
    for number in 0..2 {
        store.at(Durability::Power).insert(key(number), "one".into()).unwrap();
        store.flush().unwrap();
    }
    clock.advance(58 * SECOND);
    assert!(store.get(&key(1)).unwrap().is_some());
    clock.advance(7 * SECOND);
    assert!(value(&store, 1).is_some() && value(&store, 0).is_none());
    stage.fail(Call::Sync, "log.");
    store.merge().unwrap();
    assert!(stage.is_done() && store.stats().disk.unwrap().poisoned);
    let clock = at(start().after(70 * SECOND));
    let left = on(&clock).open_fs(Arc::new(stage.fs.power_cut(Keep::Nothing))).unwrap();
    assert!(value(&left, 1).is_some(), "it was in use, and is not given the benefit of the doubt");
}

#[test]
fn what_was_seen_to_end_gets_no_grace() {
    let (stage, clock) = (Stage::new(), at(start()));
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.flush().unwrap();
    clock.advance(62 * SECOND);
    assert_eq!(value(&store, 1), None);
    store.close().unwrap();
    let later = at(start().after(65 * SECOND));
    let store: Store<String> = on(&later).open_fs(stage.open()).unwrap();
    assert_eq!(value(&store, 1), None);
}

#[test]
fn grace_ends_at_the_absolute_deadline() {
    let (stage, clock) = (Stage::new(), at(start()));
    let open = || on(&clock).absolute(70 * SECOND).open_fs(stage.open()).unwrap();
    let store = open();
    store.insert(key(1), "in a base".into()).unwrap();
    store.flush().unwrap();
    store.insert(key(2), "in the log".into()).unwrap();
    store.sync().unwrap();
    let fs = Arc::new(stage.fs.kill());
    let left: Store<String> = on(&clock).absolute(70 * SECOND).open_fs(fs).unwrap();
    for number in [1, 2] {
        let deadline = left.deadline(&key(number)).unwrap().unwrap();
        assert!(deadline <= start().after(71 * SECOND), "{number}: {deadline:?}");
        assert!(deadline > start().after(62 * SECOND), "{number}: {deadline:?} without grace");
    }
}

#[test]
fn a_fixed_deadline_gets_no_grace() {
    let (stage, clock) = (Stage::new(), at(start()));
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert_with(key(1), "one".into(), Expiry::After(60 * SECOND)).unwrap();
    let before = store.deadline(&key(1)).unwrap();
    store.sync().unwrap();
    let left = on(&clock).open_fs(Arc::new(stage.fs.kill())).unwrap();
    assert_eq!(left.deadline(&key(1)).unwrap(), before);
}

/// An opening might give it more time; whoever has removed it must not see it again.
#[test]
fn what_was_removed_after_its_end_gets_no_grace() {
    for seconds in [60, 61] {
        let (stage, clock) = (Stage::new(), at(start()));
        let store = on(&clock).open_fs(stage.open()).unwrap();
        store.at(Durability::Power).insert(key(1), "one".into()).unwrap();
        clock.advance(seconds * SECOND);
        assert!(!store.remove(&key(1)).unwrap(), "it has ended");
        let left = on(&clock).open_fs(Arc::new(stage.fs.kill())).unwrap();
        assert_eq!(value(&left, 1), None, "after {seconds} s");
    }
}

/// A reader is quicker than the write that has begun before it, and its touch is the later one.
#[test]
fn a_touch_amid_an_update_stays() {
    super::within(|| {
        let (stage, clock) = (Stage::new(), at(start()));
        let store = on(&clock).open_fs(stage.open()).unwrap();
        store.insert(key(1), "one".into()).unwrap();
        store.insert_with(key(2), "two".into(), Expiry::After(10 * SECOND)).unwrap();
        let mut moving = None;
        let (reading, by_hand) = (store.clone(), clock.clone());
        let update = |_: &mut String| {
            // The wheel waits for the stripe; the time has moved before.
            moving = Some(std::thread::spawn(move || by_hand.advance(30 * SECOND)));
            let reader = std::thread::spawn(move || {
                while value(&reading, 2).is_some() {
                    std::thread::yield_now();
                }
                assert!(reading.get(&key(1)).unwrap().is_some());
            });
            reader.join().unwrap();
        };
        store.update(&key(1), update).unwrap().unwrap();
        moving.unwrap().join().unwrap();
        let deadline = store.deadline(&key(1)).unwrap().unwrap();
        assert!(deadline >= start().after(89 * SECOND), "{deadline:?}");
    });
}
