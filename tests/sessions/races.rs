//! Threads on the same sessions, with the process killed in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sessile::session::{Redeemed, Sessions, WhenOwnerFull};
use sessile::testing::{Keep, ManualClock, SimFs};
use sessile::{Background, Durability};

use crate::support::{Temp, within};
use crate::{HOUR, LONG, MINUTE, get, in_memory, logged_in, threads};

fn open(temp: &Temp) -> Sessions {
    Sessions::builder().open(temp.path()).unwrap()
}

#[test]
fn parallel_requests_lose_no_key_and_no_update_and_a_kill_takes_none_back() {
    let temp = Temp::new();
    let sessions = open(&temp);
    let first = sessions.create();
    first.insert("shared", 0).unwrap();
    let id = first.save().unwrap().unwrap();
    threads(8, |thread| {
        for round in 0..60 {
            let session = sessions.load(&id).unwrap().unwrap();
            session.insert(&format!("t{thread}"), round).unwrap();
            session.update("shared", |n: &mut i64| *n += 1).unwrap();
            session.insert(&format!("t{thread}r{}", round % 20), round).unwrap();
            assert_eq!(session.save().unwrap(), None);
        }
    });
    let copy = temp.copy();
    for sessions in [sessions, open(&copy)] {
        let session = sessions.load(&id).unwrap().unwrap();
        assert_eq!((get(&session, "shared"), session.len().unwrap()), (Some(480), 1 + 8 * 21));
        for thread in 0..8 {
            assert_eq!(get(&session, &format!("t{thread}")), Some(59));
            assert_eq!(get(&session, &format!("t{thread}r19")), Some(59));
        }
    }
}

#[test]
fn two_clones_of_a_session_on_two_threads_do_not_block_each_other() {
    within(LONG, || {
        let sessions = in_memory();
        for round in 0..50 {
            let session = sessions.create();
            session.insert("k", round).unwrap();
            session.save().unwrap();
            threads(4, |thread| {
                let session = session.clone();
                for step in 0..20 {
                    match (thread + step) % 9 {
                        0 => drop(session.update("k", |n: &mut i64| *n += 1)),
                        1 => drop(session.insert("l", 1)),
                        2 => drop(session.save()),
                        3 => drop(session.login(["ada", "bob"][step % 2])),
                        4 => drop(session.pop::<i64>("l")),
                        5 => drop(session.revoke_others()),
                        6 => drop(session.take_flashes()),
                        7 => drop((session.flash("info", "x"), session.cycle_id())),
                        _ => drop((session.clear(), session.iter().map(Iterator::count))),
                    }
                }
            });
            session.flush().unwrap();
            session.save().unwrap();
            assert!(session.is_empty().unwrap());
        }
    });
}

#[test]
fn a_logout_and_a_slow_write_in_both_orders_and_in_a_race() {
    let fs = SimFs::new(3);
    let sessions = Sessions::builder().open_fs(Arc::new(fs.clone())).unwrap();
    let mut ids = Vec::new();
    for round in 0..200 {
        let id = logged_in(&sessions, "ada");
        let (slow, out) =
            (sessions.load(&id).unwrap().unwrap(), sessions.load(&id).unwrap().unwrap());
        slow.insert("k", 1).unwrap();
        let write = || slow.save().unwrap();
        let end = || {
            out.logout().unwrap();
            out.save().unwrap()
        };
        let given = match round % 4 {
            0 => [write(), end()],
            1 => [end(), write()],
            _ => std::thread::scope(|scope| {
                let writing = scope.spawn(write);
                [end(), writing.join().unwrap()]
            }),
        };
        assert_eq!(given, [None, None]);
        assert!(sessions.load(&id).unwrap().is_none());
        ids.push(id);
    }
    for fs in [fs.kill(), fs.power_cut(Keep::Nothing), fs.power_cut(Keep::Random(7))] {
        let found = Sessions::builder().open_fs(Arc::new(fs)).unwrap();
        assert!(ids.iter().all(|id| found.load(id).unwrap().is_none()));
        assert_eq!((found.count().unwrap(), found.list_of("ada").unwrap().len()), (0, 0));
    }
}

#[test]
fn a_revocation_of_an_owner_against_logins_lets_none_through() {
    for everything in [false, true] {
        let fs = SimFs::new(5);
        let sessions = Sessions::builder().open_fs(Arc::new(fs.clone())).unwrap();
        for _ in 0..100 {
            // They begin before the revocation; some end before it, some after, some beside it.
            let begun: Vec<_> = (0..4)
                .map(|_| {
                    let session = sessions.create();
                    session.login("ada").unwrap();
                    session
                })
                .collect();
            let there = logged_in(&sessions, "ada");
            let results = threads(5, |thread| match begun.get(thread) {
                Some(session) => session.save(),
                None if everything => sessions.revoke_all().map(|()| None),
                None => sessions.revoke_owner("ada").map(|_| None),
            });
            for (thread, result) in results.into_iter().enumerate() {
                match result {
                    Ok(Some(id)) => assert!(sessions.load(&id).unwrap().is_none(), "it survives"),
                    Ok(None) => assert_eq!(thread, 4),
                    Err(error) => assert!(error.is_interrupted(), "{error}"),
                }
            }
            assert!(sessions.load(&there).unwrap().is_none());
            assert_eq!((sessions.list_of("ada").unwrap().len(), sessions.count().unwrap()), (0, 0));
        }
        let after = logged_in(&sessions, "ada");
        let found = Sessions::builder().open_fs(Arc::new(fs.power_cut(Keep::Everything))).unwrap();
        assert_eq!(found.count().unwrap(), 1);
        assert!(found.load(&after).unwrap().is_some(), "a later login is none of it");
    }
}

#[test]
fn a_redemption_has_one_winner_of_64_and_none_after_a_crash() {
    let fs = SimFs::new(9);
    let sessions = Sessions::builder().open_fs(Arc::new(fs.clone())).unwrap();
    for round in 0..20 {
        let name = format!("mail/{round}");
        sessions.issue(&name, "123456", HOUR, 1000).unwrap();
        let wrong = AtomicU64::new(0);
        let won = threads(64, |thread| {
            if thread % 4 == 3 {
                wrong.fetch_add(1, Ordering::Relaxed);
                assert!(sessions.redeem(&name, "654321").unwrap() != Redeemed::Right);
            }
            sessions.redeem(&name, "123456").unwrap() == Redeemed::Right
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let found = Sessions::builder().open_fs(Arc::new(fs.power_cut(Keep::Nothing))).unwrap();
        assert_eq!(found.redeem(&name, "123456").unwrap(), Redeemed::Absent);
    }
}

/// Right once is right once after a loss of power too, though the value itself had long been on disk.
#[test]
fn a_redemption_outlasts_a_loss_of_power() {
    let fs = SimFs::new(3);
    let sessions = Sessions::builder().open_fs(Arc::new(fs.clone())).unwrap();
    for (name, candidate, attempts) in [("right", "123456", 5), ("last try", "654321", 1)] {
        sessions.issue(name, "123456", HOUR, attempts).unwrap();
        sessions.sync().unwrap();
        assert!(sessions.redeem(name, candidate).unwrap() != Redeemed::Absent);
        let found = Sessions::builder().open_fs(Arc::new(fs.power_cut(Keep::Nothing))).unwrap();
        assert_eq!(found.redeem(name, "123456").unwrap(), Redeemed::Absent);
    }
}

#[test]
fn attempts_are_counted_exactly() {
    let sessions = in_memory();
    for _ in 0..30 {
        sessions.issue("otp", "right", HOUR, 8).unwrap();
        let seen = threads(12, |_| sessions.redeem("otp", "wrong").unwrap());
        let mut left: Vec<u32> = seen
            .iter()
            .filter_map(|seen| match seen {
                Redeemed::Wrong { left } => Some(*left),
                _ => None,
            })
            .collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(sessions.redeem("otp", "right").unwrap(), Redeemed::Absent);
    }
}

#[test]
fn pop_and_take_flashes_have_one_winner_for_each_value() {
    let sessions = in_memory();
    let first = sessions.create();
    first.insert("k", 0).unwrap();
    let id = first.save().unwrap().unwrap();
    for round in 0..60 {
        let writer = sessions.load(&id).unwrap().unwrap();
        writer.insert("once", round).unwrap();
        writer.flash("info", round.to_string()).unwrap();
        writer.save().unwrap();
        let got = threads(6, |thread| {
            let session = sessions.load(&id).unwrap().unwrap();
            if thread % 2 == 0 {
                session.update("k", |n: &mut i64| *n += 1).unwrap();
            }
            (session.pop::<i64>("once").unwrap(), session.take_flashes().unwrap())
        });
        let popped: Vec<i64> = got.iter().filter_map(|(popped, _)| *popped).collect();
        let flashes: Vec<&str> =
            got.iter().flat_map(|(_, shown)| shown).map(|flash| &*flash.message).collect();
        assert_eq!((popped, flashes), (vec![round], vec![&*round.to_string()]));
    }
    assert_eq!(get(&sessions.load(&id).unwrap().unwrap(), "k"), Some(180));
}

#[test]
fn an_owner_never_has_more_sessions_than_allowed_under_concurrent_logins() {
    for (policy, refused) in [(WhenOwnerFull::EndOldest, false), (WhenOwnerFull::Refuse, true)] {
        let sessions = Sessions::builder().max_per_owner(3, policy).in_memory().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (sessions, done) = (&sessions, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert!(sessions.list_of("ada").unwrap().len() <= 3);
                }
            });
            let ids = threads(8, |_| {
                let mut given = Vec::new();
                for _ in 0..10 {
                    let session = sessions.create();
                    session.login("ada").unwrap();
                    match session.save() {
                        Ok(id) => given.extend(id),
                        Err(error) => assert!(error.is_full() && refused, "{error}"),
                    }
                }
                given
            });
            done.store(true, Ordering::Relaxed);
            let ids: Vec<_> = ids.into_iter().flatten().collect();
            assert_eq!(ids.len(), if refused { 3 } else { 80 });
            let live = ids.iter().filter(|id| sessions.load(id).unwrap().is_some()).count();
            assert_eq!((live, sessions.list_of("ada").unwrap().len()), (3, 3));
        });
        assert_eq!(sessions.count().unwrap(), 3);
    }
}

/// As many as a class that is let in at once.
#[test]
fn sixty_four_logins_of_one_owner_at_once_all_come_through() {
    let sessions = in_memory();
    let failed = threads(64, |_| {
        let session = sessions.create();
        session.login("ada").unwrap();
        session.save().err()
    });
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of 64: {}", failed.len(), failed[0]);
    assert_eq!(sessions.list_of("ada").unwrap().len(), 64);
}

#[test]
fn a_renewal_beside_requests_loses_nothing_and_nobody() {
    let clock = sessile::testing::ManualClock::new();
    let sessions = Sessions::builder()
        .store(|store| store.clock(clock.clone()))
        .renew_every(MINUTE)
        .in_memory()
        .unwrap();
    let mut id = logged_in(&sessions, "ada");
    for round in 1..=40 {
        clock.advance(MINUTE);
        let given = threads(6, |_| {
            let session = sessions.load(&id).unwrap().expect("the old id is good");
            session.update("n", |n: &mut i64| *n += 1).unwrap();
            session.save().unwrap()
        });
        let mut given: Vec<_> = given.into_iter().flatten().collect();
        assert_eq!(given.len(), 1, "one of them renews");
        let new = given.remove(0);
        // The new id is presented while others still come with the old one.
        threads(6, |thread| {
            let id = if thread % 2 == 0 { &new } else { &id };
            let session = sessions.load(id).unwrap().expect("both are good");
            session.update("n", |n: &mut i64| *n += 1).unwrap();
            session.insert(&format!("t{thread}"), round).unwrap();
            assert_eq!(session.save().unwrap(), None);
        });
        id = new;
        let session = sessions.load(&id).unwrap().unwrap();
        assert_eq!(get(&session, "n"), Some(12 * round));
        assert!((0..6).all(|thread| get(&session, &format!("t{thread}")) == Some(round)));
        assert_eq!(sessions.list_of("ada").unwrap().len(), 1);
        assert_eq!(sessions.count().unwrap(), 1);
    }
    assert_eq!(sessions.counts().dropped, 0);
}

#[test]
fn a_presentation_against_an_end_ends_it() {
    let clock = sessile::testing::ManualClock::new();
    let sessions = Sessions::builder()
        .store(|store| store.clock(clock.clone()))
        .renew_every(MINUTE)
        .in_memory()
        .unwrap();
    for round in 0..300 {
        let old = logged_in(&sessions, "ada");
        clock.advance(MINUTE);
        let new = sessions.load(&old).unwrap().unwrap().save().unwrap().unwrap();
        let early = sessions.load(&old).unwrap().unwrap();
        threads(3, |thread| match (thread, round % 4) {
            (0, _) => drop(sessions.load(&new).unwrap()),
            (1, 0) => early.logout().unwrap(),
            (1, 1) => drop(sessions.revoke_owner("ada").unwrap()),
            (1, 2) => drop(sessions.revoke(&old.key()).unwrap()),
            (1, _) => {
                early.login("bob").unwrap();
                early.save().unwrap().unwrap();
            }
            _ => drop(
                sessions
                    .load(&old)
                    .unwrap()
                    .map(|session| session.update("n", |n: &mut i64| *n += 1)),
            ),
        });
        assert!(sessions.load(&old).unwrap().is_none() && sessions.load(&new).unwrap().is_none());
        assert!(sessions.list_of("ada").unwrap().is_empty());
        sessions.revoke_owner("bob").unwrap();
        assert_eq!(sessions.count().unwrap(), 0);
    }
}

/// The power fails after every change of the disk in turn: a login or a logout is whole or absent.
#[test]
fn a_power_cut_at_any_moment_leaves_one_of_two_ids() {
    let fs = SimFs::new(11);
    let sessions = Sessions::builder()
        .store(|store| store.background(sessile::Background::Callers))
        .durability(Durability::Power)
        .open_fs(Arc::new(fs.clone()))
        .unwrap();
    let session = sessions.create();
    session.insert("k", 1).unwrap();
    let old = session.save().unwrap().unwrap();
    fs.record();
    session.login("ada").unwrap();
    let new = session.save().unwrap().unwrap();
    let moments = fs.moments();
    assert!(!moments.is_empty());
    for moment in moments {
        for keep in [Keep::Nothing, Keep::Everything, Keep::Random(1), Keep::Random(2)] {
            let found = Sessions::builder().open_fs(Arc::new(moment.power_cut(keep))).unwrap();
            let alive = [&old, &new].map(|id| found.load(id).unwrap().is_some());
            assert!(alive[0] != alive[1], "{alive:?}");
            assert_eq!(found.list_of("ada").unwrap().len(), usize::from(alive[1]));
        }
    }
}

/// Two clones of a new session that save at once begin one session, and what both had set is in it.
#[test]
fn clones_that_save_at_once_begin_one_session() {
    let sessions = in_memory();
    for round in 1..=200 {
        let session = sessions.create();
        let ids = threads(4, |thread| {
            let clone = session.clone();
            clone.insert(&format!("k{thread}"), 1).unwrap();
            clone.save().unwrap()
        });
        assert_eq!(sessions.count().unwrap(), round, "each session has an id that somebody knows");
        // The id is given out once.
        let ids: Vec<_> = ids.into_iter().flatten().collect();
        assert_eq!(ids.len(), 1);
        session.save().unwrap();
        let found = sessions.load(&ids[0]).unwrap().unwrap();
        assert_eq!(found.len().unwrap(), 4);
    }
}

/// A login that a rule refuses is the handler's to answer: it is not tried again behind its back, and
/// what had been set before it is saved.
#[test]
fn a_login_that_is_refused_is_over() {
    let sessions = Sessions::builder().max_per_owner(1, WhenOwnerFull::Refuse).in_memory().unwrap();
    let first = logged_in(&sessions, "ada");
    let session = sessions.create();
    session.insert("before", 1).unwrap();
    session.login("ada").unwrap();
    session.insert("k", 1).unwrap();
    assert!(session.save().unwrap_err().is_full());
    assert_eq!(session.subject().unwrap(), None);
    assert!(sessions.revoke(&first.key()).unwrap());
    let id = session.save().unwrap().unwrap();
    let found = sessions.load(&id).unwrap().unwrap();
    assert_eq!(found.subject().unwrap(), None);
    // What was set after it was for whoever had logged in.
    assert_eq!((get(&found, "before"), get(&found, "k")), (Some(1), None));
    assert_eq!(sessions.counts().failed, 0);
}

/// A revocation beside requests that renew the id leaves neither a session nor an id that was given
/// out in between: there is only what remembers it.
#[test]
fn a_revocation_beside_renewals_leaves_no_id() {
    let clock = ManualClock::new();
    let sessions = Sessions::builder()
        .renew_every(MINUTE)
        .store(|store| store.clock(clock.clone()).background(Background::Callers))
        .in_memory()
        .unwrap();
    for _ in 0..150 {
        let ids: Vec<_> = (0..6).map(|_| logged_in(&sessions, "ada")).collect();
        clock.advance(2 * MINUTE);
        threads(3, |thread| match thread {
            0 => drop(sessions.revoke_owner("ada").unwrap()),
            _ => ids.iter().for_each(|id| {
                if let Some(session) = sessions.load(id).unwrap() {
                    session.insert("k", 1).unwrap();
                    let _ = session.save().unwrap();
                }
            }),
        });
        assert_eq!(sessions.count().unwrap(), 0);
        assert_eq!(sessions.stats().sessions, 1, "the list, which remembers the revocation");
    }
}
