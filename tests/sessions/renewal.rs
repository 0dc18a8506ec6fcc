//! Routine renewal: the old id is good until the new one is presented, and then for a grace.

use sessile::Id;
use sessile::session::{Session, SessionsBuilder, WhenOwnerFull};

use crate::{DAY, HOUR, MINUTE, SECOND, World, get};

fn renewing(builder: SessionsBuilder) -> SessionsBuilder {
    builder.renew_every(HOUR).renewal_grace(5 * MINUTE)
}

fn world() -> World {
    World::with(renewing)
}

/// Loads and saves; returns the id of a renewal.
#[track_caller]
fn visit(world: &World, id: &Id) -> Option<Id> {
    let session = world.load(id);
    session.save().unwrap()
}

/// A session of Ada's that has just been renewed: the old id and the new one, not yet presented.
fn renewed(world: &World) -> (Id, Id) {
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    session.login("ada").unwrap();
    let old = session.save().unwrap().unwrap();
    world.clock.advance(HOUR);
    let new = visit(world, &old).expect("a renewal is due");
    (old, new)
}

#[test]
fn the_old_id_is_good_until_the_new_one_is_presented_and_then_for_the_grace() {
    let mut world = world();
    let (old, new) = renewed(&world);
    world.clock.advance(DAY);
    world.kill();
    assert_eq!(get(&world.load(&old), "k"), Some(1));
    // That it was presented lasts when the response has gone out.
    visit(&world, &new);
    world.kill();
    world.clock.advance(5 * MINUTE - 2 * SECOND);
    assert_eq!(get(&world.load(&old), "k"), Some(1), "within the grace");
    assert_eq!(visit(&world, &old), None, "the browser has another cookie");
    world.kill();
    world.clock.advance(4 * SECOND);
    world.is_gone(&old);
    world.kill();
    world.is_gone(&old);
    assert_eq!(get(&world.load(&new), "k"), Some(1));
    assert_eq!(world.sessions.count().unwrap(), 1);
}

#[test]
fn it_is_renewed_once_and_only_when_it_is_due() {
    let world = world();
    let id = world.saved(1);
    world.clock.advance(HOUR - SECOND);
    assert_eq!(visit(&world, &id), None);
    world.clock.advance(2 * SECOND);
    // Two requests at once: one of them renews.
    let (one, other) = (world.load(&id), world.load(&id));
    let given = [one.save().unwrap(), other.save().unwrap()];
    assert_eq!(given.iter().flatten().count(), 1);
    assert_eq!(visit(&world, &id), None);
    assert_eq!(world.sessions.counts().rotated, 1);
}

#[test]
fn late_saves_and_updates_follow_it() {
    let world = world();
    let (old, new) = renewed(&world);
    let late = world.load(&old);
    late.insert("late", 1).unwrap();
    let later = world.load(&old);
    drop(world.load(&new));
    assert_eq!(
        late.update("k", |k: &mut i64| {
            *k += 1;
            *k
        })
        .unwrap(),
        2
    );
    assert_eq!(late.save().unwrap(), None);
    assert_eq!(later.pop::<i64>("late").unwrap(), Some(1));
    later.flash("info", "hello").unwrap();
    assert_eq!(later.save().unwrap(), None);
    let session = world.load(&new);
    assert_eq!((get(&session, "k"), get(&session, "late")), (Some(2), None));
    assert_eq!(session.take_flashes().unwrap().len(), 1);
    assert_eq!(world.sessions.counts().dropped, 0);
}

#[test]
fn lost_responses_lose_nobody() {
    let mut world = world();
    let (old, first) = renewed(&world);
    let mut given = vec![first];
    for _ in 0..6 {
        world.clock.advance(HOUR);
        given.extend(visit(&world, &old));
        world.kill();
    }
    assert_eq!(given.len(), 7);
    // The last two still count; each leads to the one session.
    let [.., before, last] = &given[..] else { panic!() };
    world.is_gone(&given[0]);
    assert_eq!(get(&world.load(before), "k"), Some(1));
    assert_eq!(get(&world.load(last), "k"), Some(1));
    assert_eq!(get(&world.load(before), "k"), Some(1), "of this or that response");
    assert_eq!(get(&world.load(&old), "k"), Some(1));
    assert_eq!(world.sessions.count().unwrap(), 1);
    assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
}

/// Ends the session in some way, by a request that came with this id.
fn ended_by(end: impl Fn(&World, &Session)) {
    for presented in [false, true] {
        for by_new in [false, true] {
            let mut world = world();
            let (old, new) = renewed(&world);
            let early = world.load(&old);
            if presented {
                drop(world.load(&new));
            }
            let session = world.load(if by_new { &new } else { &old });
            end(&world, &session);
            early.insert("k", 9).unwrap();
            early.save().unwrap();
            for _ in 0..2 {
                world.is_gone(&old);
                world.is_gone(&new);
                world.kill();
            }
        }
    }
}

#[test]
fn a_logout_a_login_and_revocations_end_all_its_ids() {
    ended_by(|_, session| {
        session.logout().unwrap();
        session.save().unwrap();
    });
    ended_by(|world, session| {
        session.login("ada").unwrap();
        let id = session.save().unwrap().unwrap();
        assert_eq!(get(&world.load(&id), "k"), Some(1));
        assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
        world.sessions.revoke_owner("ada").unwrap();
    });
    ended_by(|_, session| {
        session.cycle_id().unwrap();
        session.save().unwrap();
    });
    ended_by(|world, session| {
        assert!(world.sessions.revoke(&session.key().unwrap().unwrap()).unwrap());
    });
    ended_by(|world, _| assert_eq!(world.sessions.revoke_owner("ada").unwrap(), 1));
    ended_by(|world, _| {
        let other = world.logged_in("ada");
        let other = world.load(&other);
        assert_eq!(other.revoke_others().unwrap(), 1);
        other.save().unwrap();
    });
    ended_by(|world, _| world.sessions.revoke_all().unwrap());
}

#[test]
fn a_revocation_by_the_key_before_finds_it() {
    let world = world();
    let (old, new) = renewed(&world);
    let key = world.sessions.list_of("ada").unwrap()[0].key;
    drop(world.load(&new));
    assert_ne!(world.sessions.list_of("ada").unwrap()[0].key, key);
    assert!(world.sessions.revoke(&key).unwrap());
    world.is_gone(&new);
    world.is_gone(&old);
}

#[test]
fn revoking_the_others_spares_a_session_that_was_renewed_meanwhile() {
    for by_manager in [false, true] {
        let world = world();
        let (old, new) = renewed(&world);
        let other = world.logged_in("ada");
        let early = world.load(&old);
        let key = early.key().unwrap().unwrap();
        drop(world.load(&new));
        let count = if by_manager {
            world.sessions.revoke_others("ada", &key).unwrap()
        } else {
            early.revoke_others().unwrap()
        };
        assert_eq!(count, 1);
        world.is_gone(&other);
        assert_eq!(get(&world.load(&new), "k"), Some(1));
    }
}

#[test]
fn every_id_is_good_for_the_longest_grace_under_the_most_renewals() {
    let world = World::with(|builder| builder.renew_every(MINUTE).renewal_grace(10 * MINUTE));
    let first = world.saved(1);
    let mut ids = vec![first];
    for _ in 0..10 {
        world.clock.advance(MINUTE);
        let new = visit(&world, &ids[ids.len() - 1]).expect("a renewal is due");
        drop(world.load(&new));
        ids.push(new);
    }
    world.clock.advance(30 * SECOND);
    for id in &ids {
        assert_eq!(get(&world.load(id), "k"), Some(1));
    }
    let first = world.load(&ids[0]);
    first.update("k", |k: &mut i64| *k += 1).unwrap();
    assert_eq!(get(&world.load(&ids[10]), "k"), Some(2));
}

#[test]
fn where_there_is_no_room_for_another_id_what_was_set_is_saved_all_the_same() {
    let world = World::with(|builder| renewing(builder).max_sessions(4));
    let ids: Vec<Id> = (0..3).map(|value| world.saved(value)).collect();
    let last = world.sessions.create();
    last.login("ada").unwrap();
    last.save().unwrap();
    world.clock.advance(HOUR);
    let session = world.load(&ids[0]);
    session.insert("k", 7).unwrap();
    assert_eq!(session.save().unwrap(), None);
    assert_eq!(get(&world.load(&ids[0]), "k"), Some(7));
}

#[test]
fn it_moves_no_deadline_and_keeps_the_place_in_the_owners_list() {
    let world = World::with(|builder| {
        renewing(builder)
            .idle(2 * HOUR)
            .absolute(5 * HOUR)
            .max_per_owner(2, WhenOwnerFull::EndOldest)
    });
    let (old, new) = renewed(&world);
    let ends = world.sessions.list_of("ada").unwrap()[0].ends;
    let other = world.logged_in("ada");
    drop(world.load(&new));
    let infos = world.sessions.list_of("ada").unwrap();
    assert_eq!((infos[0].key, infos[0].ends), (new.key(), ends));
    assert_eq!(infos[1].key, other.key());
    let third = world.logged_in("ada");
    world.is_gone(&new);
    world.is_gone(&old);
    let mut id = third;
    for _ in 0..4 {
        world.clock.advance(HOUR);
        id = visit(&world, &id).unwrap_or(id);
    }
    drop(world.load(&id));
    world.clock.advance(HOUR);
    world.is_gone(&id);
    assert!(world.sessions.list_of("ada").unwrap().is_empty());
}

#[test]
fn a_revocation_is_remembered_though_the_sessions_that_were_spared_end_soon() {
    let world = World::with(|builder| builder.absolute(10 * MINUTE));
    let slow = world.sessions.create();
    slow.login("ada").unwrap();
    let first = world.logged_in("ada");
    world.sessions.revoke_owner("ada").unwrap();
    world.is_gone(&first);
    // What these two do to the list does not shorten its memory.
    let short = world.logged_in("ada");
    world.load(&short).logout().unwrap();
    world.logged_in("ada");
    world.clock.advance(20 * MINUTE);
    let error = slow.save().unwrap_err();
    assert!(error.is_interrupted(), "{error}");
}

/// Sessions of Ada's, some renewed once, some twice, with the ids that were not presented.
fn with_unpresented(world: &World, count: usize) -> Vec<Id> {
    let ids: Vec<Id> = (0..count).map(|_| world.logged_in("ada")).collect();
    for round in 1..=2 {
        world.clock.advance(HOUR);
        for id in ids.iter().step_by(round) {
            assert!(visit(world, id).is_some());
        }
    }
    ids
}

/// What is in the store beside the lists of owners, when everything that is due has gone.
#[track_caller]
fn records(world: &World) -> u64 {
    world.sessions.clear_expired().unwrap();
    world.sessions.stats().sessions
}

/// What ends sessions, given their ids.
type Ending = fn(&World, &[Id]);

#[test]
fn what_ends_a_session_ends_the_ids_that_were_never_presented_in_one_transaction() {
    let three =
        |builder: SessionsBuilder| renewing(builder).max_per_owner(3, WhenOwnerFull::EndOldest);
    let ends: [(&str, Ending, u64); 6] = [
        ("revoke_owner", |world, _| drop(world.sessions.revoke_owner("ada").unwrap()), 0),
        ("revoke", |world, ids| assert!(world.sessions.revoke(&ids[0].key()).unwrap()), 2),
        ("logout", |world, ids| world.load(&ids[0]).logout().unwrap(), 2),
        ("revoke_others", |world, ids| drop(world.load(&ids[0]).revoke_others().unwrap()), 1),
        ("displacement", |world, _| _ = world.logged_in("ada"), 3),
        (
            "a login beside a renewal",
            |world, ids| {
                let session = world.load(&ids[1]);
                session.login("ada").unwrap();
                // Another request is given an id in the meantime.
                assert!(visit(world, &ids[1]).is_some());
                session.save().unwrap();
            },
            3,
        ),
    ];
    for (what, end, left) in ends {
        let mut world = World::with(three);
        let ids = with_unpresented(&world, 3);
        // Two ids wait for the first and the last session, one for the second, which is due again.
        assert_eq!(records(&world), 1 + 3 + 5, "{what}");
        assert_eq!(world.sessions.count().unwrap(), 3, "an id that waits is no session");
        assert_eq!(world.sessions.list_of("ada").unwrap().len(), 3);
        let before = world.sessions.stats().sessions;
        end(&world, &ids);
        let sessions = world.sessions.list_of("ada").unwrap();
        assert_eq!(sessions.len() as u64, left, "{what}");
        let waiting = match what {
            "revoke_owner" => 0,
            "revoke_others" => 2,
            "a login beside a renewal" => 4,
            _ => 3,
        };
        assert!(world.sessions.stats().sessions < before);
        assert_eq!(records(&world), 1 + left + waiting, "{what}");
        world.sessions.sync().unwrap();
        world.kill();
        assert_eq!(records(&world), 1 + left + waiting, "{what}, after a crash");
    }
}

#[test]
fn as_many_sessions_as_an_owner_may_have_end_at_once_with_all_their_ids() {
    let most =
        |builder: SessionsBuilder| renewing(builder).max_per_owner(200, WhenOwnerFull::EndOldest);
    let mut world = World::with(most);
    with_unpresented(&world, 200);
    assert_eq!(records(&world), 1 + 200 + 300);
    assert_eq!(world.sessions.revoke_owner("ada").unwrap(), 200);
    assert_eq!(records(&world), 1, "the list");
    world.kill();
    assert_eq!(records(&world), 1, "the list");
}

/// An owner's list goes with the last of its sessions: what has ended leaves nothing to be kept.
#[test]
fn nothing_is_left_of_an_owner_who_has_logged_out_everywhere() {
    let sessions = crate::in_memory();
    let ids: Vec<_> = (0..3).map(|_| crate::logged_in(&sessions, "ada")).collect();
    assert_eq!(sessions.stats().sessions, 4, "three sessions and their list");
    for id in ids {
        sessions.load(&id).unwrap().unwrap().logout().unwrap();
    }
    assert_eq!(sessions.stats().sessions, 0);
}

#[test]
fn a_session_that_was_listed_is_revoked_under_whatever_id_it_is_by_now() {
    let world = World::with(|builder| builder.renew_every(MINUTE));
    let mut id = world.logged_in("ada");
    let listed = world.sessions.list_of("ada").unwrap().remove(0);
    assert_eq!((listed.key, listed.handle), (id.key(), id.key()));
    for _ in 0..3 {
        world.clock.advance(3 * MINUTE);
        id = world.load(&id).save().unwrap().unwrap();
        world.load(&id);
    }
    let again = world.load(&id);
    again.login("ada").unwrap();
    id = again.save().unwrap().unwrap();
    world.clock.advance(3 * MINUTE);
    let later = world.sessions.list_of("ada").unwrap().remove(0);
    assert_eq!((later.key, later.handle), (id.key(), listed.handle));
    assert!(!world.sessions.revoke(&listed.key).unwrap(), "the key is no longer that of anything");
    assert!(!world.sessions.revoke_of("eve", &listed.handle).unwrap(), "it is not hers");
    let other = world.logged_in("ada");
    assert!(world.sessions.revoke_of("ada", &listed.handle).unwrap());
    world.is_gone(&id);
    world.load(&other);
    assert!(!world.sessions.revoke_of("ada", &listed.handle).unwrap(), "ended twice");
}
