//! What was read before the stripe was locked is looked at again under it.

use std::cell::RefCell;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sessile::testing::{Call, ManualClock};
use sessile::{Background, Durability, Expiry, Store};

use super::{SECOND, Stage, key, on, text, value};

/// A store in which key 1 is in a base and not in memory.
fn cold(clock: &ManualClock) -> (Stage, Store<String>) {
    let stage = Stage::new();
    let store = on(clock).open_fs(stage.open()).unwrap();
    store.insert_with(key(1), "old".into(), Expiry::Idle(60 * SECOND)).unwrap();
    store.close().unwrap();
    let store = on(clock).open_fs(stage.open()).unwrap();
    (stage, store)
}

/// At each of the reads of a base that `call` makes, once: `meanwhile` happens before the reader
/// has what it read.
fn at_each_read(
    prepare: impl Fn(&Store<String>),
    meanwhile: fn(&Store<String>, &ManualClock),
    call: impl Fn(&Store<String>),
    check: impl Fn(&Store<String>, &str),
) {
    let mut acted = 0;
    for skip in 0..8 {
        let clock = ManualClock::new();
        let (stage, store) = cold(&clock);
        prepare(&store);
        for _ in 0..skip {
            stage.after(Call::ReadImage, "base.", || ());
        }
        let (other, by_hand) = (store.clone(), clock.clone());
        stage.after(Call::ReadImage, "base.", move || meanwhile(&other, &by_hand));
        call(&store);
        if !stage.is_done() {
            break;
        }
        acted += 1;
        let when = format!("at read {skip}");
        check(&store, &when);
        let left = on(&clock).open_fs(std::sync::Arc::new(stage.fs.kill())).unwrap();
        check(&left, &format!("{when}, killed"));
    }
    assert!(acted > 0, "no base was read");
}

fn nothing(_: &Store<String>) {}

fn gone(store: &Store<String>, when: &str) {
    assert_eq!(value(store, 1), None, "{when}");
    assert_eq!(store.count().unwrap(), 0, "{when}");
}

fn removed(store: &Store<String>, _: &ManualClock) {
    assert!(store.remove(&key(1)).unwrap());
    // The tombstone has gone into a base, and left memory.
    store.flush().unwrap();
}

#[test]
fn a_write_looks_again_under_the_stripe() {
    at_each_read(nothing, removed, |s| _ = s.update(&key(1), |v| v.push('!')).unwrap(), gone);
    at_each_read(nothing, removed, |s| drop(s.take(&key(1)).unwrap()), gone);
    at_each_read(nothing, removed, |s| _ = s.rename(&key(1), &key(2)).unwrap(), gone);
    let longer = |s: &Store<String>| drop(s.set_expiry(&key(1), Expiry::After(500 * SECOND)));
    at_each_read(nothing, removed, longer, gone);
    let update = |slots: &mut sessile::Slots<String>| {
        if slots.get(0).is_some() {
            slots.set(0, "late".into());
        }
    };
    at_each_read(nothing, removed, |s| s.transact(&[key(1)], update).unwrap(), gone);
}

#[test]
fn a_reader_does_not_bring_back_what_was_removed() {
    at_each_read(nothing, removed, |s| drop(s.get(&key(1)).unwrap()), gone);
    let not_flushed = |s: &Store<String>, _: &ManualClock| assert!(s.remove(&key(1)).unwrap());
    at_each_read(nothing, not_flushed, |s| drop(s.get(&key(1)).unwrap()), gone);
}

#[test]
fn what_ends_during_a_cold_read_stays_ended() {
    let ends = |_: &Store<String>, clock: &ManualClock| clock.advance(200 * SECOND);
    let over = |store: &Store<String>, when: &str| assert_eq!(value(store, 1), None, "{when}");
    at_each_read(nothing, ends, |s| drop(s.get(&key(1)).unwrap()), over);
    at_each_read(nothing, ends, |s| _ = s.update(&key(1), |v| v.push('!')).unwrap(), over);
    // Another one that has ended says whether this one had when it was looked for.
    let other = |s: &Store<String>| {
        s.insert_with(key(9), "one".into(), Expiry::After(100 * SECOND)).unwrap();
    };
    let take = |s: &Store<String>| {
        let taken = s.take(&key(1)).unwrap();
        assert_eq!(taken.is_some(), value(s, 9).is_some());
    };
    at_each_read(other, ends, take, over);
}

#[test]
fn what_is_written_during_a_cold_read_stays() {
    // Only the times are in memory.
    let times =
        |s: &Store<String>| assert!(s.set_expiry(&key(1), Expiry::After(SECOND * 500)).unwrap());
    let write = |s: &Store<String>, _: &ManualClock| s.insert(key(1), "new".into()).unwrap();
    let new = |store: &Store<String>, when: &str| {
        assert_eq!(value(store, 1).as_deref(), Some("new"), "{when}");
    };
    at_each_read(times, write, |s| drop(s.get(&key(1)).unwrap()), new);
    at_each_read(nothing, write, |s| drop(s.get(&key(1)).unwrap()), new);
}

/// Written, flushed, let go by a full memory, given new times: cold as before, and another value.
#[test]
fn a_write_looks_again_where_only_the_times_are_in_memory() {
    let clock = ManualClock::new();
    let stage = Stage::new();
    let open =
        || on(&clock).max_memory(1 << 20).segment_bytes(1 << 20).open_fs(stage.open()).unwrap();
    let store = open();
    store.insert_with(key(1), "old".into(), Expiry::Idle(60 * SECOND)).unwrap();
    store.close().unwrap();
    let store = open();
    let times = |store: &Store<String>| {
        assert!(store.set_expiry(&key(1), Expiry::After(500 * SECOND)).unwrap());
    };
    times(&store);
    let other = store.at(Durability::Memory);
    stage.after(Call::ReadImage, "base.", move || {
        other.insert_with(key(1), "new".into(), Expiry::After(400 * SECOND)).unwrap();
        other.flush().unwrap();
        for number in 0..4000 {
            let before = other.stats().cold_reads;
            let new = other.peek(&key(1)).unwrap().unwrap();
            assert_eq!(*new, "new");
            if other.stats().cold_reads > before {
                return assert!(other.set_expiry(&key(1), Expiry::After(500 * SECOND)).unwrap());
            }
            other.insert(key(1000 + number), text(30_000)).unwrap();
        }
        panic!("it never left memory");
    });
    store.update(&key(1), |value| value.push('!')).unwrap().unwrap();
    assert!(stage.is_done());
    assert_eq!(value(&store, 1).as_deref(), Some("new!"));
}

thread_local! {
    static ENCODING: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static DECODING: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// Calls back, once, while it is encoded or decoded.
#[derive(Clone, Debug, PartialEq)]
struct Slow(String);

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(act) = ENCODING.with_borrow_mut(Option::take) {
            act();
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        if let Some(act) = DECODING.with_borrow_mut(Option::take) {
            act();
        }
        Ok(Slow(value))
    }
}

#[test]
fn what_is_written_while_a_replayed_value_is_decoded_stays() {
    type Deed = fn(&Store<Slow>);
    let writes: [(&str, Deed, Option<&str>); 2] = [
        ("insert", |store| store.insert(key(1), Slow("new".into())).unwrap(), Some("new")),
        ("remove", |store| assert!(store.remove(&key(1)).unwrap()), None),
    ];
    for (name, write, expected) in writes {
        let open = |fs| {
            let builder = Store::<Slow>::builder().background(Background::Callers);
            builder.open_fs(std::sync::Arc::new(fs)).unwrap()
        };
        let stage = Stage::new();
        let store = open(stage.fs.clone());
        store.insert(key(1), Slow("old".into())).unwrap();
        let replayed = open(stage.fs.kill());
        let other = replayed.clone();
        DECODING.set(Some(Box::new(move || write(&other))));
        let _ = replayed.get(&key(1)).unwrap();
        assert!(DECODING.with_borrow(Option::is_none), "{name}: it was not decoded");
        let now = replayed.get(&key(1)).unwrap();
        assert_eq!(now.as_ref().map(|value| value.0.as_str()), expected, "{name}");
    }
}

/// It had begun before the store was closed, and comes to the log after that.
#[test]
fn a_write_that_comes_too_late_is_refused() {
    let stage = Stage::new();
    let builder = Store::<Slow>::builder().background(Background::Callers);
    let store = builder.open_fs(stage.open()).unwrap();
    store.insert(key(1), Slow("old".into())).unwrap();
    let other = store.clone();
    ENCODING.set(Some(Box::new(move || other.close().unwrap())));
    let error = store.insert(key(2), Slow("late".into())).unwrap_err();
    assert!(error.is_closed() && !error.is_unknown(), "{error:?}");
}
