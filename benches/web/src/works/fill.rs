//! A store with very many sessions, some of which belong to owners who have ten each.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sessile::session::{Sessions, SessionsBuilder};
use sessile::{Durability, Id};

use crate::Result;

/// Sessions of each owner.
pub const EACH: usize = 10;

/// So much that every session stays in memory.
const MEMORY: u64 = 4 << 30;
/// A store that has flushed nothing for so long is at rest.
const REST: Duration = Duration::from_secs(1);
/// How long to wait for that.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fill made.
pub struct Filled {
    pub sessions: Sessions,
    /// Of those in which nobody has logged in, in the order in which they were made.
    pub ids: Vec<Id>,
}

pub fn owner(index: usize) -> String {
    format!("owner-{index}")
}

/// Makes `count` sessions in a new directory. Those of the `owners` lie scattered among the rest.
pub fn fill(dir: &Path, removal: Durability, count: usize, owners: usize) -> Result<Filled> {
    let builder: SessionsBuilder = Sessions::builder()
        .durability(Durability::Memory)
        .removal_durability(removal)
        .store(|store| store.expected_sessions(count).max_memory(MEMORY));
    let sessions = builder.open(dir)?;
    let mut ids = Vec::with_capacity(count);
    let stride = count / (owners * EACH).max(1);
    let mut logins = 0;
    for index in 0..count {
        let session = sessions.create();
        session.insert("visits", index)?;
        session.insert("cart", ["two pencils", "a rubber"])?;
        if index % stride == 0 && logins < owners * EACH {
            session.login(owner(logins % owners))?;
            logins += 1;
            // Nobody is answered, so nobody waits for the disk.
            session.save_now()?;
        } else {
            ids.push(session.save()?.ok_or("a new session has no id")?);
        }
    }
    settle(&sessions);
    Ok(Filled { sessions, ids })
}

/// Waits until the store is done with what it does in the background after so much.
fn settle(sessions: &Sessions) {
    let work = || {
        let stats = sessions.stats();
        let bytes = stats.disk.map_or(0, |disk| disk.bases.iter().map(|base| base.bytes).sum());
        (stats.flushes, stats.merges, bytes)
    };
    let (begun, mut seen): (_, (u64, u64, u64)) = (Instant::now(), work());
    while begun.elapsed() < PATIENCE {
        thread::sleep(REST);
        let now = work();
        if now == seen {
            return;
        }
        seen = now;
    }
    eprintln!("the store is not at rest after {} s", PATIENCE.as_secs());
}
