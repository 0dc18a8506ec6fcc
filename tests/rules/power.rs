//! Power cuts: what each sync of a file and of the directory is for.

use sessile::Durability;
use sessile::testing::Call;

use super::{Stage, cut_everywhere, cut_now, found, key, opened, text, there, value};

#[test]
fn what_was_acknowledged_at_power_is_there_whatever_segment_it_lies_in() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..12 {
        // Most of it unsynced until the next one, so that syncs cover two segments.
        let level = if number % 3 == 2 { Durability::Power } else { Durability::Process };
        store.at(level).insert(key(number), text(1500)).unwrap();
        if level == Durability::Power {
            cut_now(&stage.fs, |left, when| {
                let all: Vec<u64> = (0..=number).collect();
                assert_eq!(there(left, 0..20), all, "{number}: {when}");
            });
        }
    }
}

#[test]
fn what_is_left_is_always_the_first_of_what_was_written() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(0), text(700)).unwrap();
    let work = || {
        for number in 1..6 {
            store.insert(key(number), text(700)).unwrap();
        }
    };
    cut_everywhere(&stage.fs, work, |left, when| {
        let found = there(left, 0..20);
        let first: Vec<u64> = (0..found.len() as u64).collect();
        assert!(found == first && !found.is_empty(), "{when}: {found:?}");
        assert!(left.stats().disk.unwrap().recovery.lost.is_empty(), "{when}");
    });
}

/// Segments are written back in any order: one that no sync covered may be missing while the one
/// after it is there.
#[test]
fn a_segment_that_is_lost_takes_nothing_before_it_along() {
    let stage = Stage::new();
    // Every write begins a segment.
    let store = super::builder().segment_bytes(4096).open_fs(stage.open()).unwrap();
    store.at(Durability::Power).insert(key(0), "first".into()).unwrap();
    let work = || (1..5).for_each(|number| store.insert(key(number), "later".into()).unwrap());
    cut_everywhere(&stage.fs, work, |left, when| {
        let found = there(left, 0..20);
        let first: Vec<u64> = (0..found.len() as u64).collect();
        assert!(found == first && !found.is_empty(), "{when}: {found:?}");
        assert!(left.stats().disk.unwrap().recovery.lost.is_empty(), "{when}");
    });
}

#[test]
fn a_group_is_whole_or_absent() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(0), text(10)).unwrap();
    let keys: Vec<_> = (1..5).map(key).collect();
    let work = || {
        let set = |slots: &mut sessile::Slots<String>| (0..4).for_each(|i| slots.set(i, text(600)));
        store.at(Durability::Memory).transact(&keys, set).unwrap();
        store.sync().unwrap();
    };
    cut_everywhere(&stage.fs, work, |left, when| {
        let found = there(left, 1..5);
        assert!(matches!(found.len(), 0 | 4), "{when}: {found:?}");
    });
}

/// The frames of a group that is not whole lie in the old segment still when the next write gets
/// their numbers.
#[test]
fn what_recovery_has_cut_off_does_not_come_back() {
    let stage = Stage::new();
    let store = opened(&stage);
    let keys: Vec<_> = (1..5).map(key).collect();
    store.at(Durability::Power).insert(key(0), text(10)).unwrap();
    let set = |slots: &mut sessile::Slots<String>| (0..4).for_each(|i| slots.set(i, text(600)));
    store.at(Durability::Process).transact(&keys, set).unwrap();
    let mut cut = 0;
    for keep in super::keeps(stage.fs.pending()) {
        let again = Stage::on(stage.fs.power_cut(keep));
        let store = opened(&again);
        let whole = there(&store, 1..5).len() == 4;
        cut += u32::from(!whole && store.stats().disk.unwrap().recovery.torn_frames > 0);
        store.at(Durability::Power).insert(key(7), "new".into()).unwrap();
        store.at(Durability::Power).insert(key(8), "new".into()).unwrap();
        cut_now(&again.fs, |left, when| {
            assert_eq!(there(left, 7..9), [7, 8], "{keep:?}, {when}");
            assert_eq!(there(left, 1..5).len(), if whole { 4 } else { 0 }, "{keep:?}, {when}");
        });
    }
    assert!(cut > 0, "no cut leaves a part of the group");
}

/// The page cache of a killed process holds what the disk does not.
#[test]
fn what_a_killed_process_left_unsynced_is_made_durable_first() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..5 {
        store.insert(key(number), text(300)).unwrap();
    }
    let killed = Stage::on(stage.fs.kill());
    let store = opened(&killed);
    assert_eq!(there(&store, 0..9), [0, 1, 2, 3, 4]);
    let work = || store.at(Durability::Power).insert(key(5), text(300)).unwrap();
    cut_everywhere(&killed.fs, work, |left, when| {
        let found = there(left, 0..9);
        let first: Vec<u64> = (0..found.len() as u64).collect();
        assert_eq!(found, first, "{when}");
        if when.ends_with("killed") {
            assert!(found.len() >= 5, "{when}: {found:?}");
        }
    });
    cut_now(&killed.fs, |left, when| assert_eq!(there(left, 0..9), [0, 1, 2, 3, 4, 5], "{when}"));
}

/// They are in no segment of this run until there is room for one, so no sync covers them.
#[test]
fn what_a_killed_process_left_unsynced_is_not_durable_while_the_disk_is_full() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..5 {
        store.insert(key(number), text(300)).unwrap();
    }
    let killed = Stage::on(stage.fs.kill());
    let store = opened(&killed);
    killed.fs.set_capacity(Some(0));
    for _ in 0..2 {
        assert!(store.sync().is_err_and(|error| error.is_disk_full()));
        assert_eq!(store.stats().disk.unwrap().lsn_durable, 0);
    }
    killed.fs.set_capacity(None);
    store.at(Durability::Power).insert(key(5), text(300)).unwrap();
    cut_now(&killed.fs, |left, when| assert_eq!(there(left, 0..9), [0, 1, 2, 3, 4, 5], "{when}"));
}

/// The last sync before a kill has left no frame behind it that says so.
#[test]
fn what_was_on_disk_when_a_process_was_killed_stays_there_while_it_is_copied() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..3 {
        store.at(Durability::Power).insert(key(number), text(300)).unwrap();
    }
    let killed = Stage::on(stage.fs.kill());
    let store = opened(&killed);
    let work = || store.at(Durability::Power).insert(key(3), text(300)).unwrap();
    cut_everywhere(&killed.fs, work, |left, when| {
        assert_eq!(there(left, 0..3), [0, 1, 2], "{when}");
    });
}

/// Everything is on disk when this begins, so it must be there at every moment of it.
fn nothing_is_lost_amid(work: impl FnOnce(&sessile::Store<String>)) {
    let stage = Stage::new();
    let store = opened(&stage);
    let power = store.at(Durability::Power);
    for round in 0..3 {
        for number in 0..6 {
            power.insert(key(number), format!("{round}.{number}")).unwrap();
        }
        power.remove(&key(round)).unwrap();
        if round < 2 {
            store.flush().unwrap();
        }
    }
    let values =
        |store: &sessile::Store<String>| (0..6).map(|number| value(store, number)).collect();
    let before: Vec<_> = values(&store);
    cut_everywhere(
        &stage.fs,
        || work(&store),
        |left, when| {
            assert_eq!(values(left), before, "{when}");
            // It goes on.
            left.insert(key(9), "new".into()).unwrap();
            left.flush().unwrap();
            left.merge().unwrap();
            assert_eq!(values(left), before, "{when}, merged");
        },
    );
}

#[test]
fn at_every_moment_of_a_flush_everything_is_there() {
    nothing_is_lost_amid(|store| store.flush().unwrap());
}

#[test]
fn at_every_moment_of_a_merge_everything_is_there() {
    nothing_is_lost_amid(|store| {
        store.flush().unwrap();
        store.merge().unwrap();
    });
}

#[test]
fn at_every_moment_of_closing_everything_is_there() {
    nothing_is_lost_amid(|store| store.clone().close().unwrap());
}

#[test]
fn what_is_written_amid_a_flush_is_not_released_with_the_rest() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(0), text(10)).unwrap();
    let other = store.at(Durability::Power);
    stage.before(Call::Rename, "base.", move || {
        Ok((1..9).for_each(|number| other.insert(key(number), text(1500)).unwrap()))
    });
    store.flush().unwrap();
    assert!(stage.is_done());
    let all: Vec<u64> = (0..9).collect();
    assert_eq!(there(&found(stage.fs.kill()), 0..20), all);
    cut_now(&stage.fs, |left, when| assert_eq!(there(left, 0..20), all, "{when}"));
}

/// A base may hold what was written after its cut: then the log before that must not be lost.
#[test]
fn a_base_holds_nothing_that_the_log_could_lose() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(0), "old".into()).unwrap();
    let other = store.at(Durability::Memory);
    stage.after(Call::Create, "base.", move || {
        // The first is in nobody's list, the second in the one that was taken.
        other.insert(key(1), "first".into()).unwrap();
        other.insert(key(0), "second".into()).unwrap();
    });
    store.flush().unwrap();
    assert!(stage.is_done());
    cut_now(&stage.fs, |left, when| {
        let second = value(left, 0).unwrap() == "second";
        assert!(!second || value(left, 1).is_some(), "{when}: the second without the first");
    });
}
