//! Everything is due in the same second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sessile::{Clock, Durability, Expiry, SystemClock, Timestamp};

use super::support::{Temp, within};
use super::*;

/// The system's clock, which a test may push forward: as after a suspend.
#[derive(Clone, Default)]
struct Pushed(Arc<AtomicU64>);

impl Clock for Pushed {
    fn wall(&self) -> Timestamp {
        SystemClock.wall().after(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }
    fn boot_ms(&self) -> u64 {
        SystemClock.boot_ms() + self.0.load(Ordering::SeqCst)
    }
}

const LASTING: std::ops::Range<u64> = 1 << 40..(1 << 40) + 100;

fn all_due_at_once(path: Option<&std::path::Path>, count: u64) {
    let clock = Pushed::default();
    let builder = Store::<String>::builder()
        .durability(Durability::Memory)
        .expected_sessions(count as usize)
        .clock(clock.clone());
    let before = heap::held();
    let store = match path {
        Some(path) => builder.open(path).unwrap(),
        None => builder.in_memory().unwrap(),
    };
    let hour = Duration::from_secs(3600);
    let due = clock.wall().after(hour);
    for number in LASTING {
        store.insert(key(number), "lasting".into()).unwrap();
    }
    for number in 0..count {
        store.insert_with(key(number), format!("{number:0>64}"), Expiry::At(due)).unwrap();
    }
    let full = heap::held() - before;
    heap::take_peak();
    let over = AtomicBool::new(false);
    let (took, reads, longest) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&over, &store, LASTING));
        let over = Over(&over);
        clock.0.store(hour.as_millis() as u64, Ordering::SeqCst);
        let began = Instant::now();
        // Those that are dirty leave a tombstone until a flush; in memory nothing is left.
        while store.stats().expired < count || store.len() > 100 {
            assert!(began.elapsed() < LIMIT / 2, "{:?}", store.stats());
            thread::sleep(Duration::from_millis(10));
        }
        let took = began.elapsed();
        drop(over);
        let (reads, longest) = reader.join().unwrap();
        (took, reads, longest)
    });
    let peak = heap::take_peak() - before;
    assert!((0..count).step_by(997).all(|number| store.peek(&key(number)).unwrap().is_none()));
    assert_eq!(store.count().unwrap(), 100);
    store.flush().unwrap();
    let entries = store.stats().entries;
    let after = heap::held().saturating_sub(before);
    println!(
        "{count} due at once, {}: gone after {took:?}, {reads} reads meanwhile, the longest \
         {longest:?}; {} MiB full, {} MiB at most, {} MiB after",
        if path.is_some() { "on disk" } else { "in memory" },
        full / MIB,
        peak / MIB,
        after / MIB
    );
    assert!(longest < READ_MAX, "{longest:?}");
    assert!(entries <= 200, "{entries} entries are left");
    assert!(peak < full + full / 2 + 16 * MIB, "{peak} of {full} bytes");
}

fn count() -> u64 {
    if is_full_form() { 1_000_000 } else { 30_000 }
}

#[test]
fn all_sessions_may_be_due_in_the_same_second_on_disk() {
    let _alone = alone();
    within(LIMIT, || {
        let temp = Temp::new();
        all_due_at_once(Some(temp.path()), count());
    });
}

#[test]
fn all_sessions_may_be_due_in_the_same_second_in_memory() {
    let _alone = alone();
    within(LIMIT, || all_due_at_once(None, count()));
}
