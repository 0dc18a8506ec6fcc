//! What adapters need of a store: records of bytes that are never brought back. Knows no ids.
//!
//! The one place that says where the records of others live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::id::Key;
use crate::record::expiry::Expiry;
use crate::store::Store;

/// What an adapter is made of by its user.
pub(super) type Source = Store<Vec<u8>>;

/// Where an adapter keeps its records.
pub(super) type Backend = OverStore;

/// New ids to try before a creation gives up. One is enough unless the generator is broken.
pub(super) const TRIES: u32 = 8;

/// Records of bytes under keys. A clone is the same backend. Dropping a future undoes nothing.
pub(super) trait Foreign: Clone + Send + Sync + 'static {
    type Bytes: AsRef<[u8]> + Send;

    /// Stores a record if there is none; false if there is one.
    fn create(
        &self,
        key: Key,
        bytes: Vec<u8>,
        ends: Expiry,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// The record, untouched.
    fn load(&self, key: Key) -> impl Future<Output = Result<Option<Self::Bytes>>> + Send;

    /// Replaces a record and its expiry if it is there; false: it is gone, and the save was
    /// dropped and counted.
    fn save(
        &self,
        key: Key,
        bytes: Vec<u8>,
        ends: Expiry,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Gives a record another expiry; false if it is gone.
    #[cfg_attr(not(feature = "actix-session-0-11"), expect(dead_code, reason = "for actix"))]
    fn touch(&self, key: Key, ends: Expiry) -> impl Future<Output = Result<bool>> + Send;

    /// Ends a record, and waits as the store's removals do; false if it was gone.
    fn remove(&self, key: Key) -> impl Future<Output = Result<bool>> + Send;

    /// Saves that came too late.
    fn dropped(&self) -> u64;
}

/// Records in a store of bytes.
#[derive(Clone)]
pub(super) struct OverStore {
    store: Store<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl OverStore {
    pub(super) fn new(source: &Source) -> Self {
        OverStore { store: source.clone(), dropped: Arc::default() }
    }
}

impl Foreign for OverStore {
    type Bytes = Shared;

    async fn create(&self, key: Key, bytes: Vec<u8>, ends: Expiry) -> Result<bool> {
        self.store.create_with_async(key, bytes, ends).await
    }

    async fn load(&self, key: Key) -> Result<Option<Shared>> {
        Ok(self.store.get(&key)?.map(Shared))
    }

    async fn save(&self, key: Key, bytes: Vec<u8>, ends: Expiry) -> Result<bool> {
        let saved = self
            .store
            .transact_async(&[key], |slots| {
                let lives = slots.get(0).is_some();
                if lives {
                    slots.insert(0, bytes, ends);
                }
                lives
            })
            .await?;
        if !saved {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(saved)
    }

    async fn touch(&self, key: Key, ends: Expiry) -> Result<bool> {
        self.store.set_expiry_async(&key, ends).await
    }

    async fn remove(&self, key: Key) -> Result<bool> {
        self.store.remove_async(&key).await
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A record that the store shares: no copy is made to read it.
pub(super) struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
