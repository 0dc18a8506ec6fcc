//! Reading. `get-warm`: the sessions are as they were inserted, in memory where the side keeps
//! them there. `get-cold`: the store has just been opened and each session is read once at most.

use std::borrow::Borrow;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use super::{Bench, check, fill, share};
use crate::Result;
use crate::heap;
use crate::keys::Key;
use crate::measure::{Stop, crew, until};
use crate::report::{Line, Unit};
use crate::rivals::{Client, Level, Rival, Sessile};
use crate::scratch;

const THREADS: [usize; 2] = [1, 2];
/// Gets between two looks at the clock.
const EVERY: usize = 32;

pub fn warm<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let ours = bench.filled::<Sessile>(Level::Memory)?;
    let theirs = bench.filled::<R>(Level::Memory)?;
    let mut lines = Vec::new();
    for threads in THREADS {
        let (mut our_clients, mut their_clients) =
            (ours.clients(threads)?, theirs.clients(threads)?);
        let keys = &bench.keys.asked;
        let pair = bench.measure(
            |round| slice(bench, &mut our_clients, keys, round, found),
            |round| slice(bench, &mut their_clients, keys, round, found),
        )?;
        lines.push(Line::of_pair("get-warm", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    ours.close()?;
    theirs.close()?;
    heap::tidy();
    Ok(lines)
}

/// One round of calls on `keys`, every thread from another place of their order; calls per second.
pub(super) fn slice<C: Client>(
    bench: &Bench,
    clients: &mut [C],
    keys: &[Key],
    round: usize,
    call: impl Fn(&mut C, &Key) -> Result<()> + Sync,
) -> Result<f64> {
    let stop = Stop { after: bench.size.slice, every: EVERY };
    let (threads, rounds) = (clients.len(), bench.size.rounds + 1);
    crew(clients, |thread, client, begun| {
        let first = keys.len() * (thread * rounds + round) / (threads * rounds);
        until(begun, stop, keys.iter().cycle().skip(first), |key| call(client, key))
    })
}

pub fn cold<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let ours = resting::<Sessile>(bench)?;
    let theirs = resting::<R>(bench)?;
    let mut lines = Vec::new();
    for threads in THREADS {
        let pair = bench.measure(
            |_| sweep::<Sessile>(bench, &ours, threads),
            |_| sweep::<R>(bench, &theirs, threads),
        )?;
        lines.push(Line::of_pair("get-cold", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    scratch::remove(&ours)?;
    scratch::remove(&theirs)?;
    Ok(lines)
}

/// A folder with every session in it, closed in good order.
fn resting<R: Rival>(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.scratch.fresh();
    let store = R::open(&dir, Level::Process)?;
    fill(&store, &bench.keys.filed)?;
    check(&store, &bench.keys.asked)?;
    store.settle()?;
    store.flush()?;
    store.close()?;
    Ok(dir)
}

/// Opens the store and reads every session once, or as many as a round has time for; gets per
/// second.
fn sweep<R: Rival>(bench: &Bench, dir: &Path, threads: usize) -> Result<f64> {
    let store = R::open(dir, Level::Process)?;
    let stop = Stop { after: bench.size.round_max, every: EVERY };
    let mut clients = store.clients(threads)?;
    let rate = crew(&mut clients, |thread, client, begun| {
        let keys = share(&bench.keys.asked, thread, threads);
        until(begun, stop, keys.iter(), |key| found(client, key))
    })?;
    drop(clients);
    store.close()?;
    heap::tidy();
    Ok(rate)
}

/// Gets a session that is there, looks into it, and lets it go.
pub(super) fn found<C: Client>(client: &mut C, key: &Key) -> Result<()> {
    let value = client.get(key)?.ok_or("a session is gone")?;
    black_box(value.borrow().user);
    Ok(())
}
