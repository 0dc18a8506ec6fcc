//! Django's behaviour, statement by statement, as far as it has no HTTP in it. Each test has the
//! number of its statement; what is adapted says how.

use std::sync::Arc;
use std::time::Duration;

use sessile::session::{SessionExpiry, Sessions};
use sessile::testing::ReadFault;
use sessile::{Background, Id};

use crate::{DAY, HOUR, MINUTE, SECOND, World, get};

#[test]
fn s01_ids_are_32_letters_of_base64url() {
    let world = World::new();
    for _ in 0..200 {
        let id = world.saved(1);
        let good = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        assert!(id.expose().len() == 32 && id.expose().bytes().all(good));
    }
}

#[test]
fn s02_s06_anything_else_is_no_id() {
    let world = World::new();
    let id = world.saved(1);
    let text = id.expose();
    let (long, longer) = ("x".repeat(1200), format!("{text}="));
    let dotted = format!(".{}", &text[1..]);
    for other in [
        "",
        "short",
        &text[1..],
        &longer,
        &dotted,
        &long,
        "../../../../../../etc/passwd.....",
        "żółćżółćżółćżółć",
    ] {
        assert!(Id::parse(other).is_none(), "{other}");
    }
    assert_eq!(get(&world.load(&Id::parse(text).unwrap()), "k"), Some(1));
}

#[test]
fn s04_no_call_gives_a_session_an_id_of_the_callers() {
    let world = World::new();
    let chosen = Id::new().unwrap();
    world.is_gone(&chosen);
    assert_ne!(world.saved(1), chosen);
    world.is_gone(&chosen);
}

#[test]
fn s05_s34_every_new_id_is_another() {
    let world = World::new();
    let mut ids: Vec<String> = (0..500).map(|n| world.saved(n).expose().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 500);
    assert_eq!(world.sessions.count().unwrap(), 500);
}

#[test]
fn s08_s09_a_visitor_without_an_id_costs_nothing() {
    let world = World::new();
    let (before, records) = (world.fs.calls(), world.sessions.stats());
    for _ in 0..1000 {
        let session = world.sessions.create();
        assert_eq!((session.len().unwrap(), get(&session, "k")), (0, None));
        assert_eq!(session.save().unwrap(), None);
    }
    assert_eq!(world.fs.calls(), before);
    assert_eq!(format!("{:?}", world.sessions.stats().sessions), format!("{:?}", records.sessions));
}

#[test]
fn s10_an_unknown_or_expired_id_creates_no_record() {
    let mut world = World::new();
    let id = world.saved(1);
    world.clock.advance(14 * DAY + SECOND);
    let fingerprint = world.fs.fingerprint();
    for id in [id, Id::new().unwrap()] {
        world.is_gone(&id);
        world.is_gone(&id);
    }
    assert_eq!(world.fs.fingerprint(), fingerprint);
    assert_eq!(world.sessions.count().unwrap(), 0);
    world.sessions.close().unwrap();
    world.kill();
    assert_eq!(world.sessions.count().unwrap(), 0);
}

#[test]
fn s11_an_unknown_id_is_not_used_for_the_next_save() {
    let world = World::new();
    let id = world.saved(1);
    world.load(&id).flush().unwrap();
    world.is_gone(&id);
    for value in 0..9 {
        assert_ne!(world.saved(value), id);
    }
    world.is_gone(&id);
}

#[test]
fn s12_a_session_lives_while_its_end_is_after_now() {
    let world = World::with(|builder| builder.idle(MINUTE));
    let (id, other) = (world.saved(1), world.saved(2));
    world.clock.advance(MINUTE - Duration::from_millis(125));
    world.load(&id);
    world.clock.advance(Duration::from_millis(125));
    world.is_gone(&other);
    world.load(&id);
}

#[test]
fn s17_a_new_session_is_neither_accessed_nor_modified() {
    let world = World::new();
    let session = world.sessions.create();
    assert!(!session.is_accessed() && !session.is_modified());
    assert!(!session.is_accessed());
}

#[test]
fn s18_reading_sets_accessed_only() {
    let world = World::new();
    let reads: [fn(&sessile::session::Session); 12] = [
        |session| drop(session.get::<i64>("k")),
        |session| drop(session.contains("k")),
        |session| drop(session.keys()),
        |session| drop(session.iter()),
        |session| drop(session.len()),
        |session| drop(session.is_empty()),
        |session| drop(session.is_new()),
        |session| drop(session.subject()),
        |session| drop(session.expiry_date()),
        |session| drop(session.take_flashes()),
        |session| drop(session.test_cookie_worked()),
        |session| drop(session.authenticated_at()),
    ];
    for read in reads {
        let session = world.sessions.create();
        read(&session);
        assert!(session.is_accessed() && !session.is_modified());
        let session = world.load(&world.saved(1));
        read(&session);
        assert!(session.is_accessed() && !session.is_modified());
    }
}

#[test]
fn s19_changing_sets_modified() {
    let world = World::new();
    let changes: [fn(&sessile::session::Session); 9] = [
        |session| session.insert("k", 2).unwrap(),
        |session| drop(session.remove("k").unwrap()),
        |session| session.update("k", |k: &mut i64| *k += 1).unwrap(),
        |session| session.clear().unwrap(),
        |session| drop(session.pop::<i64>("k").unwrap()),
        |session| drop(session.get_or_insert_with("new", || 1).unwrap()),
        |session| session.flash("info", "hello").unwrap(),
        |session| session.set_test_cookie().unwrap(),
        |session| session.cycle_id().unwrap(),
    ];
    for change in changes {
        let session = world.load(&world.saved(1));
        change(&session);
        assert!(session.is_accessed() && session.is_modified());
        let session = world.sessions.create();
        session.insert("k", 1).unwrap();
        change(&session);
        assert!(session.is_modified());
    }
}

#[test]
fn s20_pop_of_an_absent_key_leaves_modified_unset() {
    let world = World::new();
    for session in [world.sessions.create(), world.load(&world.saved(1))] {
        assert_eq!(session.pop::<i64>("absent").unwrap(), None);
        assert!(!session.is_modified());
    }
    // Nor does it where another request was faster.
    let id = world.saved(1);
    let (one, other) = (world.load(&id), world.load(&id));
    assert_eq!(one.pop::<i64>("k").unwrap(), Some(1));
    assert_eq!(other.pop::<i64>("k").unwrap(), None);
    assert!(one.is_modified() && !other.is_modified());
}

#[test]
fn s20_pop_of_a_key_that_was_removed_takes_nothing_for_good() {
    let world = World::new();
    let id = world.saved(1);
    let session = world.load(&id);
    session.remove("k").unwrap();
    assert_eq!(session.pop::<i64>("k").unwrap(), None);
    // The removal was never saved.
    assert_eq!(get(&world.load(&id), "k"), Some(1));
}

#[test]
fn s21_get_or_insert_of_a_present_key_leaves_modified_unset() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    assert_eq!(session.get_or_insert_with("k", || 9).unwrap(), 1);
    assert!(!session.is_modified());
    assert_eq!(session.get_or_insert_with("new", || 9).unwrap(), 9);
    assert!(session.is_modified());
}

#[test]
fn s22_removing_an_absent_key_says_so_and_leaves_modified_unset() {
    let world = World::new();
    for session in [world.sessions.create(), world.load(&world.saved(1))] {
        assert!(!session.remove("absent").unwrap());
        assert!(!session.is_modified());
    }
}

#[test]
fn s23_setting_an_equal_value_sets_modified() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    session.insert("k", 1).unwrap();
    assert!(session.is_modified());
    let session = world.load(&world.saved(1));
    session.update("k", |_: &mut i64| ()).unwrap();
    assert!(session.is_modified());
}

#[test]
fn s24_changing_what_was_read_does_not_set_modified() {
    let world = World::new();
    let session = world.sessions.create();
    session.insert("list", vec![1]).unwrap();
    let id = session.save().unwrap().unwrap();
    let session = world.load(&id);
    session.get::<Vec<i64>>("list").unwrap().unwrap().push(2);
    assert!(!session.is_modified());
    session.save().unwrap();
    assert_eq!(world.load(&id).get::<Vec<i64>>("list").unwrap(), Some(vec![1]));
}

/// Adapted: an expiry of the session's own and flash messages go too, id, owner, deadlines stay.
#[test]
fn s25_clear_empties_and_keeps_the_id() {
    let mut world = World::new();
    let id = world.logged_in("ada");
    let session = world.load(&id);
    session.insert("k", 1).unwrap();
    session.flash("info", "hello").unwrap();
    session.set_expiry(SessionExpiry::Idle(HOUR)).unwrap();
    session.save().unwrap();
    let before = world.sessions.list_of("ada").unwrap()[0].clone();
    let session = world.load(&id);
    session.clear().unwrap();
    assert!(session.is_accessed() && session.is_modified());
    assert_eq!((session.len().unwrap(), session.take_flashes().unwrap()), (0, Vec::new()));
    assert_eq!(session.save().unwrap(), None);
    world.kill();
    let session = world.load(&id);
    assert_eq!((session.len().unwrap(), session.take_flashes().unwrap()), (0, Vec::new()));
    assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
    let after = world.sessions.list_of("ada").unwrap()[0].clone();
    assert_eq!((before.created, before.ends, before.key), (after.created, after.ends, after.key));
}

#[test]
fn s26_the_test_cookie() {
    let world = World::new();
    let session = world.sessions.create();
    assert!(!session.test_cookie_worked().unwrap());
    session.set_test_cookie().unwrap();
    let id = session.save().unwrap().unwrap();
    let session = world.load(&id);
    assert!(session.test_cookie_worked().unwrap());
    assert_eq!((session.len().unwrap(), session.keys().unwrap()), (0, Vec::new()));
    session.delete_test_cookie().unwrap();
    assert!(session.is_modified() && !session.test_cookie_worked().unwrap());
    session.save().unwrap();
    assert!(!world.load(&id).test_cookie_worked().unwrap());
}

#[test]
fn s27_empty_is_no_session_and_no_data() {
    let world = World::new();
    let session = world.sessions.create();
    assert!(session.is_empty().unwrap());
    session.insert("k", 1).unwrap();
    assert!(!session.is_empty().unwrap());
    session.remove("k").unwrap();
    assert!(session.is_empty().unwrap());
    session.flash("info", "hello").unwrap();
    assert!(!session.is_empty().unwrap(), "it will be saved");
    let session = world.load(&world.saved(1));
    session.remove("k").unwrap();
    assert!(!session.is_empty().unwrap());
}

#[test]
fn s28_a_session_without_values_is_still_saved() {
    let mut world = World::new();
    let id = world.saved(1);
    let session = world.load(&id);
    session.remove("k").unwrap();
    session.save().unwrap();
    world.kill();
    let session = world.load(&id);
    assert_eq!((session.len().unwrap(), session.is_empty().unwrap()), (0, false));
}

#[test]
fn s29_save_without_an_id_creates() {
    let mut world = World::new();
    let id = world.saved(7);
    world.kill();
    assert_eq!(get(&world.load(&id), "k"), Some(7));
}

/// Adapted: there is no call that creates under a given id; a creation never meets another session.
#[test]
fn s30_s35_creating_leaves_every_other_session_alone() {
    let world = World::new();
    let id = world.saved(1);
    let session = world.sessions.create();
    session.insert("k", 2).unwrap();
    assert_ne!(session.save().unwrap().unwrap(), id);
    assert_eq!(get(&world.load(&id), "k"), Some(1));
}

/// Adapted: the write is dropped and counted, and is no error.
#[test]
fn s31_save_on_a_missing_record_creates_nothing() {
    let world = World::new();
    let changes: [fn(&sessile::session::Session); 6] = [
        |session| session.insert("k", 9).unwrap(),
        |session| session.update("k", |k: &mut i64| *k += 1).unwrap(),
        |session| session.clear().unwrap(),
        |session| session.flash("info", "hello").unwrap(),
        |session| session.cycle_id().unwrap(),
        |session| session.set_expiry(SessionExpiry::BrowserClose).unwrap(),
    ];
    for (number, change) in (1..).zip(changes) {
        let id = world.saved(1);
        let (session, other) = (world.load(&id), world.load(&id));
        other.flush().unwrap();
        change(&session);
        for _ in 0..2 {
            assert_eq!(session.save().unwrap(), None);
        }
        world.is_gone(&id);
        assert_eq!(world.sessions.count().unwrap(), 0);
        assert_eq!(world.sessions.counts().dropped, number);
    }
}

#[test]
fn s32_save_does_not_resurrect() {
    let mut world = World::new();
    let id = world.saved(1);
    let (a, b) = (world.load(&id), world.load(&id));
    b.flush().unwrap();
    b.save().unwrap();
    a.insert("k", 2).unwrap();
    assert_eq!(a.save().unwrap(), None);
    world.is_gone(&id);
    world.kill();
    world.is_gone(&id);
    assert_eq!(world.sessions.count().unwrap(), 0);
}

#[test]
fn s33_save_keeps_what_the_request_sees() {
    let world = World::new();
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    session.save().unwrap();
    assert_eq!(get(&session, "k"), Some(1));
    session.insert("l", 2).unwrap();
    session.save().unwrap();
    assert_eq!((get(&session, "k"), get(&session, "l")), (Some(1), Some(2)));
}

#[test]
fn s40_s41_flush_without_a_session_is_a_no_op_and_twice_is_once() {
    let mut world = World::new();
    let (before, calls) = (world.fs.fingerprint(), world.fs.calls());
    for _ in 0..10 {
        let session = world.sessions.create();
        session.flush().unwrap();
        session.logout().unwrap();
        assert_eq!(session.save().unwrap(), None);
    }
    assert_eq!((world.fs.fingerprint(), world.fs.calls()), (before, calls));
    assert_eq!(world.sessions.counts().ended, 0);
    let session = world.load(&world.saved(1));
    session.flush().unwrap();
    session.flush().unwrap();
    assert_eq!(session.save().unwrap(), None);
    world.kill();
    assert_eq!(world.sessions.count().unwrap(), 0);
}

#[test]
fn s42_flush_ends_the_session_and_leaves_an_empty_one() {
    let world = World::new();
    let id = world.logged_in("ada");
    let session = world.load(&id);
    session.insert("k", 1).unwrap();
    session.flush().unwrap();
    world.is_gone(&id);
    assert!(session.is_accessed() && session.is_modified() && session.is_empty().unwrap());
    assert_eq!((get(&session, "k"), session.subject().unwrap()), (None, None));
    session.insert("k", 2).unwrap();
    let new = session.save().unwrap().unwrap();
    assert_ne!(new, id);
    assert_eq!(get(&world.load(&new), "k"), Some(2));
    assert!(world.sessions.list_of("ada").unwrap().is_empty());
}

#[test]
fn s43_s44_cycle_id_keeps_all_data_and_ends_the_old_id() {
    let mut world = World::new();
    let id = world.logged_in("ada");
    world.load(&id).update("k", |k: &mut i64| *k = 7).unwrap();
    let ends = world.sessions.list_of("ada").unwrap()[0].ends;
    world.clock.advance(HOUR);
    let session = world.load(&id);
    session.cycle_id().unwrap();
    assert!(session.is_modified());
    assert_eq!(get(&world.load(&id), "k"), Some(7), "not before the response");
    let new = session.save().unwrap().unwrap();
    for _ in 0..2 {
        world.is_gone(&id);
        let session = world.load(&new);
        assert_eq!(get(&session, "k"), Some(7));
        assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
        assert_eq!(world.sessions.list_of("ada").unwrap()[0].ends, ends);
        world.kill();
    }
}

#[test]
fn s45_cycle_id_without_a_session_creates() {
    let world = World::new();
    let session = world.sessions.create();
    session.cycle_id().unwrap();
    let id = session.save().unwrap().unwrap();
    assert!(world.load(&id).len().unwrap() == 0);
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    session.cycle_id().unwrap();
    let id = session.save().unwrap().unwrap();
    assert_eq!(get(&world.load(&id), "k"), Some(1));
}

#[test]
fn s13_corrupt_data_are_an_error_and_never_an_empty_session() {
    let world = World::new();
    let id = world.saved(1);
    world.sessions.close().unwrap();
    let (mut damaged, mut sectors) = (0, 0);
    for name in world.fs.names() {
        let bytes = world.fs.bytes(&name).unwrap_or_default();
        for sector in 0..bytes.len().div_ceil(512).min(40) {
            let fs = world.fs.kill();
            fs.set_read_fault(&name, sector as u64, ReadFault::BitRot(sector as u16 * 97 % 4096));
            sectors += 1;
            let opened = Sessions::builder()
                .store(|store| store.clock(world.clock.clone()).background(Background::Callers))
                .open_fs(Arc::new(fs));
            let loaded = opened.and_then(|sessions| sessions.load(&id));
            match loaded {
                Ok(None) => damaged += 1,
                Ok(Some(session)) => assert_eq!(get(&session, "k"), Some(1), "another value"),
                Err(error) => {
                    damaged += 1;
                    assert!(
                        error.is_corrupt() || error.is_decode() || error.is_mismatch(),
                        "{error}"
                    );
                }
            }
        }
    }
    assert!(sectors > 0);
    println!("{damaged} of {sectors} sectors mattered");
}
