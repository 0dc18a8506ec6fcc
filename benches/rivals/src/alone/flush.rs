//! `flush-under-load`: what visitors notice of flush and merge, when these run one after the other
//! without a pause, which is far more often than they run by themselves.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use sessile::{Durability, Expiry, Store};

use super::{builder, end, fill, ours};
use crate::Result;
use crate::finding::{Finding, Goal, latencies};
use crate::keys::{Key, Keys};
use crate::latency::{Latency, Load, open_loop};
use crate::record::Record;
use crate::works::Bench;

const LOAD: Load = Load { per_second: 50_000, length: Duration::from_secs(4) };
const THREADS: usize = 2;
/// Of a hundred calls so many read and so many change; of the rest every other one is a new
/// session, and the next the end of it.
const GETS: usize = 85;
const UPDATES: usize = 11;
/// Sessions come and go in turns of so many.
const VISITORS: usize = 100_000;

pub fn under_load(bench: &Bench) -> Result<Vec<Finding>> {
    let dir = bench.scratch.fresh();
    let store = builder().durability(Durability::Process);
    let store = store.removal_durability(Durability::Process).open(&dir)?;
    fill(&store, &bench.keys.filed, |_| Expiry::Default)?;
    store.flush()?;
    store.merge()?;
    let visitors = Keys::others(VISITORS);
    let (mut busy, mut calm, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=super::rounds(bench) {
        let quiet = visits(bench, &store, &visitors)?.points();
        let (latency, count) = beside_flushes(&store, || visits(bench, &store, &visitors))?;
        // The first of both is for the store to come to its stride.
        if round > 0 {
            calm.push(quiet);
            busy.push(latency.points());
            turns.push(count as f64 / LOAD.length.as_secs_f64());
        }
    }
    end(&store, &dir)?;
    let work = "flush-under-load";
    let goal = Some(Goal::AtMost(2.0));
    let mut found = latencies(work, THREADS, "no-flush", &busy, &calm, goal);
    found.push(Finding::new(work, "flushes-and-merges", THREADS, "/s", &turns));
    Ok(found)
}

/// The web's mix: mostly reads of sessions that are there.
fn visits(bench: &Bench, store: &Store<Record>, visitors: &[Key]) -> Result<Latency> {
    let keys = &bench.keys.asked;
    open_loop(LOAD, &mut [(); THREADS], |(), number| {
        let key = ours(&keys[number % keys.len()]);
        // Both threads meet every kind: neighbours in a hundred are theirs in turn.
        match number / THREADS % 100 {
            kind if kind < GETS => {
                let value = store.get(&key)?;
                black_box(value.ok_or("a session is gone")?.user);
            }
            kind if kind < GETS + UPDATES => {
                let changed = store.update(&key, |record| record.user += 1)?;
                changed.ok_or("a session is gone")?;
            }
            kind => {
                let visitor =
                    &visitors[number / THREADS / 100 * THREADS % VISITORS + number % THREADS];
                if kind % 2 == 0 {
                    store.insert(ours(visitor), Record::of(visitor))?;
                } else {
                    store.remove(&ours(visitor))?;
                }
            }
        }
        Ok(())
    })
}

/// Does `work` while flush and merge run in turn; also how often they ran.
fn beside_flushes<T>(store: &Store<Record>, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let flushes = scope.spawn(|| -> Result<u64> {
            let mut turns = 0;
            while !done.load(Relaxed) {
                store.flush()?;
                store.merge()?;
                turns += 1;
            }
            Ok(turns)
        });
        let result = work();
        done.store(true, Relaxed);
        let turns = flushes.join().map_err(|_| "the flushing thread has panicked")??;
        Ok((result?, turns))
    })
}
