//! The rules of security that apply where there is no HTTP, and the failures of others that they
//! come from, each with its number.

use std::sync::{Arc, Mutex};

use sessile::session::{
    Event, EventKind, Redeemed, Refusal, SessionExpiry, SessionKey, Sessions, WhenOwnerFull,
};
use sessile::testing::{Call, Failure, Fault, ManualClock, SimFs};
use sessile::{Background, Id, Key, Timestamp};

use crate::{DAY, HOUR, MINUTE, SECOND, World, get};

#[test]
fn r01_rustsec_2024_0343_ids_are_random_in_every_letter() {
    let ids: Vec<String> = (0..20_000).map(|_| Id::new().unwrap().expose().to_owned()).collect();
    for at in 0..32 {
        let mut seen = [0_u32; 128];
        ids.iter().for_each(|id| seen[usize::from(id.as_bytes()[at])] += 1);
        let counts: Vec<u32> = seen.into_iter().filter(|count| *count > 0).collect();
        // 20,000 / 64 = 312.5, sigma 17.5.
        assert_eq!(counts.len(), 64, "at {at}");
        assert!(counts.iter().all(|count| (200..430).contains(count)), "at {at}: {counts:?}");
    }
    let mut sorted = ids;
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 20_000);
}

#[test]
fn r02_cve_2011_4718_cve_2024_38513_only_ids_we_issued_count() {
    let world = World::new();
    let planted = Id::new().unwrap();
    for _ in 0..3 {
        world.is_gone(&planted);
        assert_ne!(world.saved(1), planted);
    }
    world.is_gone(&planted);
    assert_eq!(world.sessions.counts().refused, 4);
}

#[test]
fn r03_cve_2022_25896_cve_2020_5205_a_login_gives_a_new_id_and_ends_the_old() {
    let mut world = World::new();
    let before = world.saved(1);
    let session = world.load(&before);
    session.login("ada").unwrap();
    assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
    let first = session.save().unwrap().unwrap();
    let session = world.load(&first);
    session.login("ada").unwrap();
    let second = session.save().unwrap().unwrap();
    for _ in 0..2 {
        world.is_gone(&before);
        world.is_gone(&first);
        assert_eq!(get(&world.load(&second), "k"), Some(1));
        assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
        world.kill();
    }
}

#[test]
fn r04_ghsa_9wwp_q7wq_jx35_a_logout_lasts_before_the_response() {
    let world = World::new();
    let id = world.logged_in("ada");
    let session = world.load(&id);
    session.logout().unwrap();
    world.is_gone(&id);
    session.save().unwrap();
    let found = world.fs.power_cut(sessile::testing::Keep::Nothing);
    let found = World::open(&world.clock, &found, |builder| builder);
    assert!(found.load(&id).unwrap().is_none());
    assert!(found.list_of("ada").unwrap().is_empty());
}

#[test]
fn r05_cve_2025_32441_cve_2025_46336_no_resurrection() {
    let mut world = World::new();
    let ends: [fn(&World, &Id); 5] = [
        |world, id| world.load(id).flush().unwrap(),
        |world, id| world.load(id).logout().unwrap(),
        |world, id| drop(world.sessions.revoke(&id.key()).unwrap()),
        |world, _| drop(world.sessions.revoke_owner("ada").unwrap()),
        |world, _| world.sessions.revoke_all().unwrap(),
    ];
    for end in ends {
        let id = world.logged_in("ada");
        let slow = world.load(&id);
        slow.insert("k", 1).unwrap();
        end(&world, &id);
        slow.update("l", |l: &mut i64| *l += 1).unwrap();
        slow.flash("info", "hello").unwrap();
        assert_eq!(slow.save().unwrap(), None);
        world.is_gone(&id);
        world.sessions.clear_expired().unwrap();
        world.sessions.revoke_owner("nobody").unwrap();
        world.kill();
        world.is_gone(&id);
        assert_eq!(world.sessions.count().unwrap(), 0);
    }
}

#[test]
fn r06_a_busy_session_ends_at_the_absolute_deadline_and_renewals_do_not_move_it() {
    let mut world =
        World::with(|builder| builder.idle(HOUR).absolute(8 * HOUR).renew_every(30 * MINUTE));
    let mut id = world.logged_in("ada");
    for step in 0..15 {
        world.clock.advance(30 * MINUTE);
        let session = world.load(&id);
        session.set_expiry(SessionExpiry::Idle(2 * HOUR)).unwrap();
        if step % 4 == 0 {
            session.login("ada").unwrap();
        }
        id = session.save().unwrap().unwrap_or(id);
        if step == 7 {
            world.kill();
        }
    }
    world.clock.advance(30 * MINUTE + SECOND);
    world.is_gone(&id);
    world.kill();
    world.is_gone(&id);
}

/// An instant of its own beyond that deadline does not move it either, not under a new id.
#[test]
fn r06_an_instant_beyond_the_absolute_deadline_is_cut_to_it() {
    let world = World::with(|builder| builder.absolute(8 * HOUR));
    let far = world.sessions.now().after(100 * HOUR);
    let session = world.sessions.create();
    session.set_expiry(SessionExpiry::At(far)).unwrap();
    session.insert("k", 1).unwrap();
    let mut id = session.save().unwrap().unwrap();
    for _ in 0..3 {
        world.clock.advance(2 * HOUR);
        let session = world.load(&id);
        session.cycle_id().unwrap();
        id = session.save().unwrap().unwrap();
        assert!(session.expiry_age().unwrap() <= 8 * HOUR);
    }
    world.clock.advance(2 * HOUR + SECOND);
    world.is_gone(&id);
}

#[test]
fn r07_a_clock_that_is_set_back_revives_nothing() {
    let world = World::with(|builder| builder.idle(HOUR));
    let id = world.saved(1);
    world.clock.advance(HOUR + SECOND);
    world.is_gone(&id);
    let now = world.sessions.now();
    world.clock.set_wall(Timestamp::from_millis(now.as_millis() - 24 * 3_600_000));
    world.is_gone(&id);
    world.sessions.close().unwrap();
    let again = World::open(&world.clock, &world.fs.kill(), world.configure);
    assert!(again.load(&id).unwrap().is_none());
    assert_eq!(again.count().unwrap(), 0);
}

#[test]
fn r15_cve_2023_20866_no_id_in_any_debug_text_or_event() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = told.clone();
    let (clock, fs) = (ManualClock::new(), SimFs::new(1));
    let sessions = Sessions::builder()
        .store(|store| store.clock(clock.clone()).background(Background::Callers))
        .renew_every(MINUTE)
        .on_event(move |event: &Event| events.lock().unwrap().push(format!("{event:?} {event:#?}")))
        .open_fs(Arc::new(fs.clone()))
        .unwrap();
    let mut issued = Vec::new();
    let mut texts = Vec::new();
    for round in 0..20 {
        clock.advance(MINUTE);
        let session = sessions.create();
        session.insert("k", "confidential").unwrap();
        texts.push(format!("{session:?} {session:#?}"));
        issued.extend(session.save().unwrap());
        session.flash("info", "confidential").unwrap();
        session.login("ada").unwrap();
        texts.push(format!("{session:?}"));
        issued.extend(session.save().unwrap());
        clock.advance(MINUTE);
        let session = sessions.load(issued.last().unwrap()).unwrap().unwrap();
        issued.extend(session.save().unwrap());
        drop(sessions.load(issued.last().unwrap()).unwrap());
        texts.push(format!("{session:?} {sessions:?} {:?}", session.key()));
        texts.push(format!("{:?} {:?}", sessions.list_of("ada").unwrap(), sessions.stats()));
        texts.push(format!("{:?}", sessions.list().collect::<Vec<_>>()));
        texts.push(format!("{:?}", issued.last()));
        let early = sessions.load(issued.last().unwrap()).unwrap().unwrap();
        let error = early.get::<i64>("k").unwrap_err();
        texts.push(format!("{:?}", error.is_decode()));
        if round % 2 == 0 {
            session.logout().unwrap();
        }
        early.insert("k", 1).unwrap();
        early.save().unwrap();
        texts.push(format!("{:?}", sessions.counts()));
        texts.push(format!("{:?}", SessionKey::<i64>::new("k")));
    }
    sessions.revoke_owner("ada").unwrap();
    sessions.issue("mail", "confidential", HOUR, 1).unwrap();
    texts.push(format!("{:?}", sessions.redeem("mail", "confidential").unwrap()));
    texts.extend(told.lock().unwrap().drain(..));
    assert_eq!(issued.len(), 60);
    for text in &texts {
        assert!(!text.contains("confidential"), "{text}");
        assert!(!issued.iter().any(|id| text.contains(id.expose())), "{text}");
    }
    // Nor on the disk.
    for name in fs.names() {
        let bytes = fs.bytes(&name).unwrap_or_default();
        for id in &issued {
            assert!(!bytes.windows(32).any(|part| part == id.expose().as_bytes()), "{name}");
        }
    }
}

#[test]
fn r16_one_sees_and_ends_ones_sessions() {
    let mut world = World::new();
    let ids: Vec<Id> = (0..5)
        .map(|_| {
            world.clock.advance(SECOND);
            world.logged_in("ada")
        })
        .collect();
    let bob = world.logged_in("bob");
    let infos = world.sessions.list_of("ada").unwrap();
    let keys: Vec<Key> = infos.iter().map(|info| info.key).collect();
    assert_eq!(keys, ids.iter().map(Id::key).collect::<Vec<_>>());
    assert!(infos.is_sorted_by_key(|info| info.authenticated_at));
    assert!(world.sessions.revoke(&keys[1]).unwrap());
    assert!(!world.sessions.revoke(&keys[1]).unwrap());
    world.kill();
    world.is_gone(&ids[1]);
    let session = world.load(&ids[2]);
    assert_eq!(session.revoke_others().unwrap(), 3);
    session.save().unwrap();
    world.kill();
    assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
    world.load(&ids[2]);
    assert_eq!(world.sessions.revoke_owner("ada").unwrap(), 1);
    assert_eq!(world.sessions.revoke_owner("ada").unwrap(), 0);
    world.kill();
    ids.iter().for_each(|id| world.is_gone(id));
    world.load(&bob);
    world.saved(1);
    world.sessions.revoke_all().unwrap();
    world.kill();
    assert_eq!(world.sessions.count().unwrap(), 0);
    world.is_gone(&bob);
}

#[test]
fn r16_keys_of_other_records_revoke_nothing() {
    let world = World::new();
    let id = world.logged_in("ada");
    world.sessions.issue("mail", "value", HOUR, 1).unwrap();
    for name in [&b"sessile/owner/v1\0ada"[..], b"sessile/once/v1\0mail", b"ada", b"mail", b""] {
        assert!(!world.sessions.revoke(&Key::of(name)).unwrap());
    }
    world.load(&id);
    assert_eq!(world.sessions.list_of("ada").unwrap().len(), 1);
    assert_eq!(world.sessions.redeem("mail", "value").unwrap(), Redeemed::Right);
}

#[test]
fn r17_never_more_sessions_of_an_owner_than_allowed() {
    let mut world = World::with(|builder| builder.max_per_owner(3, WhenOwnerFull::EndOldest));
    let ids: Vec<Id> = (0..7).map(|_| world.logged_in("ada")).collect();
    world.kill();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(world.sessions.load(id).unwrap().is_some(), number >= 4);
    }
    assert_eq!(world.sessions.counts().ended, 0, "counted since the opening");

    let world = World::with(|builder| builder.max_per_owner(2, WhenOwnerFull::Refuse).idle(HOUR));
    let (one, _two) = (world.logged_in("ada"), world.logged_in("ada"));
    let anonymous = world.saved(5);
    let session = world.load(&anonymous);
    session.login("ada").unwrap();
    assert!(session.save().unwrap_err().is_full());
    assert_eq!(get(&world.load(&anonymous), "k"), Some(5), "nothing happened");
    let again = world.load(&one);
    again.login("ada").unwrap();
    again.save().unwrap().expect("one that has a place keeps it");
    world.clock.advance(HOUR + SECOND);
    assert_ne!(world.logged_in("ada"), world.logged_in("ada"), "what has expired makes room");
}

#[test]
fn r18_freshness_needs_a_login() {
    let world = World::new();
    let anonymous = world.load(&world.saved(1));
    assert!(anonymous.require_fresh(DAY).unwrap_err().is_login_required());
    assert!(world.sessions.create().require_fresh(DAY).unwrap_err().is_login_required());
    let id = world.logged_in("ada");
    world.clock.advance(10 * MINUTE);
    let session = world.load(&id);
    session.require_fresh(10 * MINUTE).unwrap();
    assert!(session.require_fresh(10 * MINUTE - SECOND).unwrap_err().is_login_required());
    // Nothing but a login makes it fresh.
    session.update("k", |k: &mut i64| *k += 1).unwrap();
    session.cycle_id().unwrap();
    let id = session.save().unwrap().unwrap();
    let session = world.load(&id);
    assert!(session.require_fresh(MINUTE).unwrap_err().is_login_required());
    session.login("ada").unwrap();
    session.require_fresh(MINUTE).unwrap();
    let id = session.save().unwrap().unwrap();
    world.load(&id).require_fresh(SECOND).unwrap();
    session.logout().unwrap();
    assert!(session.require_fresh(DAY).unwrap_err().is_login_required());
}

/// Cold values, so that reading them needs the disk.
fn cold() -> (World, Id) {
    let mut world = World::new();
    let id = world.logged_in("ada");
    world.load(&id).update("k", |k: &mut i64| *k = 7).unwrap();
    world.sessions.close().unwrap();
    world.kill();
    (world, id)
}

#[test]
fn r20_cve_2026_39324_a_load_error_is_an_error_and_overwrites_nothing() {
    let (world, id) = cold();
    let fault = Fault { call: 1, failure: Failure::Io, lasting: true };
    world.fs.fail(fault);
    let before = world.fs.fired();
    let loaded = world.sessions.load(&id);
    if world.fs.fired() > before {
        assert!(loaded.is_err(), "an error is not an absence");
        assert!(world.sessions.load(&id).is_err());
        assert!(world.sessions.count().is_err() || world.sessions.list_of("ada").is_err());
        assert!(world.sessions.counts().failed > 0);
    } else {
        println!("it was read without the disk");
    }
    world.fs.repair();
    assert_eq!(get(&world.load(&id), "k"), Some(7));
}

#[test]
fn r20_where_writing_fails_the_response_says_so_and_nothing_is_half_done() {
    for failure in [Failure::Io, Failure::NoSpace, Failure::ReadOnly] {
        for skip in 0..6 {
            let world = World::new();
            let id = world.saved(1);
            let session = world.load(&id);
            session.insert("k", 2).unwrap();
            session.login("ada").unwrap();
            world.fs.fail(Fault { call: 1 + skip, failure, lasting: true });
            let saved = session.save();
            world.fs.repair();
            let old = world.sessions.load(&id);
            if let Ok(Some(new)) = &saved {
                assert!(old.unwrap().is_none());
                assert_eq!(get(&world.load(new), "k"), Some(2));
            } else {
                let error = saved.unwrap_err();
                // It has happened and may not last, or it has not happened.
                let happened = old.unwrap().is_none();
                let listed = world.sessions.list_of("ada").unwrap().len();
                assert_eq!(listed, usize::from(happened), "{error}");
                assert!(session.save().is_err() || !happened, "asked again, it says so again");
            }
        }
    }
    assert!(Call::Write.changes());
}

#[test]
fn r21_cve_2025_69230_a_flood_of_bad_ids_is_counted_exactly_and_told_of_seldom() {
    let told: Arc<Mutex<Vec<Event>>> = Arc::default();
    let (events, clock) = (told.clone(), ManualClock::new());
    let sessions = Sessions::builder()
        .store(|store| store.clock(clock.clone()))
        .on_event(move |event| events.lock().unwrap().push(*event))
        .in_memory()
        .unwrap();
    let bad: Vec<Id> = (0..1000).map(|_| Id::new().unwrap()).collect();
    for _ in 0..50 {
        bad.iter().for_each(|id| assert!(sessions.load(id).unwrap().is_none()));
    }
    assert_eq!((sessions.counts().refused, told.lock().unwrap().len()), (50_000, 10));
    clock.advance(SECOND);
    for _ in 0..50 {
        bad.iter().for_each(|id| assert!(sessions.load(id).unwrap().is_none()));
    }
    assert_eq!(sessions.counts().refused, 100_000);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 20);
    assert_eq!(told[10].suppressed, 49_990);
    assert!(told.iter().all(|event| event.kind == EventKind::Refused(Refusal::UnknownId)));
    assert!(told.iter().all(|event| event.key.is_none()));
    assert_eq!(sessions.count().unwrap(), 0);
}

#[test]
fn r21_every_kind_of_event_is_told() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = told.clone();
    let clock = ManualClock::new();
    let sessions = Sessions::builder()
        .store(|store| store.clock(clock.clone()))
        .renew_every(MINUTE)
        .max_per_owner(1, WhenOwnerFull::EndOldest)
        .on_event(move |event| events.lock().unwrap().push(format!("{:?}", event.kind)))
        .in_memory()
        .unwrap();
    let session = sessions.create();
    session.insert("k", 1).unwrap();
    let id = session.save().unwrap().unwrap();
    clock.advance(MINUTE);
    sessions.load(&id).unwrap().unwrap().save().unwrap();
    let session = sessions.load(&id).unwrap().unwrap();
    session.cycle_id().unwrap();
    session.save().unwrap();
    session.login("ada").unwrap();
    session.save().unwrap();
    crate::logged_in(&sessions, "ada");
    session.insert("k", 2).unwrap();
    session.save().unwrap();
    sessions.revoke_owner("ada").unwrap();
    let session = sessions.create();
    session.login("bob").unwrap();
    session.save().unwrap();
    session.logout().unwrap();
    session.insert("k", 1).unwrap();
    session.save().unwrap();
    session.flush().unwrap();
    sessions.load(&id).unwrap();
    let expected = [
        "Created",
        "Rotated(Renewal)",
        "Rotated(Cycle)",
        "Rotated(Login)",
        "Created",
        "Ended(Displaced)",
        "Dropped",
        "Ended(Revoked)",
        "Created",
        "Ended(Logout)",
        "Created",
        "Ended(Flush)",
        "Refused(UnknownId)",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

/// A key is a digest: no call takes a raw id where a record is looked for, and what is stored
/// cannot be presented.
#[test]
fn r22_cve_2019_16782_lookups_use_a_digest_and_what_is_stored_is_no_id() {
    let world = World::new();
    let id = world.saved(1);
    let key = id.key();
    assert_ne!(&key.to_bytes()[..], &id.expose().as_bytes()[..16]);
    let hex: String = key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.len(), 32);
    // The stored form has the length of an id, and finds nothing.
    world.is_gone(&Id::parse(&hex).unwrap());
    assert!(Id::parse(key.to_bytes()).is_none_or(|id| world.sessions.load(&id).unwrap().is_none()));
}
