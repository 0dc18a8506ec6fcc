//! What was acknowledged is there: after a power cut, a kill, and a close at any moment.

use std::sync::{Arc, Mutex};

use sessile::testing::{Keep, SimFs};
use sessile::{Durability, Error, Store};

use crate::{Job, World, explore, key, on, together};

/// Disks as they were when something was acknowledged, and what must be found there.
#[derive(Clone, Default)]
struct Promises(Arc<Mutex<Vec<(SimFs, u64, Option<u64>)>>>);

impl Promises {
    fn add(&self, disk: SimFs, session: u64, value: Option<u64>) {
        self.0.lock().unwrap().push((disk, session, value));
    }

    /// Everything that was promised is found, and no log had a gap.
    fn check(&self, world: &World) {
        for (disk, session, value) in self.0.lock().unwrap().drain(..) {
            let store = world.open_on(&disk);
            let found = store.get(&key(session)).unwrap().map(|value| *value);
            assert_eq!(found, value, "session {session} was acknowledged otherwise");
            assert_eq!(store.stats().disk.unwrap().recovery.torn_frames, 0);
            std::mem::forget(store);
        }
    }
}

/// A write that is found after the crash that its level is for.
fn writer(world: &World, store: &Store<u64>, promises: &Promises, session: u64) -> Job {
    let (fs, promises) = (world.fs.clone(), promises.clone());
    on(store, move |store| {
        if session % 2 == 0 {
            store.at(Durability::Power).insert(key(session), session).unwrap();
            promises.add(fs.power_cut(Keep::Nothing), session, Some(session));
        } else {
            store.at(Durability::Process).insert(key(session), session).unwrap();
            promises.add(fs.kill(), session, Some(session));
        }
    })
}

/// Who waits is answered when it is true, and is answered: three writers share the two roles.
#[test]
fn writers_share_the_roles_of_the_log() {
    explore(|| {
        let (world, promises) = (World::new(), Promises::default());
        let store = world.open();
        let mut jobs: Vec<Job> =
            (0..3).map(|session| writer(&world, &store, &promises, session)).collect();
        jobs.push(on(&store, |store| store.sync().unwrap()));
        together(jobs);
        let disk = store.stats().disk.unwrap();
        assert_eq!(disk.lsn_appended, 3, "each write has its number");
        assert!(disk.lsn_written >= disk.lsn_durable);
        promises.check(&world);
    });
}

/// The same while a flush begins a new segment and lets go of the old ones.
#[test]
fn writers_beside_a_flush() {
    explore(|| {
        let (world, promises) = (World::new(), Promises::default());
        let store = world.cold(1);
        let (fs, kept) = (world.fs.clone(), promises.clone());
        let remove = on(&store, move |store| {
            store.remove(&key(0)).unwrap();
            kept.add(fs.power_cut(Keep::Nothing), 0, None);
        });
        let flush = on(&store, |store| {
            store.flush().unwrap();
            store.merge().unwrap();
        });
        let jobs = vec![
            writer(&world, &store, &promises, 1),
            writer(&world, &store, &promises, 2),
            remove,
            flush,
        ];
        together(jobs);
        promises.check(&world);
    });
}

/// What became of a write beside a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    Unknown,
}

fn fate(result: Result<(), Error>) -> Fate {
    match result {
        Ok(()) => Fate::Done,
        Err(error) if error.is_unknown() => Fate::Unknown,
        Err(error) => {
            assert!(error.is_closed(), "{error}");
            Fate::Refused
        }
    }
}

/// Either a write is acknowledged and there afterwards, or it is refused and is not.
#[test]
fn close_against_writes_in_flight() {
    explore(|| {
        let world = World::new();
        let store = world.cold(1);
        let fates = Arc::new(Mutex::new([Fate::Unknown; 3]));
        let mut jobs: Vec<Job> = Vec::new();
        for (place, level) in [Durability::Power, Durability::Process].into_iter().enumerate() {
            let fates = fates.clone();
            jobs.push(on(&store, move |store| {
                let result = store.at(level).insert(key(place as u64 + 1), 7);
                fates.lock().unwrap()[place] = fate(result);
            }));
        }
        let removed = fates.clone();
        jobs.push(on(&store, move |store| {
            removed.lock().unwrap()[2] = fate(store.remove(&key(0)).map(drop));
        }));
        jobs.push(on(&store, |store| store.close().unwrap()));
        together(jobs);
        drop(store);
        let fates = *fates.lock().unwrap();
        for fs in [world.fs.power_cut(Keep::Nothing), world.fs.clone()] {
            let store = world.open_on(&fs);
            for (session, fate) in [1, 2, 0].into_iter().zip(fates) {
                let there = store.get(&key(session)).unwrap().is_some();
                match fate {
                    Fate::Done => assert_eq!(there, session > 0, "session {session}"),
                    Fate::Refused => assert_eq!(there, session == 0, "session {session}"),
                    Fate::Unknown => panic!("nothing has failed, so nothing is unknown"),
                }
            }
        }
    });
}

/// A value that was replayed is decoded by its first reader, just when a flush looks at it.
#[test]
fn a_replayed_value_is_read_beside_a_flush() {
    explore(|| {
        let world = World::new();
        let store = world.open();
        store.at(Durability::Power).insert(key(0), 7).unwrap();
        let disk = world.fs.kill();
        std::mem::forget(store);
        let store = world.open_on(&disk);
        let reader = on(&store, |store| assert_eq!(*store.get(&key(0)).unwrap().unwrap(), 7));
        together(vec![reader, on(&store, |store| store.flush().unwrap())]);
        store.close().unwrap();
        let found = world.open_on(&disk).get(&key(0)).unwrap();
        assert_eq!(found.as_deref(), Some(&7));
    });
}
