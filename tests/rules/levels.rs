//! What a call waits for before it returns, and what may be said to be durable.

use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{Call, Keep, SimFs};
use sessile::{Background, Durability, Expiry, Store};

use super::{LONG, SECOND, Stage, builder, cut_now, found, key, opened, text, value};

const AFTER: Expiry = Expiry::After(Duration::from_secs(500));

/// A store in which keys 0 to 3 are on disk.
fn filled() -> (Stage, Store<String>) {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..4 {
        store.at(Durability::Power).insert_with(key(number), "old".into(), AFTER).unwrap();
    }
    (stage, store)
}

#[test]
fn each_level_is_reached_when_the_call_returns() {
    type Deed = fn(&Store<String>);
    type Look = fn(&Store<String>) -> bool;
    let writes: [(&str, Deed, Look); 4] = [
        ("insert", |s| s.insert(key(9), "new".into()).unwrap(), |s| value(s, 9).is_some()),
        ("create", |s| assert!(s.create(key(9), "new".into()).unwrap()), |s| value(s, 9).is_some()),
        (
            "update",
            |s| s.update(&key(0), |text| text.push('!')).unwrap().unwrap(),
            |s| value(s, 0).unwrap() == "old!",
        ),
        ("longer", |s| assert!(longer(s)), |s| s.deadline(&key(0)).unwrap() > deadline(s, 1)),
    ];
    for (name, deed, look) in writes {
        let (stage, store) = filled();
        deed(&store);
        assert!(look(&found(stage.fs.kill())), "{name}: killed");
    }
    let ends: [(&str, Deed, Look); 7] = [
        ("remove", |s| assert!(s.remove(&key(0)).unwrap()), |s| value(s, 0).is_none()),
        ("take", |s| assert!(s.take(&key(0)).unwrap().is_some()), |s| value(s, 0).is_none()),
        (
            "rename",
            |s| assert!(s.rename(&key(0), &key(9)).unwrap()),
            |s| value(s, 0).is_none() && value(s, 9).is_some(),
        ),
        (
            "shorter",
            |s| assert!(s.set_expiry(&key(0), Expiry::After(SECOND)).unwrap()),
            |s| s.deadline(&key(0)).unwrap() < deadline(s, 1),
        ),
        (
            "transact",
            |s| s.transact(&[key(0), key(1)], |slots| slots.remove(0)).unwrap(),
            |s| value(s, 0).is_none(),
        ),
        ("transact, shorter", shorter, |s| s.deadline(&key(0)).unwrap() < deadline(s, 1)),
        ("clear", |s| s.clear().unwrap(), |s| s.count().unwrap() == 0),
    ];
    for (name, deed, look) in ends {
        let (stage, store) = filled();
        deed(&store);
        cut_now(&stage.fs, |found, when| assert!(look(found), "{name}: {when}"));
    }
}

fn longer(store: &Store<String>) -> bool {
    store.set_expiry(&key(0), Expiry::After(900 * SECOND)).unwrap()
}

fn shorter(store: &Store<String>) {
    store.transact(&[key(0)], |slots| slots.set_expiry(0, Expiry::After(SECOND))).unwrap();
}

fn deadline(store: &Store<String>, number: u64) -> Option<sessile::Timestamp> {
    store.deadline(&key(number)).unwrap()
}

/// What has been said must outlive a power cut, also where saying it changed nothing.
#[test]
fn an_answer_that_changes_nothing_waits_for_what_it_rests_on() {
    type Deed = fn(&Store<String>);
    let process: [(&str, Deed, Deed); 9] = [
        ("create", insert, |s| assert!(!s.create(key(9), "other".into()).unwrap())),
        ("transact", insert, |s| {
            assert!(s.transact(&[key(9)], |slots| slots.get(0).is_some()).unwrap())
        }),
        ("update", remove, |s| assert!(s.update(&key(0), |_| ()).unwrap().is_none())),
        ("expiry", remove, |s| assert!(!s.set_expiry(&key(0), AFTER).unwrap())),
        ("transact", remove, |s| {
            assert!(s.transact(&[key(0)], |slots| slots.get(0).is_none()).unwrap())
        }),
        ("remove", remove, |s| assert!(!s.remove(&key(0)).unwrap())),
        ("take", remove, |s| assert!(s.take(&key(0)).unwrap().is_none())),
        ("update", clear, |s| assert!(s.update(&key(0), |_| ()).unwrap().is_none())),
        ("remove", clear, |s| assert!(!s.remove(&key(0)).unwrap())),
    ];
    for (name, first, second) in process {
        let (stage, store) = filled();
        first(&store.at(Durability::Process));
        second(&store.at(Durability::Power));
        cut_now(&stage.fs, |left, when| {
            for number in [0, 9] {
                assert_eq!(value(left, number), value(&store, number), "{name}: {when}");
            }
        });
    }
}

fn insert(store: &Store<String>) {
    store.insert(key(9), "new".into()).unwrap();
}

fn remove(store: &Store<String>) {
    assert!(store.remove(&key(0)).unwrap());
}

fn clear(store: &Store<String>) {
    store.clear().unwrap();
}

#[test]
fn what_is_written_during_a_sync_is_not_durable_by_it() {
    let (stage, store) = filled();
    let other = store.at(Durability::Process);
    stage.after(Call::Sync, "log.", move || other.insert(key(8), "meanwhile".into()).unwrap());
    let power = store.at(Durability::Power);
    power.insert(key(9), "new".into()).unwrap();
    assert!(stage.is_done());
    assert!(!power.create(key(8), "again".into()).unwrap());
    let left = found(stage.fs.power_cut(Keep::Nothing));
    assert_eq!(value(&left, 8).as_deref(), Some("meanwhile"));
}

#[test]
fn nobody_returns_before_the_sync_has() {
    let (stage, store) = filled();
    let (fs, power) = (stage.fs.clone(), store.at(Durability::Power));
    stage.before(Call::Sync, "log.", move || {
        // Whoever asks now whether key 9 is on disk may not be told so.
        assert!(value(&found(fs.power_cut(Keep::Nothing)), 9).is_none());
        let durable = power.stats().disk.unwrap();
        assert!(durable.lsn_durable < durable.lsn_appended);
        Ok(())
    });
    store.at(Durability::Power).insert(key(9), "new".into()).unwrap();
    assert!(stage.is_done());
}

#[test]
fn what_is_written_reaches_the_disk_by_itself() {
    let fs = SimFs::new(1);
    let builder = builder().background(Background::Threads).sync_every(Duration::from_millis(2));
    let store = builder.open_fs(Arc::new(fs.clone())).unwrap();
    store.at(Durability::Memory).insert(key(1), text(100)).unwrap();
    for _ in 0..LONG.as_millis() {
        if value(&found(fs.power_cut(Keep::Nothing)), 1).is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came to the disk");
}

#[test]
fn a_poisoned_log_is_neither_written_nor_synced_again() {
    let stage = Stage::new();
    let builder = builder().background(Background::Threads).sync_every(Duration::from_millis(1));
    let store = builder.open_fs(stage.open()).unwrap();
    let power = store.at(Durability::Power);
    power.insert(key(1), "old".into()).unwrap();
    stage.fail(Call::Sync, "log.");
    assert!(power.insert(key(2), "?".into()).unwrap_err().is_poisoned());
    stage.fs.trace();
    // Nothing more than a while in which the threads could do what they must not.
    for _ in 0..50 {
        assert!(power.remove(&key(1)).unwrap_err().is_unknown());
        assert!(power.remove(&key(2)).unwrap_err().is_unknown());
        std::thread::sleep(Duration::from_millis(1));
    }
    let touched = |(call, name): &(Call, String)| call.changes() && name.starts_with("log.");
    let touched: Vec<_> = stage.fs.traced().into_iter().filter(touched).collect();
    assert!(touched.is_empty(), "{touched:?}");
}

#[test]
fn every_segment_has_a_salt_of_its_own() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..20 {
        store.insert(key(number), text(1000)).unwrap();
    }
    // Where the header has it, by `FORMAT.md`.
    let salt = |name: String| stage.fs.bytes(&name).unwrap()[72..76].to_vec();
    let logs = stage.fs.names().into_iter().filter(|name| name.starts_with("log."));
    let mut salts: Vec<_> = logs.map(salt).collect();
    let count = salts.len();
    salts.sort();
    salts.dedup();
    assert!(count > 3 && salts.len() == count, "{salts:?}");
}

#[test]
fn a_write_that_fails_is_not_called_done() {
    let (stage, store) = filled();
    stage.fail(Call::Write, "log.");
    let error = store.at(Durability::Process).insert(key(9), "new".into()).unwrap_err();
    assert!(error.is_poisoned() && error.is_unknown() && stage.is_done(), "{error:?}");
}
