//! Memory: the store itself, generic over its values.
//!
//! `engine` has the order of a write; `map` and `stripe` what is in memory, `wheel` when it ends,
//! `disk` what is below; `read`, `write`, `group` the verbs, each in a file.

mod admit;
mod apply;
mod builder;
mod current;
pub(crate) mod disk;
mod engine;
mod expire;
mod flush;
mod futures;
mod group;
mod iter;
mod keeper;
mod lists;
mod map;
mod merge;
mod offload;
pub(crate) mod open;
#[cfg(all(test, loom))]
mod orders;
mod owner;
mod pending;
mod prolong;
mod read;
mod replay;
pub(crate) mod slab;
mod stats;
mod stripe;
pub(crate) mod time;
pub(crate) mod wheel;
mod write;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::Key;
use crate::log::Durability;
use crate::metrics::Stats;
use crate::record::expiry::Expiry;

pub use builder::{Background, Builder, Read};
pub use engine::{WhenFull, Written};
pub use group::Slots;
pub use open::{Recovery, Salvage};
pub use time::SuspectClock;

#[cfg(feature = "session")]
pub(crate) use admit::Admission;
pub(crate) use admit::Class;
#[cfg(feature = "session")]
pub(crate) use current::Need;
use engine::Engine;
#[cfg(feature = "session")]
pub(crate) use engine::Inside;
use iter::Walk;
#[cfg(feature = "session")]
pub(crate) use offload::offload;
pub(crate) use owner::Owner;
use read::Touch;

/// An embedded store of sessions: a concurrent map with expiry, kept on disk by a log and
/// immutable snapshots.
///
/// A handle is cheap to clone and may be used from any number of threads; the store closes when
/// [`close`](Self::close) is called or the last handle is dropped. Calls that wait block the
/// thread; each has a twin whose name ends in `_async` and that waits as a future.
///
/// No call may be made from inside the closure of [`update`](Self::update) or
/// [`transact`](Self::transact): that is an error (`is_reentrant`), on every store.
pub struct Store<V: Clone + Send + Sync + 'static> {
    owner: Arc<Owner<V>>,
    level: Option<Durability>,
}

impl<V: Clone + Send + Sync + 'static> Clone for Store<V> {
    fn clone(&self) -> Self {
        Store { owner: self.owner.clone(), level: self.level }
    }
}

impl<V: Clone + Send + Sync + 'static> std::fmt::Debug for Store<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("sessions", &self.len()).finish_non_exhaustive()
    }
}

impl<V> Store<V>
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// The options of a new store.
    pub fn builder() -> Builder<V> {
        Builder::new()
    }
}

impl<V: Clone + Send + Sync + 'static> Store<V> {
    fn of(owner: Owner<V>) -> Self {
        Store { owner: Arc::new(owner), level: None }
    }

    pub(crate) fn engine(&self) -> &Engine<V> {
        self.owner.engine()
    }

    /// A handle whose calls wait for this level instead of the store's own.
    pub fn at(&self, level: Durability) -> Store<V> {
        Store { owner: self.owner.clone(), level: Some(level) }
    }

    /// The session of `key`, its idle deadline extended; `None` if there is none, or no longer.
    ///
    /// A warm one costs a look into the map: no write lock, no allocation, no system call. A cold
    /// one is copied from a base, verified and decoded, and usually brought into memory.
    ///
    /// # Errors
    /// `is_corrupt` or `is_decode` for a cold session that is damaged; `is_closed`.
    pub fn get(&self, key: &Key) -> Result<Option<Arc<V>>> {
        self.engine().get(key, Touch::Yes)
    }

    /// Like [`get`](Self::get), extending nothing and leaving cold what is cold.
    ///
    /// # Errors
    /// As `get`.
    pub fn peek(&self, key: &Key) -> Result<Option<Arc<V>>> {
        self.engine().get(key, Touch::No)
    }

    /// Stores a session under the store's own expiry, replacing any that is there.
    ///
    /// # Errors
    /// `is_too_large`, `is_full`, `is_disk_full`, `is_poisoned`, `is_closed`: nothing happened.
    /// With `is_unknown` it is visible but may not last.
    pub fn insert(&self, key: Key, value: V) -> Result<()> {
        self.insert_with(key, value, Expiry::Default)
    }

    /// Like [`insert`](Self::insert), with an expiry of its own.
    ///
    /// # Errors
    /// As `insert`.
    pub fn insert_with(&self, key: Key, value: V, expiry: Expiry) -> Result<()> {
        self.engine().admit(Class::New(key))?;
        self.engine().insert(key, value, expiry, self.level)?.wait()
    }

    /// Stores a session if there is none under `key`; false if there is one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert); `is_corrupt` if damage hides whether there is one.
    pub fn create(&self, key: Key, value: V) -> Result<bool> {
        self.create_with(key, value, Expiry::Default)
    }

    /// Like [`create`](Self::create), with an expiry of its own.
    ///
    /// # Errors
    /// As `create`.
    pub fn create_with(&self, key: Key, value: V, expiry: Expiry) -> Result<bool> {
        self.engine().admit(Class::New(key))?;
        self.engine().create(key, value, expiry, self.level)?.wait()
    }

    /// Changes a session in place, atomically: of any number of callers each sees the one
    /// before. `None` if there is none; it is never made by this. Counts as a touch.
    ///
    /// The closure runs on a copy, under the lock of the key's stripe: keep it short. If it
    /// panics nothing has changed.
    ///
    /// # Errors
    /// As [`insert`](Self::insert); `is_corrupt`, `is_decode` for a cold one that is damaged.
    pub fn update<R>(&self, key: &Key, change: impl FnOnce(&mut V) -> R) -> Result<Option<R>> {
        self.engine().admit(Class::Change)?;
        self.engine().update(*key, change, self.level)?.wait()
    }

    /// Ends a session and returns it: to exactly one caller, however many ask at once.
    ///
    /// # Errors
    /// As [`remove`](Self::remove); `is_corrupt`, `is_decode` for a cold one that is damaged.
    pub fn take(&self, key: &Key) -> Result<Option<Arc<V>>> {
        self.engine().admit(Class::Removal)?;
        self.engine().take(*key, self.level)?.wait()
    }

    /// Ends a session; false if there was none. Either way, what this says is durable when it
    /// returns. Damage in a base does not prevent it.
    ///
    /// # Errors
    /// `is_closed`. With `is_unknown`, it has ended in memory but may come back after a crash
    /// until [`heal`](Self::heal) has succeeded.
    pub fn remove(&self, key: &Key) -> Result<bool> {
        self.engine().admit(Class::Removal)?;
        self.engine().remove(*key, self.level)?.wait()
    }

    /// Moves a session to another key with all its times, replacing what is there: never both,
    /// never neither. False if there is none.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn rename(&self, old: &Key, new: &Key) -> Result<bool> {
        self.engine().admit(Class::Change)?;
        self.engine().rename(*old, *new, self.level)?.wait()
    }

    /// Reads and changes several sessions as one whole: other callers, and a crash, see all of
    /// what the closure decided or none of it. At most 1024 keys, each once.
    ///
    /// The closure runs under the locks of all keys' stripes: keep it short. If it panics nothing
    /// has changed. If it ends a session, or shortens one, the call waits as a removal does.
    ///
    /// # Errors
    /// As [`update`](Self::update); `is_too_large` for more than 16 MiB encoded.
    pub fn transact<R>(&self, keys: &[Key], decide: impl FnOnce(&mut Slots<V>) -> R) -> Result<R> {
        self.engine().admit(Class::Change)?;
        self.engine().transact(keys, decide, self.level)?.wait()
    }

    /// Gives a session another expiry, from now on; false if there is none. One that ends sooner
    /// waits as a removal does.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn set_expiry(&self, key: &Key, expiry: Expiry) -> Result<bool> {
        self.engine().admit(Class::Change)?;
        self.engine().set_expiry(*key, expiry, self.level)?.wait()
    }

    /// When the session ends if nobody reads it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn deadline(&self, key: &Key) -> Result<Option<Timestamp>> {
        self.engine().deadline(key)
    }

    /// The time as the store sees it, to an eighth of a second: what deadlines are judged by.
    pub fn now(&self) -> Timestamp {
        let time = &self.engine().time;
        time.epoch().time(time.now())
    }

    /// About how many sessions there are: exact in memory, an estimate where sessions on disk
    /// have expired or were overwritten unread. [`count`](Self::count) corrects it. Costs one
    /// load.
    pub fn len(&self) -> u64 {
        self.engine().len()
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts the sessions by looking at each: exact if nothing changes meanwhile.
    ///
    /// # Errors
    /// `is_corrupt` if a base is damaged; errors of the file system.
    pub fn count(&self) -> Result<u64> {
        self.engine().recount()
    }

    /// Goes through all sessions in no order that means anything. Holds nothing between two
    /// steps: a session that lives throughout is met exactly once, one that comes or goes may be
    /// met or not. Reads values without touching them.
    pub fn iter(&self) -> Iter<V> {
        Iter { store: self.clone(), walk: Walk::default(), failed: false }
    }

    /// The same, going on after an error that is about something damaged.
    #[cfg(feature = "session")]
    pub(crate) fn iter_legible(&self) -> Iter<V> {
        Iter { store: self.clone(), walk: Walk::lenient(), failed: false }
    }

    /// Ends all sessions at once; the time it takes does not depend on how many there are.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn clear(&self) -> Result<()> {
        self.engine().admit(Class::Removal)?;
        self.engine().clear(self.level)?.wait()
    }

    /// Returns when everything that happened before is on disk.
    ///
    /// # Errors
    /// `is_poisoned`, `is_disk_full`, `is_closed`.
    pub fn sync(&self) -> Result<()> {
        self.engine().sync_point()?.wait()
    }

    /// Writes what has changed since the last flush into a base, so that the log before it can
    /// go. Happens by itself when the log has grown by `flush_bytes`.
    ///
    /// # Errors
    /// Those of the file system. The store goes on as before.
    pub fn flush(&self) -> Result<()> {
        self.engine().enter()?;
        self.engine().flush()
    }

    /// Merges all bases into one and drops what has ended. Happens by itself, more sparingly.
    ///
    /// # Errors
    /// Those of the file system; `is_decode` of a migration. The store goes on as before.
    pub fn merge(&self) -> Result<()> {
        self.engine().enter()?;
        self.engine().merge()
    }

    /// Takes the store out of a failed state: writes what is in memory into a new base and begins
    /// a new log after it. What was `is_unknown` is durable then. Does no harm to a healthy one.
    ///
    /// # Errors
    /// What stands in the way; the state is what it was.
    pub fn heal(&self) -> Result<()> {
        self.engine().enter()?;
        self.engine().heal()
    }

    /// The store's figures.
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// Flushes, syncs and lets the directory go. Other handles get `is_closed` from then on.
    /// Dropping the last handle does the same, but has nobody to tell of an error.
    ///
    /// # Errors
    /// Those of the file system: what was acknowledged at its level is safe all the same.
    pub fn close(&self) -> Result<()> {
        self.owner.close()
    }
}

/// All sessions of a store; see [`Store::iter`].
pub struct Iter<V: Clone + Send + Sync + 'static> {
    store: Store<V>,
    walk: Walk,
    failed: bool,
}

impl<V: Clone + Send + Sync + 'static> Iterator for Iter<V> {
    type Item = Result<(Key, Arc<V>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.store.engine().next_session(&mut self.walk);
        self.failed = next.as_ref().is_err_and(|error| self.walk.ends_with(error));
        next.transpose()
    }
}
