//! What may leave memory, and what must stay as a tombstone: the bases must not speak again.

use std::sync::mpsc::channel;

use sessile::testing::{Call, ManualClock};
use sessile::{Background, Durability, Expiry, Store};

use super::{LONG, SECOND, Stage, builder, found, key, on, opened, text, value, within};

/// What the store says of key 1, now and after everything that could bring it back.
fn stays_gone(store: &Store<String>, stage: &Stage, clock: &ManualClock) {
    let gone = |store: &Store<String>, when: &str| assert_eq!(value(store, 1), None, "{when}");
    let left = |fs| on(clock).open_fs(std::sync::Arc::new(fs)).unwrap();
    gone(store, "at once");
    gone(&left(stage.fs.kill()), "killed");
    store.flush().unwrap();
    gone(store, "flushed");
    store.merge().unwrap();
    gone(store, "merged");
    gone(&left(stage.fs.kill()), "merged and killed");
    store.close().unwrap();
    gone(&left(stage.fs.kill()), "closed");
}

#[test]
fn what_expires_amid_the_first_flush_stays_gone() {
    let (stage, clock) = (Stage::new(), ManualClock::new());
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert_with(key(1), "one".into(), Expiry::After(900 * SECOND)).unwrap();
    let (other, by_hand) = (store.clone(), clock.clone());
    stage.before(Call::Rename, "base.", move || {
        // The base has it with its long life already.
        assert!(other.set_expiry(&key(1), Expiry::After(5 * SECOND)).unwrap());
        Ok(by_hand.advance(7 * SECOND))
    });
    store.flush().unwrap();
    assert!(stage.is_done());
    stays_gone(&store, &stage, &clock);
}

#[test]
fn what_is_removed_amid_a_flush_leaves_a_tombstone_until_the_next() {
    let (stage, clock) = (Stage::new(), ManualClock::new());
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    let other = store.clone();
    stage.before(Call::Rename, "base.", move || Ok(assert!(other.remove(&key(1)).unwrap())));
    store.flush().unwrap();
    assert!(stage.is_done());
    stays_gone(&store, &stage, &clock);
}

#[test]
fn a_tombstone_asks_every_base_not_only_the_newest() {
    let (stage, clock) = (Stage::new(), ManualClock::new());
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.flush().unwrap();
    store.insert(key(2), "two".into()).unwrap();
    store.flush().unwrap();
    assert!(store.remove(&key(1)).unwrap());
    store.flush().unwrap();
    stays_gone(&store, &stage, &clock);
}

#[test]
fn a_merge_of_the_upper_bases_keeps_tombstones() {
    let stage = Stage::new();
    let (threads, callers) = (builder().background(Background::Threads), builder());
    let store = callers.open_fs(stage.open()).unwrap();
    for number in 0..300 {
        store.at(Durability::Memory).insert(key(number), text(1000)).unwrap();
    }
    store.flush().unwrap();
    assert!(store.remove(&key(1)).unwrap());
    for number in 1000..1006 {
        store.insert(key(number), "small".into()).unwrap();
        store.flush().unwrap();
    }
    let bases = store.stats().disk.unwrap().bases.len();
    store.close().unwrap();
    let store = threads.open_fs(stage.open()).unwrap();
    for _ in 0..LONG.as_millis() {
        if store.stats().merges > 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let disk = store.stats().disk.unwrap();
    assert!(disk.bases.len() > 1 && disk.bases.len() < bases, "{bases}: {:?}", disk.bases);
    assert_eq!(value(&store, 1), None);
    assert!(value(&store, 2).is_some());
}

/// In a range that was lost nobody knows what there was: the tombstone is the only proof.
#[test]
fn what_is_removed_from_a_damaged_block_stays_removed() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..20 {
        store.insert(key(number), text(1000)).unwrap();
    }
    store.close().unwrap();
    let name = stage.fs.names().into_iter().find(|name| name.starts_with("base.")).unwrap();
    let mut bytes = stage.fs.bytes(&name).unwrap();
    bytes[4096 + 2000] ^= 1;
    stage.fs.put(&name, &bytes);
    let store = opened(&stage);
    store.insert(key(1000), "another".into()).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    // Keys of the range that were never there are not known either.
    let unknown = |store: &Store<String>| {
        (0..400).filter(|number| store.peek(&key(*number)).is_err()).collect::<Vec<_>>()
    };
    let lost = unknown(&store);
    assert!(lost.first().is_some_and(|number| *number < 20), "{lost:?}");
    assert!(lost.last().is_some_and(|number| *number >= 20), "{lost:?}");
    for number in &lost {
        store.remove(&key(*number)).unwrap();
    }
    assert_eq!(unknown(&store), Vec::<u64>::new());
    store.flush().unwrap();
    assert_eq!(unknown(&store), Vec::<u64>::new(), "flushed");
    assert_eq!(unknown(&found(stage.fs.kill())), Vec::<u64>::new(), "flushed and killed");
    store.merge().unwrap();
    assert_eq!(unknown(&store), Vec::<u64>::new(), "merged");
}

/// New times for a session that is not in memory, touched while a flush has the old ones in hand.
#[test]
fn a_cold_entry_that_was_touched_amid_a_flush_stays() {
    let (stage, clock) = (Stage::new(), ManualClock::new());
    let store = on(&clock).open_fs(stage.open()).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.close().unwrap();
    let store = on(&clock).open_fs(stage.open()).unwrap();
    assert!(store.set_expiry(&key(1), Expiry::Idle(100 * SECOND)).unwrap());
    let (other, by_hand) = (store.clone(), clock.clone());
    stage.before(Call::Rename, "base.", move || {
        by_hand.advance(20 * SECOND);
        // With its stripe locked a reader moves the deadline, and brings nothing into memory.
        // So many that one of them is of its stripe.
        let others: Vec<_> = (100..1100).map(key).collect();
        other
            .transact(&others, |_| {
                std::thread::scope(|scope| {
                    scope.spawn(|| assert!(other.get(&key(1)).unwrap().is_some()));
                });
            })
            .unwrap();
        Ok(())
    });
    let before = store.deadline(&key(1)).unwrap().unwrap();
    store.flush().unwrap();
    assert!(stage.is_done());
    assert_eq!(store.stats().promoted, 0, "the stripe was not locked");
    let after = store.deadline(&key(1)).unwrap().unwrap();
    assert!(after.since(before) >= 19 * SECOND, "{before:?} {after:?}");
}

#[test]
fn a_clear_ends_a_flush_and_a_merge() {
    for merge in [false, true] {
        let stage = Stage::new();
        let store = opened(&stage);
        store.insert(key(1), "one".into()).unwrap();
        store.flush().unwrap();
        store.insert(key(2), "two".into()).unwrap();
        let other = store.clone();
        let clear = move || {
            other.clear().unwrap();
            Ok(other.insert(key(3), "three".into()).unwrap())
        };
        if merge {
            store.flush().unwrap();
            stage.before(Call::Rename, "base.", clear);
            store.merge().unwrap();
        } else {
            stage.before(Call::Rename, "base.", clear);
            store.flush().unwrap();
        }
        assert!(stage.is_done());
        for (when, store) in [("at once", store.clone()), ("killed", found(stage.fs.kill()))] {
            assert_eq!(super::there(&store, 0..9), [3], "{when}, merge: {merge}");
        }
        store.flush().unwrap();
        store.merge().unwrap();
        assert_eq!(super::there(&store, 0..9), [3], "merge: {merge}");
        store.close().unwrap();
        assert_eq!(super::there(&found(stage.fs.kill()), 0..9), [3], "merge: {merge}");
    }
}

/// The manifest that counts may still name what a clear has ended.
#[test]
fn bases_that_a_manifest_names_stay() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(1), "one".into()).unwrap();
    store.flush().unwrap();
    let other = store.clone();
    // Cleared once the flush has its manifest written, before it counts.
    store.at(Durability::Power).insert(key(2), "two".into()).unwrap();
    super::cut_everywhere(
        &stage.fs,
        || {
            other.clear().unwrap();
            other.insert(key(3), "three".into()).unwrap();
            other.flush().unwrap();
            other.merge().unwrap();
        },
        |left, when| {
            let there = super::there(left, 0..9);
            assert!([&[1, 2][..], &[], &[3]].contains(&&*there), "{when}: {there:?}");
        },
    );
}

/// The same where the clear comes between the publication of a base and the clearing up after it.
#[test]
fn a_clear_right_behind_a_publication_leaves_its_bases() {
    within(|| {
        let stage = Stage::new();
        let store = opened(&stage);
        for number in 0..40 {
            store.insert(key(number), "one".into()).unwrap();
        }
        let (held, holds) = channel();
        let (holder, clearer) = (store.clone(), store.clone());
        stage.before(Call::Rename, "base.", move || {
            // Holds the stripes that the flush comes to once its base counts.
            let keys: Vec<_> = (0..40).map(key).collect();
            let hold = std::thread::spawn(move || {
                let watch = holder.clone();
                let wait = |_: &mut sessile::Slots<String>| {
                    held.send(()).unwrap();
                    while watch.stats().flushes == 0 {
                        std::thread::yield_now();
                    }
                    let clear = std::thread::spawn(move || clearer.clear().unwrap());
                    // Lets it get in the way; if it is too slow, nothing is shown, and nothing fails.
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    clear
                };
                holder.transact(&keys, wait).unwrap().join().unwrap();
            });
            holds.recv().unwrap();
            Ok(drop(hold))
        });
        store.flush().unwrap();
        assert!(stage.is_done());
        drop(found(stage.fs.kill()));
        drop(store);
    });
}

#[test]
fn a_clear_and_a_transaction_do_not_wait_for_each_other() {
    within(|| {
        let store: Store<String> = Store::builder().in_memory().unwrap();
        let keys: Vec<_> = (0..200).map(key).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..3000).for_each(|_| store.clear().unwrap()));
            let set = |slots: &mut sessile::Slots<String>| slots.set(0, "one".into());
            (0..3000).for_each(|_| store.transact(&keys, set).unwrap());
        });
    });
}
