//! A live session is found whatever others do to it meanwhile. Beside a store that changes the
//! session between every two looks at it.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::backend::{Backend, Embedded, Records, Work, block_on};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::log::Durability;
use crate::metrics::Stats;
use crate::session::events::Events;
use crate::session::record::Login;
use crate::session::shared::{Settings, WhenOwnerFull};
use crate::store::Store;
use crate::sync::atomic::AtomicU64;

/// Does something to its records at each look of somebody else.
struct Meddler {
    store: Embedded<Record>,
    meddle: Mutex<Option<Meddle>>,
}

type Meddle = Box<dyn FnMut(&Embedded<Record>) + Send>;

impl Backend<Record> for Meddler {
    fn get(&self, key: &Key) -> Work<'_, Option<Arc<Record>>> {
        let found = block_on(self.store.get(key));
        if let Some(meddle) = &mut *self.meddle.lock().unwrap() {
            meddle(&self.store);
        }
        Work::done(found)
    }

    fn peek(&self, key: &Key) -> Work<'_, Option<Arc<Record>>> {
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
        self.store.transact(purpose, keys, decide)
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

fn put(store: &Embedded<Record>, key: Key, kind: Kind) {
    let decide = &mut |slots: &mut Slots<Record>| {
        slots.insert(0, Record(kind.clone()), Expiry::After(Duration::from_secs(3600)));
    };
    block_on(store.transact(Purpose::Add(key), &[key], decide)).unwrap();
}

/// A session under `old` whose new id is `new`, not yet presented.
fn renewed(meddle: impl FnOnce(Body, Key) -> Option<Meddle>) -> (Shared, Key, Key) {
    let (old, new) = (Id::new().unwrap().key(), Id::new().unwrap().key());
    let settings = Settings {
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
    };
    let store = Embedded::new(Store::builder().in_memory().unwrap());
    let (now, place) = (store.now(), Place::from(new));
    let body = Body {
        created: now,
        ends: now.after(settings.absolute),
        saved: now,
        renewed: now,
        told: now,
        expiry: Default::default(),
        owner: None,
        data: Default::default(),
        flashes: Vec::new(),
        next: vec![place],
        first: None,
    };
    put(&store, old, Kind::Session(body.clone()));
    put(&store, new, Kind::Next(Place::from(old)));
    let backend = Box::new(Meddler { store, meddle: Mutex::new(meddle(body, old)) });
    let (events, clears) = (Events::default(), AtomicU64::new(0));
    (Shared { backend, settings, events, clears }, old, new)
}

/// Each time somebody else has logged in.
fn another_subject(mut body: Body, old: Key) -> Meddle {
    let mut number = 0;
    Box::new(move |store| {
        number += 1;
        let subject = number.to_string().into_boxed_str();
        body.owner = Some(Box::new(Login { subject, at: Timestamp::from_millis(0) }));
        put(store, old, Kind::Session(body.clone()));
    })
}

#[test]
fn an_id_is_promoted_when_it_is_presented() {
    let (shared, _, new) = renewed(|_, _| None);
    let live = block_on(shared.resolve(new)).unwrap().expect("there is a session");
    assert_eq!((live.key, live.moved, live.promoted), (new, false, true));
}

#[test]
fn a_session_that_changes_all_the_time_is_found_all_the_same() {
    let (shared, old, new) = renewed(|body, old| Some(another_subject(body, old)));
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.moved, live.promoted), (old, true, false));
    assert!(live.body().is_some());
    // The new id is as good as before.
    assert!(block_on(shared.backend.peek(&new)).unwrap().is_some());
}

#[test]
fn a_few_lost_races_are_not_lost_for_good() {
    let (shared, _, new) = renewed(|body, old| {
        let (mut times, mut meddle) = (0, another_subject(body, old));
        Some(Box::new(move |store| {
            times += 1;
            if times < 6 {
                meddle(store);
            }
        }))
    });
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.promoted), (new, true));
}

#[test]
fn a_way_that_does_not_end_is_an_error_and_no_anonymous_visitor() {
    let (shared, old, new) = renewed(|_, _| None);
    let ring = Embedded::new(Store::builder().in_memory().unwrap());
    put(&ring, old, Kind::Moved(Place::from(new)));
    put(&ring, new, Kind::Moved(Place::from(old)));
    let shared = Shared { backend: Box::new(ring), ..shared };
    assert!(block_on(shared.resolve(old)).is_err_and(|error| error.is_full()));
    let changed = shared.change::<()>(Purpose::Change, old, |_, _| unreachable!());
    assert!(block_on(changed).is_err_and(|error| error.is_full()));
}

#[test]
fn an_id_given_out_beside_a_promotion_leads_to_the_promoted_one() {
    let other = Id::new().unwrap().key();
    let (shared, _, new) = renewed(|mut body, old| {
        let mut times = 0;
        Some(Box::new(move |store| {
            times += 1;
            // Between the promotion's look at the session and its transaction.
            if times == 2 {
                body.next.push(Place::from(other));
                put(store, old, Kind::Session(body.clone()));
                put(store, other, Kind::Next(Place::from(old)));
            }
        }))
    });
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.promoted), (new, true));
    let record = block_on(shared.backend.peek(&other)).unwrap().expect("it is good");
    assert!(matches!(record.0, Kind::Next(place) if place == Place::from(new)));
}
