//! A flood of creations against the limits on sessions and on memory.

use std::thread;

use sessile::{Builder, Durability};

use super::support::{Temp, within};
use super::*;

const LASTING: std::ops::Range<u64> = 1 << 40..(1 << 40) + 100;
const THREADS: u64 = 4;

fn builder() -> Builder<String> {
    Store::builder().durability(Durability::Memory).removal_durability(Durability::Process)
}

/// What the flood got.
struct Outcome {
    made: Vec<u64>,
    refused: u64,
    longest_read: Duration,
    peak: usize,
}

/// Threads that create as fast as they can, `tries` each, while others read and remove. Every
/// refusal must be a typed one.
fn flood(store: &Store<String>, tries: u64, bytes: usize) -> Outcome {
    let over = AtomicBool::new(false);
    let before = heap::held();
    heap::take_peak();
    let (made, refused, longest_read) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&over, store, LASTING));
        let over = Over(&over);
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let (mut made, mut refused) = (Vec::new(), 0);
                    for number in thread * tries..(thread + 1) * tries {
                        match store.create(key(number), "x".repeat(bytes)) {
                            Ok(new) => {
                                assert!(new);
                                made.push(number);
                            }
                            Err(error) if error.is_full() => refused += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (made, refused)
                })
            })
            .collect();
        let (mut made, mut refused) = (Vec::new(), 0);
        for writer in writers {
            let (mine, other) = writer.join().unwrap();
            made.extend(mine);
            refused += other;
        }
        drop(over);
        let (_, longest) = reader.join().unwrap();
        (made, refused, longest)
    });
    let peak = heap::take_peak().saturating_sub(before);
    Outcome { made, refused, longest_read, peak }
}

fn fill(store: &Store<String>) {
    for number in LASTING {
        store.insert(key(number), "lasting".into()).unwrap();
    }
}

/// While it is full, reads, changes and removals go on; and it ends when there is room again.
fn full_and_then_not(store: &Store<String>, flood: &Outcome) {
    let new = key(1 << 50);
    let refused = store.create(new, "no".into()).unwrap_err();
    assert!(refused.is_full() && !refused.is_unknown(), "{refused}");
    assert!(store.peek(&new).unwrap().is_none(), "nothing has happened");
    store.update(&key(LASTING.start), |value| value.push('!')).unwrap().unwrap();
    for number in &flood.made[..flood.made.len() / 2] {
        assert!(store.remove(&key(*number)).unwrap());
    }
    assert!(store.create(new, "yes".into()).unwrap());
    for number in &flood.made[flood.made.len() / 2..] {
        assert!(store.peek(&key(*number)).unwrap().is_some(), "{number} was accepted");
    }
    assert!(flood.longest_read < READ_MAX, "{:?}", flood.longest_read);
    assert!(store.stats().refused >= flood.refused);
}

fn against_max_sessions(store: &Store<String>, most: u64) {
    fill(store);
    let outcome = flood(store, 5000, 100);
    let (made, refused) = (outcome.made.len() as u64, outcome.refused);
    println!(
        "max_sessions {most}: {made} made, {refused} refused, the longest read {:?}, {} KiB",
        outcome.longest_read,
        outcome.peak / 1024
    );
    assert_eq!(made + refused, THREADS * 5000);
    // Those that were admitted at the same moment.
    assert!(made + 100 <= most + THREADS, "{made}");
    assert!(made + 100 >= most, "{made}");
    // The lists of this test included.
    assert!(outcome.peak < 16 * MIB, "{}", outcome.peak);
    full_and_then_not(store, &outcome);
}

#[test]
fn a_flood_stops_at_max_sessions() {
    let _alone = alone();
    within(LIMIT, || {
        let temp = Temp::new();
        against_max_sessions(&builder().max_sessions(2000).open(temp.path()).unwrap(), 2000);
        against_max_sessions(&builder().max_sessions(2000).in_memory().unwrap(), 2000);
    });
}

/// Without a disk nothing can leave: it is full.
#[test]
fn a_flood_stops_at_max_memory() {
    let _alone = alone();
    within(LIMIT, || {
        let store = builder().max_memory(4 * MIB as u64).weigher(|value| value.len() as u64);
        let store = store.in_memory().unwrap();
        fill(&store);
        let outcome = flood(&store, 5000, 2000);
        println!(
            "max_memory 4 MiB in memory: {} made, {} refused, the longest read {:?}, {} KiB",
            outcome.made.len(),
            outcome.refused,
            outcome.longest_read,
            outcome.peak / 1024
        );
        assert!(outcome.refused > 0);
        assert!(store.stats().memory_bytes <= 4 * MIB as u64 + 4 * 2500);
        assert!(outcome.peak < 8 * MIB, "{}", outcome.peak);
        full_and_then_not(&store, &outcome);
    });
}

/// With a disk what is flushed leaves, and the store grows beyond its memory; it may go slowly,
/// and refuse, but memory stays.
#[test]
fn a_flood_larger_than_memory_goes_to_disk() {
    let _alone = alone();
    within(LIMIT, || {
        let temp = Temp::new();
        let store = builder().max_memory(4 * MIB as u64).flush_bytes(MIB as u64);
        let store = store.open(temp.path()).unwrap();
        fill(&store);
        let outcome = flood(&store, 5000, 2000);
        println!(
            "max_memory 4 MiB on disk: {} made, {} refused, the longest read {:?}, {} KiB",
            outcome.made.len(),
            outcome.refused,
            outcome.longest_read,
            outcome.peak / 1024
        );
        assert!(outcome.made.len() * 2000 > 4 * 4 * MIB, "{} made", outcome.made.len());
        // Beyond `max_memory`: the log's buffer twice, a flush, and what a map takes for itself.
        assert!(outcome.peak < 40 * MIB, "{}", outcome.peak);
        for number in outcome.made.iter().step_by(7) {
            assert_eq!(store.peek(&key(*number)).unwrap().unwrap().len(), 2000);
        }
        assert_eq!(store.count().unwrap(), outcome.made.len() as u64 + 100);
        assert!(outcome.longest_read < READ_MAX, "{:?}", outcome.longest_read);
    });
}
