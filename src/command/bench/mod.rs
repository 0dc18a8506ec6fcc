//! `sessile bench`: the store's own work on this machine and in this directory, beside what the
//! disk allows.
//!
//! Everything happens in one directory, which must be empty or not there. A second process waits
//! for the end of this one, however it comes, and removes what was made.

mod disk;
mod measure;
mod open;
mod report;
mod room;
mod visit;
mod works;

use std::path::Path;

use super::arguments::Measuring;
use super::output::{Output, bar};
use crate::error::Result;
use crate::id::Key;
use crate::store::{Builder, Store};

pub(super) use open::fill;
use report::Report;
use room::Room;
pub(super) use room::sweep;
use visit::Visit;

/// Memory for a session at most, by which the store's limit is set: nothing is to be evicted.
const MEMORY_BYTES: u64 = 1024;

pub(super) fn run(measuring: &Measuring, output: &mut Output) -> Result<()> {
    let room = Room::take(Path::new(&measuring.directory))?;
    let bar = bar(works::COUNT + 1, "");
    let keys = keys(measuring.sessions);
    let step = |name: &'static str| {
        bar.inc(1);
        bar.set_message(name);
    };
    let (works, disk) = works::run(&room, measuring, &keys, step)?;
    step("opening");
    let opened = open::run(&room, measuring, &keys)?;
    bar.finish_and_clear();
    room.leave()?;
    let report = Report::new(measuring, disk, works, opened);
    match measuring.json {
        true => output.pretty(&report),
        false => report.print(output),
    }
}

fn keys(sessions: u64) -> Vec<Key> {
    (0..sessions).map(|number| Key::of(number.to_le_bytes())).collect()
}

fn builder(sessions: u64) -> Builder<Visit> {
    let needed = sessions.saturating_mul(MEMORY_BYTES);
    Store::builder().max_memory(needed.max(512 << 20))
}
