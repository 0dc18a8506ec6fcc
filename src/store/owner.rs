//! The one who closes a store: when asked to, or when the last handle is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result};
use crate::store::engine::Engine;
use crate::store::keeper::Keeper;
use crate::sync::Mutex;

/// What all handles of a store share.
pub(crate) struct Owner<V: Clone> {
    engine: Arc<Engine<V>>,
    keeper: Keeper,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
    pid: u32,
}

impl<V: Clone> Owner<V> {
    pub(crate) fn new(
        engine: Arc<Engine<V>>,
        keeper: Keeper,
        lock: Option<Box<dyn Send + Sync>>,
    ) -> Self {
        Owner { engine, keeper, lock: Mutex::new(lock), pid: std::process::id() }
    }

    pub(crate) fn engine(&self) -> &Engine<V> {
        &self.engine
    }

    /// See [`Store::close`](crate::Store::close).
    pub(crate) fn close(&self) -> Result<()> {
        self.engine.enter()?;
        if self.pid != std::process::id() || self.engine.closed.swap(true, Ordering::AcqRel) {
            return Err(Error::closed());
        }
        self.keeper.stop(&self.engine);
        let result = self.engine.shut_down();
        // Last: whoever takes the directory next must find it as we leave it.
        drop(self.lock.lock().take());
        result
    }
}

impl<V: Clone> Drop for Owner<V> {
    fn drop(&mut self) {
        // In a fork nothing of this is ours: neither the threads nor the directory.
        if self.pid == std::process::id() {
            let _ = self.close();
        }
    }
}

impl<V: Clone> Engine<V> {
    /// Brings everything to disk. The store is closed to callers and has no threads any more.
    fn shut_down(&self) -> Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        if disk.log.is_poisoned() {
            disk.log.close();
            return Err(disk.log.failure());
        }
        self.look_at_all_due();
        self.log_all_touches();
        // Whoever is in the middle of a write has appended it before this, and then it is flushed,
        // or is refused.
        disk.log.close();
        let _turn = disk.flush.lock();
        let flushed = self.flush_as_holder(disk, false);
        let synced = disk.log.sync();
        flushed.and(synced)
    }
}
