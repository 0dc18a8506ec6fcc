//! `replay`: how quickly opening reads back a log that no base covers. `warm-up`: how quickly all
//! sessions come into memory after an opening. The store has no option for that, so what is
//! measured is reading every session once, in the order in which the store goes through them.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use sessile::{Durability, Expiry, Store};

use super::{builder, end, fill, ours};
use crate::Result;
use crate::finding::{Finding, Goal};
use crate::heap;
use crate::keys::Keys;
use crate::measure::crew;
use crate::record::Record;
use crate::scratch;
use crate::works::Bench;

const SESSIONS: usize = 1_000_000;
/// So that no flush takes the log away.
const NEVER: u64 = 1 << 40;
const THREADS: usize = 2;

pub fn replay(bench: &Bench) -> Result<Vec<Finding>> {
    let from = written(bench)?;
    let (mut rates, mut bytes) = (Vec::new(), Vec::new());
    for round in 0..=super::rounds(bench) {
        let dir = bench.scratch.copy(&from)?;
        let begun = Instant::now();
        let store = builder().flush_bytes(NEVER).open(&dir)?;
        let seconds = begun.elapsed().as_secs_f64();
        let recovery = store.stats().disk.ok_or("the store has a directory")?.recovery;
        if recovery.frames < SESSIONS as u64 || store.len() != SESSIONS as u64 {
            return Err(format!("{} frames were replayed", recovery.frames).into());
        }
        // What closing would write is not measured and takes long.
        store.clear()?;
        end(&store, &dir)?;
        drop(store);
        heap::tidy();
        if round > 0 {
            rates.push(recovery.frames as f64 / seconds);
            bytes.push(recovery.bytes as f64 / seconds / 1e6);
        }
    }
    scratch::remove(&from)?;
    let frames = Finding::new("replay", "frames", 1, "frames/s", &rates);
    Ok(vec![frames.goal(Goal::AtLeast(1e6)), Finding::new("replay", "log", 1, "MB/s", &bytes)])
}

/// A directory as a killed process leaves it: all sessions in the log, synced, and no base.
fn written(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.scratch.fresh();
    let store = builder().flush_bytes(NEVER).open(&dir)?;
    let keys = Keys::others(SESSIONS);
    let (last, most) = keys.split_last().ok_or("there are sessions")?;
    fill(&store, most, |_| Expiry::Default)?;
    store.sync()?;
    // A frame after the sync says that it has been: a running server's next one does.
    store.at(Durability::Power).insert(ours(last), Record::of(last))?;
    let copy = bench.scratch.copy(&dir)?;
    store.clear()?;
    end(&store, &dir)?;
    Ok(copy)
}

pub fn warm_up(bench: &Bench) -> Result<Vec<Finding>> {
    let dir = bench.scratch.fresh();
    let store = builder().open(&dir)?;
    fill(&store, &Keys::others(SESSIONS), |_| Expiry::Default)?;
    store.flush()?;
    store.merge()?;
    store.close()?;
    let (mut walks, mut gets) = (Vec::new(), Vec::new());
    for round in 0..=super::rounds(bench) {
        let store = builder().open(&dir)?;
        let begun = Instant::now();
        // Leaves them where they are: a walk is no use of a session.
        let keys: Vec<sessile::Key> =
            store.iter().map(|session| session.map(|(key, _)| key)).collect::<Result<_, _>>()?;
        let walk = keys.len() as f64 / begun.elapsed().as_secs_f64();
        let rate = get_all(&store, &keys)?;
        let stats = store.stats();
        // A reader that meets another one at a stripe leaves a session cold.
        if keys.len() != SESSIONS || stats.promoted < SESSIONS as u64 / 100 * 99 {
            return Err(format!("{} sessions have come into memory", stats.promoted).into());
        }
        store.close()?;
        drop(store);
        heap::tidy();
        if round > 0 {
            walks.push(walk);
            gets.push(rate);
        }
    }
    scratch::remove(&dir)?;
    let gets = Finding::new("warm-up", "get-in-order", THREADS, "sessions/s", &gets);
    let walks = Finding::new("warm-up", "iter-stays-cold", 1, "sessions/s", &walks);
    Ok(vec![gets.goal(Goal::AtLeast(2e6)), walks])
}

/// Reads every session, each thread one end of the store; sessions per second.
fn get_all(store: &Store<Record>, keys: &[sessile::Key]) -> Result<f64> {
    let share = keys.len().div_ceil(THREADS);
    crew(&mut [(); THREADS], |thread, (), _| {
        let keys = keys.chunks(share).nth(thread).unwrap_or_default();
        for key in keys {
            black_box(store.get(key)?.ok_or("a session is gone")?.user);
        }
        Ok(keys.len())
    })
}
