//! What a request is told, and what lasts, where something fails or is given up halfway.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use sessile::session::{SessionExpiry, Sessions, SessionsBuilder};
use sessile::testing::{Failure, Fault, Keep, SimFs};
use sessile::{Background, Timestamp};

use crate::{MINUTE, World, get, in_memory, logged_in, threads};

/// A world whose log takes nothing any more.
fn poisoned(configure: fn(SessionsBuilder) -> SessionsBuilder, then: impl FnOnce(&World)) -> World {
    let world = World::with(configure);
    then(&world);
    world.fs.fail(Fault { call: 1, failure: Failure::Io, lasting: true });
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    assert!(session.save().is_err());
    world.fs.repair();
    world
}

#[test]
fn reading_goes_on_where_an_id_is_to_be_promoted_and_nothing_can_be_written() {
    let mut new = None;
    let world = poisoned(
        |builder| builder.renew_every(MINUTE),
        |world| {
            let id = world.logged_in("ada");
            world.clock.advance(MINUTE);
            new = world.load(&id).save().unwrap();
        },
    );
    let session = world.load(&new.unwrap());
    assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
    assert_eq!(session.save().unwrap(), None);
    session.insert("k", 1).unwrap();
    assert!(session.save().unwrap_err().is_poisoned(), "what is asked for is an error");
}

#[test]
fn reading_goes_on_where_time_asks_for_a_save_and_nothing_can_be_written() {
    for configure in
        [(|builder| builder.standard()) as fn(SessionsBuilder) -> SessionsBuilder, |builder| {
            builder.renew_every(MINUTE)
        }]
    {
        let mut id = None;
        let world = poisoned(configure, |world| id = Some(world.logged_in("ada")));
        world.clock.advance(10 * MINUTE);
        let session = world.load(&id.unwrap());
        assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
        assert_eq!(session.save().unwrap(), None);
        assert!(world.sessions.counts().failed > 0, "it is told all the same");
    }
}

/// It had set nothing.
#[test]
fn a_request_that_reads_beside_a_logout_has_nothing_dropped() {
    let world = World::with(|builder| builder.standard());
    let id = world.logged_in("ada");
    world.clock.advance(10 * MINUTE);
    let (reader, writer) = (world.load(&id), world.load(&id));
    assert!(reader.subject().unwrap().is_some() && writer.subject().unwrap().is_some());
    world.load(&id).logout().unwrap();
    reader.save().unwrap();
    assert_eq!(world.sessions.counts().dropped, 0);
    writer.insert("k", 1).unwrap();
    writer.save().unwrap();
    assert_eq!(world.sessions.counts().dropped, 1);
}

#[test]
fn a_session_that_ends_sooner_lasts_as_an_end_does() {
    let fs = SimFs::new(1);
    let open = |fs: &SimFs| {
        let callers = |store: sessile::Builder<_>| store.background(Background::Callers);
        Sessions::builder().store(callers).open_fs(Arc::new(fs.clone())).unwrap()
    };
    let sessions = open(&fs);
    let id = logged_in(&sessions, "ada");
    sessions.sync().unwrap();
    let session = sessions.load(&id).unwrap().unwrap();
    session.set_expiry(SessionExpiry::At(Timestamp::from_millis(0))).unwrap();
    session.save().unwrap();
    assert!(sessions.load(&id).unwrap().is_none());
    assert!(open(&fs.power_cut(Keep::Nothing)).load(&id).unwrap().is_none(), "it is back");
}

/// Whoever waits after somebody who gave up waits for the same.
#[test]
fn a_wait_that_is_given_up_is_waited_for_by_the_next() {
    let fs = SimFs::new(1);
    let sessions = Sessions::builder().open_fs(Arc::new(fs.clone())).unwrap();
    for _ in 0..50 {
        let id = logged_in(&sessions, "ada");
        sessions.sync().unwrap();
        let session = sessions.load(&id).unwrap().unwrap();
        session.logout().unwrap();
        let _ = pin!(session.save_async()).poll(&mut Context::from_waker(Waker::noop()));
        session.save().unwrap();
        let cut = fs.power_cut(Keep::Nothing);
        let found = Sessions::builder().open_fs(Arc::new(cut)).unwrap();
        assert!(found.load(&id).unwrap().is_none(), "logged out, and there again");
    }
}

#[test]
fn visitors_leave_memory_for_those_who_log_in() {
    let builder = Sessions::builder().store(|store| store.max_memory(1 << 20));
    let sessions = builder.max_sessions(100_000).in_memory().unwrap();
    let refused = (0..2000).find_map(|_| {
        let session = sessions.create();
        session.insert("k", "x".repeat(2000)).unwrap();
        session.save().err()
    });
    assert!(refused.unwrap().is_full());
    for number in 0..50 {
        logged_in(&sessions, &format!("user {number}"));
    }
}

/// A login beside a clone that begins a session: one session, and it has somebody who knows its id.
#[test]
fn a_clone_that_logs_in_beside_one_that_begins_leaves_one_session() {
    let sessions = in_memory();
    for _ in 0..300 {
        let session = sessions.create();
        session.insert("a", 1).unwrap();
        threads(2, |thread| {
            let clone = session.clone();
            match thread {
                0 => clone.login("ada").unwrap(),
                _ => clone.insert("b", 1).unwrap(),
            }
            clone.save().unwrap()
        });
        session.save().unwrap();
        assert_eq!(sessions.count().unwrap(), 1);
        sessions.revoke_all().unwrap();
    }
}

/// What could not be saved for want of room is still to be saved.
#[test]
fn what_could_not_be_saved_is_tried_again() {
    let sessions = Sessions::builder().max_sessions(4).in_memory().unwrap();
    let mut first = None;
    while let Some(id) = {
        let session = sessions.create();
        session.insert("k", 0).unwrap();
        session.save().ok().flatten()
    } {
        first = Some(id);
    }
    let session = sessions.create();
    session.insert("k", 1).unwrap();
    for _ in 0..2 {
        assert!(session.save().unwrap_err().is_full());
    }
    session.insert("l", 2).unwrap();
    assert!(sessions.revoke(&first.unwrap().key()).unwrap());
    let id = session.save().unwrap().unwrap();
    let found = sessions.load(&id).unwrap().unwrap();
    assert_eq!((get(&found, "k"), get(&found, "l")), (Some(1), Some(2)));
    assert_eq!(session.save().unwrap(), None);
}
