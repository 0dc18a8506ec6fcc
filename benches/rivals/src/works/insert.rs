//! Inserting new sessions, by what has to be survived when the call returns. The record is made,
//! and put behind its pointer or encoded, within the timed part, by every side.

use std::time::Duration;

use super::{Bench, insert_shares};
use crate::Result;
use crate::heap;
use crate::measure::{Stop, crew, until};
use crate::record::Record;
use crate::report::{Line, Unit};
use crate::rivals::{Client, Level, Rival, Sessile};
use crate::scratch;

const THREADS: [usize; 2] = [1, 2];
const WRITERS: [usize; 3] = [1, 16, 64];
/// Inserts between two looks at the clock, where they are quick.
const EVERY: usize = 32;
/// For the disk to come to rest between two rounds of synced inserts.
const PAUSE: Duration = Duration::from_millis(50);

pub fn memory<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    growing::<R>(bench, "insert-memory", Level::Memory)
}

pub fn process<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    growing::<R>(bench, "insert-process", Level::Process)
}

/// Each round fills a new, empty store.
fn growing<R: Rival>(bench: &Bench, work: &'static str, level: Level) -> Result<Vec<Line>> {
    let measure = |threads| -> Result<Line> {
        let pair = bench.measure(
            |_| fresh::<Sessile>(bench, level, threads),
            |_| fresh::<R>(bench, level, threads),
        )?;
        Ok(Line::of_pair(work, R::NAME, threads, Unit::OpsPerS, &pair))
    };
    THREADS.into_iter().map(measure).collect()
}

/// Inserts per second into a new store; it is closed and removed after the clock has stopped.
fn fresh<R: Rival>(bench: &Bench, level: Level, threads: usize) -> Result<f64> {
    let dir = bench.scratch.fresh();
    let store = R::open(&dir, level)?;
    let stop = Stop { after: bench.size.round_max, every: EVERY };
    let mut clients = store.clients(threads)?;
    let rate = insert_shares(&mut clients, &bench.keys.filed, stop)?;
    drop(clients);
    store.close()?;
    scratch::remove(&dir)?;
    heap::tidy();
    Ok(rate)
}

/// Each round goes on filling the same store: the disk's sync is the cost, not its size.
pub fn power<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let (our_dir, their_dir) = (bench.scratch.fresh(), bench.scratch.fresh());
    let ours = Sessile::open(&our_dir, Level::Power)?;
    let theirs = R::open(&their_dir, Level::Power)?;
    let mut lines = Vec::new();
    for threads in WRITERS {
        let (mut our_clients, mut their_clients) =
            (ours.clients(threads)?, theirs.clients(threads)?);
        let pair = bench.measure(
            |round| slice(bench, &mut our_clients, round),
            |round| slice(bench, &mut their_clients, round),
        )?;
        lines.push(Line::of_pair("insert-power", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    ours.close()?;
    theirs.close()?;
    scratch::remove(&our_dir)?;
    scratch::remove(&their_dir)?;
    Ok(lines)
}

/// One round of synced inserts, every thread from another place; inserts per second.
fn slice<C: Client>(bench: &Bench, clients: &mut [C], round: usize) -> Result<f64> {
    std::thread::sleep(PAUSE);
    let keys = &bench.keys.filed;
    let stop = Stop { after: bench.size.slice, every: 1 };
    let (threads, rounds) = (clients.len(), bench.size.rounds + 1);
    crew(clients, |thread, client, begun| {
        let first = keys.len() * (round * threads + thread) / (threads * rounds);
        let keys = keys.iter().cycle().skip(first);
        until(begun, stop, keys, |key| client.insert(key, Record::of(key)))
    })
}
