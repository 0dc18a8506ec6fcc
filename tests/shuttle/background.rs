//! A store with its own threads, and callers that wait as futures: everybody is woken, and ends.

use std::sync::Arc;

use sessile::testing::{Keep, SlowFs};
use sessile::{Background, Durability, Store};
use shuttle::future::block_on;

use crate::{World, explore, key, on, together};

/// Five threads but the one for time: the clock is moved by hand.
fn open(world: &World) -> Store<u64> {
    let builder = world.builder().background(Background::Threads);
    builder.open_fs(Arc::new(SlowFs::new(world.fs.clone()))).unwrap()
}

#[test]
fn futures_and_threads_are_all_woken() {
    explore(|| {
        let world = World::new();
        let store = open(&world);
        let jobs = vec![
            on(&store, |store| {
                block_on(store.at(Durability::Power).insert_async(key(0), 0)).unwrap();
            }),
            on(&store, |store| {
                block_on(store.at(Durability::Process).insert_async(key(1), 1)).unwrap();
            }),
            on(&store, |store| store.at(Durability::Power).insert(key(2), 2).unwrap()),
        ];
        together(jobs);
        let fs = world.fs.power_cut(Keep::Nothing);
        store.close().unwrap();
        let found = world.open_on(&fs);
        assert!(found.get(&key(0)).unwrap().is_some() && found.get(&key(2)).unwrap().is_some());
    });
}

/// A close beside futures that wait: each is told what became of its write.
#[test]
fn close_against_futures() {
    explore(|| {
        let world = World::new();
        let store = open(&world);
        let insert = |session: u64, level: Durability| {
            on(&store, move |store| {
                match block_on(store.at(level).insert_async(key(session), session)) {
                    Ok(()) => {}
                    Err(error) => assert!(error.is_closed() && !error.is_unknown(), "{error}"),
                }
            })
        };
        let close = on(&store, |store| block_on(store.close_async()).unwrap());
        together(vec![insert(0, Durability::Power), insert(1, Durability::Process), close]);
    });
}

/// The last handle is dropped while others still wait.
#[test]
fn the_last_handle_closes() {
    explore(|| {
        let world = World::new();
        let store = open(&world);
        let jobs = vec![
            on(&store, |store| store.insert(key(0), 0).unwrap()),
            on(&store, |store| block_on(store.insert_async(key(1), 1)).unwrap()),
        ];
        drop(store);
        together(jobs);
        let store = world.open();
        assert!(store.get(&key(0)).unwrap().is_some() && store.get(&key(1)).unwrap().is_some());
    });
}
