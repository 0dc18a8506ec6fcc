//! The adapter for actix-session at its trait.

use std::collections::HashMap;

use actix_session::storage::{SaveError, SessionKey, SessionStore, UpdateError};
use sessile::adapters::actix_session_0_11::SessileStore;
use sessile::session::Sessions;
use sessile::testing::{Keep, ManualClock, SimFs, block_on};
use time::Duration;

use crate::{disk_holds, in_memory, on_disk, small};

fn state(user: &str) -> HashMap<String, String> {
    HashMap::from([("user".to_owned(), format!("\"{user}\""))])
}

fn copy(key: &SessionKey) -> SessionKey {
    SessionKey::try_from(key.as_ref().to_owned()).unwrap()
}

fn saved(store: &SessileStore, user: &str) -> SessionKey {
    block_on(store.save(state(user), &Duration::DAY)).unwrap()
}

fn load(store: &SessileStore, key: &SessionKey) -> Option<HashMap<String, String>> {
    block_on(store.load(key)).unwrap()
}

#[test]
fn r08_an_update_of_what_is_gone_stores_nothing_under_any_key() {
    let below = in_memory();
    let store = SessileStore::new(&below);
    let key = saved(&store, "ada");
    block_on(store.delete(&key)).unwrap();
    let returned = block_on(store.update(copy(&key), state("ada"), &Duration::DAY)).unwrap();
    assert_eq!(returned, key, "the state came back under a key of its own");
    assert_eq!(load(&store, &key), None);
    assert_eq!((below.stats().sessions, store.dropped_saves()), (0, 1));
}

#[test]
fn r08_a_longer_ttl_brings_nothing_back() {
    let clock = ManualClock::new();
    let below = Sessions::builder().store(|store| store.clock(clock.clone())).in_memory().unwrap();
    let store = SessileStore::new(&below);
    let deleted = saved(&store, "ada");
    block_on(store.delete(&deleted)).unwrap();
    let expired = block_on(store.save(state("bob"), &Duration::SECOND)).unwrap();
    clock.advance(std::time::Duration::from_secs(1));
    for key in [deleted, expired] {
        block_on(store.update_ttl(&key, &Duration::DAY)).unwrap();
        assert_eq!(load(&store, &key), None);
    }
    assert_eq!(below.stats().sessions, 0);
}

#[test]
fn r09_a_new_session_is_never_stored_over_another() {
    let store = SessileStore::new(&in_memory());
    let keys: Vec<_> =
        (0..100).map(|user| (saved(&store, &user.to_string()), user.to_string())).collect();
    for (key, user) in &keys {
        assert_eq!(load(&store, key), Some(state(user)));
        assert_eq!(key.as_ref().len(), 32);
    }
}

#[test]
fn a_ttl_is_given_and_extended_and_cut() {
    let clock = ManualClock::new();
    let below = Sessions::builder().store(|store| store.clock(clock.clone())).in_memory().unwrap();
    let store = SessileStore::new(&below);
    let key = block_on(store.save(state("ada"), &Duration::seconds(10))).unwrap();
    clock.advance(std::time::Duration::from_secs(9));
    block_on(store.update_ttl(&key, &Duration::seconds(10))).unwrap();
    clock.advance(std::time::Duration::from_secs(9));
    assert_eq!(load(&store, &key), Some(state("ada")));
    block_on(store.update_ttl(&key, &Duration::seconds(2))).unwrap();
    clock.advance(std::time::Duration::from_secs(2));
    assert_eq!(load(&store, &key), None);
    for (ttl, lives) in [
        (Duration::ZERO, false),
        (-Duration::DAY, false),
        (Duration::MIN, false),
        (Duration::MAX, true),
    ] {
        let key = block_on(store.save(state("ada"), &ttl)).unwrap();
        assert_eq!(load(&store, &key).is_some(), lives, "{ttl:?}");
        let key = saved(&store, "ada");
        block_on(store.update_ttl(&key, &ttl)).unwrap();
        assert_eq!(load(&store, &key).is_some(), lives, "{ttl:?}");
    }
}

#[test]
fn a_deletion_survives_a_power_cut() {
    let fs = SimFs::new(1);
    let below = on_disk(&fs);
    let store = SessileStore::new(&below);
    let [ended, alive] = ["ada", "bob"].map(|user| saved(&store, user));
    below.sync().unwrap();
    block_on(store.delete(&ended)).unwrap();
    let store = SessileStore::new(&on_disk(&fs.power_cut(Keep::Nothing)));
    assert_eq!(load(&store, &ended), None);
    assert_eq!(load(&store, &alive), Some(state("bob")));
}

#[test]
fn an_id_is_neither_printed_nor_stored() {
    let fs = SimFs::new(1);
    let below = on_disk(&fs);
    let store = SessileStore::new(&below);
    let key = saved(&store, "ada");
    let key = block_on(store.update(key, state("ada"), &Duration::DAY)).unwrap();
    load(&store, &key).unwrap();
    below.close().unwrap();
    assert!(disk_holds(&fs, b"ada"), "looked in the wrong place");
    assert!(!disk_holds(&fs, key.as_ref().as_bytes()));
    let printed = format!("{store:?} {below:?} {:?}", below.stats());
    assert!(!printed.contains(key.as_ref()), "{printed}");
}

#[test]
fn too_large_a_session_is_an_error_and_changes_nothing() {
    let below = small(&SimFs::new(1));
    let store = SessileStore::new(&below);
    let key = saved(&store, "ada");
    let large = state(&"x".repeat(1 << 10));
    let error = block_on(store.save(large.clone(), &Duration::DAY)).unwrap_err();
    assert!(matches!(error, SaveError::Other(_)), "{error:?}");
    let error = block_on(store.update(copy(&key), large, &Duration::DAY)).unwrap_err();
    assert!(matches!(error, UpdateError::Other(_)), "{error:?}");
    assert_eq!(load(&store, &key), Some(state("ada")));
    assert_eq!(below.stats().sessions, 1);
}
