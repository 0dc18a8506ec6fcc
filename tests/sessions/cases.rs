//! Failures of others, by the numbers of their list: what happened there does not happen here.

use sessile::Id;
use sessile::session::{Redeemed, Sessions};

use crate::{DAY, HOUR, World, get, in_memory};

#[test]
fn case_04_an_access_carries_no_value() {
    let world = World::new();
    let id = world.saved(1);
    let (reader, writer) = (world.load(&id), world.load(&id));
    writer.insert("k", 2).unwrap();
    writer.save().unwrap();
    assert_eq!(get(&reader, "k"), Some(1));
    world.clock.advance(5 * DAY);
    reader.save().unwrap();
    reader.expiry_date().unwrap();
    assert_eq!(get(&world.load(&id), "k"), Some(2));
    writer.flush().unwrap();
    reader.save().unwrap();
    world.is_gone(&id);
}

#[test]
fn case_06_cve_2015_5143_an_unknown_key_stores_nothing() {
    let sessions = in_memory();
    for _ in 0..1000 {
        assert!(sessions.load(&Id::new().unwrap()).unwrap().is_none());
    }
    assert_eq!(sessions.stats().sessions, 0);
}

#[test]
fn case_07_cve_2015_5963_cve_2015_5964_an_anonymous_logout_stores_nothing() {
    let sessions = Sessions::builder().max_sessions(8).in_memory().unwrap();
    let ada = crate::logged_in(&sessions, "ada");
    for _ in 0..100 {
        let session = sessions.create();
        session.logout().unwrap();
        assert_eq!(session.save().unwrap(), None);
    }
    assert_eq!(sessions.count().unwrap(), 1);
    // Anonymous sessions keep nobody out who logs in, and nobody who is in.
    let mut refused = 0;
    for _ in 0..100 {
        let session = sessions.create();
        session.insert("k", 1).unwrap();
        refused += usize::from(session.save().is_err_and(|error| error.is_full()));
    }
    assert_eq!(refused, 96);
    assert!(sessions.load(&ada).unwrap().is_some());
    let bob = crate::logged_in(&sessions, "bob");
    assert!(sessions.load(&bob).unwrap().is_some());
}

#[test]
fn case_08_cve_2015_3982_no_two_visitors_share_a_session_after_flush() {
    let world = World::new();
    let flushed: Vec<_> = (0..5).map(|value| world.load(&world.saved(value))).collect();
    for (value, session) in flushed.iter().enumerate() {
        session.flush().unwrap();
        session.insert("k", value).unwrap();
    }
    let ids: Vec<Id> = flushed.iter().map(|session| session.save().unwrap().unwrap()).collect();
    for (value, id) in (0..).zip(&ids) {
        assert_eq!(get(&world.load(id), "k"), Some(value));
    }
    assert_eq!(world.sessions.count().unwrap(), 5);
}

#[test]
fn case_11_case_33_cve_2020_13254_cve_2011_4136_no_name_reaches_another_record() {
    let world = World::new();
    let id = world.saved(1);
    let text = id.expose();
    let hostile = [text, "ada", "sessile/owner/v1\0ada", "\0", "a\0b", "k", "ada ", "Ada"];
    for name in hostile {
        world.sessions.issue(name, "value", HOUR, 2).unwrap();
        world.logged_in(name);
    }
    assert_eq!(get(&world.load(&id), "k"), Some(1));
    for name in hostile {
        assert_eq!(world.sessions.list_of(name).unwrap().len(), 1);
        assert_eq!(world.sessions.redeem(name, "value").unwrap(), Redeemed::Right);
        assert_eq!(world.sessions.redeem(name, "value").unwrap(), Redeemed::Absent);
        assert_eq!(world.sessions.revoke_owner(name).unwrap(), 1);
    }
    assert_eq!(get(&world.load(&id), "k"), Some(1));
    for subject in ["", &"x".repeat(1025)] {
        assert!(world.load(&id).login(subject).unwrap_err().is_config());
    }
}

#[test]
fn case_15_cve_2018_1000519_absent_and_empty_are_not_the_same() {
    let world = World::new();
    let (empty, ended) = (world.saved(1), world.saved(2));
    let session = world.load(&empty);
    session.clear().unwrap();
    session.save().unwrap();
    world.load(&ended).flush().unwrap();
    assert!(!world.load(&empty).is_new().unwrap());
    world.is_gone(&ended);
}

#[test]
fn case_32_cve_2014_0482_a_login_as_another_ends_the_session_first() {
    let mut world = World::new();
    let ada = world.logged_in("ada");
    let session = world.load(&ada);
    session.update("secret", |n: &mut i64| *n = 1).unwrap();
    session.flash("info", "private").unwrap();
    session.save().unwrap();
    let session = world.load(&ada);
    session.insert("more", 2).unwrap();
    session.login("bob").unwrap();
    session.insert("own", 3).unwrap();
    let bob = session.save().unwrap().unwrap();
    for _ in 0..2 {
        world.is_gone(&ada);
        let session = world.load(&bob);
        assert_eq!(session.keys().unwrap(), ["own"]);
        assert!(session.take_flashes().unwrap().is_empty());
        assert!(world.sessions.list_of("ada").unwrap().is_empty());
        world.kill();
    }
}

#[test]
fn case_35_a_revocation_outlives_the_process() {
    let mut world = World::new();
    let ids: Vec<Id> = (0..20).map(|_| world.logged_in("ada")).collect();
    world.sessions.revoke_owner("ada").unwrap();
    let found = world.fs.power_cut(sessile::testing::Keep::Nothing);
    let found = World::open(&world.clock, &found, |builder| builder);
    assert!(ids.iter().all(|id| found.load(id).unwrap().is_none()));
    for _ in 0..3 {
        world.sessions.close().unwrap();
        world.kill();
        assert_eq!(world.sessions.count().unwrap(), 0);
    }
}
