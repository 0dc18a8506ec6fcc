//! Code of the application that is called: closures, encoders, the callback of events.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use sessile::session::{Session, Sessions};

use crate::support::within;
use crate::{LONG, World, get};

#[test]
fn a_closure_that_panics_changes_nothing() {
    let world = World::new();
    let id = world.saved(1);
    for session in [world.load(&id), world.sessions.create()] {
        session.insert("mine", 5).unwrap();
        let before = session.len().unwrap();
        let panicking = || {
            session.update("k", |k: &mut i64| {
                *k = 99;
                if *k == 99 {
                    panic!("in the closure")
                }
            })
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        assert_eq!((session.len().unwrap(), get(&session, "mine")), (before, Some(5)));
        session.update("k", |k: &mut i64| *k += 1).unwrap();
        session.save().unwrap();
    }
    assert_eq!(get(&world.load(&id), "k"), Some(2));
    let other = world.saved(3);
    assert_eq!(get(&world.load(&other), "k"), Some(3), "the store goes on");
}

#[test]
fn a_call_of_the_store_from_inside_a_closure_is_an_error_and_no_deadlock() {
    within(LONG, || {
        let world = World::new();
        let id = world.saved(1);
        let (session, other) = (world.load(&id), world.load(&world.saved(2)));
        let seen = session
            .update("k", |k: &mut i64| {
                *k += 1;
                let calls: [bool; 6] = [
                    world.sessions.load(&id).is_err_and(|error| error.is_reentrant()),
                    world.sessions.revoke_owner("ada").is_err_and(|error| error.is_reentrant()),
                    session
                        .update("k", |k: &mut i64| *k += 1)
                        .is_err_and(|error| error.is_reentrant()),
                    session.pop::<i64>("k").is_err_and(|error| error.is_reentrant()),
                    other.logout().is_err_and(|error| error.is_reentrant()),
                    session.login("ada").is_err_and(|error| error.is_reentrant()),
                ];
                // These touch no store; they are not to lock anybody out.
                let _ = (session.get::<i64>("k"), session.is_new(), format!("{session:?}"));
                calls
            })
            .unwrap();
        assert_eq!(seen, [true; 6]);
        assert_eq!(get(&world.load(&id), "k"), Some(2));
        session.get_or_insert_with("new", || get(&session, "k").unwrap()).unwrap();
        assert_eq!(get(&session, "new"), Some(2));
    });
}

#[test]
fn every_method_called_from_inside_an_update_is_an_error_and_does_nothing() {
    within(LONG, || {
        let world = World::new();
        for session in [world.load(&world.saved(1)), world.sessions.create()] {
            session.insert("mine", 5).unwrap();
            let other = world.load(&world.logged_in("ada"));
            let new = world.sessions.create();
            let calls = session.update("k", |k: &mut i64| {
                *k = 7;
                let clone = session.clone();
                let calls: [sessile::Result<()>; 23] = [
                    clone.insert("inner", 1),
                    session.insert("k", 1),
                    session.get::<i64>("mine").map(drop),
                    session.remove("mine").map(drop),
                    session.update("k", |k: &mut i64| *k = 1),
                    session.update("inner", |k: &mut i64| *k = 1),
                    session.pop::<i64>("mine").map(drop),
                    session.get_or_insert_with("inner", || 1).map(drop),
                    session.contains("mine").map(drop),
                    session.keys().map(drop),
                    session.clear(),
                    session.flash("info", "inner"),
                    session.take_flashes().map(drop),
                    session.cycle_id(),
                    session.login("eve"),
                    session.logout(),
                    session.flush(),
                    session.save_now(),
                    session.save().map(drop),
                    session.subject().map(drop),
                    other.insert("inner", 1),
                    new.insert("inner", 1),
                    new.save().map(drop),
                ];
                calls.map(|call| call.is_err_and(|error| error.is_reentrant()))
            });
            assert_eq!(calls.unwrap(), [true; 23]);
            // It is over, and nothing is left of it.
            assert_eq!((get(&session, "k"), get(&session, "mine")), (Some(7), Some(5)));
            assert_eq!(session.keys().unwrap(), ["k", "mine"]);
            assert_eq!(session.take_flashes().unwrap(), []);
            assert_eq!(session.subject().unwrap(), None);
            assert!(!other.contains("inner").unwrap() && new.is_empty().unwrap());
            let id = session.save().unwrap();
            let saved = id.map_or(session, |id| world.load(&id));
            assert_eq!((get(&saved, "k"), get(&saved, "mine")), (Some(7), Some(5)));
        }
    });
}

thread_local! {
    static LOOKED_AT: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// A value whose decoding and encoding look at the session.
#[derive(Clone, Debug, Default, PartialEq)]
struct Curious(i64);

impl Curious {
    fn look() {
        let session = LOOKED_AT.with_borrow(Clone::clone);
        drop(session.map(|session| (session.contains("k"), format!("{session:?}"))));
    }
}

impl Serialize for Curious {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Curious::look();
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Curious {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Curious::look();
        i64::deserialize(deserializer).map(Curious)
    }
}

#[test]
fn no_lock_of_the_session_is_held_while_a_value_is_encoded_or_decoded() {
    within(LONG, || {
        let world = World::new();
        for session in [world.load(&world.saved(1)), world.sessions.create()] {
            LOOKED_AT.set(Some(session.clone()));
            session.insert("k", Curious(1)).unwrap();
            assert_eq!(session.get("k").unwrap(), Some(Curious(1)));
            session.update("k", |k: &mut Curious| k.0 += 1).unwrap();
            assert_eq!(session.get_or_insert_with("k", Curious::default).unwrap(), Curious(2));
            assert_eq!(session.pop("k").unwrap(), Some(Curious(2)));
            LOOKED_AT.set(None);
        }
    });
}

#[test]
fn the_callback_of_events_is_called_without_a_lock() {
    within(LONG, || {
        let known = std::sync::Arc::new(std::sync::Mutex::new(Vec::<Session>::new()));
        let seen = known.clone();
        let look = move |_: &sessile::session::Event| {
            let sessions = seen.lock().unwrap().clone();
            for session in &sessions {
                let _ = (session.is_modified(), format!("{session:?}"));
            }
        };
        let sessions = Sessions::builder().on_event(look).in_memory().unwrap();
        let session = sessions.create();
        known.lock().unwrap().push(session.clone());
        session.insert("k", 1).unwrap();
        let id = session.save().unwrap().unwrap();
        let other = sessions.load(&id).unwrap().unwrap();
        known.lock().unwrap().push(other.clone());
        session.login("ada").unwrap();
        session.save().unwrap();
        other.insert("k", 2).unwrap();
        other.save().unwrap();
        session.revoke_others().unwrap();
        session.logout().unwrap();
        assert_eq!(sessions.counts().dropped, 1);
    });
}
