//! The works, which rivals meet in which, and what all works share.

mod churn;
mod disk;
mod get;
mod insert;
mod memory;
mod miss;
mod open;
mod traffic;
mod update;
mod web;
mod zipf;

use std::borrow::Borrow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::keys::{Key, Keys};
use crate::measure::{Pair, Stop, crew, until};
use crate::record::Record;
use crate::report::Line;
use crate::rivals::{
    Append, Client, Dashmap, DashmapDefault, Fjall, Level, Lmdb, Moka, MokaSqlite, Papaya,
    QuickCache, Redb, Redis, Rival, Sessile, Sled, Sqlite, TowerMemory,
};
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

/// When a row of the plan runs, if neither its work nor its rival is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Quick,
    /// With `--full`.
    Full,
    /// Never: its work must be named.
    Named,
}

/// One row of the plan.
pub struct Entry {
    pub when: When,
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
    Entry { when: When::Full, work, rival: R::NAME, missing: R::missing, run }
}

const fn quick<R: Rival>(work: &'static str, run: fn(&Bench) -> Result<Vec<Line>>) -> Entry {
    Entry { when: When::Quick, ..entry::<R>(work, run) }
}

const fn named<R: Rival>(work: &'static str, run: fn(&Bench) -> Result<Vec<Line>>) -> Entry {
    Entry { when: When::Named, ..entry::<R>(work, run) }
}

/// Every measurement there is, in the order in which they run. Those of sessile against itself
/// show the noise of the method and run only when asked for.
pub const PLAN: &[Entry] = &[
    quick::<Dashmap>("get-warm", get::warm::<Dashmap>),
    quick::<Moka>("get-warm", get::warm::<Moka>),
    quick::<QuickCache>("get-warm", get::warm::<QuickCache>),
    quick::<Redis>("get-warm", get::warm::<Redis>),
    entry::<DashmapDefault>("get-warm", get::warm::<DashmapDefault>),
    entry::<Papaya>("get-warm", get::warm::<Papaya>),
    entry::<Fjall>("get-warm", get::warm::<Fjall>),
    entry::<TowerMemory>("get-warm", get::warm::<TowerMemory>),
    quick::<Dashmap>("get-zipf", zipf::zipf::<Dashmap>),
    quick::<Moka>("get-zipf", zipf::zipf::<Moka>),
    entry::<QuickCache>("get-zipf", zipf::zipf::<QuickCache>),
    entry::<Papaya>("get-zipf", zipf::zipf::<Papaya>),
    entry::<Fjall>("get-cold", get::cold::<Fjall>),
    entry::<Lmdb>("get-cold", get::cold::<Lmdb>),
    entry::<Redb>("get-cold", get::cold::<Redb>),
    entry::<Sled>("get-cold", get::cold::<Sled>),
    entry::<Sqlite>("get-cold", get::cold::<Sqlite>),
    entry::<Dashmap>("miss", miss::miss::<Dashmap>),
    entry::<Moka>("miss", miss::miss::<Moka>),
    entry::<Lmdb>("miss", miss::miss::<Lmdb>),
    quick::<Dashmap>("insert-memory", insert::memory::<Dashmap>),
    quick::<Moka>("insert-memory", insert::memory::<Moka>),
    entry::<QuickCache>("insert-memory", insert::memory::<QuickCache>),
    entry::<Papaya>("insert-memory", insert::memory::<Papaya>),
    quick::<Fjall>("insert-process", insert::process::<Fjall>),
    quick::<Redis>("insert-process", insert::process::<Redis>),
    quick::<Sqlite>("insert-process", insert::process::<Sqlite>),
    entry::<Lmdb>("insert-process", insert::process::<Lmdb>),
    entry::<Redb>("insert-process", insert::process::<Redb>),
    entry::<Sled>("insert-process", insert::process::<Sled>),
    quick::<Append>("insert-power", insert::power::<Append>),
    quick::<Redis>("insert-power", insert::power::<Redis>),
    entry::<Fjall>("insert-power", insert::power::<Fjall>),
    entry::<Lmdb>("insert-power", insert::power::<Lmdb>),
    entry::<Redb>("insert-power", insert::power::<Redb>),
    entry::<Sled>("insert-power", insert::power::<Sled>),
    entry::<Sqlite>("insert-power", insert::power::<Sqlite>),
    entry::<Dashmap>("update", update::memory::<Dashmap>),
    entry::<Moka>("update", update::memory::<Moka>),
    entry::<Fjall>("update", update::process::<Fjall>),
    entry::<Lmdb>("update", update::process::<Lmdb>),
    entry::<Redis>("update", update::process::<Redis>),
    entry::<Sqlite>("update", update::process::<Sqlite>),
    quick::<Dashmap>("web", web::web::<Dashmap>),
    quick::<MokaSqlite>("web", web::web::<MokaSqlite>),
    quick::<Redis>("web", web::web::<Redis>),
    entry::<Dashmap>("churn", churn::churn::<Dashmap>),
    entry::<Moka>("churn", churn::churn::<Moka>),
    entry::<Fjall>("open-kill", open::kill::<Fjall>),
    entry::<Redis>("open-kill", open::kill::<Redis>),
    entry::<Lmdb>("open-kill", open::kill::<Lmdb>),
    entry::<Sqlite>("open-kill", open::kill::<Sqlite>),
    named::<Redis>("open-kill-10m", open::kill_10::<Redis>),
    entry::<Fjall>("open-close", open::close::<Fjall>),
    entry::<Redis>("open-close", open::close::<Redis>),
    entry::<Lmdb>("open-close", open::close::<Lmdb>),
    entry::<Redb>("open-close", open::close::<Redb>),
    entry::<Sqlite>("open-close", open::close::<Sqlite>),
    named::<Redis>("open-close-10m", open::close_10::<Redis>),
    entry::<Dashmap>("memory", memory::memory::<Dashmap>),
    entry::<Moka>("memory", memory::memory::<Moka>),
    entry::<QuickCache>("memory", memory::memory::<QuickCache>),
    entry::<Papaya>("memory", memory::memory::<Papaya>),
    entry::<Fjall>("disk", disk::disk::<Fjall>),
    entry::<Lmdb>("disk", disk::disk::<Lmdb>),
    entry::<Redb>("disk", disk::disk::<Redb>),
    entry::<Redis>("disk", disk::disk::<Redis>),
    entry::<Sqlite>("disk", disk::disk::<Sqlite>),
    entry::<Sessile>("get-warm", get::warm::<Sessile>),
    entry::<Sessile>("insert-memory", insert::memory::<Sessile>),
    entry::<Sessile>("insert-process", insert::process::<Sessile>),
    entry::<Sessile>("web", web::web::<Sessile>),
];

/// What a child of the bench does, by name: a part of a work that needs a process of its own.
type Part = fn(dir: &Path, sessions: usize) -> Result<()>;

/// The parts, for each side that has a use for them.
pub const PARTS: &[(&str, &str, Part)] = &[
    ("fill-kill", Sessile::NAME, open::fill_kill::<Sessile>),
    ("fill-kill", Fjall::NAME, open::fill_kill::<Fjall>),
    ("fill-kill", Redis::NAME, open::fill_kill::<Redis>),
    ("fill-kill", Lmdb::NAME, open::fill_kill::<Lmdb>),
    ("fill-kill", Sqlite::NAME, open::fill_kill::<Sqlite>),
    ("fill-close", Sessile::NAME, open::fill_close::<Sessile>),
    ("fill-close", Fjall::NAME, open::fill_close::<Fjall>),
    ("fill-close", Redis::NAME, open::fill_close::<Redis>),
    ("fill-close", Lmdb::NAME, open::fill_close::<Lmdb>),
    ("fill-close", Redb::NAME, open::fill_close::<Redb>),
    ("fill-close", Sqlite::NAME, open::fill_close::<Sqlite>),
    ("reopen", Sessile::NAME, open::reopen::<Sessile>),
    ("memory", Sessile::NAME, memory::fill::<Sessile>),
    ("memory", Dashmap::NAME, memory::fill::<Dashmap>),
    ("memory", Moka::NAME, memory::fill::<Moka>),
    ("memory", QuickCache::NAME, memory::fill::<QuickCache>),
    ("memory", Papaya::NAME, memory::fill::<Papaya>),
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
