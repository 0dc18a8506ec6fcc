//! Adapters side by side over one store: none sees, ends or replaces the records of another.

use std::collections::HashMap;

use actix_session::storage::{SessionKey, SessionStore as _};
use sessile::adapters::{actix_session_0_11, tower_sessions_0_14, tower_sessions_0_15};
use sessile::testing::block_on;
use tower_sessions_core_0_14 as core_0_14;
use tower_sessions_core_0_15 as core_0_15;

use crate::in_memory;

/// As sixteen letters an id of tower-sessions may be one of actix-session's.
const ID: &[u8; 16] = b"an-id-of-letters";

#[test]
fn the_same_id_is_another_session_in_another_framework() {
    use core_0_15::SessionStore as _;
    use core_0_15::session::{Id, Record};

    let below = in_memory();
    let tower = tower_sessions_0_15::SessileStore::new(&below);
    let actix = actix_session_0_11::SessileStore::new(&below);
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::DAY;
    let mut record = Record { id: Id(i128::from_le_bytes(*ID)), data: HashMap::new(), expiry_date };
    block_on(tower.create(&mut record)).unwrap();
    assert_eq!(record.id.0.to_le_bytes(), *ID);

    let key = || SessionKey::try_from(String::from_utf8(ID.to_vec()).unwrap()).unwrap();
    assert!(block_on(actix.load(&key())).unwrap().is_none());
    block_on(actix.update(key(), HashMap::new(), &time::Duration::DAY)).unwrap();
    block_on(actix.update_ttl(&key(), &time::Duration::ZERO)).unwrap();
    block_on(actix.delete(&key())).unwrap();
    assert_eq!(block_on(tower.load(&record.id)).unwrap(), Some(record));
    assert_eq!(below.stats().sessions, 1);
}

#[test]
fn a_session_of_one_version_is_one_of_the_next() {
    use core_0_14::SessionStore as _;
    use core_0_15::SessionStore as _;

    let below = in_memory();
    let older = tower_sessions_0_14::SessileStore::new(&below);
    let newer = tower_sessions_0_15::SessileStore::new(&below);
    let mut record = core_0_14::session::Record {
        id: core_0_14::session::Id::default(),
        data: HashMap::from([("user".to_owned(), serde_json::json!("ada"))]),
        expiry_date: time::OffsetDateTime::now_utc() + time::Duration::DAY,
    };
    block_on(older.create(&mut record)).unwrap();
    let id = core_0_15::session::Id(record.id.0);
    let found = block_on(newer.load(&id)).unwrap().unwrap();
    assert_eq!((found.data, found.expiry_date), (record.data, record.expiry_date));
    block_on(newer.delete(&id)).unwrap();
    assert_eq!(block_on(older.load(&record.id)).unwrap(), None);
}
