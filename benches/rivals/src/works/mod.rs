//! The works, which rivals meet in which, and what all works share.

mod get;
mod insert;
mod memory;
mod open;

use std::borrow::Borrow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::keys::{Key, Keys};
use crate::measure::{Pair, Stop, crew, until};
use crate::record::Record;
use crate::report::Line;
use crate::rivals::{Append, Client, Dashmap, Fjall, Level, Moka, Redis, Rival, Sessile};
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

/// One row of the plan.
pub struct Entry {
    pub work: &'static str,
    pub rival: &'static str,
    /// Why the rival cannot run here, if it cannot.
    pub missing: fn() -> Option<String>,
    pub run: fn(&Bench) -> Result<Vec<Line>>,
}

impl Entry {
    /// Whether both sides are the same.
    pub fn is_control(&self) -> bool {
        self.rival == Sessile::NAME
    }
}

const fn entry<R: Rival>(work: &'static str, run: fn(&Bench) -> Result<Vec<Line>>) -> Entry {
    Entry { work, rival: R::NAME, missing: R::missing, run }
}

/// Every measurement there is, in the order in which they run. Those of sessile against itself
/// show the noise of the method and run only when asked for.
pub const PLAN: &[Entry] = &[
    entry::<Dashmap>("get-warm", get::warm::<Dashmap>),
    entry::<Moka>("get-warm", get::warm::<Moka>),
    entry::<Fjall>("get-warm", get::warm::<Fjall>),
    entry::<Redis>("get-warm", get::warm::<Redis>),
    entry::<Fjall>("get-cold", get::cold::<Fjall>),
    entry::<Dashmap>("insert-memory", insert::memory::<Dashmap>),
    entry::<Moka>("insert-memory", insert::memory::<Moka>),
    entry::<Fjall>("insert-process", insert::process::<Fjall>),
    entry::<Redis>("insert-process", insert::process::<Redis>),
    entry::<Append>("insert-power", insert::power::<Append>),
    entry::<Fjall>("insert-power", insert::power::<Fjall>),
    entry::<Redis>("insert-power", insert::power::<Redis>),
    entry::<Fjall>("open-kill", open::kill::<Fjall>),
    entry::<Redis>("open-kill", open::kill::<Redis>),
    entry::<Fjall>("open-close", open::close::<Fjall>),
    entry::<Redis>("open-close", open::close::<Redis>),
    entry::<Dashmap>("memory", memory::memory::<Dashmap>),
    entry::<Moka>("memory", memory::memory::<Moka>),
    entry::<Sessile>("get-warm", get::warm::<Sessile>),
    entry::<Sessile>("insert-memory", insert::memory::<Sessile>),
    entry::<Sessile>("insert-process", insert::process::<Sessile>),
];

/// What a child of the bench does, by name: a part of a work that needs a process of its own.
type Part = fn(dir: &Path, sessions: usize) -> Result<()>;

/// The parts, for each side that has a use for them.
pub const PARTS: &[(&str, &str, Part)] = &[
    ("fill-kill", Sessile::NAME, open::fill_kill::<Sessile>),
    ("fill-kill", Fjall::NAME, open::fill_kill::<Fjall>),
    ("fill-kill", Redis::NAME, open::fill_kill::<Redis>),
    ("fill-close", Sessile::NAME, open::fill_close::<Sessile>),
    ("fill-close", Fjall::NAME, open::fill_close::<Fjall>),
    ("fill-close", Redis::NAME, open::fill_close::<Redis>),
    ("reopen", Sessile::NAME, open::reopen::<Sessile>),
    ("memory", Sessile::NAME, memory::fill::<Sessile>),
    ("memory", Dashmap::NAME, memory::fill::<Dashmap>),
    ("memory", Moka::NAME, memory::fill::<Moka>),
];

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
