//! The adapters for tower-sessions at their trait: both versions, the same tests.

/// The tests for one version.
macro_rules! tests {
    ($version:ident, $theirs:ident) => {
        mod $version {
            use std::collections::HashMap;

            use serde_json::json;
            use sessile::adapters::$version::SessileStore;
            use sessile::testing::{Keep, SimFs, block_on};
            use time::{Duration, OffsetDateTime};
            use $theirs::session::{Id, Record};
            use $theirs::session_store::{Error, ExpiredDeletion, SessionStore};

            use crate::{disk_holds, in_memory, on_disk, small};

            fn record(user: &str) -> Record {
                let data = HashMap::from([("user".to_owned(), json!(user))]);
                let expiry_date = OffsetDateTime::now_utc() + Duration::DAY;
                Record { id: Id::default(), data, expiry_date }
            }

            fn created(store: &SessileStore, user: &str) -> Record {
                let mut record = record(user);
                block_on(store.create(&mut record)).unwrap();
                record
            }

            #[test]
            fn r01_a_save_adopts_no_id_of_the_clients_choice() {
                let below = in_memory();
                let store = SessileStore::new(&below);
                let planted = record("mallory");
                block_on(store.save(&planted)).unwrap();
                assert_eq!(block_on(store.load(&planted.id)).unwrap(), None);
                assert_eq!((below.stats().sessions, store.dropped_saves()), (0, 1));
            }

            #[test]
            fn r04_a_slow_save_does_not_undo_a_logout() {
                let below = in_memory();
                let store = SessileStore::new(&below);
                let session = created(&store, "ada");
                let mut slow = block_on(store.load(&session.id)).unwrap().unwrap();
                block_on(store.delete(&session.id)).unwrap();
                slow.data.insert("cart".to_owned(), json!(["tea"]));
                block_on(store.save(&slow)).unwrap();
                assert_eq!(block_on(store.load(&session.id)).unwrap(), None);
                assert_eq!((below.stats().sessions, store.dropped_saves()), (0, 1));
                // Clones count together; another adapter over the same store has its own figure.
                assert_eq!(store.clone().dropped_saves(), 1);
                assert_eq!(SessileStore::new(&below).dropped_saves(), 0);
            }

            #[test]
            fn a_record_comes_back_to_the_nanosecond() {
                let store = SessileStore::new(&in_memory());
                let mut session = record("ada");
                session.expiry_date = session.expiry_date.replace_nanosecond(123_456_789).unwrap();
                session.data.insert("large".to_owned(), json!(u64::MAX));
                block_on(store.create(&mut session)).unwrap();
                assert_eq!(block_on(store.load(&session.id)).unwrap(), Some(session));
            }

            #[test]
            fn a_taken_id_is_left_alone_and_another_is_drawn() {
                let store = SessileStore::new(&in_memory());
                let ada = created(&store, "ada");
                let mut bob = Record { id: ada.id, ..record("bob") };
                block_on(store.create(&mut bob)).unwrap();
                assert_ne!(bob.id, ada.id);
                assert_eq!(block_on(store.load(&ada.id)).unwrap(), Some(ada));
                assert_eq!(block_on(store.load(&bob.id)).unwrap(), Some(bob));
            }

            #[test]
            fn dates_out_of_any_range_are_no_errors() {
                let below = in_memory();
                let store = SessileStore::new(&below);
                for (date, lives) in [
                    (OffsetDateTime::UNIX_EPOCH, false),
                    (OffsetDateTime::UNIX_EPOCH - Duration::days(700_000), false),
                    (OffsetDateTime::now_utc() + Duration::days(2_000_000), true),
                ] {
                    let mut session = Record { expiry_date: date, ..record("ada") };
                    block_on(store.create(&mut session)).unwrap();
                    let found = block_on(store.load(&session.id)).unwrap();
                    assert_eq!(found, Some(session).filter(|_| lives), "{date}");
                }
            }

            #[test]
            fn a_deletion_survives_a_power_cut() {
                let fs = SimFs::new(1);
                let below = on_disk(&fs);
                let store = SessileStore::new(&below);
                let [ended, alive] = ["ada", "bob"].map(|user| created(&store, user));
                below.sync().unwrap();
                block_on(store.delete(&ended.id)).unwrap();
                let below = on_disk(&fs.power_cut(Keep::Nothing));
                let store = SessileStore::new(&below);
                assert_eq!(block_on(store.load(&ended.id)).unwrap(), None);
                assert_eq!(block_on(store.load(&alive.id)).unwrap(), Some(alive));
            }

            #[test]
            fn an_id_is_neither_printed_nor_stored() {
                let fs = SimFs::new(1);
                let below = on_disk(&fs);
                let store = SessileStore::new(&below);
                let session = created(&store, "ada");
                block_on(store.save(&session)).unwrap();
                block_on(store.load(&session.id)).unwrap().unwrap();
                below.close().unwrap();
                assert!(disk_holds(&fs, b"ada"), "looked in the wrong place");
                assert!(!disk_holds(&fs, &session.id.0.to_le_bytes()));
                assert!(!disk_holds(&fs, &session.id.0.to_be_bytes()));
                assert!(!disk_holds(&fs, session.id.to_string().as_bytes()));
                let printed = format!("{store:?} {below:?} {:?}", below.stats());
                assert!(!printed.contains(&session.id.to_string()), "{printed}");
                assert!(!printed.contains(&session.id.0.to_string()), "{printed}");
            }

            #[test]
            fn too_large_a_session_is_an_error_and_changes_nothing() {
                let below = small(&SimFs::new(1));
                let store = SessileStore::new(&below);
                let session = created(&store, "ada");
                let mut large = session.clone();
                large.data.insert("large".to_owned(), json!("x".repeat(1 << 10)));
                for error in
                    [block_on(store.save(&large)), block_on(store.create(&mut large.clone()))]
                {
                    let error = error.unwrap_err();
                    assert!(matches!(error, Error::Backend(_)), "{error}");
                    assert!(error.to_string().contains("1024"), "{error}");
                }
                assert_eq!(block_on(store.load(&session.id)).unwrap(), Some(session));
                assert_eq!(below.stats().sessions, 1);
            }

            #[test]
            fn a_sweep_is_there_for_those_who_call_it() {
                let store = SessileStore::new(&in_memory());
                let session = created(&store, "ada");
                block_on(store.delete_expired()).unwrap();
                assert_eq!(block_on(store.load(&session.id)).unwrap(), Some(session));
            }
        }
    };
}

tests!(tower_sessions_0_14, tower_sessions_core_0_14);
tests!(tower_sessions_0_15, tower_sessions_core_0_15);
