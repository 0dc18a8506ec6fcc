//! The works, how much each measures, and what its children do.

mod apps;
mod fill;
mod lookup;
mod middleware;
mod revoke;
mod visits;

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::report::Line;
use crate::scratch::Scratch;

/// How much is measured.
pub struct Size {
    /// Sessions in the stores of `lookup` and `revoke`.
    pub sessions: usize,
    /// Rounds of `middleware`, and calls of a side in each.
    pub rounds: usize,
    pub calls: usize,
    /// Owners that are revoked, without waiting for a disk and with.
    pub owners: usize,
    pub owners_synced: usize,
    /// Rounds of `visits`, of about a second and a half for each server.
    pub visits: usize,
    /// When everything has to be done.
    pub limit: Duration,
}

impl Size {
    pub const QUICK: Size = Size {
        sessions: 1_000_000,
        rounds: 31,
        calls: 4096,
        owners: 1000,
        owners_synced: 100,
        visits: 5,
        limit: Duration::from_secs(300),
    };
    pub const FULL: Size = Size {
        sessions: 1_000_000,
        rounds: 201,
        calls: 8192,
        owners: 5000,
        owners_synced: 500,
        visits: 25,
        limit: Duration::from_secs(1200),
    };
}

/// What a work is given.
pub struct Bench {
    pub size: Size,
    pub scratch: Scratch,
}

/// A work; it prints each line as soon as it has it.
pub type Work = fn(&Bench, &mut dyn FnMut(Line)) -> Result<()>;

/// All works, in the order in which they run.
pub const PLAN: &[(&str, Work)] = &[
    ("middleware", middleware::run),
    ("lookup", lookup::run),
    ("revoke", revoke::run),
    ("visits", visits::run),
];

/// What a child of the bench does, by name. The number is the port for those that call a server.
type Part = fn(dir: &Path, number: usize) -> Result<()>;

/// The parts, for each side that has a use for them.
pub const PARTS: &[(&str, &str, Part)] = &[
    ("serve", "sessile", visits::serve::sessile),
    ("serve", "memory-store", visits::serve::memory),
    ("serve", "redis", visits::serve::redis),
    ("load", "http", visits::load::main),
];
