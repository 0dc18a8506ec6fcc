//! What adapters need of a store: records of bytes that are never brought back. Knows no ids.
//!
//! The one place that says where the records of others live: beside the sessions of this crate, in
//! the same store, under keys that none of them can have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::Purpose;
use crate::error::Result;
use crate::id::Key;
use crate::record::expiry::Expiry;
use crate::session::Sessions;
use crate::session::delta::check_growth;
use crate::session::record::{Kind, Record};

/// New ids to try before a creation gives up. One is enough unless the generator is broken.
pub(super) const TRIES: u32 = 8;

/// Records of bytes under keys. A clone is the same backend. Dropping a future undoes nothing.
#[derive(Clone)]
pub(super) struct Backend {
    sessions: Sessions,
    dropped: Arc<AtomicU64>,
}

impl Backend {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Backend { sessions: sessions.clone(), dropped: Arc::default() }
    }

    /// # Errors
    /// `is_too_large`, in memory and on disk at the same size.
    fn record(&self, bytes: Vec<u8>) -> Result<Arc<Record>> {
        let most = self.sessions.shared().settings.max_value_bytes;
        check_growth("the session", 0, bytes.len(), most)?;
        Ok(Arc::new(Record(Kind::Foreign(bytes.into()))))
    }

    /// Stores a record if there is none; false if there is one.
    pub(super) async fn create(&self, key: Key, bytes: Vec<u8>, ends: Expiry) -> Result<bool> {
        let record = self.record(bytes)?;
        let (shared, keys) = (self.sessions.shared(), [key]);
        let mut created = false;
        let create = shared.transact(Purpose::Add(key), &keys, |slots| {
            created = slots.get(0).is_none();
            if created {
                slots.set_shared(0, record.clone(), Some(ends));
            }
        });
        create.await?;
        shared.backend.reach(shared.settings.write_level).await?;
        Ok(created)
    }

    /// The record. Counts as an access, which changes nothing: their frameworks set deadlines.
    pub(super) async fn load(&self, key: Key) -> Result<Option<Foreign>> {
        let record = self.sessions.shared().backend.get(&key).await?;
        Ok(record.map(Foreign))
    }

    /// Replaces a record and its expiry if it is there; false: it is gone, and the save was
    /// dropped and counted.
    pub(super) async fn save(&self, key: Key, bytes: Vec<u8>, ends: Expiry) -> Result<bool> {
        let record = self.record(bytes)?;
        let (shared, keys) = (self.sessions.shared(), [key]);
        let mut saved = false;
        let save = shared.transact(Purpose::Change, &keys, |slots| {
            saved = slots.get(0).is_some();
            if saved {
                slots.set_shared(0, record.clone(), Some(ends));
            }
        });
        save.await?;
        if !saved {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        shared.backend.reach(shared.settings.write_level).await?;
        Ok(saved)
    }

    /// Gives a record another expiry; false if it is gone.
    #[cfg_attr(not(feature = "actix-session-0-11"), expect(dead_code, reason = "for actix"))]
    pub(super) async fn touch(&self, key: Key, ends: Expiry) -> Result<bool> {
        let (shared, keys) = (self.sessions.shared(), [key]);
        let mut there = false;
        let touch = shared.transact(Purpose::Change, &keys, |slots| {
            there = slots.get(0).is_some();
            slots.set_expiry(0, ends);
        });
        touch.await?;
        shared.backend.reach(shared.settings.write_level).await?;
        Ok(there)
    }

    /// Ends a record, and waits as the store's removals do; false if it was gone.
    pub(super) async fn remove(&self, key: Key) -> Result<bool> {
        let shared = self.sessions.shared();
        let removed = shared.backend.remove(&key).await?;
        shared.reach_removal().await?;
        Ok(removed)
    }

    /// Saves that came too late.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A record that the store shares: no copy is made to read it.
pub(super) struct Foreign(Arc<Record>);

impl AsRef<[u8]> for Foreign {
    fn as_ref(&self) -> &[u8] {
        match &self.0.0 {
            Kind::Foreign(bytes) => bytes,
            // Under an adapter's key lies nothing else; no bytes are no session of theirs.
            _ => &[],
        }
    }
}
