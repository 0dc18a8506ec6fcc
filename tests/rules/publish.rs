//! What makes a base or a manifest count, what is kept until it does, and how a store is closed.

use sessile::Durability;
use sessile::testing::{Call, Keep};

use super::{Stage, builder, cut_now, found, key, opened, there, value};

fn names(stage: &Stage, start: &str) -> Vec<String> {
    stage.fs.names().into_iter().filter(|name| name.starts_with(start)).collect()
}

/// A directory sync fails after a manifest got its name: nobody knows which one a crash leaves.
#[test]
fn an_ambiguous_publish_deletes_nothing_until_another_one_is_certain() {
    for merge in [false, true] {
        let stage = Stage::new();
        let store = opened(&stage);
        let power = store.at(Durability::Power);
        for number in 0..3 {
            power.insert(key(number), "old".into()).unwrap();
            store.flush().unwrap();
        }
        power.remove(&key(0)).unwrap();
        power.insert(key(3), "new".into()).unwrap();
        if merge {
            store.flush().unwrap();
        }
        let failing = stage.clone();
        stage.before(Call::Rename, "manifest.", move || Ok(failing.fail(Call::SyncDir, "")));
        let result = if merge { store.merge() } else { store.flush() };
        assert!(result.is_err() && stage.is_done());
        let all = |left: &sessile::Store<String>, when: &str| {
            assert_eq!(there(left, 0..9), [1, 2, 3], "merge: {merge}, {when}");
        };
        cut_now(&stage.fs, all);
        all(&found(stage.fs.kill()), "killed");
        let before = names(&stage, "manifest.").into_iter().max();
        store.heal().unwrap();
        // By another manifest, not by word.
        assert!(names(&stage, "manifest.").into_iter().max() > before, "merge: {merge}");
        cut_now(&stage.fs, all);
        power.insert(key(4), "later".into()).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
        assert_eq!(there(&store, 0..9), [1, 2, 3, 4]);
        cut_now(&stage.fs, |left, when| assert_eq!(there(left, 0..9), [1, 2, 3, 4], "{when}"));
    }
}

#[test]
fn two_manifests_stay() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..4 {
        store.insert(key(number), "old".into()).unwrap();
        store.flush().unwrap();
        assert_eq!(names(&stage, "manifest.").len(), 2);
    }
}

#[test]
fn what_cannot_be_read_is_never_deleted() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.insert(key(0), "old".into()).unwrap();
    store.close().unwrap();
    let name = format!("log.{:012}", 77);
    stage.fs.put(&name, b"nobody can read this");
    let store = opened(&stage);
    for number in 0..4 {
        store.insert(key(number), "new".into()).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
    }
    store.close().unwrap();
    assert_eq!(stage.fs.bytes(&name).as_deref(), Some(&b"nobody can read this"[..]));
}

#[test]
fn the_lock_is_held_until_the_end() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.insert(key(0), "old".into()).unwrap();
    let fs = stage.fs.clone();
    stage.before(Call::Rename, "manifest.", move || {
        let second = builder().open_fs(std::sync::Arc::new(fs));
        Ok(assert!(second.is_err_and(|error| error.is_locked())))
    });
    store.close().unwrap();
    assert!(stage.is_done());
    assert_eq!(value(&opened(&stage), 0).as_deref(), Some("old"));
}

#[test]
fn what_was_accepted_is_on_disk_after_close() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Memory).insert(key(0), "old".into()).unwrap();
    store.close().unwrap();
    cut_now(&stage.fs, |left, when| assert_eq!(there(left, 0..9), [0], "{when}"));
}

#[test]
fn a_close_that_cannot_flush_syncs_all_the_same() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Memory).insert(key(0), "old".into()).unwrap();
    stage.fail(Call::Create, "base.");
    assert!(store.close().is_err() && stage.is_done());
    let left = found(stage.fs.power_cut(Keep::Nothing));
    assert_eq!(there(&left, 0..9), [0]);
}

/// Healing begins a new segment behind the base that it writes; the old one takes nothing more.
#[test]
fn what_is_written_amid_a_heal_is_kept_or_refused() {
    super::within(|| {
        let stage = Stage::new();
        let store = opened(&stage);
        store.at(Durability::Power).insert(key(0), "old".into()).unwrap();
        let failing = stage.clone();
        stage.before(Call::Rename, "manifest.", move || Ok(failing.fail(Call::SyncDir, "")));
        assert!(store.flush().is_err());
        // Nothing is wrong with the log: only which manifest counts is not known.
        let other = store.at(Durability::Process);
        stage.before(Call::Rename, "base.", move || {
            for number in 1..4 {
                let result = other.insert(key(number), "meanwhile".into());
                let there = value(&other, number).is_some();
                // Refused before it happens, unknown and visible, or done.
                let refused = result.as_ref().is_err_and(|error| !error.is_unknown());
                assert_eq!(there, !refused, "{result:?}");
            }
            Ok(())
        });
        store.insert(key(8), "for a base".into()).unwrap();
        store.heal().unwrap();
        assert!(stage.is_done());
        store.at(Durability::Power).insert(key(9), "new".into()).unwrap();
        let visible = there(&store, 0..20);
        cut_now(&stage.fs, |left, when| assert_eq!(there(left, 0..20), visible, "{when}"));
    });
}

/// Whatever of the move a power cut keeps, no file of the old store is taken for a leftover of the
/// new one.
#[test]
fn a_fresh_start_loses_nothing_of_the_old_store() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.insert(key(0), "old".into()).unwrap();
    store.close().unwrap();
    let old = stage.fs.bytes(&names(&stage, "base.")[0]).unwrap();
    let fs = stage.fs.kill();
    fs.record();
    let fresh = builder().recovery(sessile::Recovery::StartFresh);
    drop(fresh.open_fs(std::sync::Arc::new(fs.clone())).unwrap());
    for moment in fs.moments() {
        for keep in super::keeps(moment.pending()) {
            let left = moment.power_cut(keep);
            let when = format!("after call {} ({}), {keep:?}", moment.call, moment.what);
            match builder().open_fs(std::sync::Arc::new(left.clone())) {
                // Neither this nor that: it is refused, and all is there.
                Err(error) => assert!(error.path().is_some(), "{when}: {error:?}"),
                Ok(store) if value(&store, 0).is_some() => continue,
                Ok(store) => {
                    for number in 1..3 {
                        store.insert(key(number), "new".into()).unwrap();
                        store.flush().unwrap();
                    }
                }
            }
            let is_old = |name: &String| left.bytes(name).is_some_and(|bytes| bytes == old);
            assert!(left.names().iter().any(is_old), "{when}: {:?}", left.names());
        }
    }
}
