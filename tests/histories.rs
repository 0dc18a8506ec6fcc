//! Histories that have gone wrong in stores like this one, each played back: what is gone stays
//! gone, what was acknowledged stays there.
#![cfg(feature = "testing")]

mod common;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::{Directory, Watch, copy_of, watched};
use sessile::testing::ManualClock;
use sessile::{Background, Builder, Clock, Durability, Expiry, Key, Store, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything takes that is not held up on purpose.
const LONG: Duration = Duration::from_secs(20);

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder()
        .clock(clock.clone())
        .background(Background::Callers)
        .idle(60 * SECOND)
        .absolute(3600 * SECOND)
}

fn open(path: &Path, clock: &ManualClock) -> Store<String> {
    builder(clock).open(path).unwrap()
}

fn value(store: &Store<String>, number: u64) -> Option<String> {
    store.peek(&key(number)).unwrap().map(|value| (*value).clone())
}

fn later(clock: &ManualClock, time: Duration) -> Timestamp {
    clock.wall().after(time)
}

/// What a killed process would leave, opened.
fn reopened(directory: &Directory, clock: &ManualClock) -> (Store<String>, Directory) {
    let copy = copy_of(directory.path(), "left");
    (open(copy.path(), clock), copy)
}

/// Calls back, once, before a base gets its name: in the middle of a flush or a merge.
#[derive(Default)]
struct AtBase(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl AtBase {
    fn next(&self, call: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(call));
    }
}

impl Watch for AtBase {
    fn rename(&self, from: &str, _: &str) -> io::Result<()> {
        let call = from.starts_with("base.").then(|| self.0.lock().unwrap().take());
        if let Some(call) = call.flatten() {
            call();
        }
        Ok(())
    }
}

/// Holds up writes or syncs of the log while it is shut, and tells of those that arrive.
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    arrived: Mutex<Sender<()>>,
    /// Hold up writes; otherwise syncs.
    writes: bool,
}

impl Gate {
    fn new(writes: bool) -> (Arc<Gate>, Receiver<()>) {
        let (sender, receiver) = channel();
        let (shut, opened) = (Mutex::new(false), Condvar::new());
        (Arc::new(Gate { shut, opened, arrived: Mutex::new(sender), writes }), receiver)
    }

    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self, name: &str) {
        let mut shut = self.shut.lock().unwrap();
        if !name.starts_with("log.") || !*shut {
            return;
        }
        let _ = self.arrived.lock().unwrap().send(());
        while *shut {
            shut = self.opened.wait(shut).unwrap();
        }
    }
}

impl Watch for Gate {
    fn write(&self, name: &str) -> io::Result<()> {
        if self.writes {
            self.pass(name);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<bool> {
        if !self.writes {
            self.pass(name);
        }
        Ok(true)
    }
}

/// Waits until `condition` holds: for something that another thread is about to do.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..LONG.as_millis() {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

// A1: shorten what an older base holds with a longer expiry, let it end, and it stays ended
// through everything that rewrites files.

/// The steps of A1, each of which may be left out.
#[derive(Clone, Copy)]
struct Steps {
    flush_between: bool,
    wheel: bool,
    flush: bool,
    merge: bool,
    kill: bool,
}

fn shortened_and_ended(steps: Steps) {
    let (directory, clock) = (Directory::new("a1"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert_with(key(1), "old".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.insert_with(key(2), "old".into(), Expiry::Idle(500 * SECOND)).unwrap();
    store.flush().unwrap();
    store.merge().unwrap();
    store.insert(key(3), "another".into()).unwrap();
    store.flush().unwrap();
    for number in [1, 2] {
        assert!(store.set_expiry(&key(number), Expiry::After(10 * SECOND)).unwrap());
    }
    if steps.flush_between {
        store.flush().unwrap();
    }
    if steps.wheel {
        clock.advance(9 * SECOND);
        assert!(value(&store, 1).is_some());
        clock.advance(3 * SECOND);
    } else {
        // To the tick: the wheel, which counts seconds, may not have taken it out yet.
        clock.advance(10 * SECOND);
    }
    let gone = |store: &Store<String>, when: &str| {
        for number in [1, 2] {
            assert_eq!(value(store, number), None, "{when}");
            assert!(store.get(&key(number)).unwrap().is_none(), "{when}");
            assert!(store.update(&key(number), |_| ()).unwrap().is_none(), "{when}");
            assert!(!store.set_expiry(&key(number), Expiry::Default).unwrap(), "{when}");
            assert_eq!(store.deadline(&key(number)).unwrap(), None, "{when}");
        }
        assert_eq!(store.count().unwrap(), store.iter().count() as u64, "{when}");
    };
    gone(&store, "expired");
    if steps.flush {
        store.flush().unwrap();
        gone(&store, "flushed");
    }
    if steps.merge {
        store.merge().unwrap();
        gone(&store, "merged");
    }
    if steps.kill {
        let (left, _directory) = reopened(&directory, &clock);
        gone(&left, "killed");
        left.merge().unwrap();
        gone(&left, "killed and merged");
    }
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    gone(&store, "reopened");
    store.merge().unwrap();
    gone(&store, "reopened and merged");
    store.close().unwrap();
    gone(&open(directory.path(), &clock), "reopened again");
}

#[test]
fn a1_a_shortened_session_that_has_expired_stays_gone() {
    for bits in 0..32 {
        let bit = |at: u32| bits >> at & 1 == 1;
        shortened_and_ended(Steps {
            flush_between: bit(0),
            wheel: bit(1),
            flush: bit(2),
            merge: bit(3),
            kill: bit(4),
        });
    }
}

#[test]
fn a1_a_merge_between_shortening_and_expiry_keeps_the_shorter_one() {
    let (directory, clock) = (Directory::new("a1"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert_with(key(1), "old".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    // Never read: only the times are in memory.
    assert!(store.set_expiry(&key(1), Expiry::After(5 * SECOND)).unwrap());
    store.insert(key(2), "another".into()).unwrap();
    store.merge().unwrap();
    clock.advance(6 * SECOND);
    store.flush().unwrap();
    store.merge().unwrap();
    assert_eq!(value(&store, 1), None);
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!(value(&left, 1), None);
}

// A2: removed while a flush has it in hands.

#[test]
fn a2_what_is_removed_during_a_flush_is_gone_when_it_is_published() {
    let ends: [(&str, fn(&Store<String>)); 5] = [
        ("remove", |store| assert!(store.remove(&key(1)).unwrap())),
        ("take", |store| assert!(store.take(&key(1)).unwrap().is_some())),
        ("rename", |store| assert!(store.rename(&key(1), &key(3)).unwrap())),
        ("shorten", |store| {
            let past = Timestamp::from_millis(0);
            assert!(store.set_expiry(&key(1), Expiry::At(past)).unwrap());
        }),
        ("transact", |store| store.transact(&[key(1)], |slots| slots.remove(0)).unwrap()),
    ];
    for (name, end) in ends {
        for twice in [false, true] {
            let (directory, clock) = (Directory::new("a2"), ManualClock::new());
            let at_base = Arc::new(AtBase::default());
            let fs = watched(directory.path(), at_base.clone());
            let store = builder(&clock).open_fs(fs).unwrap();
            if twice {
                store.insert(key(1), "older".into()).unwrap();
                store.flush().unwrap();
            }
            store.insert(key(1), "one".into()).unwrap();
            store.insert(key(2), "two".into()).unwrap();
            let other = store.clone();
            at_base.next(move || end(&other));
            store.flush().unwrap();
            let gone = |store: &Store<String>, when: &str| {
                assert_eq!(value(store, 1), None, "{name}, {when}");
                assert_eq!(value(store, 2).as_deref(), Some("two"), "{name}, {when}");
                let there = store.iter().count() as u64;
                assert_eq!((there, there), (store.count().unwrap(), 1 + u64::from(name == "rename")));
            };
            gone(&store, "published");
            gone(&reopened(&directory, &clock).0, "killed");
            store.flush().unwrap();
            gone(&store, "flushed");
            store.merge().unwrap();
            gone(&store, "merged");
            gone(&reopened(&directory, &clock).0, "merged and killed");
            store.close().unwrap();
            gone(&open(directory.path(), &clock), "reopened");
        }
    }
}

#[test]
fn a2_what_is_removed_during_a_merge_is_gone_when_it_is_published() {
    let (directory, clock) = (Directory::new("a2"), ManualClock::new());
    let at_base = Arc::new(AtBase::default());
    let store = builder(&clock).open_fs(watched(directory.path(), at_base.clone())).unwrap();
    for number in 0..20 {
        store.insert(key(number), "old".into()).unwrap();
        if number % 5 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    let other = store.clone();
    at_base.next(move || {
        for number in 0..10 {
            assert!(other.remove(&key(number)).unwrap());
        }
        // A base above those that are being merged, and none of its tombstones in memory.
        other.flush().unwrap();
    });
    store.merge().unwrap();
    let check = |store: &Store<String>| {
        for number in 0..20 {
            assert_eq!(value(store, number).is_some(), number >= 10, "{number}");
        }
    };
    check(&store);
    check(&reopened(&directory, &clock).0);
    store.merge().unwrap();
    check(&store);
    store.close().unwrap();
    check(&open(directory.path(), &clock));
}

// A3: clear against everything.

#[test]
fn a3_a_clear_during_a_flush_ends_what_is_older_and_nothing_that_is_newer() {
    for inherited in [false, true] {
        let (directory, clock) = (Directory::new("a3"), ManualClock::new());
        if inherited {
            let store = open(directory.path(), &clock);
            store.insert(key(1), "old".into()).unwrap();
            store.close().unwrap();
        }
        let at_base = Arc::new(AtBase::default());
        let store = builder(&clock).open_fs(watched(directory.path(), at_base.clone())).unwrap();
        store.insert(key(2), "old".into()).unwrap();
        let other = store.clone();
        at_base.next(move || {
            other.clear().unwrap();
            other.insert(key(3), "new".into()).unwrap();
        });
        store.flush().unwrap();
        let check = |store: &Store<String>, when: &str| {
            let there: Vec<_> = (1..4).map(|number| value(store, number).is_some()).collect();
            assert_eq!(there, [false, false, true], "{when}, inherited: {inherited}");
            assert_eq!(store.count().unwrap(), 1, "{when}");
        };
        check(&store, "cleared");
        check(&reopened(&directory, &clock).0, "killed");
        store.flush().unwrap();
        check(&store, "flushed");
        check(&reopened(&directory, &clock).0, "flushed and killed");
        store.close().unwrap();
        check(&open(directory.path(), &clock), "reopened");
    }
}

/// A flush that has its cut and none of its lists yet is overtaken by a clear: what was written
/// after the clear is in the lists, and must not go with the flush.
#[test]
fn a3_what_is_written_after_a_clear_survives_the_flush_that_the_clear_made_void() {
    let (directory, clock) = (Directory::new("a3"), ManualClock::new());
    let (gate, arrived) = Gate::new(true);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "old".into()).unwrap();
    gate.shut();
    thread::scope(|scope| {
        scope.spawn(|| store.insert(key(2), "old".into()).unwrap());
        arrived.recv_timeout(LONG).unwrap();
        // The flush waits for the writer's role before it takes its lists.
        let flush = scope.spawn(|| store.flush());
        thread::sleep(Duration::from_millis(200));
        store.at(Durability::Memory).clear().unwrap();
        store.at(Durability::Memory).insert(key(3), "new".into()).unwrap();
        gate.open();
        flush.join().unwrap().unwrap();
    });
    store.flush().unwrap();
    let check = |store: &Store<String>, when: &str| {
        let there: Vec<_> = (1..4).map(|number| value(store, number).is_some()).collect();
        assert_eq!(there, [false, false, true], "{when}");
    };
    check(&store, "flushed");
    check(&reopened(&directory, &clock).0, "killed");
    store.close().unwrap();
    check(&open(directory.path(), &clock), "reopened");
}

/// Sessions say in which round they were made. While rounds of clears go on, threads update,
/// read, flush and merge: nobody may ever see one of an earlier round after its clear.
#[test]
fn a3_nothing_older_than_a_clear_is_seen_after_it() {
    const KEYS: u64 = 200;
    const ROUNDS: u64 = 60;
    let directory = Directory::new("a3");
    let store: Store<u64> = Store::builder()
        .flush_bytes(16 << 10)
        .segment_bytes(64 << 10)
        .removal_durability(Durability::Process)
        .open_fs(common::unsynced(directory.path()))
        .unwrap();
    let cleared = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (store, stop, cleared) = (&store, &stop, &cleared);
            scope.spawn(move || {
                let mut number = thread;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let key = key(number % KEYS);
                    let least = cleared.load(Ordering::SeqCst);
                    match number % 7 {
                        0 => {
                            let seen = store.update(&key, |round| *round).unwrap();
                            assert!(seen.is_none_or(|round| round >= least), "{seen:?} < {least}");
                        }
                        1 if thread == 0 => store.flush().unwrap(),
                        2 if thread == 1 => match store.merge() {
                            Ok(()) => {}
                            Err(error) => panic!("{error:?}"),
                        },
                        3 => drop(store.set_expiry(&key, Expiry::After(LONG)).unwrap()),
                        _ => {
                            let seen = store.get(&key).unwrap().map(|round| *round);
                            assert!(seen.is_none_or(|round| round >= least), "{seen:?} < {least}");
                        }
                    }
                }
            });
        }
        for round in 1..=ROUNDS {
            for number in 0..KEYS {
                store.insert(key(number), round).unwrap();
            }
            thread::sleep(Duration::from_millis(5));
            if round < ROUNDS {
                store.clear().unwrap();
                cleared.store(round + 1, Ordering::SeqCst);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let check = |store: &Store<u64>| {
        for number in 0..KEYS {
            assert_eq!(store.get(&key(number)).unwrap().as_deref(), Some(&ROUNDS), "{number}");
        }
        assert_eq!(store.count().unwrap(), KEYS);
    };
    check(&store);
    let left = std::iter::repeat_with(|| whole_copy(&store, &directory)).flatten().next().unwrap();
    check(&Store::builder().open(left.path()).unwrap());
    store.close().unwrap();
    check(&Store::builder().open(directory.path()).unwrap());
}

// A4: the second remover knows no less than the first.

/// What a second caller does while the first one's removal is on its way to the disk.
fn second_waits(name: &str, second: impl FnOnce(&Store<String>) + Send) {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let (gate, arrived) = Gate::new(false);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.sync().unwrap();
    gate.shut();
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| assert!(store.remove(&key(1)).unwrap()));
        arrived.recv_timeout(LONG).unwrap();
        scope.spawn(|| {
            second(&store);
            returned.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!returned.load(Ordering::SeqCst), "{name} did not wait for the sync");
        gate.open();
    });
    assert!(returned.load(Ordering::SeqCst));
}

#[test]
fn a4_a_second_remove_returns_when_the_first_is_durable() {
    second_waits("remove", |store| assert!(!store.remove(&key(1)).unwrap()));
    second_waits("take", |store| assert!(store.take(&key(1)).unwrap().is_none()));
    second_waits("rename", |store| assert!(!store.rename(&key(1), &key(2)).unwrap()));
    second_waits("update", |store| {
        let store = store.at(Durability::Power);
        assert!(store.update(&key(1), |_| ()).unwrap().is_none());
    });
    second_waits("clear", |store| store.clear().unwrap());
}

/// The same in a flush: between the cut and the sync the first frame is not durable yet, and the
/// tombstone must not be let go before it is.
#[test]
fn a4_a_second_remove_waits_while_a_flush_is_syncing_the_first() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let (gate, arrived) = Gate::new(false);
    let store = builder(&clock).open_fs(watched(directory.path(), gate.clone())).unwrap();
    store.insert(key(1), "one".into()).unwrap();
    store.sync().unwrap();
    assert!(store.at(Durability::Memory).remove(&key(1)).unwrap());
    gate.shut();
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| store.flush().unwrap());
        arrived.recv_timeout(LONG).unwrap();
        scope.spawn(|| {
            assert!(!store.remove(&key(1)).unwrap());
            returned.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!returned.load(Ordering::SeqCst), "the answer rests on a frame not yet durable");
        gate.open();
    });
}

/// A removal answers for good even if the session had expired already: after a kill the grace
/// for lost touches must not bring back what somebody was told is gone.
#[test]
fn a4_a_removal_of_what_has_just_expired_is_durable_too() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let store = open(directory.path(), &clock);
    for number in [1, 2] {
        store.insert(key(number), "one".into()).unwrap();
    }
    clock.advance(61 * SECOND);
    assert!(!store.remove(&key(1)).unwrap());
    assert!(store.take(&key(2)).unwrap().is_none());
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!((value(&left, 1), value(&left, 2)), (None, None));
}

/// The same where the expiry was shortened at the weakest level and the frame is lost.
#[test]
fn a4_a_removal_waits_for_the_frame_by_which_it_had_expired() {
    let (directory, clock) = (Directory::new("a4"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert(key(1), "one".into()).unwrap();
    store.at(Durability::Memory).set_expiry(&key(1), Expiry::After(SECOND)).unwrap();
    clock.advance(5 * SECOND);
    assert!(!store.remove(&key(1)).unwrap());
    let (left, _directory) = reopened(&directory, &clock);
    assert_eq!(value(&left, 1), None);
}

// A5: growth of the map while flushes run.

#[test]
fn a5_no_acknowledged_write_is_missed_by_a_flush_while_the_map_grows() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 6000;
    let directory = Directory::new("a5");
    let options = || Store::<u64>::builder().flush_bytes(64 << 10).segment_bytes(256 << 10);
    let store = options().open_fs(common::unsynced(directory.path())).unwrap();
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let check = |store: &Store<u64>, known: &[u64]| {
        for (writer, known) in (0..WRITERS).zip(known) {
            for number in 0..*known {
                let key = key(writer << 32 | number);
                // Every third is removed as soon as it is there, every fifth is written twice.
                let expected = (number % 3 != 0).then_some(number + u64::from(number % 5 == 0));
                let seen = store.peek(&key).unwrap().map(|value| *value);
                assert_eq!(seen, expected, "writer {writer}, {number} of {known}");
            }
        }
    };
    let mut copies = Vec::new();
    thread::scope(|scope| {
        for (writer, acknowledged) in (0..WRITERS).zip(&acknowledged) {
            let store = store.clone();
            scope.spawn(move || {
                let removing = store.at(Durability::Process);
                for number in 0..EACH {
                    let key = key(writer << 32 | number);
                    store.insert(key, number).unwrap();
                    if number % 5 == 0 {
                        assert!(store.update(&key, |value| *value += 1).unwrap().is_some());
                    }
                    if number % 3 == 0 {
                        assert!(removing.remove(&key).unwrap());
                    }
                    acknowledged.store(number + 1, Ordering::Release);
                }
            });
        }
        let done = || acknowledged.iter().all(|done| done.load(Ordering::Acquire) == EACH);
        while !done() {
            store.flush().unwrap();
            if copies.len() < 4 {
                // Nothing may be published or removed while the files are copied one by one.
                thread::sleep(Duration::from_millis(20));
                let known: Vec<u64> =
                    acknowledged.iter().map(|done| done.load(Ordering::Acquire)).collect();
                if let Some(copy) = whole_copy(&store, &directory) {
                    copies.push((copy, known));
                }
            }
        }
    });
    for (copy, known) in &copies {
        check(&options().open(copy.path()).unwrap(), known);
    }
    let all = [EACH; WRITERS as usize];
    let left = || std::iter::repeat_with(|| whole_copy(&store, &directory)).flatten().next();
    check(&store, &all);
    check(&options().open(left().unwrap().path()).unwrap(), &all);
    store.flush().unwrap();
    check(&options().open(left().unwrap().path()).unwrap(), &all);
    store.close().unwrap();
    let store = options().open(directory.path()).unwrap();
    check(&store, &all);
    store.merge().unwrap();
    check(&store, &all);
}

/// A copy during which no flush or merge ended; otherwise its files are not of one moment.
fn whole_copy(store: &Store<u64>, directory: &Directory) -> Option<Directory> {
    let before = store.stats();
    let copy = copy_of(directory.path(), "left");
    let after = store.stats();
    let same = (before.flushes, before.merges) == (after.flushes, after.merges);
    same.then_some(copy)
}

// A6: touches.

#[test]
fn a6_touches_do_not_resurrect() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    let ended: [(u64, fn(&Store<String>, &Key)); 3] = [
        (1, |store, key| assert!(store.remove(key).unwrap())),
        (2, |store, key| assert!(store.set_expiry(key, Expiry::After(SECOND)).unwrap())),
        (3, |store, key| assert!(store.rename(key, &Key::of("elsewhere")).unwrap())),
    ];
    for flushed in [false, true] {
        for (number, end) in ended {
            let key = key(number);
            store.insert(key, "one".into()).unwrap();
            clock.advance(40 * SECOND);
            assert!(store.get(&key).unwrap().is_some());
            if flushed {
                store.flush().unwrap();
            }
            end(&store, &key);
            assert!(number == 2 || store.get(&key).unwrap().is_none());
            // The wheel comes by at the time of every touch there was.
            for _ in 0..20 {
                clock.advance(5 * SECOND);
                assert!(store.get(&key).unwrap().is_none());
            }
            let (left, _directory) = reopened(&directory, &clock);
            assert!(left.get(&key).unwrap().is_none());
        }
    }
}

#[test]
fn a6_touches_do_not_shorten() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    let until = later(&clock, 3000 * SECOND);
    let idle = Expiry::IdleUntil { idle: 60 * SECOND, until };
    store.insert_with(key(1), "fixed".into(), Expiry::After(1000 * SECOND)).unwrap();
    store.insert_with(key(2), "long".into(), Expiry::Idle(900 * SECOND)).unwrap();
    store.insert_with(key(3), "capped".into(), idle).unwrap();
    let mut ends = [None; 3];
    for round in 0..200 {
        clock.advance(15 * SECOND);
        for (number, end) in (1..).zip(&mut ends) {
            let seen = store.get(&key(number)).unwrap().is_some();
            let deadline = store.deadline(&key(number)).unwrap();
            assert_eq!(seen, deadline.is_some());
            if seen {
                assert!(deadline >= *end, "{number} in round {round}");
                *end = deadline;
            }
        }
        if round % 7 == 3 {
            store.flush().unwrap();
        }
        if round % 50 == 49 {
            store.merge().unwrap();
        }
    }
    assert_eq!(value(&store, 1), None);
    assert!(value(&store, 2).is_some());
    assert_eq!((value(&store, 3), ends[2]), (None, Some(until)));
}

/// A store that has room for a few of its sessions only: reads bring them in, others leave, and
/// every one lives as long as its last read says.
#[test]
fn a6_touches_survive_eviction_and_reopening() {
    const SESSIONS: u64 = 60;
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let options = || builder(&clock).max_memory(1 << 20).flush_bytes(64 << 20);
    let mut store = options().open(directory.path()).unwrap();
    let value = "#".repeat(40_000);
    for number in 0..SESSIONS {
        if store.insert(key(number), value.clone()).is_err_and(|error| error.is_full()) {
            store.flush().unwrap();
            store.insert(key(number), value.clone()).unwrap();
        }
    }
    store.flush().unwrap();
    // Far beyond the first deadline of 60 s; the second half is not read and ends.
    for round in 0..12 {
        clock.advance(25 * SECOND);
        for number in 0..SESSIONS / 2 {
            let number = (number * 7 + round) % (SESSIONS / 2);
            assert!(store.get(&key(number)).unwrap().is_some(), "{number} in round {round}");
        }
        for number in SESSIONS / 2..SESSIONS {
            assert_eq!(store.peek(&key(number)).unwrap().is_some(), round < 2);
        }
        match round {
            4 | 9 => store.flush().unwrap(),
            6 => store.merge().unwrap(),
            7 => {
                store.close().unwrap();
                store = options().open(directory.path()).unwrap();
            }
            _ => {
                // More writes, so that memory is short.
                for number in 0..10 {
                    let spare = key(1000 + number);
                    if store.insert(spare, value.clone()).is_err_and(|error| error.is_full()) {
                        store.flush().unwrap();
                    }
                }
            }
        }
    }
    assert!(store.stats().evicted > 0, "nothing was evicted");
    clock.advance(61 * SECOND);
    for number in 0..SESSIONS {
        assert!(store.get(&key(number)).unwrap().is_none());
    }
    assert_eq!(store.count().unwrap(), 0);
}

/// A clean close knows every touch, however far it moved the deadline.
#[test]
fn a6_touches_survive_a_clean_close() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    let idle = 1000 * SECOND;
    store.insert_with(key(1), "one".into(), Expiry::Idle(idle)).unwrap();
    store.flush().unwrap();
    clock.advance(900 * SECOND);
    assert!(store.get(&key(1)).unwrap().is_some());
    let promised = store.deadline(&key(1)).unwrap();
    assert_eq!(promised, Some(later(&clock, idle)));
    store.close().unwrap();
    let store = open(directory.path(), &clock);
    assert!(store.deadline(&key(1)).unwrap() >= promised);
    clock.advance(999 * SECOND);
    assert!(value(&store, 1).is_some());
}

/// While a closure runs, time passes beyond the deadline and a reader is told that the session
/// has ended. Then it has.
#[test]
fn a6_an_update_does_not_resurrect_what_a_reader_saw_expire() {
    let (directory, clock) = (Directory::new("a6"), ManualClock::new());
    let store = open(directory.path(), &clock);
    store.insert(key(1), "one".into()).unwrap();
    clock.advance(59 * SECOND);
    let (inside, entered) = channel();
    let (release, released) = channel::<()>();
    thread::scope(|scope| {
        let update = scope.spawn(|| {
            store.update(&key(1), move |_| {
                inside.send(()).unwrap();
                released.recv().unwrap();
            })
        });
        entered.recv_timeout(LONG).unwrap();
        // The wheel waits for the stripe; the time has moved before.
        let before = clock.wall();
        scope.spawn(|| clock.advance(5 * SECOND));
        wait_until("the clock moves", || clock.wall() > before);
        thread::sleep(Duration::from_millis(50));
        let seen = store.peek(&key(1)).unwrap().is_some();
        release.send(()).unwrap();
        assert!(update.join().unwrap().unwrap().is_some());
        let after = store.peek(&key(1)).unwrap().is_some();
        assert!(seen || !after, "seen expired, and back");
    });
}
