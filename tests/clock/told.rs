//! Cases told one by one.

use sessile::Expiry;

use super::*;

/// Session 1 in a base, session 2 in the log; closed.
fn filled() -> Directory {
    let directory = Directory::quick("clock");
    let (store, _) = open_at(directory.path(), START);
    store.insert(key(1), "in a base".into()).unwrap();
    store.flush().unwrap();
    store.insert(key(2), "in the log".into()).unwrap();
    store.close().unwrap();
    directory
}

fn is_there(store: &Store<String>, number: u64) -> bool {
    store.peek(&key(number)).unwrap().is_some()
}

#[test]
fn a_clock_far_ahead_that_is_put_right_leaves_no_trace() {
    let directory = filled();
    let (store, _) = open_at(directory.path(), START.after(500 * DAY));
    assert!(store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_none(), "by that clock it has expired");
    store.insert(key(3), "under the wrong clock".into()).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    store.close().unwrap();
    let (store, _) = open_at(directory.path(), START.after(DAY));
    assert!(!store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_some());
    assert!(store.get(&key(2)).unwrap().is_some());
}

#[test]
fn an_empty_store_forgets_a_time_that_was_far_ahead() {
    for kill in [false, true] {
        let directory = Directory::quick("clock");
        open_at(directory.path(), START).0.close().unwrap();
        let (store, clock) = open_at(directory.path(), START.after(500 * DAY));
        clock.advance(SECOND);
        store.sync().unwrap();
        let left = killed(&directory);
        store.close().unwrap();
        let place = if kill { left } else { directory };
        let (store, clock) = open_at(place.path(), START.after(DAY));
        store.insert_with(key(1), "new".into(), Expiry::After(DAY)).unwrap();
        assert_eq!(store.deadline(&key(1)).unwrap(), Some(START.after(2 * DAY)));
        clock.advance(SECOND);
        store.sync().unwrap();
        let left = killed(&place);
        assert!(is_there(&open_at(left.path(), START.after(DAY)).0, 1));
    }
}

#[test]
fn a_suspect_clock_is_refused_or_trusted_as_asked() {
    let directory = filled();
    let open = |policy| {
        let clock = ManualClock::at(START.after(500 * DAY));
        builder(&clock).suspect_clock(policy).open(directory.path())
    };
    let refused = open(SuspectClock::Refuse).unwrap_err();
    assert!(refused.is_suspect_clock(), "{refused}");
    let store = open(SuspectClock::Trust).unwrap();
    assert!(!store.stats().disk.unwrap().clock_suspect);
    assert!(store.get(&key(1)).unwrap().is_none());
}

#[test]
fn a_clock_set_back_revives_nothing() {
    let directory = filled();
    open_at(directory.path(), START.after(20 * DAY)).0.close().unwrap();
    for wall in [START.after(DAY), Timestamp::from_millis(0), Timestamp::from_millis(i64::MIN)] {
        let (store, _) = open_at(directory.path(), wall);
        assert!(store.get(&key(1)).unwrap().is_none(), "{wall}");
        store.flush().unwrap();
        store.merge().unwrap();
        store.close().unwrap();
    }
}

#[test]
fn a_clock_beyond_all_ticks_refuses_writes_by_name() {
    for wall in [START.after(80 * 366 * DAY), Timestamp::from_millis(i64::MAX)] {
        let directory = filled();
        let (store, _) = open_at(directory.path(), wall);
        let refused = store.insert(key(3), "no".into()).unwrap_err();
        assert!(refused.is_suspect_clock(), "{refused}");
        assert!(!is_there(&store, 1) && !is_there(&store, 3));
        drop(store);
        let (store, _) = open_at(directory.path(), START.after(DAY));
        assert!(is_there(&store, 1) && is_there(&store, 2));
    }
}

#[test]
fn a_removal_under_a_suspect_clock_lasts() {
    let directory = filled();
    let (store, _) = open_at(directory.path(), START.after(500 * DAY));
    // By that clock they have expired; whoever logs out is gone all the same.
    store.remove(&key(1)).unwrap();
    store.transact(&[key(2)], |slots| slots.remove(0)).unwrap();
    let left = killed(&directory);
    store.close().unwrap();
    for place in [directory, left] {
        let (store, _) = open_at(place.path(), START.after(DAY));
        assert!(!is_there(&store, 1) && !is_there(&store, 2));
    }
}

#[test]
fn what_was_written_under_a_suspect_clock_does_not_outlive_its_idle_time() {
    let directory = filled();
    let (store, _) = open_at(directory.path(), START.after(500 * DAY));
    store.insert_with(key(3), "in a base".into(), Expiry::Idle(DAY)).unwrap();
    store.flush().unwrap();
    store.insert_with(key(4), "in the log".into(), Expiry::Idle(DAY)).unwrap();
    let left = killed(&directory);
    store.close().unwrap();
    for place in [directory, left] {
        let (store, clock) = open_at(place.path(), START.after(DAY));
        assert!(is_there(&store, 3) && is_there(&store, 4));
        clock.advance(2 * DAY);
        assert!(!is_there(&store, 3) && !is_there(&store, 4));
    }
}

/// A machine without a battery for its clock: after a power cut it believes in 1970.
#[test]
fn what_was_seen_expired_stays_so_when_the_clock_begins_again_after_a_kill() {
    let directory = filled();
    let (store, clock) = open_at(directory.path(), START.after(SECOND));
    clock.advance(SECOND);
    store.sync().unwrap();
    clock.advance(SECOND);
    // Both are cold, and nothing has been written for long.
    clock.advance(15 * DAY);
    assert!(!is_there(&store, 1) && !is_there(&store, 2));
    // The keeper's next round, and what reaches the disk every second.
    clock.advance(SECOND);
    store.sync().unwrap();
    let left = killed(&directory);
    let (store, _) = open_at(left.path(), Timestamp::from_millis(0));
    assert!(!is_there(&store, 1) && !is_there(&store, 2));
}

#[test]
fn a_store_may_grow_older_than_its_ticks() {
    let directory = filled();
    let (mut wall, quarter) = (START, 91 * DAY);
    for turn in 0..160u64 {
        wall = wall.after(quarter);
        let (store, clock) = open_at(directory.path(), wall);
        assert!(!store.stats().disk.unwrap().clock_suspect);
        let lasting = Expiry::After(2 * quarter + DAY);
        store.insert_with(key(100 + turn), turn.to_string(), lasting).unwrap();
        for old in 0..=turn {
            assert_eq!(is_there(&store, 100 + old), turn - old <= 2, "{old} in turn {turn}");
        }
        if turn % 3 == 0 {
            store.merge().unwrap();
        }
        clock.advance(SECOND);
        wall = wall.after(SECOND);
        store.close().unwrap();
    }
    assert!(wall > Timestamp::from_millis(i64::from(u32::MAX) * 500), "{wall}");
}

#[test]
fn within_a_run_steps_of_the_wall_clock_change_nothing() {
    let directory = filled();
    let (store, clock) = open_at(directory.path(), START);
    let deadline = store.deadline(&key(1)).unwrap();
    for wall in [START.after(40_000 * DAY), Timestamp::from_millis(0), before(START, DAY)] {
        clock.set_wall(wall);
        clock.advance(SECOND);
        assert_eq!(store.deadline(&key(1)).unwrap(), deadline);
        assert!(is_there(&store, 1) && is_there(&store, 2));
    }
    clock.advance(15 * DAY);
    assert!(!is_there(&store, 1) && !is_there(&store, 2));
}

#[test]
fn a_frozen_clock_ends_nothing_and_neither_do_flush_and_merge() {
    let directory = filled();
    let (store, clock) = open_at(directory.path(), START);
    store.insert_with(key(3), "for a moment".into(), Expiry::After(SECOND)).unwrap();
    for _ in 0..20 {
        clock.advance(Duration::ZERO);
        store.flush().unwrap();
        store.merge().unwrap();
        assert!(is_there(&store, 3));
    }
    clock.advance(SECOND);
    assert!(!is_there(&store, 3));
}
