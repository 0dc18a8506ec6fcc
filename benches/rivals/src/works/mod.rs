//! The works, and what all of them share.

mod churn;
mod disk;
mod get;
mod insert;
mod memory;
mod miss;
mod open;
mod plan;
mod traffic;
mod update;
mod web;
mod zipf;

use std::borrow::Borrow;
use std::time::{Duration, Instant};

pub use self::plan::{Entry, PARTS, PLAN, When};
use crate::Result;
use crate::keys::{Key, Keys};
use crate::measure::{Pair, Stop, crew, until};
use crate::record::Record;
use crate::rivals::{Client, Level, Rival};
use crate::scratch::Scratch;

/// Threads that fill a store before it is measured: some rivals are slow at one.
const FILLERS: usize = 4;
/// Sessions whose value is compared after a fill.
const PROBES: usize = 1000;

/// How much is measured.
pub struct Size {
    pub sessions: usize,
    /// Rounds of each side, without the one that warms up.
    pub rounds: usize,
    /// Length of a round that has no end of its own.
    pub slice: Duration,
    /// Length after which a round of inserts or cold gets ends, done or not.
    pub round_max: Duration,
    /// When a pair ends, rounds left or not.
    pub pair_max: Duration,
}

/// What a work is given.
pub struct Bench {
    pub size: Size,
    pub keys: Keys,
    pub scratch: Scratch,
}

impl Bench {
    fn measure(
        &self,
        ours: impl FnMut(usize) -> Result<f64>,
        theirs: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Pair> {
        Pair::measure(self.size.rounds, self.size.pair_max, ours, theirs)
    }

    /// A new store with every session in it, checked and at rest.
    fn filled<R: Rival>(&self, level: Level) -> Result<R> {
        let store = R::open(&self.scratch.fresh(), level)?;
        fill(&store, &self.keys.filed)?;
        check(&store, &self.keys.asked)?;
        store.settle()?;
        Ok(store)
    }
}

/// Inserts the record of every key.
fn fill<R: Rival>(store: &R, keys: &[Key]) -> Result<()> {
    let stop = Stop { after: Duration::MAX, every: usize::MAX };
    insert_shares(&mut store.clients(FILLERS)?, keys, stop)?;
    Ok(())
}

/// Inserts the records of `keys`, each thread its share; inserts per second.
fn insert_shares<C: Client>(clients: &mut [C], keys: &[Key], stop: Stop) -> Result<f64> {
    let threads = clients.len();
    crew(clients, |thread, client, begun| {
        let share = share(keys, thread, threads);
        until(begun, stop, share.iter(), |key| client.insert(key, Record::of(key)))
    })
}

/// The keys that are `thread`'s when `threads` divide them.
fn share(keys: &[Key], thread: usize, threads: usize) -> &[Key] {
    let bound = |thread: usize| keys.len() * thread / threads;
    &keys[bound(thread)..bound(thread + 1)]
}

/// Asks for the first few of `keys` and compares what comes with what belongs there.
fn check<R: Rival>(store: &R, keys: &[Key]) -> Result<()> {
    let mut client = store.client()?;
    for key in keys.iter().take(PROBES) {
        expect(R::NAME, key, client.get(key)?)?;
    }
    Ok(())
}

/// That `found` is the record of `key`.
fn expect(name: &str, key: &Key, found: Option<impl Borrow<Record>>) -> Result<()> {
    match found {
        Some(found) if *found.borrow() == Record::of(key) => Ok(()),
        Some(_) => Err(format!("{name} answered with another session").into()),
        None => Err(format!("{name} has lost a session").into()),
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
