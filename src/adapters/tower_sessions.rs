//! What the adapters for tower-sessions share: all of it but the types of their trait.
//!
//! The two versions of the trait are the same, and so are the types of what a record holds; only
//! `Id`, `Record` and `Error` differ by name. A record is stored as JSON: the two halves of its
//! deadline, which the trait wants back to the nanosecond, and its map.

use std::collections::HashMap;

use serde_json::Value;
use time::OffsetDateTime;

use super::backend::{Backend, TRIES};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::Key;
use crate::record::expiry::Expiry;
use crate::session::Sessions;

/// Keeps the records of one adapter from those of another.
const TAG: &[u8] = b"sessile/tower-sessions/v1\0";

type Data = HashMap<String, Value>;

/// The three errors of the trait.
pub(super) enum Trouble {
    Encode(String),
    Decode(String),
    Backend(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Backend(error.to_string())
    }
}

/// The store below both versions.
#[derive(Clone)]
pub(super) struct Core {
    backend: Backend,
}

impl Core {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Core { backend: Backend::new(sessions) }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.backend.dropped()
    }

    /// Stores a new session under `id`, or under one that `fresh` draws if that is taken. Returns
    /// the id it got.
    pub(super) async fn create(
        &self,
        id: i128,
        fresh: fn() -> i128,
        data: &Data,
        ends: OffsetDateTime,
    ) -> Result<i128, Trouble> {
        let mut id = id;
        for _ in 0..TRIES {
            // Encoded anew after a collision, which never happens, instead of copied each time.
            if self.backend.create(key(id), encode(data, ends)?, expiry(ends)).await? {
                return Ok(id);
            }
            id = fresh();
        }
        let message = format!("{TRIES} new session ids in a row were taken: what draws them?");
        Err(Trouble::Backend(message))
    }

    pub(super) async fn save(
        &self,
        id: i128,
        data: &Data,
        ends: OffsetDateTime,
    ) -> Result<(), Trouble> {
        let bytes = encode(data, ends)?;
        // False: it is gone, and that is no error.
        self.backend.save(key(id), bytes, expiry(ends)).await?;
        Ok(())
    }

    pub(super) async fn load(&self, id: i128) -> Result<Option<(Data, OffsetDateTime)>, Trouble> {
        let Some(bytes) = self.backend.load(key(id)).await? else { return Ok(None) };
        decode(bytes.as_ref()).map(Some)
    }

    pub(super) async fn delete(&self, id: i128) -> Result<(), Trouble> {
        self.backend.remove(key(id)).await?;
        Ok(())
    }
}

/// The digest that a session is filed under. The id goes no further than this.
fn key(id: i128) -> Key {
    let mut name = [0; TAG.len() + 16];
    let (tag, bytes) = name.split_at_mut(TAG.len());
    tag.copy_from_slice(TAG);
    bytes.copy_from_slice(&id.to_le_bytes());
    Key::of(name)
}

/// The deadline for the store: the first millisecond that is not before it.
fn expiry(ends: OffsetDateTime) -> Expiry {
    let millis = (ends.unix_timestamp_nanos() + 999_999).div_euclid(1_000_000);
    Expiry::At(Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
}

fn encode(data: &Data, ends: OffsetDateTime) -> Result<Vec<u8>, Trouble> {
    let record = (ends.unix_timestamp(), ends.nanosecond(), data);
    serde_json::to_vec(&record).map_err(|error| Trouble::Encode(error.to_string()))
}

fn decode(bytes: &[u8]) -> Result<(Data, OffsetDateTime), Trouble> {
    let decode = |error: &dyn std::fmt::Display| {
        Trouble::Decode(format!("a stored session is not what this adapter writes: {error}"))
    };
    let (seconds, nanos, data): (i64, u32, Data) =
        serde_json::from_slice(bytes).map_err(|error| decode(&error))?;
    let ends = OffsetDateTime::from_unix_timestamp(seconds)
        .and_then(|ends| ends.replace_nanosecond(nanos))
        .map_err(|error| decode(&error))?;
    Ok((data, ends))
}

/// The adapter for one version of the trait's crate.
macro_rules! adapter {
    ($theirs:ident) => {
        use std::fmt;

        use $theirs::session::{Id, Record};
        use $theirs::session_store::{Error, ExpiredDeletion, Result, SessionStore};

        use super::tower_sessions::{Core, Trouble};
        use crate::session::Sessions;

        /// A session store over this crate's. A handle is cheap to clone.
        ///
        /// Deadlines are those of the records, up to an eighth of a second late and never early.
        /// A session may encode to as many bytes as a value of the store; one that is larger is
        /// an error of `create` or `save`, and nothing is stored.
        #[derive(Clone)]
        pub struct SessileStore(Core);

        impl SessileStore {
            /// A session store that keeps its records there, beside whatever else is there.
            pub fn new(sessions: &Sessions) -> Self {
                SessileStore(Core::new(sessions))
            }

            /// How many saves were dropped by this handle and its clones because the session had
            /// been deleted, or had expired, before they came. They are no errors: most are
            /// requests that were still running when their user logged out.
            pub fn dropped_saves(&self) -> u64 {
                self.0.dropped()
            }
        }

        impl fmt::Debug for SessileStore {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let dropped = self.dropped_saves();
                f.debug_struct("SessileStore").field("dropped_saves", &dropped).finish()
            }
        }

        fn error(trouble: Trouble) -> Error {
            match trouble {
                Trouble::Encode(message) => Error::Encode(message),
                Trouble::Decode(message) => Error::Decode(message),
                Trouble::Backend(message) => Error::Backend(message),
            }
        }

        #[async_trait::async_trait]
        impl SessionStore for SessileStore {
            async fn create(&self, record: &mut Record) -> Result<()> {
                let fresh = || Id::default().0;
                let created = self.0.create(record.id.0, fresh, &record.data, record.expiry_date);
                record.id = Id(created.await.map_err(error)?);
                Ok(())
            }

            async fn save(&self, record: &Record) -> Result<()> {
                let saved = self.0.save(record.id.0, &record.data, record.expiry_date);
                saved.await.map_err(error)
            }

            async fn load(&self, id: &Id) -> Result<Option<Record>> {
                let loaded = self.0.load(id.0).await.map_err(error)?;
                Ok(loaded.map(|(data, expiry_date)| Record { id: *id, data, expiry_date }))
            }

            async fn delete(&self, id: &Id) -> Result<()> {
                self.0.delete(id.0).await.map_err(error)
            }
        }

        /// What has expired is freed without being asked for: this has nothing to do, and is here
        /// for programs that call it.
        #[async_trait::async_trait]
        impl ExpiredDeletion for SessileStore {
            async fn delete_expired(&self) -> Result<()> {
                Ok(())
            }
        }
    };
}
pub(super) use adapter;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn a_generator_that_repeats_itself_is_an_error_in_the_end() {
        let below = crate::session::Sessions::builder().in_memory().unwrap();
        let core = Core::new(&below);
        let ends = OffsetDateTime::now_utc() + time::Duration::DAY;
        let create = || block_on(core.create(7, || 7, &Data::new(), ends));
        assert!(matches!(create(), Ok(7)));
        assert!(matches!(create(), Err(Trouble::Backend(why)) if why.contains("8 new")));
        assert_eq!(below.stats().sessions, 1);
    }

    #[test]
    fn what_is_no_session_is_an_error_and_not_an_empty_session() {
        let core = Core::new(&crate::session::Sessions::builder().in_memory().unwrap());
        for (id, bytes) in
            (0..).zip(["", "{}", "[1,2]", "[1,2,[]]", "[1,2000000000,{}]", "[1,2,{}]x"])
        {
            let put = core.backend.create(key(id), bytes.into(), Expiry::Default);
            assert!(block_on(put).unwrap());
            let error = block_on(core.load(id)).map(drop);
            assert!(matches!(error, Err(Trouble::Decode(_))), "{bytes}");
            assert!(
                block_on(core.delete(id)).is_ok() && matches!(block_on(core.load(id)), Ok(None))
            );
        }
    }
}
