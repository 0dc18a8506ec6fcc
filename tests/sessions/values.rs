//! What a dictionary takes and gives back: types, limits, names, closures, lifetimes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sessile::Timestamp;
use sessile::session::{Session, SessionExpiry, SessionKey, Sessions};

use crate::{DAY, HOUR, MINUTE, SECOND, World, get, in_memory};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<(String, u32)>,
    note: Option<String>,
}

const CART: SessionKey<Cart> = SessionKey::new("cart");

#[test]
fn a_typed_key_knows_its_type() {
    let mut world = World::new();
    let cart = Cart { items: vec![("tea".into(), 2)], note: None };
    let session = world.sessions.create();
    session.insert(CART, cart.clone()).unwrap();
    let added = |cart: &mut Cart| cart.items.push(("cup".into(), 1));
    session.update(CART, added).unwrap();
    let id = session.save().unwrap().unwrap();
    world.kill();
    let session = world.load(&id);
    assert_eq!(session.get(CART).unwrap().unwrap().items.len(), 2);
    assert!(session.contains(CART).unwrap());
    assert_eq!(session.pop(CART).unwrap().unwrap().items[0], cart.items[0]);
    assert!(!session.remove(CART).unwrap());
    assert_eq!(session.get_or_insert_with(CART, Cart::default).unwrap(), Cart::default());
}

#[test]
fn another_type_is_an_error_that_names_key_expected_and_found_and_loses_nothing() {
    let world = World::new();
    let saved = world.load(&world.saved(7));
    let fresh = world.sessions.create();
    fresh.insert("k", 7).unwrap();
    for session in [&saved, &fresh] {
        let modified = session.is_modified();
        let errors = [
            session.get::<String>("k").unwrap_err(),
            session.pop::<String>("k").unwrap_err(),
            session.update("k", |text: &mut String| text.push('x')).unwrap_err(),
            session.get_or_insert_with("k", String::new).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_decode());
            let text = error.to_string();
            for part in ["\"k\"", "String", "integer"] {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        }
        assert_eq!((get(session, "k"), session.is_modified()), (Some(7), modified));
    }
}

#[test]
fn what_cannot_be_json_is_refused() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    let map = HashMap::from([(vec![1], 2)]);
    assert!(session.insert("k", map).unwrap_err().is_decode());
    assert_eq!((get(&session, "k"), session.is_modified()), (Some(1), false));
}

#[test]
fn numbers_and_texts_come_back_as_they_were() {
    fn same<T>(value: T)
    where
        T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        let mut world = World::new();
        let session = world.sessions.create();
        session.insert("k", &value).unwrap();
        assert_eq!(session.get::<T>("k").unwrap().as_ref(), Some(&value));
        let id = session.save().unwrap().unwrap();
        world.kill();
        assert_eq!(world.load(&id).get::<T>("k").unwrap(), Some(value));
    }
    for value in [u64::MIN, u64::MAX] {
        same(value);
    }
    for value in [i64::MIN, i64::MAX] {
        same(value);
    }
    for value in [u128::MAX, 0] {
        same(value);
    }
    for value in [i128::MIN, i128::MAX] {
        same(value);
    }
    for value in [f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, 5e-324, 0.1 + 0.2, -0.0] {
        same(value);
    }
    for value in [f32::MIN, f32::MAX, f32::MIN_POSITIVE] {
        same(value);
    }
    for text in ["", "\0", "\u{feff}", "\u{10ffff}", "\"\\/\u{8}\u{2028}", "żółć", "👩‍👩‍👧‍👦"]
    {
        same(text.to_owned());
    }
    same(char::MAX);
    same(vec![(); 3]);
    same(Some(Some(1)));
    same((1, "a".to_owned(), [true, false]));
}

#[test]
fn a_value_that_is_none_is_there() {
    let world = World::new();
    let session = world.sessions.create();
    session.insert("k", None::<i64>).unwrap();
    assert_eq!(session.get::<Option<i64>>("k").unwrap(), Some(None));
    assert!(session.contains("k").unwrap());
}

#[test]
fn names_are_bytes_between_1_and_255_and_not_reserved() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    let long = "x".repeat(256);
    for name in ["", "_", "_k", "_test_cookie", &long] {
        assert!(session.insert(name, 1).unwrap_err().is_config(), "{name}");
        assert!(session.get::<i64>(name).unwrap_err().is_config());
        assert!(session.pop::<i64>(name).unwrap_err().is_config());
        assert!(session.remove(name).unwrap_err().is_config());
        assert!(session.contains(name).unwrap_err().is_config());
        assert!(session.update(name, |_: &mut i64| ()).unwrap_err().is_config());
        assert!(session.get_or_insert_with(name, || 1).unwrap_err().is_config());
    }
    assert!(!session.is_modified());
    let names = ["k ", " ", "K", "\0", "żółć", "e\u{301}", "é", "__proto__x\u{0}"];
    let longest = "ż".repeat(127);
    for name in names.into_iter().filter(|name| !name.starts_with('_')).chain([&*longest]) {
        session.insert(name, name).unwrap();
    }
    session.save().unwrap();
    let session = world.load(&session_id(&world, &session));
    for name in session.keys().unwrap().iter().filter(|name| *name != "k") {
        assert_eq!(session.get::<String>(name).unwrap().as_ref(), Some(name));
    }
    assert_eq!(session.len().unwrap(), 9);
    let keys = session.keys().unwrap();
    assert!(keys.is_sorted() && session.iter().unwrap().map(|(key, _)| key).eq(keys));
}

/// A new id for a session, to load it by.
fn session_id(_: &World, session: &Session) -> sessile::Id {
    session.cycle_id().unwrap();
    session.save().unwrap().unwrap()
}

#[test]
fn there_are_256_keys_at_most() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    for number in 0..255 {
        session.insert(&format!("n{number}"), number).unwrap();
    }
    session.save().unwrap();
    for _ in 0..2 {
        assert!(session.insert("more", 1).unwrap_err().is_too_large());
        assert!(session.update("more", |n: &mut i64| *n += 1).unwrap_err().is_too_large());
        assert!(session.get_or_insert_with("more", || 1).unwrap_err().is_too_large());
        assert!(!session.contains("more").unwrap());
    }
    session.insert("k", 2).unwrap();
    session.update("n0", |n: &mut i64| *n += 1).unwrap();
    session.remove("n1").unwrap();
    session.insert("more", 1).unwrap();
    session.save().unwrap();
    assert_eq!(session.len().unwrap(), 256);
}

#[test]
fn parallel_requests_do_not_exceed_256_keys_together() {
    let world = World::new();
    let id = world.saved(1);
    let requests = [world.load(&id), world.load(&id)];
    for (number, request) in requests.iter().enumerate() {
        for key in 0..200 {
            request.insert(&format!("r{number}n{key}"), 1).unwrap();
        }
    }
    requests[0].save().unwrap();
    assert!(requests[1].save().unwrap_err().is_too_large());
    assert_eq!(world.load(&id).len().unwrap(), 201);
}

#[test]
fn a_value_that_is_too_large_is_refused_before_anything_changes() {
    let small = || Sessions::builder().store(|store| store.max_value_bytes(4096));
    let on_disk = small().open_fs(std::sync::Arc::new(sessile::testing::SimFs::new(1))).unwrap();
    for sessions in [on_disk, small().in_memory().unwrap()] {
        let session = sessions.create();
        session.insert("k", 1).unwrap();
        session.save().unwrap();
        let large = "x".repeat(4090);
        assert!(session.insert("k", &large).unwrap_err().is_too_large());
        assert!(session.insert("new", &large).unwrap_err().is_too_large());
        assert!(session.flash("info", "x".repeat(4096)).unwrap_err().is_too_large());
        let grow = |text: &mut String| text.push_str(&large);
        assert!(session.update("text", grow).unwrap_err().is_too_large());
        assert_eq!(session.len().unwrap(), 1);
        session.insert("half", "x".repeat(2000)).unwrap();
        assert!(session.insert("other", "x".repeat(2100)).unwrap_err().is_too_large());
        session.save().unwrap();
        // What it is replaced by counts, not what it was.
        session.insert("half", "y".repeat(3000)).unwrap();
        session.save().unwrap();
        assert_eq!(session.get::<String>("half").unwrap().unwrap().len(), 3000);
    }
}

#[test]
fn clear_takes_everything_that_is_there_by_then_but_what_is_set_after_it() {
    let world = World::new();
    let id = world.saved(1);
    let (clearing, other) = (world.load(&id), world.load(&id));
    clearing.set_expiry(SessionExpiry::Idle(HOUR)).unwrap();
    clearing.clear().unwrap();
    clearing.insert("after", 1).unwrap();
    other.insert("other", 1).unwrap();
    other.flash("info", "hello").unwrap();
    other.set_expiry(SessionExpiry::BrowserClose).unwrap();
    other.save().unwrap();
    clearing.save().unwrap();
    let session = world.load(&id);
    assert_eq!(session.keys().unwrap(), ["after"]);
    assert_eq!(session.take_flashes().unwrap(), []);
    assert!(!session.expires_at_browser_close().unwrap());
    assert_eq!(session.expiry_age().unwrap(), 14 * DAY);
}

#[test]
fn every_form_of_expiry_is_remembered_and_ends_the_session() {
    let cases: [(SessionExpiry, std::time::Duration); 4] = [
        (SessionExpiry::Default, 14 * DAY),
        (SessionExpiry::BrowserClose, 14 * DAY),
        (SessionExpiry::Idle(20 * DAY), 20 * DAY),
        (SessionExpiry::Idle(90 * SECOND), 90 * SECOND),
    ];
    for (expiry, idle) in cases {
        let mut world = World::new();
        let session = world.load(&world.saved(1));
        session.set_expiry(expiry).unwrap();
        let id = session_id(&world, &session);
        world.kill();
        // Two accesses, each a little before its end; another request saves something meanwhile.
        world.clock.advance(idle - idle / 8);
        let session = world.load(&id);
        session.insert("k", 2).unwrap();
        session.save().unwrap();
        let closes = session.expires_at_browser_close().unwrap();
        assert_eq!(closes, expiry == SessionExpiry::BrowserClose);
        let left = session.expiry_age().unwrap();
        let cap = 30 * DAY - (idle - idle / 8);
        assert_eq!(left, idle.min(cap), "{expiry:?}");
        world.clock.advance(left + SECOND);
        world.is_gone(&id);
        world.kill();
        // After a crash the end of an idle time may be later by a sixteenth of it.
        world.clock.advance(idle / 16 + 30 * SECOND);
        world.is_gone(&id);
    }
    let mut world = World::new();
    let session = world.load(&world.saved(1));
    let at = world.sessions.now().after(HOUR);
    session.set_expiry(SessionExpiry::At(at)).unwrap();
    let id = session_id(&world, &session);
    assert_eq!(session.expiry_date().unwrap(), at);
    world.clock.advance(HOUR - MINUTE);
    world.kill();
    world.load(&id).insert("k", 3).unwrap();
    assert_eq!(world.load(&id).expiry_date().unwrap(), at);
    world.clock.advance(MINUTE + SECOND);
    world.is_gone(&id);
    world.kill();
    world.is_gone(&id);
}

#[test]
fn an_expiry_of_the_sessions_own_can_be_taken_back() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    session.set_expiry(SessionExpiry::Idle(MINUTE)).unwrap();
    let id = session_id(&world, &session);
    world.load(&id).set_expiry(SessionExpiry::Default).unwrap();
    assert_eq!(world.load(&id).expiry_age().unwrap(), MINUTE, "it was not saved");
    let session = world.load(&id);
    session.set_expiry(SessionExpiry::Default).unwrap();
    session.save().unwrap();
    world.clock.advance(13 * DAY);
    assert_eq!(get(&world.load(&id), "k"), Some(1));
}

#[test]
fn an_expiry_is_cut_to_the_absolute_deadline_and_nonsense_is_refused() {
    let world = World::new();
    let now = world.sessions.now();
    let far = [
        SessionExpiry::At(now.after(300 * DAY)),
        SessionExpiry::At(Timestamp::from_millis(i64::MAX)),
        SessionExpiry::Idle(1800 * DAY),
    ];
    for expiry in far {
        let session = world.load(&world.saved(1));
        session.set_expiry(expiry).unwrap();
        assert_eq!(session.expiry_date().unwrap(), now.after(30 * DAY));
        let id = session_id(&world, &session);
        assert_eq!(world.load(&id).expiry_date().unwrap(), now.after(30 * DAY));
    }
    let session = world.load(&world.saved(1));
    for idle in [std::time::Duration::ZERO, 2000 * DAY, std::time::Duration::MAX] {
        assert!(session.set_expiry(SessionExpiry::Idle(idle)).unwrap_err().is_config());
    }
    assert!(!session.is_modified());
    for past in [now, Timestamp::from_millis(0), Timestamp::from_millis(i64::MIN)] {
        for session in [world.load(&world.saved(1)), world.sessions.create()] {
            session.insert("k", 1).unwrap();
            session.set_expiry(SessionExpiry::At(past)).unwrap();
            assert_eq!(session.expiry_age().unwrap(), std::time::Duration::ZERO);
            session.save().unwrap();
        }
    }
    world.clock.advance(SECOND);
    assert_eq!(world.sessions.count().unwrap(), 4);
}

#[test]
fn an_expiry_that_was_set_before_there_was_a_session_is_kept_until_there_is() {
    let world = World::new();
    let session = world.sessions.create();
    session.set_expiry(SessionExpiry::Idle(HOUR)).unwrap();
    assert_eq!(session.save().unwrap(), None);
    session.insert("k", 1).unwrap();
    let id = session.save().unwrap().unwrap();
    assert_eq!(world.load(&id).expiry_age().unwrap(), HOUR);
}

#[test]
fn last_seen_is_about_the_last_access() {
    let mut world = World::with(|builder| builder.idle(16 * HOUR));
    let id = world.logged_in("ada");
    for step in [MINUTE, 3 * HOUR, 15 * HOUR, 5 * MINUTE, 10 * HOUR] {
        world.clock.advance(step);
        let before = world.sessions.list_of("ada").unwrap()[0].last_seen;
        assert!(world.sessions.now().since(before) + HOUR >= step, "not seen since");
        drop(world.load(&id));
        for _ in 0..2 {
            let info = &world.sessions.list_of("ada").unwrap()[0];
            let now = world.sessions.now();
            assert!(info.last_seen <= now && now.since(info.last_seen) <= HOUR, "{info:?}");
            assert!(info.created <= info.last_seen && info.expires <= info.ends);
            assert_eq!(info.authenticated_at, Some(info.created));
            world.load(&id).update("k", |k: &mut i64| *k += 1).unwrap();
        }
    }
    let at = world.sessions.now();
    world.sessions.close().unwrap();
    world.kill();
    world.clock.advance(6 * HOUR);
    let seen = world.sessions.list_of("ada").unwrap()[0].last_seen;
    assert!(seen >= at && seen <= at.after(HOUR), "a restart moves it by the grace at most");
}

#[test]
fn flashes_are_shown_once_and_the_oldest_go_first() {
    let world = World::new();
    let session = world.load(&world.saved(1));
    for number in 0..70 {
        session.flash("info", number.to_string()).unwrap();
    }
    let id = session_id(&world, &session);
    let (one, two) = (world.load(&id), world.load(&id));
    let shown = one.take_flashes().unwrap();
    assert_eq!((shown.len(), &*shown[0].message), (64, "6"));
    assert_eq!(two.take_flashes().unwrap(), []);
    assert!(!two.is_modified());
    assert_eq!(world.load(&id).take_flashes().unwrap(), []);
}

#[test]
fn large_values_in_memory_and_the_limit_together() {
    let session = in_memory().create();
    session.insert("k", "x".repeat(60_000)).unwrap();
    assert!(session.insert("l", "x".repeat(10_000)).unwrap_err().is_too_large());
    session.save().unwrap();
    let grow = |text: &mut String| text.push_str(&"y".repeat(10_000));
    assert!(session.update("l", grow).unwrap_err().is_too_large());
}

#[test]
fn a_flash_before_a_login_is_cleared_too() {
    let world = World::new();
    let session = world.sessions.create();
    session.flash("info", "hello").unwrap();
    session.login("ada").unwrap();
    session.clear().unwrap();
    assert_eq!(session.take_flashes().unwrap(), []);
}
