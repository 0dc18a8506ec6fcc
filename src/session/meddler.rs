//! Sessions beside a store that does what no store does by itself, for the tests of this layer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{Backend, Embedded, Purpose, Records, Work, block_on};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::id::Key;
use crate::log::Durability;
use crate::metrics::Stats;
use crate::record::expiry::Expiry;
use crate::session::record::{Kind, Record};
use crate::session::shared::{Settings, Shared, WhenOwnerFull};
use crate::store::Slots;

/// Does something to its records at each look of somebody else, holds one that cannot be read,
/// fails, and counts who goes through all of them.
pub(super) struct Meddler {
    pub(super) store: Embedded<Record>,
    pub(super) meddle: Mutex<Option<Meddle>>,
    /// Until it is written to.
    pub(super) unreadable: Mutex<Option<Key>>,
    pub(super) walks: AtomicUsize,
    /// The next change fails, once it has been decided, with what this makes.
    pub(super) fail: Mutex<Option<Fail>>,
}

pub(super) type Meddle = Box<dyn FnMut(&Embedded<Record>) + Send>;
pub(super) type Fail = Box<dyn FnOnce() -> Error + Send>;

impl Meddler {
    pub(super) fn new(store: Embedded<Record>) -> Self {
        let (meddle, unreadable, fail) = Default::default();
        Meddler { store, meddle, unreadable, walks: AtomicUsize::new(0), fail }
    }
}

impl Backend<Record> for Meddler {
    fn get(&self, key: &Key) -> Work<'_, Option<Arc<Record>>> {
        let found = block_on(self.store.get(key));
        if let Some(meddle) = &mut *self.meddle.lock().unwrap() {
            meddle(&self.store);
        }
        Work::done(found)
    }

    fn peek(&self, key: &Key) -> Work<'_, Option<Arc<Record>>> {
        if *self.unreadable.lock().unwrap() == Some(*key) {
            return Work::done(Err(Error::new(ErrorKind::Corrupt, "it cannot be read")));
        }
        self.store.peek(key)
    }

    fn deadline(&self, key: &Key) -> Work<'_, Option<Timestamp>> {
        self.store.deadline(key)
    }

    fn transact<'a>(
        &'a self,
        purpose: Purpose,
        keys: &'a [Key],
        decide: &'a mut (dyn FnMut(&mut Slots<Record>) + Send),
    ) -> Work<'a, ()> {
        self.unreadable.lock().unwrap().take_if(|unreadable| keys.contains(unreadable));
        let failing = self.fail.lock().unwrap().take();
        let Some(fail) = failing else { return self.store.transact(purpose, keys, decide) };
        let decided = &mut |slots: &mut Slots<Record>| {
            decide(slots);
            slots.discard();
        };
        Work::done(block_on(self.store.transact(purpose, keys, decided)).and_then(|()| Err(fail())))
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Work<'a, bool> {
        self.store.remove(key)
    }

    fn clear(&self) -> Work<'_, ()> {
        self.store.clear()
    }

    fn purge(&self) -> Work<'_, ()> {
        self.store.purge()
    }

    fn reach(&self, level: Durability) -> Work<'_, ()> {
        self.store.reach(level)
    }

    fn records(&self) -> Records<Record> {
        self.walks.fetch_add(1, Ordering::SeqCst);
        self.store.records()
    }

    fn now(&self) -> Timestamp {
        self.store.now()
    }

    fn len(&self) -> u64 {
        self.store.len()
    }

    fn is_nearly_full(&self) -> bool {
        self.store.is_nearly_full()
    }

    fn close(&self) -> Work<'_, ()> {
        self.store.close()
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }
}

pub(super) fn put(store: &Embedded<Record>, key: Key, kind: Kind) {
    let decide = &mut |slots: &mut Slots<Record>| {
        slots.insert(0, Record(kind.clone()), Expiry::After(Duration::from_secs(3600)));
    };
    block_on(store.transact(Purpose::Add(key), &[key], decide)).unwrap();
}

pub(super) fn settings() -> Settings {
    Settings {
        idle: None,
        anonymous_idle: None,
        absolute: Duration::from_secs(3600),
        renew_every: None,
        grace: Duration::from_secs(60),
        per_owner: 3,
        when_owner_full: WhenOwnerFull::EndOldest,
        anonymous_max: None,
        max_value_bytes: 1 << 16,
        write_level: Durability::Memory,
        removal_level: Durability::Memory,
    }
}

pub(super) fn shared(backend: Arc<dyn Backend<Record>>) -> Shared {
    Shared::new(backend, settings(), Default::default())
}
