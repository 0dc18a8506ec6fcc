//! Clones of one request's session that act at the same time: what one has set and nobody has saved
//! yet counts once, and what is set meanwhile comes after.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

use sessile::session::{Session, Sessions};
use sessile::testing::{Failure, Fault};

use crate::support::within;
use crate::{LONG, World, get, in_memory, threads};

/// A session as a request has it, stored with `k` = 0 or not stored at all.
fn session(sessions: &Sessions, stored: bool) -> Session {
    let session = sessions.create();
    if stored {
        session.insert("k", 0).unwrap();
        session.save().unwrap();
    }
    session
}

fn saved(sessions: &Sessions, session: &Session) -> Option<i64> {
    session.save().unwrap();
    let mut list = sessions.list();
    let info = list.next().unwrap().unwrap();
    assert!(list.next().is_none(), "one session");
    assert_eq!(session.key().unwrap(), Some(info.key));
    session.get("k").unwrap()
}

#[test]
fn updates_by_clones_count_each_once_on_top_of_what_is_not_saved() {
    within(LONG, || {
        for stored in [true, false].repeat(20) {
            let sessions = in_memory();
            let session = session(&sessions, stored);
            session.insert("k", 1000).unwrap();
            threads(4, |_| {
                for _ in 0..25 {
                    session.clone().update("k", |n: &mut i64| *n += 1).unwrap();
                }
            });
            assert_eq!(get(&session, "k"), Some(1100), "stored: {stored}");
            assert_eq!(saved(&sessions, &session), Some(1100), "stored: {stored}");
        }
    });
}

#[test]
fn an_unsaved_value_is_popped_by_one_clone() {
    within(LONG, || {
        for round in 0..200 {
            let sessions = in_memory();
            let session = session(&sessions, round % 2 == 0);
            session.insert("k", round).unwrap();
            let won = threads(4, |_| session.clone().pop::<i64>("k").unwrap());
            let won: Vec<_> = won.into_iter().flatten().collect();
            assert_eq!(won, [round]);
            session.insert("l", 1).unwrap();
            assert_eq!(saved(&sessions, &session), None);
        }
    });
}

/// A clone's `insert` while another one's `update` runs is not what that has read: it comes after.
#[test]
fn what_a_clone_sets_during_an_update_comes_after_it() {
    within(LONG, || {
        for stored in [true, false] {
            for clear in [true, false] {
                let sessions = in_memory();
                let session = session(&sessions, stored);
                session.insert("k", 5).unwrap();
                let (begun, wait) = mpsc::channel();
                let (tell, done) = mpsc::channel();
                let done = Mutex::new(done);
                let clone = session.clone();
                let other = std::thread::spawn(move || {
                    wait.recv().unwrap();
                    if clear {
                        clone.clear().unwrap();
                        clone.insert("l", 1).unwrap();
                    } else {
                        clone.insert("k", 100).unwrap();
                    }
                    tell.send(()).unwrap();
                });
                let mut runs = 0;
                session
                    .update("k", |n: &mut i64| {
                        runs += 1;
                        if runs == 1 {
                            begun.send(()).unwrap();
                            done.lock().unwrap().recv().unwrap();
                        }
                        *n += 1;
                    })
                    .unwrap();
                other.join().unwrap();
                // Where the session is not stored the update is repeated: it comes after then.
                let expected = match (stored, clear) {
                    (true, false) => Some(100),
                    (true, true) => None,
                    (false, false) => Some(101),
                    (false, true) => Some(1),
                };
                assert_eq!(get(&session, "k"), expected, "stored: {stored}, clear: {clear}");
                assert_eq!(saved(&sessions, &session), expected);
            }
        }
    });
}

/// Neither the value that was saved before nor an older one is seen in between.
#[test]
fn a_clone_that_reads_beside_updates_and_saves_never_sees_an_older_value() {
    within(LONG, || {
        for stored in [true, false].repeat(20) {
            let sessions = in_memory();
            let session = session(&sessions, stored);
            session.insert("k", 1000).unwrap();
            let over = AtomicBool::new(false);
            threads(4, |thread| {
                let clone = session.clone();
                match thread {
                    0 | 1 => {
                        for _ in 0..50 {
                            let mine = clone.update("k", |n: &mut i64| {
                                *n += 1;
                                *n
                            });
                            assert!(get(&clone, "k") >= Some(mine.unwrap()));
                        }
                        over.store(true, Ordering::Relaxed);
                    }
                    2 => {
                        while !over.load(Ordering::Relaxed) {
                            clone.save_now().unwrap();
                        }
                    }
                    _ => {
                        let mut last = 1000;
                        while !over.load(Ordering::Relaxed) {
                            let seen = get(&clone, "k").unwrap();
                            assert!(seen >= last, "{seen} after {last}");
                            last = seen;
                        }
                    }
                }
            });
            assert_eq!(saved(&sessions, &session), Some(1100), "stored: {stored}");
        }
    });
}

/// An update that fails has not used up what had been set before it.
#[test]
fn an_update_that_fails_leaves_what_was_set_to_be_saved() {
    let world = World::new();
    let id = world.saved(1);
    let session = world.load(&id);
    session.insert("k", 5).unwrap();
    world.fs.fail(Fault { call: 1, failure: Failure::Io, lasting: true });
    let mut failures = 0;
    for _ in 0..3 {
        failures += usize::from(session.update("k", |n: &mut i64| *n += 1).is_err());
        failures += usize::from(session.save().is_err());
    }
    assert!(failures > 0);
    let before = get(&session, "k").unwrap();
    assert!(session.update("k", |n: &mut i64| *n += 1).is_err());
    assert!(session.pop::<i64>("k").is_err());
    assert_eq!(get(&session, "k"), Some(before));
}
