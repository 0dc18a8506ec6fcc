//! The sides of a comparison, behind one trait: each keeps records under keys, in its own way.
//!
//! A new rival is a file here, a row for each of its works in `works::plan`, and one in `tests`.

mod append;
mod dashmap;
mod fjall;
mod lmdb;
mod moka;
mod moka_sqlite;
mod papaya;
mod quick_cache;
mod redb;
mod redis;
mod sessile;
mod sled;
mod sqlite;
#[cfg(test)]
mod tests;
mod tower_memory;

use std::borrow::Borrow;
use std::path::Path;

pub use self::append::Append;
pub use self::dashmap::{Dashmap, DashmapDefault};
pub use self::fjall::Fjall;
pub use self::lmdb::Lmdb;
pub use self::moka::Moka;
pub use self::moka_sqlite::MokaSqlite;
pub use self::papaya::Papaya;
pub use self::quick_cache::QuickCache;
pub use self::redb::Redb;
pub use self::redis::Redis;
pub use self::sessile::Sessile;
pub use self::sled::Sled;
pub use self::sqlite::Sqlite;
pub use self::tower_memory::TowerMemory;
use crate::Result;
use crate::keys::Key;
use crate::record::Record;

/// Idle deadline of the sides that have one, in seconds: two weeks.
const IDLE_S: u64 = 14 * 24 * 3600;

/// What an insert that has returned survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing more than the process.
    Memory,
    /// The end of the process, by whatever means.
    Process,
    /// The end of power.
    Power,
}

/// A store.
pub trait Rival: Sized + Send + Sync {
    type Client: Client;

    const NAME: &'static str;

    /// Why this side cannot run on this machine, if it cannot.
    fn missing() -> Option<String> {
        None
    }

    /// Opens what is at `dir`, or a new store if nothing is. `level` is what inserts promise; a
    /// side that has it not gives its nearest.
    fn open(dir: &Path, level: Level) -> Result<Self>;

    /// One thread's access.
    fn client(&self) -> Result<Self::Client>;

    /// Does the housekeeping that is due, so that it does not run into the other side's round.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Brings what was inserted from the log to where it rests, so that the next opening does
    /// not read it again.
    fn flush(&self) -> Result<()> {
        self.settle()
    }

    /// Gives up the space of what is no longer needed, as far as the side can.
    fn compact(&mut self) -> Result<()> {
        self.flush()
    }

    /// Ends in good order: what was inserted is there after the next opening.
    fn close(self) -> Result<()> {
        Ok(())
    }

    /// One access for each of `threads` threads.
    fn clients(&self, threads: usize) -> Result<Vec<Self::Client>> {
        (0..threads).map(|_| self.client()).collect()
    }
}

/// A thread's access to a store.
pub trait Client: Send {
    /// What a user is handed: a session as a type, shared or his own, never bytes.
    type Value: Borrow<Record>;

    fn get(&mut self, key: &Key) -> Result<Option<Self::Value>>;

    /// Takes the record by value: putting it behind a pointer or encoding it is part of the work.
    fn insert(&mut self, key: &Key, record: Record) -> Result<()>;
}

/// A thread's access to a store whose sessions change and end.
pub trait Change: Client {
    /// A request with this session: reads it and puts its idle deadline off, where the side has
    /// one and a plain `get` does not.
    fn visit(&mut self, key: &Key) -> Result<Option<Self::Value>> {
        self.get(key)
    }

    /// Reads the session, changes it and writes it back, so that no other update of it is lost;
    /// false if there is none. `change` may be called more than once.
    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool>;

    /// Ends the session; false if there is none.
    fn remove(&mut self, key: &Key) -> Result<bool>;
}
