//! A store with very many sessions, some of which belong to owners who have ten each.

use std::path::Path;

use sessile::session::{Sessions, SessionsBuilder};
use sessile::{Durability, Id};

use crate::Result;

/// Sessions of each owner.
pub const EACH: usize = 10;

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
        .store(|store| store.expected_sessions(count));
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
    Ok(Filled { sessions, ids })
}
