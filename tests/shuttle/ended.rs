//! What has ended stays ended: readers beside removals, flushes, merges, expiry and `clear`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sessile::{Durability, Expiry, Store};
use shuttle::rand::{Rng, thread_rng};

use crate::{Job, World, explore, key, on, together};

/// Somebody who looks at one session and holds the store to what it has once said.
#[derive(Clone, Default)]
struct Witness(Arc<AtomicBool>);

impl Witness {
    /// The session has ended: nobody who looks from now on may find it.
    fn ended(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn look(&self, store: &Store<u64>, touch: bool) {
        let ended = self.0.load(Ordering::SeqCst);
        let found = if touch { store.get(&key(0)) } else { store.peek(&key(0)) };
        let found = found.unwrap();
        assert!(!ended || found.is_none(), "it has ended and was found again");
        match found {
            Some(value) => assert_eq!(*value, 0),
            None => self.ended(),
        }
    }

    /// Looks a few times.
    fn reader(&self, store: &Store<u64>, times: usize) -> Job {
        let witness = self.clone();
        on(store, move |store| (0..times).for_each(|_| witness.look(&store, true)))
    }

    /// Ends the session.
    fn remover(&self, store: &Store<u64>) -> Job {
        let witness = self.clone();
        on(store, move |store| {
            assert!(store.remove(&key(0)).unwrap());
            witness.ended();
            witness.look(&store, true);
        })
    }

    /// It has ended, in memory and for the next process.
    fn close(&self, world: &World, store: Store<u64>) {
        self.ended();
        self.look(&store, true);
        drop(store);
        self.look(&world.open(), true);
    }
}

fn flusher(store: &Store<u64>) -> Job {
    on(store, |store| store.flush().unwrap())
}

fn merger(store: &Store<u64>) -> Job {
    on(store, |store| store.merge().unwrap())
}

#[test]
fn get_against_remove_and_flush() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.cold(2);
        let jobs = vec![
            witness.reader(&store, 2),
            witness.reader(&store, 1),
            witness.remover(&store),
            flusher(&store),
        ];
        together(jobs);
        witness.close(&world, store);
    });
}

#[test]
fn get_against_remove_flush_and_merge() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.cold(2);
        let ender = witness.clone();
        let remove_and_flush = on(&store, move |store| {
            assert!(store.remove(&key(0)).unwrap());
            ender.ended();
            store.flush().unwrap();
        });
        together(vec![witness.reader(&store, 2), remove_and_flush, merger(&store)]);
        witness.look(&store, true);
        store.merge().unwrap();
        witness.close(&world, store);
    });
}

#[test]
fn get_against_expiry_flush_and_merge() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.open();
        let expiry = Expiry::After(Duration::from_secs(10));
        store.insert_with(key(0), 0, expiry).unwrap();
        let is_cold = thread_rng().gen_bool(0.5);
        let store = if is_cold {
            store.close().unwrap();
            world.open()
        } else {
            store
        };
        let (clock, ender) = (world.clock.clone(), witness.clone());
        let time = on(&store, move |store| {
            clock.advance(Duration::from_secs(9));
            ender.look(&store, false);
            clock.advance(Duration::from_secs(2));
            ender.ended();
            ender.look(&store, true);
        });
        let flush_and_merge = on(&store, |store| {
            store.flush().unwrap();
            store.merge().unwrap();
        });
        together(vec![witness.reader(&store, 3), time, flush_and_merge]);
        witness.close(&world, store);
    });
}

/// A session that is in a base has been given more time. The flush takes that to a newer base and
/// out of memory: whoever looks meanwhile finds the one or the other.
#[test]
fn get_against_the_flush_of_a_later_deadline() {
    explore(|| {
        let world = World::new();
        let store = world.open();
        let expiry = |seconds| Expiry::After(Duration::from_secs(seconds));
        store.insert_with(key(0), 0, expiry(10)).unwrap();
        store.close().unwrap();
        let store = world.open();
        assert!(store.set_expiry(&key(0), expiry(1000)).unwrap());
        world.clock.advance(Duration::from_secs(20));
        let reader = on(&store, |store| {
            for _ in 0..3 {
                assert!(store.peek(&key(0)).unwrap().is_some(), "it lives and was not found");
            }
        });
        together(vec![reader, flusher(&store)]);
        store.close().unwrap();
    });
}

/// The idle deadline passes while readers touch: whoever is told that it has ended is told the
/// truth, and nobody extends it afterwards.
#[test]
fn touch_against_idle_expiry() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.open();
        store.insert_with(key(0), 0, Expiry::Idle(Duration::from_secs(10))).unwrap();
        world.clock.advance(Duration::from_secs(9));
        let clock = world.clock.clone();
        let time = on(&store, move |_| {
            clock.advance(Duration::from_secs(2));
            clock.advance(Duration::from_secs(7));
            clock.advance(Duration::from_secs(2));
        });
        let jobs =
            vec![witness.reader(&store, 3), witness.reader(&store, 3), time, flusher(&store)];
        together(jobs);
        witness.look(&store, true);
        drop(store);
        witness.look(&world.open(), true);
    });
}

/// Of a session that lay in a base only, with its idle deadline near.
#[test]
fn promotion_against_idle_expiry() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.open();
        store.insert_with(key(0), 0, Expiry::Idle(Duration::from_secs(10))).unwrap();
        drop(store);
        let store = world.open();
        let clock = world.clock.clone();
        let time = on(&store, move |_| {
            // What an opening adds to an idle deadline has passed as well.
            clock.advance(Duration::from_secs(19));
            clock.advance(Duration::from_secs(2));
        });
        let merge = on(&store, |store| store.merge().unwrap());
        together(vec![witness.reader(&store, 3), witness.reader(&store, 2), time, merge]);
        witness.look(&store, true);
        drop(store);
        witness.look(&world.open(), true);
    });
}

#[test]
fn get_against_clear_and_flush() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.cold(2);
        let ender = witness.clone();
        let clear = on(&store, move |store| {
            store.clear().unwrap();
            ender.ended();
            ender.look(&store, true);
        });
        let jobs = vec![witness.reader(&store, 2), clear, flusher(&store), merger(&store)];
        together(jobs);
        witness.close(&world, store);
    });
}

/// What a base has is older than what is in memory: a `clear` of both lets neither speak.
#[test]
fn get_against_clear_of_a_newer_value() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.cold(2);
        store.remove(&key(0)).unwrap();
        witness.ended();
        let clear = on(&store, |store| store.clear().unwrap());
        together(vec![witness.reader(&store, 2), witness.reader(&store, 1), clear]);
        witness.close(&world, store);
    });
}

/// Who misses one session because of a `clear` finds no other one that it ends, wherever they are.
#[test]
fn a_clear_is_seen_as_a_whole() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        store.insert(key(1), 1).unwrap();
        let there = |store: &Store<u64>, n| store.peek(&key(n)).unwrap().is_some();
        let reader = |(first, second)| {
            on(&store, move |store| assert!(there(&store, first) || !there(&store, second)))
        };
        let clear = on(&store, |store| store.clear().unwrap());
        together(vec![reader((0, 1)), reader((1, 0)), clear]);
    });
}

/// An update is of the session that is there, or of none: it never makes one.
#[test]
fn update_against_remove_and_flush() {
    explore(|| {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.cold(1);
        let ender = witness.clone();
        let update = on(&store, move |store| {
            let ended = ender.0.load(Ordering::SeqCst);
            let updated = store.update(&key(0), |value| *value += 0).unwrap();
            assert!(!ended || updated.is_none(), "it has ended and was changed");
        });
        let longer = on(&store, |store| {
            store.set_expiry(&key(0), Expiry::After(Duration::from_secs(500))).unwrap();
        });
        together(vec![update, longer, witness.remover(&store), flusher(&store)]);
        witness.close(&world, store);
    });
}

#[test]
fn taken_by_one_of_many() {
    explore(|| {
        let world = World::new();
        let is_cold = thread_rng().gen_bool(0.5);
        let store = if is_cold {
            world.cold(1)
        } else {
            let store = world.open();
            store.insert(key(0), 0).unwrap();
            store
        };
        let winners = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut jobs: Vec<Job> = (0..3)
            .map(|_| {
                let winners = winners.clone();
                on(&store, move |store| {
                    let store = store.at(Durability::Process);
                    if store.take(&key(0)).unwrap().is_some() {
                        winners.fetch_add(1, Ordering::SeqCst);
                    }
                    assert!(store.get(&key(0)).unwrap().is_none(), "taken and still there");
                })
            })
            .collect();
        jobs.push(flusher(&store));
        together(jobs);
        assert_eq!(winners.load(Ordering::SeqCst), 1);
        drop(store);
        assert!(world.open().get(&key(0)).unwrap().is_none());
    });
}

/// Writers that let a session go on, beside its end: whoever was told that it has ended was told
/// the truth.
fn writer_against_expiry(write: impl Fn(&Store<u64>) + Clone + Send + Sync + 'static) {
    explore(move || {
        let (world, witness) = (World::new(), Witness::default());
        let store = world.open();
        let is_idle = thread_rng().gen_bool(0.5);
        let ten = Duration::from_secs(10);
        let expiry = if is_idle { Expiry::Idle(ten) } else { Expiry::After(ten) };
        store.insert_with(key(0), 0, expiry).unwrap();
        let is_cold = thread_rng().gen_bool(0.5);
        let store = if is_cold {
            drop(store);
            world.open()
        } else {
            store
        };
        let clock = world.clock.clone();
        let time = on(&store, move |_| {
            clock.advance(Duration::from_secs(if is_cold && is_idle { 19 } else { 9 }));
            clock.advance(Duration::from_secs(2));
        });
        let write = write.clone();
        let writer = on(&store, move |store| write(&store.at(Durability::Memory)));
        let peeker = witness.clone();
        let peek = on(&store, move |store| (0..3).for_each(|_| peeker.look(&store, false)));
        together(vec![writer, peek, time]);
        witness.look(&store, false);
    });
}

#[test]
fn update_against_expiry() {
    writer_against_expiry(|store| {
        store.update(&key(0), |value| *value += 0).unwrap();
    });
}

#[test]
fn new_expiry_against_expiry() {
    writer_against_expiry(|store| {
        store.set_expiry(&key(0), Expiry::After(Duration::from_secs(100))).unwrap();
    });
}

#[test]
fn transaction_against_expiry() {
    writer_against_expiry(|store| {
        let again = |slots: &mut sessile::Slots<u64>| {
            if slots.get(0).is_some() {
                slots.set(0, 0);
            }
        };
        store.transact(&[key(0)], again).unwrap();
    });
}
