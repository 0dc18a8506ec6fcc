//! More than a store can take: everything due in the same second, a flood of creations, a disk
//! that stands still. Memory stays bounded, reads go on, errors say what they are.
//!
//! `SESSILE_FULL=1` asks for a million sessions and for stalls that outlast the patience of
//! writers; with `--release`, for its figures to mean something.
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;
mod flood;
mod heap;
mod same_second;
mod stall;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sessile::Store;
use support::key;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Generous: a watchdog, not a measure.
const LIMIT: Duration = Duration::from_secs(300);
/// No read may take longer while others wait: far above what one takes, far below what they wait.
const READ_MAX: Duration = Duration::from_millis(500);
const MIB: usize = 1 << 20;

/// Memory is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_full_form() -> bool {
    std::env::var("SESSILE_FULL").is_ok_and(|text| text == "1")
}

/// Reads, until it is over, sessions that live throughout, and others; says how many reads there
/// were and how long the longest took.
fn read_until(
    over: &AtomicBool,
    store: &Store<String>,
    lasting: std::ops::Range<u64>,
) -> (u64, Duration) {
    let (mut reads, mut longest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        for number in lasting.clone() {
            let began = Instant::now();
            let there = store.get(&key(number)).unwrap().is_some();
            longest = longest.max(began.elapsed());
            assert!(there, "{number} lives");
            let began = Instant::now();
            store.get(&key(number % 97)).unwrap();
            longest = longest.max(began.elapsed());
            reads += 2;
        }
        // So that it takes a share of a core and not all of it.
        std::thread::sleep(Duration::from_millis(1));
    }
    (reads, longest)
}

/// Ends what others do until then, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
