//! The plan: which rivals meet sessile in which works, and when.

use std::path::Path;

use super::{Bench, churn, disk, get, insert, memory, miss, open, update, web, zipf};
use crate::Result;
use crate::report::Line;
use crate::rivals::{
    Append, Dashmap, DashmapDefault, Fjall, Lmdb, Moka, MokaSqlite, Papaya, QuickCache, Redb,
    Redis, Rival, Sessile, Sled, Sqlite, TowerMemory,
};

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
