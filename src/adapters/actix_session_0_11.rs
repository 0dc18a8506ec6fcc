//! The session store of actix-session 0.11, over this crate's.
//!
//! ```
//! use sessile::session::Sessions;
//! use sessile::adapters::actix_session_0_11::SessileStore;
//!
//! # fn main() -> sessile::Result<()> {
//! let sessions = Sessions::builder().in_memory()?; // or `.open("var/sessions")`
//! let store = SessileStore::new(&sessions);
//! // SessionMiddleware::new(store.clone(), key) in each worker, as with any other store.
//! # let _ = store;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;

use super::backend::{Backend, TRIES};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{Id, Key};
use crate::limits::LIFETIME_MAX;
use crate::record::expiry::Expiry;
use crate::session::Sessions;

/// Keeps the records of one adapter from those of another.
const TAG: &[u8] = b"sessile/actix-session/v1\0";

/// A session store over this crate's. A handle is cheap to clone: one for every worker.
///
/// A session may encode to as many bytes as a value of the store; one that is larger is an error
/// of `save` or `update`, and nothing is stored.
#[derive(Clone)]
pub struct SessileStore(Backend);

impl SessileStore {
    /// A session store that keeps its records there, beside whatever else is there.
    pub fn new(sessions: &Sessions) -> Self {
        SessileStore(Backend::new(sessions))
    }

    /// How many updates were dropped by this handle and its clones because the session had been
    /// deleted, or had expired, before they came. They are no errors: most are requests that
    /// were still running when their user logged out.
    pub fn dropped_saves(&self) -> u64 {
        self.0.dropped()
    }

    /// Stores bytes under an id of ours: 192 bits of the operating system's.
    async fn create(&self, state: &HashMap<String, String>, ends: Expiry) -> Result<Id, SaveError> {
        let other = |error: Error| SaveError::Other(error.into());
        for _ in 0..TRIES {
            let id = Id::new().map_err(other)?;
            // Encoded anew after a collision, which never happens, instead of copied each time.
            let bytes = serde_json::to_vec(state);
            let bytes = bytes.map_err(|error| SaveError::Serialization(error.into()))?;
            if self.0.create(key(id.expose()), bytes, ends).await.map_err(other)? {
                return Ok(id);
            }
        }
        let message = format!("{TRIES} new session ids in a row were taken: what draws them?");
        Err(other(Error::config(message)))
    }
}

impl fmt::Debug for SessileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessileStore").field("dropped_saves", &self.dropped_saves()).finish()
    }
}

/// The digest that a session is filed under. The id goes no further than this.
fn key(id: &str) -> Key {
    Key::of([TAG, id.as_bytes()].concat())
}

/// The deadline of a session that is to live so long: at most as long as any may, and at once if
/// there is no time left.
fn expiry(ttl: &Duration) -> Expiry {
    match std::time::Duration::try_from(*ttl) {
        Ok(ttl) if !ttl.is_zero() => Expiry::After(ttl.min(LIFETIME_MAX)),
        _ => Expiry::At(Timestamp::from_millis(0)),
    }
}

/// A new session is stored under a new id. An update of what is gone stores nothing, is counted,
/// and returns the key it was given, which is dead; `update_ttl` makes nothing live again. Damage
/// is an error and never an empty session.
impl SessionStore for SessileStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let loaded = self.0.load(self::key(key.as_ref())).await;
        let Some(bytes) = loaded.map_err(|error| LoadError::Other(error.into()))? else {
            return Ok(None);
        };
        // Not `Deserialization`: that would go on with an empty session under the same key.
        let state = serde_json::from_slice(bytes.as_ref());
        state.map(Some).map_err(|error| LoadError::Other(error.into()))
    }

    async fn save(
        &self,
        state: HashMap<String, String>,
        ttl: &Duration,
    ) -> Result<SessionKey, SaveError> {
        let id = self.create(&state, expiry(ttl)).await?;
        let key = SessionKey::try_from(id.expose().to_owned());
        key.map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let bytes = serde_json::to_vec(&state);
        let bytes = bytes.map_err(|error| UpdateError::Serialization(error.into()))?;
        let saved = self.0.save(self::key(key.as_ref()), bytes, expiry(ttl)).await;
        saved.map_err(|error| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        self.0.touch(self::key(key.as_ref()), expiry(ttl)).await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.remove(self::key(key.as_ref())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn what_is_no_session_is_an_error_and_not_an_empty_session() {
        let store = SessileStore::new(&Sessions::builder().in_memory().unwrap());
        for bytes in ["", "[]", "{\"user\":1}", "{}x", "null"] {
            block_on(store.0.remove(key("some id"))).unwrap();
            let put = store.0.create(key("some id"), bytes.into(), Expiry::Default);
            assert!(block_on(put).unwrap());
            let some = SessionKey::try_from("some id".to_owned()).unwrap();
            let error = block_on(store.load(&some)).unwrap_err();
            assert!(matches!(error, LoadError::Other(_)), "{bytes}: {error:?}");
            assert!(!format!("{error:?}").contains("some id"), "{error:?}");
        }
    }
}
