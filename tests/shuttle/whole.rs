//! Several keys, and everything at once: what memory says is what the next process finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessile::{Durability, Expiry, Store};
use shuttle::rand::{Rng, thread_rng};

use crate::{Job, World, explore, key, on, together};

/// What the sessions 0 to 3 hold.
fn contents(store: &Store<u64>) -> Vec<Option<u64>> {
    (0..4).map(|session| store.peek(&key(session)).unwrap().map(|value| *value)).collect()
}

/// What memory says, what a process finds after this one was killed, and what one finds after it
/// was closed, are the same.
fn same_everywhere(world: &World, store: Store<u64>) -> Vec<Option<u64>> {
    let before = contents(&store);
    store.sync().unwrap();
    let killed = world.open_on(&world.fs.kill());
    assert_eq!(contents(&killed), before, "after a kill");
    assert_eq!(killed.stats().disk.unwrap().recovery.torn_frames, 0);
    std::mem::forget(killed);
    drop(store);
    assert_eq!(contents(&world.open()), before, "after a close");
    before
}

#[test]
fn updates_are_all_counted() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        let mut jobs: Vec<Job> = (0..3)
            .map(|_| {
                on(&store, |store| {
                    let store = store.at(Durability::Memory);
                    assert!(store.update(&key(0), |value| *value += 1).unwrap().is_some());
                })
            })
            .collect();
        jobs.push(on(&store, |store| store.flush().unwrap()));
        together(jobs);
        assert_eq!(same_everywhere(&world, store)[0], Some(3));
    });
}

#[test]
fn created_by_one_of_many() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        store.remove(&key(0)).unwrap();
        let made = Arc::new(AtomicU64::new(0));
        let mut jobs: Vec<Job> = (1..=3)
            .map(|value| {
                let made = made.clone();
                on(&store, move |store| {
                    if store.create(key(0), value).unwrap() {
                        made.fetch_add(value << 32 | 1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        jobs.push(on(&store, |store| store.flush().unwrap()));
        together(jobs);
        let made = made.load(Ordering::SeqCst);
        assert_eq!(made as u32, 1, "made by one");
        assert_eq!(same_everywhere(&world, store)[0], Some(made >> 32));
    });
}

/// A rename is seen as a whole by those who look at both keys.
#[test]
fn never_both_and_never_neither() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        let there = on(&store, |store| assert!(store.rename(&key(0), &key(1)).unwrap()));
        let look = on(&store, |store| {
            for _ in 0..2 {
                let keys = [key(0), key(1)];
                let count = |slots: &mut sessile::Slots<u64>| {
                    (0..2).filter(|slot| slots.get(*slot).is_some()).count()
                };
                assert_eq!(store.transact(&keys, count).unwrap(), 1);
            }
        });
        together(vec![there, look, on(&store, |store| store.flush().unwrap())]);
        assert_eq!(same_everywhere(&world, store)[..2], [None, Some(0)]);
    });
}

/// Sessions of before a `clear` end; one that is made beside it is there or not, everywhere.
#[test]
fn clear_against_inserts() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        let mut jobs: Vec<Job> = (1..3)
            .map(|session| on(&store, move |store| store.insert(key(session), session).unwrap()))
            .collect();
        jobs.push(on(&store, |store| store.clear().unwrap()));
        jobs.push(on(&store, |store| store.flush().unwrap()));
        together(jobs);
        assert_eq!(same_everywhere(&world, store)[0], None);
    });
}

/// A merge that a `clear` has made void brings nothing back.
#[test]
fn clear_against_merge() {
    explore(|| {
        let world = World::new();
        let store = world.cold(2);
        store.insert(key(1), 1).unwrap();
        store.flush().unwrap();
        let jobs = vec![
            on(&store, |store| store.clear().unwrap()),
            on(&store, |store| store.merge().unwrap()),
            on(&store, |store| store.insert(key(2), 2).unwrap()),
        ];
        together(jobs);
        assert_eq!(same_everywhere(&world, store)[..2], [None, None]);
    });
}

fn anything(world: &World, store: &Store<u64>) {
    let (one, other) = (key(thread_rng().gen_range(0..2)), key(thread_rng().gen_range(2..4)));
    match thread_rng().gen_range(0..14) {
        0..3 => store.insert(one, thread_rng().gen_range(0..100)).unwrap(),
        3 => drop(store.create(one, 100).unwrap()),
        4 => drop(store.update(&one, |value| *value += 1).unwrap()),
        5 => drop(store.remove(&one).unwrap()),
        6 => drop(store.take(&one).unwrap()),
        7 => drop(store.get(&one).unwrap()),
        8 => drop(store.rename(&one, &other).unwrap()),
        9 => drop(store.rename(&other, &one).unwrap()),
        10 => store.flush().unwrap(),
        11 => store.merge().unwrap(),
        12 => drop(store.set_expiry(&one, Expiry::After(Duration::from_secs(5))).unwrap()),
        _ => world.clock.advance(Duration::from_secs(2)),
    }
}

/// Three threads of three calls each, drawn anew for every schedule.
#[test]
fn anything_beside_anything() {
    explore(|| {
        let world = World::new();
        let store = world.cold(2);
        let jobs = (0..3).map(|_| {
            let world = world.clone();
            on(&store, move |store| {
                let store = store.at(Durability::Memory);
                (0..3).for_each(|_| anything(&world, &store));
            })
        });
        together(jobs.collect());
        same_everywhere(&world, store);
    });
}
