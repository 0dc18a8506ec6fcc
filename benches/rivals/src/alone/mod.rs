//! Works that set sessile beside itself under a condition, or beside a number: what happens while
//! the table grows, while a million sessions end, during flush and merge, and at opening. Their
//! sizes are their own, for their goals name them.

mod flush;
mod grow;
mod replay;
mod storm;

use std::path::Path;
use std::time::Duration;

use sessile::{Builder, Durability, Expiry, Store};

use crate::Result;
use crate::finding::Finding;
use crate::keys::Key;
use crate::record::Record;
use crate::rivals::{Dashmap, Rival, Sessile};
use crate::works::Bench;

/// More than the largest run needs: what happens at the limit is not measured here.
const MEMORY_MAX: u64 = 4 << 30;
const DAYS: Duration = Duration::from_secs(24 * 3600);

/// One row of the plan.
pub struct Entry {
    pub work: &'static str,
    /// What it is set beside.
    pub rival: &'static str,
    pub run: fn(&Bench) -> Result<Vec<Finding>>,
}

/// Every work, in the order in which they run, after those of `works::PLAN`.
pub const PLAN: &[Entry] = &[
    Entry { work: "insert-grow", rival: Dashmap::NAME, run: grow::grow::<Dashmap> },
    Entry { work: "insert-grow", rival: grow::Expecting::NAME, run: grow::grow::<grow::Expecting> },
    Entry { work: "expire-storm", rival: Sessile::NAME, run: storm::storm },
    Entry { work: "flush-under-load", rival: Sessile::NAME, run: flush::under_load },
    Entry { work: "replay", rival: Sessile::NAME, run: replay::replay },
    Entry { work: "warm-up", rival: Sessile::NAME, run: replay::warm_up },
];

/// Rounds of each side: few, for each takes seconds.
fn rounds(bench: &Bench) -> usize {
    if bench.size.sessions >= 1_000_000 { 7 } else { 3 }
}

/// A store as a server would open it, but for what a work adds.
fn builder() -> Builder<Record> {
    Store::<Record>::builder().idle(14 * DAYS).absolute(30 * DAYS).max_memory(MEMORY_MAX)
}

/// Inserts the records of `keys` on two threads, at `Memory`: what is not measured is to be quick.
fn fill(
    store: &Store<Record>,
    keys: &[Key],
    expiry: impl Fn(usize) -> Expiry + Sync,
) -> Result<()> {
    let store = &store.at(Durability::Memory);
    let insert = |part: &[Key], first: usize| -> Result<()> {
        for (number, key) in (first..).zip(part) {
            store.insert_with(ours(key), Record::of(key), expiry(number))?;
        }
        Ok(())
    };
    let (front, back) = keys.split_at(keys.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| insert(back, front.len()));
        insert(front, 0)?;
        other.join().map_err(|_| "a thread that fills the store has panicked")?
    })
}

/// The key as sessile has it.
fn ours(key: &Key) -> sessile::Key {
    sessile::Key::from_bytes(key.0)
}

/// Closes the store and removes what it left.
fn end(store: &Store<Record>, dir: &Path) -> Result<()> {
    store.close()?;
    crate::scratch::remove(dir)
}
