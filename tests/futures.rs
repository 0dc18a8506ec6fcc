//! The calls that wait as futures: the same answers, nothing undone by dropping one, and many at
//! once on one thread.
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sessile::{Background, Durability, Expiry, Store};
use support::{Temp, block_on, key, within};

const LIMIT: Duration = Duration::from_secs(60);

fn text(text: &str) -> String {
    text.to_owned()
}

/// Drives all of them on this thread, in turns, and returns what they return.
fn join_all<'a, T>(futures: Vec<Pin<Box<dyn Future<Output = T> + 'a>>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    block_on(std::future::poll_fn(move |context| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().filter(|(_, result)| result.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(output) => *result = Some(output),
                Poll::Pending => pending = true,
            }
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(futures.iter_mut().filter_map(|(_, result)| result.take()).collect())
    }))
}

#[test]
fn each_twin_answers_as_the_blocking_call_does() {
    within(LIMIT, || {
        let expiry = Expiry::After(LIMIT);
        for background in [Background::Threads, Background::Callers] {
            let temps = [Temp::new(), Temp::new()];
            let [a, b] = temps.each_ref().map(|temp| {
                Store::<String>::builder().background(background).open(temp.path()).unwrap()
            });
            macro_rules! both {
                ($sync:expr, $async:expr) => {
                    assert_eq!($sync.unwrap(), block_on($async).unwrap(), stringify!($sync))
                };
            }
            for _ in 0..2 {
                both!(a.insert(key(1), text("one")), b.insert_async(key(1), text("one")));
                both!(
                    a.insert_with(key(2), text("two"), expiry),
                    b.insert_with_async(key(2), text("two"), expiry)
                );
                both!(a.create(key(2), text("no")), b.create_async(key(2), text("no")));
                both!(a.create(key(3), text("three")), b.create_async(key(3), text("three")));
                both!(
                    a.create_with(key(4), text("four"), expiry),
                    b.create_with_async(key(4), text("four"), expiry)
                );
                both!(a.sync(), b.sync_async());
                both!(a.update(&key(1), |v| v.len()), b.update_async(&key(1), |v| v.len()));
                both!(a.update(&key(9), |v| v.len()), b.update_async(&key(9), |v| v.len()));
                both!(a.flush(), b.flush_async());
                both!(a.rename(&key(3), &key(5)), b.rename_async(&key(3), &key(5)));
                both!(a.rename(&key(9), &key(5)), b.rename_async(&key(9), &key(5)));
                both!(
                    a.transact(&[key(1), key(9)], |s| (s.get(0).cloned(), s.get(1).cloned())),
                    b.transact_async(&[key(1), key(9)], |s| (s.get(0).cloned(), s.get(1).cloned()))
                );
                both!(a.set_expiry(&key(1), expiry), b.set_expiry_async(&key(1), expiry));
                both!(a.set_expiry(&key(9), expiry), b.set_expiry_async(&key(9), expiry));
                both!(a.count(), b.count_async());
                both!(a.take(&key(1)), b.take_async(&key(1)));
                both!(a.take(&key(1)), b.take_async(&key(1)));
                both!(a.remove(&key(2)), b.remove_async(&key(2)));
                both!(a.remove(&key(2)), b.remove_async(&key(2)));
                both!(a.merge(), b.merge_async());
                both!(a.heal(), b.heal_async());
                both!(a.count(), b.count_async());
                both!(a.clear(), b.clear_async());
                both!(a.count(), b.count_async());
            }
            a.insert(key(1), text("last")).unwrap();
            block_on(b.insert_async(key(1), text("last"))).unwrap();
            both!(a.close(), b.close_async());
            assert!(block_on(b.insert_async(key(1), text(""))).unwrap_err().is_closed());
            for temp in &temps {
                let store = Store::<String>::builder().open(temp.path()).unwrap();
                assert_eq!(store.get(&key(1)).unwrap(), Some(Arc::new(text("last"))));
                assert_eq!(store.count().unwrap(), 1);
            }
        }
    });
}

#[test]
fn a_future_that_is_dropped_undoes_nothing_and_blocks_nobody() {
    within(LIMIT, || {
        let temp = Temp::new();
        let store = Store::<String>::builder().open(temp.path()).unwrap();
        let power = store.at(Durability::Power);
        let mut context = Context::from_waker(Waker::noop());
        for number in 0..100 {
            let mut insert = Box::pin(power.insert_async(key(number), text("value")));
            // Ready or not: once it has been polled the change is made.
            let _ = insert.as_mut().poll(&mut context);
            drop(insert);
            assert!(store.get(&key(number)).unwrap().is_some());
            if number % 2 == 0 {
                let key = key(number);
                let mut remove = Box::pin(power.remove_async(&key));
                let _ = remove.as_mut().poll(&mut context);
                drop(remove);
                assert!(store.get(&key).unwrap().is_none());
            }
            // Never polled: never happened.
            drop(power.insert_async(key(1000 + number), text("no")));
            assert!(store.get(&key(1000 + number)).unwrap().is_none());
        }
        let mut close = Box::pin(store.close_async());
        let _ = close.as_mut().poll(&mut context);
        drop(close);
        let open = Store::<String>::builder().wait_for_lock(LIMIT).open(temp.path());
        let store = open.unwrap();
        for number in 0..100 {
            assert_eq!(store.get(&key(number)).unwrap().is_some(), number % 2 == 1, "{number}");
        }
    });
}

#[test]
fn many_futures_at_power_on_one_thread_all_complete() {
    within(LIMIT, || {
        let temp = Temp::new();
        let store = Store::<String>::builder().open(temp.path()).unwrap();
        let power = &store.at(Durability::Power);
        type Work<'a> = Pin<Box<dyn Future<Output = sessile::Result<bool>> + 'a>>;
        for round in 0..3 {
            let works: Vec<Work<'_>> = (0..1000)
                .map(|number| -> Work<'_> {
                    let key = key(number);
                    match (round, number % 3) {
                        (0, _) => Box::pin(async move {
                            power.insert_async(key, "x".repeat(200)).await.map(|()| true)
                        }),
                        (_, 0) => Box::pin(async move { power.remove_async(&key).await }),
                        (_, 1) => Box::pin(async move {
                            Ok(power.update_async(&key, |value| value.push('y')).await?.is_some())
                        }),
                        _ => Box::pin(async move { power.sync_async().await.map(|()| true) }),
                    }
                })
                .collect();
            let done = join_all(works);
            assert_eq!(done.len(), 1000);
            for (number, done) in done.into_iter().enumerate() {
                assert_eq!(done.unwrap(), round < 2 || number % 3 != 0, "{round} {number}");
            }
            let disk = store.stats().disk.unwrap();
            assert!(disk.lsn_durable >= 1000 * u64::from(round == 0));
        }
        println!("{} syncs", store.stats().disk.unwrap().log_syncs);
        assert_eq!(store.count().unwrap(), 666);
    });
}
