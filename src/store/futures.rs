//! The calls that wait, as futures: twins of the blocking ones, named after them.

use std::future::poll_fn;
use std::sync::Arc;

use crate::error::Result;
use crate::id::Key;
use crate::record::expiry::Expiry;
use crate::store::admit::{Admission, Class};
use crate::store::offload::offload;
use crate::store::{Slots, Store};

/// The twins that wait as futures. Dropping one undoes nothing that has begun.
impl<V: Clone + Send + Sync + 'static> Store<V> {
    async fn admit_async(&self, class: Class) -> Result<()> {
        let mut admission = Admission::new(class);
        poll_fn(|context| self.engine().poll_admit(&mut admission, context)).await
    }

    /// See [`insert`](Self::insert).
    ///
    /// # Errors
    /// As `insert`.
    pub async fn insert_async(&self, key: Key, value: V) -> Result<()> {
        self.insert_with_async(key, value, Expiry::Default).await
    }

    /// See [`insert_with`](Self::insert_with).
    ///
    /// # Errors
    /// As `insert`.
    pub async fn insert_with_async(&self, key: Key, value: V, expiry: Expiry) -> Result<()> {
        self.admit_async(Class::New(key)).await?;
        self.engine().insert(key, value, expiry, self.level)?.await
    }

    /// See [`create`](Self::create).
    ///
    /// # Errors
    /// As `create`.
    pub async fn create_async(&self, key: Key, value: V) -> Result<bool> {
        self.create_with_async(key, value, Expiry::Default).await
    }

    /// See [`create_with`](Self::create_with).
    ///
    /// # Errors
    /// As `create`.
    pub async fn create_with_async(&self, key: Key, value: V, expiry: Expiry) -> Result<bool> {
        self.admit_async(Class::New(key)).await?;
        self.engine().create(key, value, expiry, self.level)?.await
    }

    /// See [`update`](Self::update).
    ///
    /// # Errors
    /// As `update`.
    pub async fn update_async<R: Unpin>(
        &self,
        key: &Key,
        change: impl FnOnce(&mut V) -> R,
    ) -> Result<Option<R>> {
        self.admit_async(Class::Change).await?;
        self.engine().update(*key, change, self.level)?.await
    }

    /// See [`take`](Self::take).
    ///
    /// # Errors
    /// As `take`.
    pub async fn take_async(&self, key: &Key) -> Result<Option<Arc<V>>> {
        self.admit_async(Class::Removal).await?;
        self.engine().take(*key, self.level)?.await
    }

    /// See [`remove`](Self::remove).
    ///
    /// # Errors
    /// As `remove`.
    pub async fn remove_async(&self, key: &Key) -> Result<bool> {
        self.admit_async(Class::Removal).await?;
        self.engine().remove(*key, self.level)?.await
    }

    /// See [`rename`](Self::rename).
    ///
    /// # Errors
    /// As `rename`.
    pub async fn rename_async(&self, old: &Key, new: &Key) -> Result<bool> {
        self.admit_async(Class::Change).await?;
        self.engine().rename(*old, *new, self.level)?.await
    }

    /// See [`transact`](Self::transact).
    ///
    /// # Errors
    /// As `transact`.
    pub async fn transact_async<R: Unpin>(
        &self,
        keys: &[Key],
        decide: impl FnOnce(&mut Slots<V>) -> R,
    ) -> Result<R> {
        self.admit_async(Class::Change).await?;
        self.engine().transact(keys, decide, self.level)?.await
    }

    /// See [`set_expiry`](Self::set_expiry).
    ///
    /// # Errors
    /// As `set_expiry`.
    pub async fn set_expiry_async(&self, key: &Key, expiry: Expiry) -> Result<bool> {
        self.admit_async(Class::Change).await?;
        self.engine().set_expiry(*key, expiry, self.level)?.await
    }

    /// See [`clear`](Self::clear).
    ///
    /// # Errors
    /// As `clear`.
    pub async fn clear_async(&self) -> Result<()> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.clear()).await
    }

    /// See [`sync`](Self::sync).
    ///
    /// # Errors
    /// As `sync`.
    pub async fn sync_async(&self) -> Result<()> {
        self.engine().sync_point()?.await
    }

    /// See [`count`](Self::count).
    ///
    /// # Errors
    /// As `count`.
    pub async fn count_async(&self) -> Result<u64> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.count()).await
    }

    /// See [`flush`](Self::flush).
    ///
    /// # Errors
    /// As `flush`.
    pub async fn flush_async(&self) -> Result<()> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.flush()).await
    }

    /// See [`merge`](Self::merge).
    ///
    /// # Errors
    /// As `merge`.
    pub async fn merge_async(&self) -> Result<()> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.merge()).await
    }

    /// See [`heal`](Self::heal).
    ///
    /// # Errors
    /// As `heal`.
    pub async fn heal_async(&self) -> Result<()> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.heal()).await
    }

    /// See [`close`](Self::close).
    ///
    /// # Errors
    /// As `close`.
    pub async fn close_async(&self) -> Result<()> {
        self.engine().enter()?;
        let store = self.clone();
        offload(move || store.close()).await
    }
}
