//! The adapters for other session crates as subjects: in memory, and on a disk that is reopened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sessile::session::Sessions;
use sessile::testing::conformance::{Collision, Data, Result, Subject, check};
use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Clock, Id};

type Bytes = Sessions;

/// The store below an adapter, which is in memory or on a simulated disk.
struct Below {
    store: Bytes,
    clock: ManualClock,
    fs: Option<SimFs>,
}

impl Below {
    fn new(fs: Option<SimFs>) -> Below {
        let clock = ManualClock::new();
        Below { store: open(&clock, fs.as_ref()), clock, fs }
    }

    fn reopen(&mut self) -> Result<bool> {
        let Some(fs) = &mut self.fs else { return Ok(false) };
        self.store.close()?;
        *fs = fs.kill();
        self.store = open(&self.clock, self.fs.as_ref());
        Ok(true)
    }
}

fn open(clock: &ManualClock, fs: Option<&SimFs>) -> Bytes {
    let builder = Sessions::builder().store(|store| store.clock(clock.clone()));
    match fs {
        Some(fs) => builder
            .store(|store| store.background(Background::Callers))
            .open_fs(Arc::new(fs.clone()))
            .unwrap(),
        None => builder.in_memory().unwrap(),
    }
}

/// A subject and its tests for one version of tower-sessions' trait.
macro_rules! tower_sessions {
    ($version:ident, $theirs:ident) => {
        mod $version {
            use sessile::adapters::$version::SessileStore;
            use $theirs::SessionStore;
            use $theirs::session::{Id, Record};

            use super::*;

            struct Adapter(SessileStore, Below);

            fn adapter(fs: Option<SimFs>) -> Adapter {
                let below = Below::new(fs);
                Adapter(SessileStore::new(&below.store), below)
            }

            impl Adapter {
                fn record(&self, id: Id, data: &Data, lives: Duration) -> Result<Record> {
                    let mut values = HashMap::new();
                    for (name, value) in data {
                        values.insert(name.clone(), serde_json::from_str(value)?);
                    }
                    let millis = i128::from(self.1.clock.wall().as_millis());
                    let now = time::OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000)?;
                    Ok(Record { id, data: values, expiry_date: now + lives })
                }
            }

            impl Subject for Adapter {
                type Id = Id;

                async fn create(&self, data: &Data, lives: Duration) -> Result<Id> {
                    let mut record = self.record(Id::default(), data, lives)?;
                    self.0.create(&mut record).await?;
                    Ok(record.id)
                }

                async fn load(&self, id: &Id) -> Result<Option<Data>> {
                    let record = self.0.load(id).await?;
                    let text =
                        |(name, value): (String, serde_json::Value)| (name, value.to_string());
                    Ok(record.map(|record| record.data.into_iter().map(text).collect()))
                }

                async fn save(&self, id: &Id, data: &Data, lives: Duration) -> Result<Id> {
                    self.0.save(&self.record(*id, data, lives)?).await?;
                    Ok(*id)
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    Ok(self.0.delete(id).await?)
                }

                fn unknown(&self) -> Id {
                    Id::default()
                }

                fn pass(&self, time: Duration) {
                    self.1.clock.advance(time);
                }

                async fn held(&self) -> Result<Option<u64>> {
                    Ok(Some(self.1.store.stats().sessions))
                }

                async fn collide(
                    &self,
                    id: &Id,
                    data: &Data,
                    lives: Duration,
                ) -> Result<Collision<Id>> {
                    let mut record = self.record(*id, data, lives)?;
                    self.0.create(&mut record).await?;
                    Ok(Collision::Created(record.id))
                }

                /// As `Session::cycle_id` does.
                async fn rotate(&self, id: &Id) -> Result<Option<Id>> {
                    let Some(mut record) = self.0.load(id).await? else { return Ok(Some(*id)) };
                    record.id = Id::default();
                    self.0.delete(id).await?;
                    self.0.create(&mut record).await?;
                    Ok(Some(record.id))
                }

                fn reopen(&mut self) -> Result<bool> {
                    let reopened = self.1.reopen()?;
                    self.0 = SessileStore::new(&self.1.store);
                    Ok(reopened)
                }
            }

            #[test]
            fn it_conforms_in_memory() {
                check(|| adapter(None)).assert_all();
            }

            #[test]
            fn it_conforms_on_disk() {
                check(|| adapter(Some(SimFs::new(1)))).assert_all();
            }
        }
    };
}

#[cfg(feature = "tower-sessions-0-14")]
tower_sessions!(tower_sessions_0_14, tower_sessions_core_0_14);
#[cfg(feature = "tower-sessions-0-15")]
tower_sessions!(tower_sessions_0_15, tower_sessions_core_0_15);

#[cfg(feature = "actix-session-0-11")]
mod actix_session_0_11 {
    use actix_session::storage::{SessionKey, SessionStore};
    use sessile::adapters::actix_session_0_11::SessileStore;

    use super::*;

    struct Adapter(SessileStore, Below);

    fn adapter(fs: Option<SimFs>) -> Adapter {
        let below = Below::new(fs);
        Adapter(SessileStore::new(&below.store), below)
    }

    fn key(id: &str) -> Result<SessionKey> {
        Ok(SessionKey::try_from(id.to_owned())?)
    }

    fn state(data: &Data) -> HashMap<String, String> {
        data.clone().into_iter().collect()
    }

    impl Subject for Adapter {
        type Id = String;

        async fn create(&self, data: &Data, lives: Duration) -> Result<String> {
            Ok(self.0.save(state(data), &lives.try_into()?).await?.into())
        }

        async fn load(&self, id: &String) -> Result<Option<Data>> {
            Ok(self.0.load(&key(id)?).await?.map(|state| state.into_iter().collect()))
        }

        async fn save(&self, id: &String, data: &Data, lives: Duration) -> Result<String> {
            Ok(self.0.update(key(id)?, state(data), &lives.try_into()?).await?.into())
        }

        async fn delete(&self, id: &String) -> Result<()> {
            Ok(self.0.delete(&key(id)?).await?)
        }

        fn unknown(&self) -> String {
            Id::new().unwrap().expose().to_owned()
        }

        fn pass(&self, time: Duration) {
            self.1.clock.advance(time);
        }

        async fn held(&self) -> Result<Option<u64>> {
            Ok(Some(self.1.store.stats().sessions))
        }

        /// As the middleware does for `Session::renew`.
        async fn rotate(&self, id: &String) -> Result<Option<String>> {
            let Some(state) = self.0.load(&key(id)?).await? else { return Ok(Some(id.clone())) };
            self.0.delete(&key(id)?).await?;
            Ok(Some(self.0.save(state, &time::Duration::DAY).await?.into()))
        }

        fn reopen(&mut self) -> Result<bool> {
            let reopened = self.1.reopen()?;
            self.0 = SessileStore::new(&self.1.store);
            Ok(reopened)
        }
    }

    #[test]
    fn it_conforms_in_memory() {
        check(|| adapter(None)).assert_all();
    }

    #[test]
    fn it_conforms_on_disk() {
        check(|| adapter(Some(SimFs::new(1)))).assert_all();
    }
}
