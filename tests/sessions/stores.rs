//! Sessions on a store in trouble: full, failed, standing still, or syncing for long.

use std::pin::pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};

use sessile::session::Sessions;
use sessile::testing::{Failure, Fault, SimFs};
use sessile::{Background, WhenFull};

use crate::support::faulty::{Call, Faults, FaultyFs};
use crate::support::{Temp, block_on, within};
use crate::{LONG, World, logged_in};

#[test]
fn whoever_logs_out_on_a_full_disk_is_told_that_it_lasts() {
    let (temp, faults) = (Temp::new(), Faults::new());
    let builder = Sessions::builder().store(|store| {
        store.segment_bytes(64 << 10).flush_bytes(1 << 30).background(Background::Callers)
    });
    let sessions = builder.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
    let ids: Vec<_> = (0..50).map(|n| logged_in(&sessions, &format!("user {n}"))).collect();
    sessions.sync().unwrap();
    faults.set_room(100_000);
    let full = (0..400).find_map(|_| {
        let session = sessions.create();
        session.insert("k", "x".repeat(5000)).unwrap();
        session.save().err()
    });
    let full = full.expect("it is never full");
    assert!(full.is_disk_full(), "{full:?}");
    for id in &ids {
        let session = sessions.load(id).unwrap().unwrap();
        session.logout().unwrap();
        session.save().unwrap();
        assert!(sessions.load(id).unwrap().is_none());
    }
    assert!(!sessions.revoke(&ids[0].key()).unwrap(), "one that has ended");
    drop(sessions);
    let copy = temp.copy();
    let found = Sessions::builder().open(copy.path()).unwrap();
    for id in &ids {
        assert!(found.load(id).unwrap().is_none(), "logged out, and there again");
    }
}

#[test]
fn a_revocation_that_a_failed_log_did_not_take_is_unknown() {
    let world = World::new();
    let id = world.logged_in("ada");
    world.fs.fail(Fault { call: 1, failure: Failure::Io, lasting: true });
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    session.save().unwrap_err();
    world.fs.repair();
    let error = world.sessions.revoke(&id.key()).unwrap_err();
    assert!(error.is_poisoned() && error.is_unknown(), "{error:?}");
    world.is_gone(&id);
}

#[test]
fn callers_that_do_all_the_work_make_room_for_their_saves() {
    within(LONG, || {
        let configured = |store: sessile::Builder<_>| {
            store.background(Background::Callers).flush_bytes(256 << 10)
        };
        let builder = Sessions::builder().store(configured);
        let sessions = builder.open_fs(std::sync::Arc::new(SimFs::new(1))).unwrap();
        let session = sessions.create();
        for number in 0..150 {
            session.insert("k", format!("{number}{}", "x".repeat(30_000))).unwrap();
            session.save().unwrap();
        }
        assert!(sessions.stats().flushes > 0);
    });
}

#[test]
fn a_disk_that_stands_still_refuses_writers_by_name() {
    within(LONG, || {
        let (temp, faults) = (Temp::new(), Faults::new());
        let sessions = Sessions::builder().open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
        let session = sessions.create();
        session.insert("k", "").unwrap();
        session.save().unwrap();
        let (open, gate) = channel::<()>();
        faults.fail(move |call, name| {
            if call == Call::Write && name.starts_with("log.") {
                let _ = gate.recv();
            }
            false
        });
        let refused = (0..1000).find_map(|_| {
            session.update("k", |text: &mut String| *text = "y".repeat(60_000)).err()
        });
        let refused = refused.expect("it is never refused");
        assert!(refused.is_full() && !refused.is_unknown(), "{refused:?}");
        drop(open);
        sessions.sync().unwrap();
        session.insert("k", "z").unwrap();
        session.save().unwrap();
    });
}

#[test]
fn a_revocation_of_all_waits_for_a_flush_as_a_future() {
    within(LONG, || {
        let (temp, faults) = (Temp::new(), Faults::new());
        let builder = Sessions::builder().store(|store| store.flush_bytes(8 << 10));
        let sessions = builder.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
        let id = logged_in(&sessions, "ada");
        let ((reached, seen), (open, gate)) = (channel(), channel::<()>());
        faults.fail(move |call, name| {
            if call == Call::Rename && name.starts_with("manifest.") {
                let _ = reached.send(());
                let _ = gate.recv();
            }
            false
        });
        let session = sessions.create();
        session.insert("k", "x".repeat(20_000)).unwrap();
        session.save().unwrap();
        // The flush holds what a clear has to wait for.
        seen.recv().unwrap();
        let mut revoking = pin!(sessions.revoke_all_async());
        let polled = revoking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        drop(open);
        block_on(revoking).unwrap();
        assert!(sessions.load(&id).unwrap().is_none());
        let id = logged_in(&sessions, "ada");
        sessions.revoke_all().unwrap();
        assert!(sessions.load(&id).unwrap().is_none());
    });
}

/// It would end the lists of owners too, and nobody could revoke their sessions.
#[test]
fn no_session_is_ended_for_lack_of_room() {
    let evicting = || {
        Sessions::builder()
            .store(|store| store.max_memory(1 << 20).when_full(WhenFull::EvictNearestDeadline))
    };
    let error = evicting().in_memory().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("`max_sessions`"), "{error}");
    let temp = Temp::new();
    assert!(evicting().open(temp.path()).unwrap_err().is_config());
    assert!(!temp.path().exists());
}
