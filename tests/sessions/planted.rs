//! Fixation: an attacker has planted an id of his own in the victim's browser, and uses it while
//! the victim logs in.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use sessile::Id;
use sessile::session::{Session, Sessions};
use sessile::testing::Random;

use crate::{HOUR, World, get, in_memory};

const SECRET: &str = "secret";

/// One thing that an attacker can do with an id. Returns the ids that he has learnt.
fn attack(sessions: &Sessions, session: &Session, what: u64) -> Option<Id> {
    let _ = match what % 10 {
        0 => session.insert("evil", 1),
        1 => session.update("evil", |n: &mut i64| *n += 1),
        2 => session.cycle_id(),
        3 => session.login("mallory"),
        4 => session.clear(),
        5 => session.flash("info", "evil"),
        6 => session.flush(),
        7 => session.login("mallory").and_then(|()| session.insert("evil", 1)),
        8 => sessions.revoke_owner("mallory").map(drop),
        _ => session.pop::<i64>("k").map(drop),
    };
    session.save().unwrap_or_default()
}

/// The victim's request, begun with the planted id; returns the id that she gets.
fn victim(session: &Session) -> Option<Id> {
    session.login("ada").unwrap();
    session.insert(SECRET, 1).unwrap();
    session.update("profile", |n: &mut i64| *n += 1).unwrap();
    session.update(SECRET, |n: &mut i64| *n += 1).unwrap();
    session.flash("info", "private").unwrap();
    session.save().unwrap()
}

/// Nothing of hers is with him.
#[track_caller]
fn sees_nothing(session: &Session) {
    assert_eq!((get(session, SECRET), get(session, "profile")), (None, None));
    assert_ne!(session.subject().unwrap().as_deref(), Some("ada"));
    assert_eq!(
        session.take_flashes().unwrap().iter().find(|flash| flash.message == "private"),
        None
    );
}

#[test]
fn what_is_set_after_the_login_is_never_seen_under_the_planted_id() {
    let world = World::new();
    let planted = world.saved(1);
    let session = world.load(&planted);
    session.login("ada").unwrap();
    session.insert(SECRET, 1).unwrap();
    session.update("profile", |n: &mut i64| *n += 1).unwrap();
    sees_nothing(&world.load(&planted));
    assert_eq!(get(&session, "profile"), Some(1));
    // The response is an error: nothing of it is ever saved.
    drop(session);
    sees_nothing(&world.load(&planted));
}

/// Every pair of an attack before the victim's save and one after it.
#[test]
fn in_every_order_of_few_calls_the_planted_id_gains_nothing() {
    for (before, after) in (0..10).flat_map(|before| (0..10).map(move |after| (before, after))) {
        let mut world = World::with(|builder| builder.renew_every(HOUR));
        let planted = world.saved(1);
        world.clock.advance(HOUR);
        let (early, session) = (world.load(&planted), world.load(&planted));
        let late = world.load(&planted);
        let mut learnt = vec![planted.clone()];
        learnt.extend(attack(&world.sessions, &early, before));
        let id = victim(&session).expect("a login has a new id");
        learnt.extend(attack(&world.sessions, &late, after));
        for _ in 0..2 {
            world.is_gone(&planted);
            for id in &learnt {
                if let Some(session) = world.sessions.load(id).unwrap() {
                    sees_nothing(&session);
                }
            }
            assert!(!learnt.contains(&id));
            let session = world.load(&id);
            assert_eq!((get(&session, SECRET), get(&session, "profile")), (Some(2), Some(1)));
            assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
            if before > 1 {
                assert_eq!(get(&session, "evil"), None, "after the login");
            }
            assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
            world.kill();
        }
    }
}

/// With threads: the attacker hammers every id he knows of while the victim logs in. Returns how
/// often the victim lost the race, her session having ended before she logged in.
#[test]
fn a_planted_id_gains_nothing_by_any_interleaving() {
    let sessions = in_memory();
    for round in 0..300 {
        let first = sessions.create();
        first.insert("k", 1).unwrap();
        let planted = first.save().unwrap().unwrap();
        let known = Mutex::new(vec![planted.clone()]);
        let done = AtomicBool::new(false);
        let id = std::thread::scope(|scope| {
            let (sessions, known, done) = (&sessions, &known, &done);
            for attacker in 0..2 {
                scope.spawn(move || {
                    let mut random = Random::new(round * 2 + attacker);
                    while !done.load(Ordering::Relaxed) {
                        let ids = known.lock().unwrap().clone();
                        let id = &ids[random.draw() as usize % ids.len().min(4)];
                        let Some(session) = sessions.load(id).unwrap() else { continue };
                        sees_nothing(&session);
                        let learnt = attack(sessions, &session, random.draw());
                        known.lock().unwrap().extend(learnt);
                    }
                });
            }
            let session = sessions.load(&planted).unwrap().unwrap_or_else(|| sessions.create());
            let id = victim(&session).expect("a login has a new id");
            let seen = sessions.load(&id).unwrap().unwrap();
            let evil = get(&seen, "evil");
            std::thread::yield_now();
            let later = sessions.load(&id).unwrap().unwrap();
            assert_eq!(get(&later, "evil"), evil, "something came after the login");
            done.store(true, Ordering::Relaxed);
            id
        });
        assert!(sessions.load(&planted).unwrap().is_none());
        for id in known.lock().unwrap().iter() {
            if let Some(session) = sessions.load(id).unwrap() {
                sees_nothing(&session);
            }
        }
        let session = sessions.load(&id).unwrap().unwrap();
        assert_eq!((get(&session, SECRET), get(&session, "profile")), (Some(2), Some(1)));
        session.logout().unwrap();
    }
}
