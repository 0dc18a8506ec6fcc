//! Faults at random moments, while threads write and the store's own threads flush and merge.
//!
//! Every thread owns some keys and knows what they hold in memory, whatever came of the promise.
//! The bytes on disk must say at least what was acknowledged; after `heal` they say everything.
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sessile::{Builder, Durability, Read, Store};
use support::faulty::{Call, Faults, FaultyFs};
use support::{Rng, Temp, key, seed, within};

const LIMIT: Duration = Duration::from_secs(120);
const THREADS: u64 = 4;
const KEYS: u64 = 40;

/// What a key may hold on disk: what memory holds is the last of them.
type Possible = BTreeMap<u64, Vec<Option<String>>>;

fn builder() -> Builder<String> {
    Store::builder()
        .read(Read::Pread)
        .flush_bytes(16 << 10)
        .segment_bytes(32 << 10)
        .sync_every(Duration::from_millis(10))
}

/// Some operations of one thread. Returns how many were refused or left unknown.
fn write(
    store: &Store<String>,
    thread: u64,
    rng: &mut Rng,
    keys: &mut Possible,
    count: u64,
) -> u64 {
    let mut failed = 0;
    for step in 0..count {
        let number = thread * KEYS + rng.below(KEYS);
        let states = keys.entry(number).or_insert_with(|| vec![None]);
        let now = states.last().unwrap().clone();
        let text = format!("{thread}.{step}.{}", "x".repeat(rng.below(700) as usize));
        let level = [Durability::Process, Durability::Power][rng.below(2) as usize];
        let (store, reads) = (store.at(level), rng.below(4) == 3);
        let key = key(number);
        let (result, then) = match rng.below(3) {
            _ if reads => {
                let seen = store.get(&key);
                let seen = seen.map(|value| assert_eq!(value.as_deref(), now.as_ref(), "{number}"));
                (seen, now.clone())
            }
            0 => (store.insert(key, text.clone()), Some(text)),
            // Where a base cannot be read it may have held the key.
            1 => (store.remove(&key).map(|was| assert!(was || now.is_none(), "{number}")), None),
            _ => {
                let updated = store.update(&key, |value| value.clone_from(&text));
                let then = now.as_ref().map(|_| text);
                (updated.map(|done| assert_eq!(done.is_some(), then.is_some(), "{number}")), then)
            }
        };
        match result {
            Ok(()) if reads => {}
            // What changes nothing promises all the same that what it has found will last.
            Ok(()) if level == Durability::Power => *states = vec![then],
            // A sync that fails takes with it what it was to make durable.
            Ok(()) => states.push(then),
            Err(error) if error.is_unknown() => {
                failed += 1;
                states.push(then);
            }
            Err(_) => failed += 1,
        }
        let visible = store.peek(&key);
        assert!(
            visible
                .as_ref()
                .map_or(true, |value| value.as_deref() == states.last().unwrap().as_ref()),
            "key {number}: {visible:?}, not {:?}",
            states.last()
        );
    }
    failed
}

fn check(store: &Store<String>, possible: &[Possible], when: &str) {
    for (number, states) in possible.iter().flatten() {
        let value = store.peek(&key(*number)).unwrap();
        let value = value.as_deref().cloned();
        assert!(
            states.contains(&value),
            "{when}: key {number} is {value:.40?}, not of {states:.40?}"
        );
    }
}

fn settle(store: &Store<String>, possible: &mut [Possible]) {
    for (number, states) in possible.iter_mut().flatten() {
        let value = store.peek(&key(*number)).unwrap().as_deref().cloned();
        *states = vec![value];
    }
}

fn run(seed: u64, faults: &Arc<Faults>, temp: &Temp) {
    let mut rng = Rng(seed);
    let mut possible: Vec<Possible> = (0..THREADS).map(|_| Possible::new()).collect();
    let (mut failed, mut healed) = (0, 0);
    for _ in 0..6 {
        let store = builder().open_fs(FaultyFs::open(temp.path(), faults)).unwrap();
        check(&store, &possible, "opened");
        settle(&store, &mut possible);
        for _ in 0..3 {
            let mut chance = Rng(rng.next());
            let rarity = [20, 60, 200][rng.below(3) as usize];
            let logs_too = rng.below(2) == 0;
            faults.fail(move |call, name| {
                let may = call.changes() || matches!(call, Call::ReadImage);
                may && (logs_too || !name.starts_with("log")) && chance.below(rarity) == 0
            });
            failed += std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .zip(&mut possible)
                    .map(|(thread, keys)| {
                        let (store, mut rng) = (&store, Rng(rng.next()));
                        scope.spawn(move || write(store, thread, &mut rng, keys, 150))
                    })
                    .collect();
                let _ = (store.flush(), store.merge());
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
            });
            faults.end();
            // Memory is what it was said to be, and after this the disk says the same.
            for (number, states) in possible.iter().flatten() {
                let value = store.peek(&key(*number)).unwrap();
                assert_eq!(value.as_deref(), states.last().unwrap().as_ref(), "key {number}");
            }
            if rng.below(3) > 0 {
                healed += u64::from(store.stats().disk.unwrap().poisoned);
                store.heal().unwrap();
                settle(&store, &mut possible);
            }
        }
        // Poisoned or not; with faults in the way of the end itself, or none.
        if rng.below(2) == 0 {
            faults.fail(move |call, _| call.changes());
        }
        let closed = store.close();
        faults.end();
        if closed.is_ok() {
            possible
                .iter_mut()
                .flatten()
                .for_each(|(_, states)| drop(states.drain(..states.len() - 1)));
        }
    }
    let store = builder().open(temp.path()).unwrap();
    check(&store, &possible, "at the end");
    println!("{failed} calls failed, {healed} times healed");
}

#[test]
fn nothing_acknowledged_is_lost_whatever_fails() {
    let seed = seed();
    for round in 0..3 {
        within(LIMIT, move || run(seed.wrapping_add(round), &Faults::new(), &Temp::new()));
    }
}
