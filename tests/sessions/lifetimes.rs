//! Django's behaviour, statement by statement: lifetimes and housekeeping. See `statements`.

use std::time::Duration;

use sessile::Timestamp;
use sessile::session::SessionExpiry;

use crate::{DAY, HOUR, MINUTE, SECOND, World, get};

/// Adapted: accesses move the end, coalesced.
#[test]
fn s36_s49_an_idle_expiry_slides_on_access() {
    for own in [None, Some(SessionExpiry::Idle(14 * DAY)), Some(SessionExpiry::BrowserClose)] {
        let world = World::new();
        let session = world.sessions.create();
        session.insert("k", 1).unwrap();
        session.set_expiry(own.unwrap_or_default()).unwrap();
        let id = session.save().unwrap().unwrap();
        for _ in 0..2 {
            world.clock.advance(13 * DAY);
            assert_eq!(get(&world.load(&id), "k"), Some(1));
        }
        world.clock.advance(4 * DAY + SECOND);
        world.is_gone(&id);
    }
}

#[test]
fn s47_the_default_lifetime_is_two_weeks() {
    let world = World::new();
    let session = world.sessions.create();
    assert_eq!(session.expiry_age().unwrap(), Duration::from_secs(1_209_600));
    let session = world.load(&world.saved(1));
    assert_eq!(session.expiry_age().unwrap(), Duration::from_secs(1_209_600));
}

#[test]
fn s48_the_default_expiry_is_no_modification_where_there_is_no_other() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    session.set_expiry(SessionExpiry::Default).unwrap();
    assert!(!session.is_modified());
    session.set_expiry(SessionExpiry::Idle(HOUR)).unwrap();
    session.set_expiry(SessionExpiry::Default).unwrap();
    assert!(session.is_modified());
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
}

#[test]
fn s50_browser_close_still_reports_the_default_lifetime() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    session.set_expiry(SessionExpiry::BrowserClose).unwrap();
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
    session.save().unwrap();
    world.clock.advance(14 * DAY + SECOND);
    assert_eq!(world.sessions.count().unwrap(), 0);
}

#[test]
fn s51_an_expiry_in_the_past_ends_the_session() {
    let mut world = World::new();
    let id = world.saved(1);
    let session = world.load(&id);
    let past = Timestamp::from_millis(world.sessions.now().as_millis() - 1000);
    session.set_expiry(SessionExpiry::At(past)).unwrap();
    session.save().unwrap();
    world.is_gone(&id);
    world.kill();
    world.is_gone(&id);
}

#[test]
fn s52_an_instant_is_returned_exactly() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    let at = world.sessions.now().after(Duration::from_millis(3_600_999));
    session.set_expiry(SessionExpiry::At(at)).unwrap();
    session.save().unwrap();
    assert_eq!(session.expiry_date().unwrap(), at);
    world.clock.advance(MINUTE);
    assert_eq!(session.expiry_date().unwrap(), at);
    assert_eq!(session.expiry_age().unwrap(), Duration::from_millis(3_540_999));
}

/// Adapted: a duration slides.
#[test]
fn s53_a_duration_slides_and_an_instant_does_not() {
    let world = World::new();
    let until = world.sessions.now().after(HOUR);
    let mut ids = Vec::new();
    for expiry in [SessionExpiry::Idle(HOUR), SessionExpiry::At(until)] {
        let session = world.sessions.create();
        session.insert("k", 1).unwrap();
        session.set_expiry(expiry).unwrap();
        ids.push(session.save().unwrap().unwrap());
    }
    for _ in 0..2 {
        world.clock.advance(45 * MINUTE);
        assert!(world.sessions.load(&ids[0]).unwrap().is_some());
        world.sessions.load(&ids[1]).unwrap();
    }
    world.is_gone(&ids[1]);
}

#[test]
fn s54_s55_the_sessions_own_expiry_comes_before_the_default() {
    let world = World::with(|builder| builder.idle(HOUR).anonymous_idle(MINUTE));
    let session = world.sessions.create();
    assert_eq!(session.expiry_age().unwrap(), MINUTE);
    session.login("ada").unwrap();
    assert_eq!(session.expiry_age().unwrap(), HOUR);
    session.set_expiry(SessionExpiry::Idle(2 * HOUR)).unwrap();
    assert_eq!(session.expiry_age().unwrap(), 2 * HOUR);
    let id = session.save().unwrap().unwrap();
    world.clock.advance(90 * MINUTE);
    assert_eq!(world.load(&id).expiry_age().unwrap(), 2 * HOUR);
    let anonymous = world.saved(1);
    world.clock.advance(MINUTE + SECOND);
    world.is_gone(&anonymous);
}

#[test]
fn s56_whether_the_browser_forgets() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    assert!(!session.expires_at_browser_close().unwrap());
    session.set_expiry(SessionExpiry::BrowserClose).unwrap();
    assert!(session.expires_at_browser_close().unwrap());
    session.set_expiry(SessionExpiry::Idle(HOUR)).unwrap();
    assert!(!session.expires_at_browser_close().unwrap());
}

/// Adapted: it lives in the record; `clear` and `flush` remove it.
#[test]
fn s57_an_expiry_of_its_own_is_remembered_across_requests() {
    let mut world = World::new();
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    session.set_expiry(SessionExpiry::Idle(30 * DAY)).unwrap();
    let id = session.save().unwrap().unwrap();
    for value in 0..3 {
        world.kill();
        let session = world.load(&id);
        session.insert("k", value).unwrap();
        session.save().unwrap();
    }
    world.clock.advance(20 * DAY);
    assert_eq!(get(&world.load(&id), "k"), Some(2));
    let session = world.load(&id);
    session.flush().unwrap();
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
}

#[test]
fn s58_the_last_expiry_counts() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    for expiry in [SessionExpiry::Default, SessionExpiry::Idle(10 * SECOND), SessionExpiry::Default]
    {
        session.set_expiry(expiry).unwrap();
    }
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
    session.save().unwrap();
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
}

/// And what a login as somebody else begins has the times of a new session at once.
#[test]
fn s55_a_session_begun_by_another_login_has_its_own_deadline() {
    let world = World::new();
    let id = world.logged_in("ada");
    world.clock.advance(10 * DAY);
    world.load(&id);
    world.clock.advance(10 * DAY);
    let session = world.load(&id);
    assert_eq!(session.expiry_age().unwrap(), 10 * DAY);
    session.login("bob").unwrap();
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
    session.save().unwrap();
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
}

/// 80 adapted: it happens by itself as well, a little later.
#[test]
fn s77_s80_clear_expired_removes_what_has_expired_and_nothing_else() {
    let world = World::with(|builder| builder.idle(HOUR));
    for value in 0..10 {
        world.saved(value);
    }
    world.clock.advance(30 * MINUTE);
    let live = world.saved(1);
    world.clock.advance(30 * MINUTE + SECOND);
    world.sessions.clear_expired().unwrap();
    assert_eq!(world.sessions.count().unwrap(), 1);
    assert_eq!(world.sessions.stats().sessions, 1);
    assert_eq!(get(&world.load(&live), "k"), Some(1));
    world.clock.advance(2 * HOUR);
    assert_eq!((world.sessions.count().unwrap(), world.sessions.stats().sessions), (0, 0));
}
