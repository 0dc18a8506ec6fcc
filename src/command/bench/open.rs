//! How long it takes from the start of opening to the first correct read: after a `kill -9` with
//! everything in the log as far as it was not flushed, and after `close`.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::path::Path;
use std::process::Stdio;

use serde::Serialize;

use super::super::arguments::FILL;
use super::room::{Room, again, check_marked};
use super::visit::Visit;
use super::works::check;
use super::{Measuring, builder, keys};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::fs::OsFs;
use crate::id::Key;
use crate::log::Durability;

/// One opening.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Opened {
    /// What came before it.
    pub(super) after: &'static str,
    pub(super) seconds: f64,
    /// Frames and bytes of the log that were replayed.
    pub(super) replayed_frames: u64,
    pub(super) replayed_bytes: u64,
}

pub(super) fn run(room: &Room, measuring: &Measuring, keys: &[Key]) -> Result<Vec<Opened>> {
    kill(room, measuring)?;
    // The first closes what it has opened, for the second.
    ["kill -9", "close"].map(|after| open(room, measuring, keys, after)).into_iter().collect()
}

/// Has another process fill a store, and kills it.
fn kill(room: &Room, measuring: &Measuring) -> Result<()> {
    let failed = |error| Error::io("the process that is to be killed does not work", error);
    let mut command = again()?;
    command.arg(FILL).arg(room.path()).arg("--sessions").arg(measuring.sessions.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut line = String::new();
    let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    child.kill().and_then(|()| child.wait()).map_err(failed)?;
    match read {
        Some(Ok(count)) if count > 0 => Ok(()),
        _ => Err(Error::config("the process that is to be killed has ended by itself")),
    }
}

/// What that process does.
pub(in super::super) fn fill(measuring: &Measuring) -> Result<()> {
    let path = Path::new(&measuring.directory);
    check_marked(&OsFs::open_to_read(path)?)?;
    let store = builder(measuring.sessions).open(path)?;
    store.clear()?;
    let level = store.at(Durability::Memory);
    for (key, number) in keys(measuring.sessions).iter().zip(0..) {
        level.insert(*key, Visit::of(number))?;
    }
    store.sync()?;
    let said = writeln!(stdout(), "full").and_then(|()| stdout().flush());
    said.map_err(|error| Error::io("nobody waits for this", error))?;
    // Until it is killed, or nobody is left to do so.
    let _ = stdin().lock().read_to_end(&mut Vec::new());
    Ok(())
}

fn open(room: &Room, measuring: &Measuring, keys: &[Key], after: &'static str) -> Result<Opened> {
    let Some(key) = keys.first() else { return Err(Error::config("there are no sessions")) };
    let watch = Stopwatch::start();
    let store = builder(measuring.sessions).open(room.path())?;
    let found = store.get(key)?;
    let seconds = watch.elapsed().as_secs_f64();
    check(found.as_deref(), 0)?;
    let recovery = store.stats().disk.map(|disk| disk.recovery).unwrap_or_default();
    store.close()?;
    let (replayed_frames, replayed_bytes) = (recovery.frames, recovery.bytes);
    Ok(Opened { after, seconds, replayed_frames, replayed_bytes })
}
