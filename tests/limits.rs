//! Limits: what is refused, and what makes room.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sessile::testing::ManualClock;
use sessile::{Background, Builder, Durability, Expiry, Store, WhenFull};
use support::faulty::{Call, Faults, FaultyFs};
use support::{Temp, key, within};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder().clock(clock.clone()).background(Background::Callers)
}

#[test]
fn one_session_too_many_is_refused_and_an_old_one_may_change() {
    let clock = ManualClock::new();
    let store = builder(&clock).max_sessions(2).in_memory().unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.insert_with(key(2), "two".into(), Expiry::After(DAY)).unwrap();
    assert!(store.insert(key(3), "three".into()).unwrap_err().is_full());
    store.insert(key(1), "one again".into()).unwrap();
    clock.advance(2 * DAY);
    store.insert(key(3), "three".into()).unwrap();
}

#[test]
fn where_it_was_chosen_the_nearest_deadline_makes_room() {
    let clock = ManualClock::new();
    let full = WhenFull::EvictNearestDeadline;
    let store = builder(&clock).max_sessions(20).when_full(full).in_memory().unwrap();
    for number in 0..100 {
        store.insert(key(number), "value".into()).unwrap();
    }
    assert_eq!(store.len(), 20);
    assert_eq!(store.stats().evicted, 80);
}

#[test]
fn a_store_may_be_larger_than_its_memory() {
    let (temp, clock) = (Temp::new(), ManualClock::new());
    let store = builder(&clock).max_memory(1 << 20).open(temp.path()).unwrap();
    for number in 0..200 {
        store.insert(key(number), "x".repeat(20_000)).unwrap();
    }
    assert!(store.stats().memory_bytes < 2 << 20, "{:?}", store.stats());
    for number in 0..200 {
        assert_eq!(store.get(&key(number)).unwrap().unwrap().len(), 20_000);
    }
    assert!(store.stats().memory_bytes < 2 << 20, "{:?}", store.stats());
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Told so, that is: nobody polls it in between.
#[test]
fn a_future_that_waits_for_room_gives_up_when_a_call_would() {
    within(Duration::from_secs(60), || {
        let (temp, faults, clock) = (Temp::new(), Faults::new(), ManualClock::new());
        let store = Store::<String>::builder().clock(clock.clone());
        let store = store.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
        let ((reached, seen), (open, gate)) = (channel(), channel::<()>());
        faults.fail(move |call, name| {
            if call == Call::Write && name.starts_with("log.") {
                let _ = reached.send(());
                let _ = gate.recv();
            }
            false
        });
        let writer = {
            let store = store.clone();
            std::thread::spawn(move || store.insert(key(0), "held up".into()))
        };
        // From now on nothing leaves the log's buffer.
        seen.recv().unwrap();
        let memory = store.at(Durability::Memory);
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        let poll = |future: Pin<&mut dyn Future<Output = sessile::Result<()>>>| {
            future.poll(&mut Context::from_waker(&waker))
        };
        let mut waiting = (1..1000)
            .map(|number| Box::pin(memory.insert_async(key(number), "x".repeat(60_000))))
            .find_map(|mut future| poll(future.as_mut()).is_pending().then_some(future))
            .expect("there is always room");
        clock.advance(Duration::from_millis(4900));
        assert!(woken.0.swap(0, Ordering::SeqCst) > 0, "it was not told");
        assert!(poll(waiting.as_mut()).is_pending(), "too soon");
        clock.advance(Duration::from_millis(200));
        assert!(woken.0.load(Ordering::SeqCst) > 0, "it was not told");
        match poll(waiting.as_mut()) {
            Poll::Ready(Err(error)) => assert!(error.is_full() && !error.is_unknown(), "{error}"),
            other => panic!("{other:?}"),
        }
        drop(open);
        writer.join().unwrap().unwrap();
    });
}
