//! A store whose disk fails keeps what it acknowledged, says what it cannot, and gets going again.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use sessile::{Background, Builder, Durability, Read, Store};
use support::faulty::{Call, Faults, FaultyFs};
use support::{Temp, key};

type Model = BTreeMap<u64, String>;

fn builder() -> Builder<String> {
    Store::builder().background(Background::Callers).read(Read::Pread)
}

struct Bench {
    temp: Temp,
    faults: Arc<Faults>,
    store: Store<String>,
}

fn bench() -> Bench {
    bench_with(builder())
}

fn bench_with(builder: Builder<String>) -> Bench {
    let (temp, faults) = (Temp::new(), Faults::new());
    let store = builder.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
    Bench { temp, faults, store }
}

/// The store holds exactly what the model does, of the keys 0 to 99.
#[track_caller]
fn check(store: &Store<String>, model: &Model, when: &str) {
    for number in 0..100 {
        let value = store.peek(&key(number)).unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(value.as_deref(), model.get(&number), "{when}: key {number}");
    }
    assert_eq!(store.count().unwrap(), model.len() as u64, "{when}");
}

/// Whoever found the files as they are now would see exactly the model.
#[track_caller]
fn check_copy(temp: &Temp, model: &Model, when: &str) {
    let copy = temp.copy();
    let store = builder().open(copy.path()).unwrap_or_else(|error| panic!("{when}: {error}"));
    check(&store, model, &format!("{when}, reopened"));
}

/// Changes some keys in a way that depends on `round`, at the store's own levels.
fn change(store: &Store<String>, model: &mut Model, round: u64) {
    for step in 0..12 {
        let number = (round * 7 + step * 5) % 100;
        if step % 3 == 2 {
            assert_eq!(store.remove(&key(number)).unwrap(), model.remove(&number).is_some());
        } else {
            let value = format!("{round}-{step}-{}", "x".repeat(step as usize * 40));
            store.insert(key(number), value.clone()).unwrap();
            model.insert(number, value);
        }
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn after_a_failed_sync_nothing_is_promised_until_it_is_healed() {
    for background in [Background::Callers, Background::Threads] {
        let bench = bench_with(builder().background(background));
        let (store, power) = (&bench.store, bench.store.at(Durability::Power));
        for number in 0..4 {
            power.insert(key(number), text("before")).unwrap();
        }
        store.flush().unwrap();
        power.insert(key(4), text("in the log")).unwrap();

        bench.faults.fail(|call, name| call == Call::Sync && name.starts_with("log"));
        let error = power.insert(key(5), text("unknown")).unwrap_err();
        assert!(error.is_poisoned() && error.is_unknown(), "{error}");
        assert!(error.to_string().contains("heal"), "{error}");
        // A disk that has failed once may say that all is well from then on.
        bench.faults.end();

        let error = store.insert(key(6), text("refused")).unwrap_err();
        assert!(error.is_poisoned() && !error.is_unknown(), "{error}");
        assert!(store.create(key(6), text("refused")).unwrap_err().is_poisoned());
        assert!(store.update(&key(1), String::clear).unwrap_err().is_poisoned());
        assert!(store.sync().unwrap_err().is_poisoned());
        assert!(store.stats().disk.unwrap().poisoned);

        let error = store.remove(&key(1)).unwrap_err();
        assert!(error.is_poisoned() && error.is_unknown(), "{error}");
        let error = store.take(&key(4)).unwrap_err();
        assert!(error.is_poisoned() && error.is_unknown(), "{error}");
        let visible = Model::from(
            [(0, "before"), (2, "before"), (3, "before"), (5, "unknown")]
                .map(|(number, value)| (number, text(value))),
        );
        check(store, &visible, "poisoned");

        store.heal().unwrap();
        assert!(!store.stats().disk.unwrap().poisoned);
        check(store, &visible, "healed");
        if background == Background::Callers {
            check_copy(&bench.temp, &visible, "healed");
        }
        power.insert(key(6), text("after")).unwrap();
        store.close().unwrap();
        let mut visible = visible;
        visible.insert(6, text("after"));
        check_copy(&bench.temp, &visible, "closed");
    }
}

#[test]
fn a_poisoned_store_that_is_closed_keeps_what_it_has_acknowledged() {
    let bench = bench();
    let mut model = Model::new();
    change(&bench.store, &mut model, 1);
    bench.store.flush().unwrap();
    change(&bench.store, &mut model, 2);
    bench.store.sync().unwrap();
    bench.faults.fail(|call, name| call == Call::Sync && name.starts_with("log"));
    assert!(bench.store.at(Durability::Power).insert(key(99), text("?")).unwrap_err().is_unknown());
    assert!(bench.store.close().unwrap_err().is_poisoned());
    bench.faults.end();
    let copy = bench.temp.copy();
    let store = builder().open(copy.path()).unwrap();
    // Visible before, durable or not: both are right.
    store.remove(&key(99)).unwrap();
    check(&store, &model, "reopened");
}

#[test]
fn every_failed_write_of_the_log_is_told_and_mended() {
    for call in [Call::Write, Call::Create, Call::Rename, Call::SyncDir, Call::Sync] {
        let bench = bench();
        let mut model = Model::new();
        // Before the log has a segment, and after.
        for round in 0..3 {
            bench.faults.fail(move |this, name| {
                this == call && (name.is_empty() || name.starts_with("log"))
            });
            let result = bench.store.at(Durability::Power).insert(key(round), text("visible"));
            bench.faults.end();
            if round > 0 && matches!(call, Call::Create | Call::Rename | Call::SyncDir) {
                // Only a new segment needs these.
                if result.is_err() {
                    bench.store.heal().unwrap();
                }
            } else {
                let error = result.unwrap_err();
                assert!(error.is_poisoned() && error.is_unknown(), "{call:?} {error}");
                bench.store.heal().unwrap();
            }
            model.insert(round, text("visible"));
            check(&bench.store, &model, "healed");
            check_copy(&bench.temp, &model, "healed");
            change(&bench.store, &mut model, round);
            check_copy(&bench.temp, &model, "goes on");
        }
    }
}

/// Fails each call of `work` that changes the disk, one after the other, until there is none left.
/// Nothing may be lost at any of these points, and the next try must do.
fn fail_each_call(what: &str, work: impl Fn(&Store<String>) -> sessile::Result<()>) {
    let bench = bench();
    let mut model = Model::new();
    for round in 0..200 {
        change(&bench.store, &mut model, round);
        if round % 3 == 0 {
            bench.store.flush().unwrap();
            change(&bench.store, &mut model, round + 1);
        }
        bench.faults.fail_nth(round as usize);
        let result = work(&bench.store);
        bench.faults.end();
        let calls = bench.faults.calls();
        let made = calls.iter().filter(|(call, _)| call.changes()).nth(round as usize);
        let when = format!("{what}, {made:?} fails");
        if !matches!(made, None | Some((Call::Remove | Call::Allocate, _))) {
            let error = result.as_ref().expect_err(&when);
            assert!(error.path().is_some(), "{when}: {error:?}");
        } else {
            result.as_ref().expect(&when);
        }
        check(&bench.store, &model, &when);
        check_copy(&bench.temp, &model, &when);
        if bench.store.stats().disk.unwrap().poisoned {
            bench.store.heal().expect(&when);
            check_copy(&bench.temp, &model, &format!("{when}, healed"));
        }
        change(&bench.store, &mut model, round + 2);
        check_copy(&bench.temp, &model, &format!("{when}, went on"));
        work(&bench.store).unwrap_or_else(|error| panic!("{when}, again: {error}"));
        check(&bench.store, &model, &format!("{when}, again"));
        check_copy(&bench.temp, &model, &format!("{when}, again"));
        if made.is_none() {
            assert!(round > 5, "{what} changes nothing on disk");
            bench.store.close().unwrap();
            return check_copy(&bench.temp, &model, &format!("{what}, closed"));
        }
    }
    panic!("{what} never ends");
}

#[test]
fn a_flush_that_fails_anywhere_loses_nothing() {
    fail_each_call("flush", Store::flush);
}

#[test]
fn a_merge_that_fails_anywhere_loses_nothing() {
    fail_each_call("merge", |store| {
        store.flush()?;
        store.merge()
    });
}

#[test]
fn a_heal_that_fails_anywhere_can_be_repeated() {
    let bench = bench();
    let mut model = Model::new();
    for round in 0..100 {
        change(&bench.store, &mut model, round);
        bench.faults.fail(|call, name| call == Call::Sync && name.starts_with("log"));
        let power = bench.store.at(Durability::Power);
        assert!(power.insert(key(round), text("visible")).unwrap_err().is_unknown());
        model.insert(round, text("visible"));
        bench.faults.fail_nth(round as usize);
        let healed = bench.store.heal();
        bench.faults.end();
        let calls = bench.faults.calls();
        let made = calls.iter().filter(|(call, _)| call.changes()).nth(round as usize).cloned();
        let when = format!("{made:?} fails");
        check(&bench.store, &model, &when);
        if healed.is_err() {
            let error = bench.store.insert(key(99), text("no")).unwrap_err();
            assert!(error.is_poisoned() && !error.is_unknown(), "{when}: {error}");
            // What is removed meanwhile belongs to what the next try makes durable.
            assert!(bench.store.remove(&key(round)).unwrap_err().is_unknown(), "{when}");
            model.remove(&round);
            bench.store.heal().expect(&when);
        }
        check(&bench.store, &model, &format!("{when}, healed"));
        check_copy(&bench.temp, &model, &format!("{when}, healed"));
        if made.is_none() {
            return;
        }
    }
    panic!("heal never ends");
}

#[test]
fn an_error_while_opening_changes_nothing() {
    let temp = Temp::new();
    let mut model = Model::new();
    {
        let store = builder().open(temp.path()).unwrap();
        change(&store, &mut model, 1);
        store.flush().unwrap();
        change(&store, &mut model, 2);
        store.flush().unwrap();
        change(&store, &mut model, 3);
        store.sync().unwrap();
        let copy = temp.copy();
        drop(store);
        for (name, _) in temp.contents() {
            std::fs::remove_file(temp.path().join(name)).unwrap();
        }
        for (name, bytes) in copy.contents() {
            std::fs::write(temp.path().join(name), bytes).unwrap();
        }
    }
    let before = temp.contents();
    let faults = Faults::new();
    for nth in 0.. {
        let mut seen = 0;
        faults.fail(move |call, _| {
            seen += usize::from(!call.changes());
            !call.changes() && seen == nth + 1
        });
        let opened = builder().open_fs(FaultyFs::open(temp.path(), &faults));
        faults.end();
        match opened {
            Err(error) => {
                assert!(error.path().is_some(), "{nth}: {error:?}");
                assert!(!error.is_corrupt(), "{nth}: {error:?}");
                assert!(std::error::Error::source(&error).is_some(), "{nth}: {error:?}");
                assert_eq!(temp.contents(), before, "{nth}");
            }
            Ok(store) => {
                assert!(nth > 5);
                return check(&store, &model, "opened");
            }
        }
    }
}

#[test]
fn a_first_opening_that_fails_can_be_repeated() {
    for nth in 0.. {
        let (temp, faults) = (Temp::new(), Faults::new());
        faults.fail_nth(nth);
        let opened = builder().open_fs(FaultyFs::open(temp.path(), &faults));
        faults.end();
        let failed = opened.is_err();
        drop(opened);
        let mut model = Model::new();
        let store = builder().open(temp.path()).unwrap_or_else(|error| panic!("{nth}: {error}"));
        change(&store, &mut model, 1);
        check_copy(&temp, &model, "begun");
        if !failed {
            return assert!(nth > 2);
        }
    }
}

#[test]
fn a_base_that_cannot_be_read_is_an_error_and_can_be_written_over() {
    let bench = bench();
    let mut model = Model::new();
    change(&bench.store, &mut model, 1);
    bench.store.close().unwrap();
    let faults = &bench.faults;
    let store = builder().open_fs(FaultyFs::open(bench.temp.path(), faults)).unwrap();
    let mut known = model.keys().copied();
    let (first, second) = (known.next().unwrap(), known.next().unwrap());
    faults.fail(|call, _| call == Call::ReadImage);
    let error = store.get(&key(first)).unwrap_err();
    assert!(error.path().is_some() && !error.is_corrupt(), "{error:?}");
    assert!(store.update(&key(first), String::clear).is_err());
    assert!(store.take(&key(first)).is_err());
    store.insert(key(first), text("new")).unwrap();
    assert!(store.remove(&key(second)).unwrap(), "a logout does not need the disk to read");
    model.insert(first, text("new"));
    model.remove(&second);
    faults.end();
    check(&store, &model, "readable again");
    check_copy(&bench.temp, &model, "readable again");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_takes_removals() {
    let bench = bench_with(builder().segment_bytes(8 << 20).flush_bytes(1 << 30));
    let store = &bench.store;
    let filler = "x".repeat(30_000);
    store.insert(key(0), filler.clone()).unwrap();
    bench.faults.set_room(100_000);
    let mut stored = 1;
    let error = loop {
        match store.insert(key(stored), filler.clone()) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk never fills");
    };
    assert!(error.is_disk_full() && !error.is_unknown(), "{error:?}");
    assert!(store.peek(&key(stored)).unwrap().is_none(), "what was refused has not happened");
    assert!(store.stats().disk.unwrap().disk_full);
    assert!(store.update(&key(0), String::clear).unwrap_err().is_disk_full());
    // The reserve: thousands of removals.
    for number in 0..stored / 2 {
        assert!(store.remove(&key(number)).unwrap());
    }
    let removed = (0..1000).map(|number| 10_000 + number);
    removed.for_each(|number| assert!(!store.remove(&key(number)).unwrap()));
    let left = || (stored / 2..stored).map(|number| (number, filler.clone())).collect::<Model>();
    let copy = bench.temp.copy();
    let reopened = builder().open(copy.path()).unwrap();
    for number in 0..stored {
        let value = reopened.peek(&key(number)).unwrap();
        assert_eq!(value.as_deref(), left().get(&number), "reopened while full: {number}");
    }
    drop(reopened);
    // It ends by itself.
    bench.faults.set_room(1 << 40);
    store.insert(key(stored), filler.clone()).unwrap();
    assert!(!store.stats().disk.unwrap().disk_full);
    let mut model = left();
    model.insert(stored, filler.clone());
    store.close().unwrap();
    let store = builder().open(bench.temp.path()).unwrap();
    for number in 0..=stored {
        assert_eq!(store.peek(&key(number)).unwrap().as_deref(), model.get(&number));
    }
}

#[test]
fn a_write_without_room_is_kept_and_written_when_there_is_some() {
    for background in [Background::Callers, Background::Threads] {
        let builder = builder().background(background).segment_bytes(64 << 10);
        let bench = bench_with(builder.sync_every(std::time::Duration::from_millis(20)));
        let store = &bench.store;
        let mut model = Model::new();
        for number in 0..4 {
            store.insert(key(number), text("before")).unwrap();
            model.insert(number, text("before"));
        }
        store.sync().unwrap();
        bench.faults.set_room(0);
        // Fills what is allocated; from some point on there is neither room nor a reserve.
        let mut unknown = None;
        for number in 4..90 {
            let value = "x".repeat(20_000);
            let result = store.insert(key(number), value.clone());
            match result {
                Ok(()) => drop(model.insert(number, value)),
                Err(error) => {
                    assert!(error.is_disk_full(), "{error:?}");
                    if error.is_unknown() {
                        model.insert(number, value);
                        unknown = Some(number);
                    }
                }
            }
        }
        check(store, &model, "full");
        // Removals always take effect at once, whatever becomes of their promise.
        for number in 0..3 {
            if let Err(error) = store.remove(&key(number)) {
                assert!(error.is_disk_full() && error.is_unknown(), "{error:?}");
            }
            model.remove(&number);
        }
        check(store, &model, &format!("removed; unknown: {unknown:?}"));
        bench.faults.set_room(1 << 40);
        // No call but this is needed: it returns when all that came before is on disk.
        store.sync().unwrap();
        check(store, &model, "room again");
        if background == Background::Callers {
            check_copy(&bench.temp, &model, "room again");
        }
        store.insert(key(99), text("after")).unwrap();
        model.insert(99, text("after"));
        store.flush().unwrap();
        store.close().unwrap();
        check_copy(&bench.temp, &model, "closed");
    }
}

#[test]
fn a_flush_on_a_full_disk_fails_and_works_later() {
    let bench = bench_with(builder().flush_bytes(1 << 30));
    let mut model = Model::new();
    change(&bench.store, &mut model, 1);
    bench.store.flush().unwrap();
    change(&bench.store, &mut model, 2);
    bench.faults.set_room(2000);
    let error = bench.store.flush().unwrap_err();
    assert!(error.is_disk_full(), "{error:?}");
    check(&bench.store, &model, "full");
    check_copy(&bench.temp, &model, "full");
    bench.faults.set_room(1 << 40);
    bench.store.flush().unwrap();
    change(&bench.store, &mut model, 3);
    bench.store.merge().unwrap();
    check(&bench.store, &model, "room again");
    check_copy(&bench.temp, &model, "room again");
}

/// Wherever in a segment the disk fills up, its end included, writes are refused before they
/// happen, and there is something left for removals.
#[test]
fn the_reserve_outlives_the_end_of_a_segment() {
    for room in [0, 3000, 70_000, 524_288, 526_000, 530_000, 600_000, 700_000, 1_100_000] {
        let bench = bench_with(builder().segment_bytes(512 << 10).flush_bytes(1 << 30));
        let store = &bench.store;
        store.insert(key(0), text("first")).unwrap();
        bench.faults.set_room(room);
        let mut stored = 1;
        let error = loop {
            match store.insert(key(stored), "x".repeat(10_000)) {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is_disk_full(), "{room}: {error:?}");
        assert!(
            !error.is_unknown(),
            "{room}: refused before it happens, after {stored}: {error:?}"
        );
        for number in 0..stored {
            let removed = store.remove(&key(number));
            assert!(
                removed.as_ref().is_ok_and(|was| *was),
                "{room}: {number} of {stored}: {removed:?}"
            );
        }
        check_copy(&bench.temp, &Model::new(), "full");
    }
}
