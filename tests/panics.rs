//! Panics and errors in the code of users, wherever the store calls it: nothing is lost, nothing
//! half done, nobody is blocked, and what runs in the background goes on.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use sessile::{Background, Builder, Expiry, Store};
use support::{Temp, block_on, key, within};

const LIMIT: Duration = Duration::from_secs(60);

thread_local! {
    /// What the values of this thread do next.
    static MOOD: Cell<&'static str> = const { Cell::new("") };
}

fn mood(what: &'static str) {
    MOOD.set(what);
}

fn panic_in(what: &str) {
    if MOOD.get() == what {
        panic!("on purpose, in {what}");
    }
}

/// A value whose every method can be made to fail: by the thread's mood, or by its own text.
#[derive(Debug, PartialEq)]
struct Touchy(String);

impl Clone for Touchy {
    fn clone(&self) -> Self {
        panic_in("clone");
        Touchy(self.0.clone())
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_in("drop");
            assert!(self.0 != "panics when dropped", "on purpose, in drop");
        }
    }
}

static SOUR: AtomicBool = AtomicBool::new(false);

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        panic_in("serialize");
        if MOOD.get() == "refuse" {
            return Err(ser::Error::custom("on purpose"));
        }
        if SOUR.load(Ordering::SeqCst) {
            assert!(self.0 != "panics in a flush", "on purpose, in a flush");
            if self.0 == "refuses in a flush" {
                return Err(ser::Error::custom("on purpose, in a flush"));
            }
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        panic_in("deserialize");
        let text = String::deserialize(deserializer)?;
        if MOOD.get() == "refuse" { Err(de::Error::custom("on purpose")) } else { Ok(Touchy(text)) }
    }
}

fn touchy(text: &str) -> Touchy {
    Touchy(text.to_owned())
}

fn builder() -> Builder<Touchy> {
    Store::builder()
}

/// Runs `call` while values panic in `what`; says whether it panicked.
fn panics(what: &'static str, call: impl FnOnce()) -> bool {
    mood(what);
    let result = catch_unwind(AssertUnwindSafe(call));
    mood("");
    result.is_err()
}

#[track_caller]
fn holds(store: &Store<Touchy>, number: u64, expected: Option<&str>) {
    let value = store.peek(&key(number)).unwrap();
    assert_eq!(value.as_ref().map(|value| value.0.as_str()), expected, "key {number}");
}

/// Every call on these keys works, from this thread and from another.
#[track_caller]
fn check_usable(store: &Store<Touchy>) {
    let other = store.clone();
    let work = move || {
        for number in 0..10 {
            let scratch = key(1000 + number);
            other.insert(scratch, touchy("scratch")).unwrap();
            assert!(other.update(&key(number), |_| ()).unwrap().is_some() || number > 3);
            assert!(other.update(&scratch, |value| value.0.push('!')).unwrap().is_some());
            other.transact(&[key(number), scratch], |_| ()).unwrap();
            assert!(other.remove(&scratch).unwrap());
        }
        other.sync().unwrap();
    };
    work.clone()();
    within(LIMIT, work);
}

/// The keys 0 to 3 with the values a to d: two in memory, two only on disk.
fn prepared() -> (Temp, Store<Touchy>) {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    store.insert(key(2), touchy("c")).unwrap();
    store.insert(key(3), touchy("d")).unwrap();
    store.close().unwrap();
    let store = builder().open(temp.path()).unwrap();
    store.insert(key(0), touchy("a")).unwrap();
    store.insert(key(1), touchy("b")).unwrap();
    (temp, store)
}

#[track_caller]
fn check_unchanged(temp: Temp, store: Store<Touchy>) {
    let holds_all = |store: &Store<Touchy>| {
        for (number, value) in ["a", "b", "c", "d"].into_iter().enumerate() {
            holds(store, number as u64, Some(value));
        }
        holds(store, 9, None);
    };
    check_usable(&store);
    holds_all(&store);
    store.flush().unwrap();
    store.merge().unwrap();
    store.close().unwrap();
    let store = builder().open(temp.path()).unwrap();
    holds_all(&store);
}

#[test]
fn a_panic_in_a_closure_changes_nothing() {
    let (temp, store) = prepared();
    for number in [0, 2] {
        assert!(panics("", || {
            let _ = store.update(&key(number), |value| {
                value.0.clear();
                panic!("on purpose, in update")
            });
        }));
        assert!(panics("", || {
            let _ = store.transact(&[key(number), key(1), key(9)], |slots| {
                slots.remove(0);
                slots.set(1, touchy("no"));
                slots.set(2, touchy("no"));
                panic!("on purpose, in transact")
            });
        }));
        assert!(panics("", || {
            let _ = block_on(store.update_async(&key(number), |_| panic!("on purpose")));
        }));
        assert!(panics("", || {
            let _ = store.transact(&[key(number)], |slots| slots.set(1, touchy("no such slot")));
        }));
    }
    check_unchanged(temp, store);
}

#[test]
fn rustsec_2025_0024_rustsec_2026_0205_a_panic_in_the_methods_of_a_value_changes_nothing() {
    let (temp, store) = prepared();
    for what in ["clone", "serialize"] {
        for number in [0, 2] {
            assert!(panics(what, || drop(store.update(&key(number), |value| value.0.push('x')))));
        }
    }
    // What only moves is not copied.
    for number in [0, 2] {
        assert!(panics("serialize", || drop(store.rename(&key(number), &key(9)))));
        assert!(!store.rename(&key(9), &key(number)).unwrap());
    }
    assert!(!panics("clone", || drop(store.rename(&key(0), &key(9)))));
    assert!(store.rename(&key(9), &key(0)).unwrap());
    for call in [Store::<Touchy>::insert, |store: &Store<Touchy>, key, value| {
        store.create(key, value).map(drop)
    }] {
        assert!(panics("serialize", || drop(call(&store, key(9), touchy("no")))));
    }
    assert!(panics("deserialize", || drop(store.get(&key(2)))));
    assert!(panics("deserialize", || drop(store.take(&key(3)))));
    assert!(panics("deserialize", || {
        store.iter().count();
    }));
    check_unchanged(temp, store);
}

#[test]
fn an_error_in_the_methods_of_a_value_changes_nothing() {
    let (temp, store) = prepared();
    mood("refuse");
    assert!(store.insert(key(0), touchy("no")).unwrap_err().is_decode());
    assert!(store.create(key(9), touchy("no")).unwrap_err().is_decode());
    assert!(store.update(&key(0), |value| value.0.clear()).unwrap_err().is_decode());
    let error = store.transact(&[key(0), key(1)], |slots| {
        slots.remove(0);
        slots.set(1, touchy("no"));
    });
    assert!(error.unwrap_err().is_decode());
    assert!(store.get(&key(2)).unwrap_err().is_decode());
    assert!(store.take(&key(3)).unwrap_err().is_decode());
    mood("");
    check_unchanged(temp, store);
}

#[test]
fn a_panic_when_an_old_value_is_dropped_blocks_nobody() {
    let (temp, store) = prepared();
    panics("drop", || drop(store.insert(key(0), touchy("a"))));
    panics("drop", || drop(store.update(&key(1), |value| value.0 = String::from("b"))));
    panics("drop", || {
        let _ = store.transact(&[key(0), key(1)], |slots| {
            slots.set(0, touchy("a"));
            slots.set(1, touchy("b"));
        });
    });
    panics("drop", || drop(store.remove(&key(0))));
    store.insert(key(0), touchy("a")).unwrap();
    panics("drop", || drop(store.take(&key(1))));
    store.insert(key(1), touchy("b")).unwrap();
    check_unchanged(temp, store);
}

/// The store's own threads drop values too. Were one to end, time would stand still: nothing
/// would expire any more.
#[test]
fn a_panic_on_the_stores_own_threads_ends_none_of_them() {
    let temp = Temp::new();
    let soon = Expiry::After(Duration::from_millis(200));
    for store in [builder().open(temp.path()).unwrap(), builder().in_memory().unwrap()] {
        for number in 0..20 {
            store.insert_with(key(number), touchy("panics when dropped"), soon).unwrap();
        }
        let until = Instant::now() + LIMIT;
        while store.get(&key(0)).unwrap().is_some() || store.stats().expired == 0 {
            assert!(Instant::now() < until, "they never end");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(500));
        store.insert_with(key(99), touchy("ends too"), soon).unwrap();
        while store.get(&key(99)).unwrap().is_some() {
            assert!(Instant::now() < until, "time stands still");
            std::thread::sleep(Duration::from_millis(50));
        }
        store.close().unwrap();
    }
}

/// A value encodes when it is written, and again when it is flushed. If it does not then, the
/// flush must fail, or keep what was written: the log is all that has it.
#[test]
fn a_value_that_does_not_encode_in_a_flush_is_not_lost() {
    for kind in ["panics in a flush", "refuses in a flush"] {
        for background in [Background::Callers, Background::Threads] {
            let temp = Temp::new();
            let open = || builder().background(background).open(temp.path()).unwrap();
            let store = open();
            for number in 0..20 {
                store.insert(key(number), touchy("value")).unwrap();
            }
            store.insert(key(50), touchy(kind)).unwrap();
            SOUR.store(true, Ordering::SeqCst);
            let failed = catch_unwind(AssertUnwindSafe(|| store.flush()));
            println!("{kind}: {failed:?}");
            SOUR.store(false, Ordering::SeqCst);
            // A flush that others do with it must not leave it out either.
            store.insert(key(60), touchy("later")).unwrap();
            store.flush().unwrap();
            holds(&store, 50, Some(kind));
            let copy = temp.copy();
            let reopened = builder().open(copy.path()).unwrap();
            for number in 0..20 {
                holds(&reopened, number, Some("value"));
            }
            holds(&reopened, 50, Some(kind));
            holds(&reopened, 60, Some("later"));
            drop(reopened);
            store.close().unwrap();
            holds(&open(), 50, Some(kind));
        }
    }
}
