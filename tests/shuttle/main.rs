//! Whole stores under shuttle, which chooses the order of every lock, atomic and call of the file
//! system: many orders at random, and as many that switch seldom at chosen places (PCT).
//!
//! Built and run by `RUSTFLAGS="--cfg shuttle" cargo test --release --features testing --test
//! shuttle`; empty without that cfg. `SESSILE_SCHEDULES` is the number of orders for each
//! scenario and scheduler, `SESSILE_SEED` repeats a run. A scenario that fails prints its schedule;
//! `SESSILE_SCHEDULE=... <the same command> <scenario>` replays that one.
//!
//! Shuttle runs every atomic as if it were sequentially consistent; what weaker orders allow is
//! loom's part, beside the code of the small parts (`orders.rs` in `src/log` and `src/store`).

#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod background;
mod durable;
mod ended;
mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{ManualClock, SimFs, SlowFs};
use sessile::{Background, Key, Store};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, Runner};

const COMMAND: &str =
    "RUSTFLAGS='--cfg shuttle' cargo test --release --features testing --test shuttle";

/// Places at which PCT switches threads, besides those where it must.
const SWITCHES: usize = 3;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs a scenario in very many orders, or in the one that is to be replayed.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 512 << 10;
    config.silence_warnings = true;
    let scenario = Arc::new(scenario);
    if let Ok(schedule) = std::env::var("SESSILE_SCHEDULE") {
        let schedule = std::fs::read_to_string(&schedule).unwrap_or(schedule);
        let scheduler = ReplayScheduler::new_from_encoded(&schedule);
        Runner::new(scheduler, config).run(move || scenario());
        return;
    }
    let orders = number("SESSILE_SCHEDULES").unwrap_or(1000) as usize;
    let seed = number("SESSILE_SEED").unwrap_or(1);
    let run = || {
        let random = RandomScheduler::new_from_seed(seed, orders);
        let pct = PctScheduler::new_from_seed(seed, SWITCHES, orders);
        let again = scenario.clone();
        let done = Runner::new(random, config.clone()).run(move || again());
        done + Runner::new(pct, config).run(move || scenario())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => println!("{done} schedules, SESSILE_SEED={seed}"),
        Err(panic) => {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            println!(
                "replay it: SESSILE_SCHEDULE='the schedule above, or its file' {COMMAND} {name}"
            );
            resume_unwind(panic)
        }
    }
}

/// What a scenario begins with: a disk, a clock that stands still, and stores on them.
#[derive(Clone)]
struct World {
    fs: SimFs,
    clock: ManualClock,
}

impl World {
    fn new() -> World {
        World { fs: SimFs::new(1), clock: ManualClock::new() }
    }

    fn builder(&self) -> sessile::Builder<u64> {
        Store::builder()
            .background(Background::Callers)
            .clock(self.clock.clone())
            .random_seed(1)
            .expected_sessions(1)
            .idle(Duration::from_secs(3600))
    }

    fn open(&self) -> Store<u64> {
        self.open_on(&self.fs)
    }

    /// What the next process finds on this directory.
    fn open_on(&self, fs: &SimFs) -> Store<u64> {
        self.builder().open_fs(Arc::new(SlowFs::new(fs.clone()))).unwrap()
    }

    /// A store whose sessions 0 to `count - 1`, each with its number, are in a base and not in
    /// memory.
    fn cold(&self, count: u64) -> Store<u64> {
        let store = self.open();
        for number in 0..count {
            store.insert(key(number), number).unwrap();
        }
        store.close().unwrap();
        let store = self.open();
        assert_eq!(store.stats().entries, 0);
        store
    }
}

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs the jobs, each on a thread of its own, and waits for all.
fn together(jobs: Vec<Job>) {
    let threads: Vec<_> = jobs.into_iter().map(shuttle::thread::spawn).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A job on a clone of the store.
fn on(store: &Store<u64>, job: impl FnOnce(Store<u64>) + Send + 'static) -> Job {
    let store = store.clone();
    Box::new(move || job(store))
}
