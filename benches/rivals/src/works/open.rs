//! Opening a full store, to the first correct read. `open-kill`: the process that had filled it
//! was killed, with about 8 MiB of log that no base covers. `open-close`: it was closed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, check, expect, fill, milliseconds};
use crate::Result;
use crate::child;
use crate::heap;
use crate::keys::{Key, Keys};
use crate::record::{ENCODED, Record};
use crate::report::{Line, Unit};
use crate::rivals::{Client, Level, Rival, Sessile};
use crate::scratch;

/// Log written after the flush, and what a record takes in it: with its key, both deadlines and
/// the frame around them.
const TAIL_BYTES: usize = 8 << 20;
const FRAME_BYTES: usize = ENCODED + 73;
const TAIL: usize = TAIL_BYTES / FRAME_BYTES;
/// How long a filled child waits for its end before it ends by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// For what dies with a killed child, such as the server that it had started.
const AFTERMATH: Duration = Duration::from_millis(200);

pub fn kill<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    kill_of::<R>(bench, "open-kill", bench.size.sessions)
}

pub fn close<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    close_of::<R>(bench, "open-close", bench.size.sessions)
}

/// With ten times the sessions.
pub fn kill_10<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    kill_of::<R>(bench, "open-kill-10m", 10 * bench.size.sessions)
}

/// With ten times the sessions.
pub fn close_10<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    close_of::<R>(bench, "open-close-10m", 10 * bench.size.sessions)
}

fn kill_of<R: Rival>(bench: &Bench, work: &'static str, sessions: usize) -> Result<Vec<Line>> {
    let (ours, theirs) = (killed::<Sessile>(bench, sessions)?, killed::<R>(bench, sessions)?);
    let tail = Keys::others(TAIL);
    let pair = bench.measure(
        |round| opening::<Sessile>(bench, &ours, round, &tail),
        |round| opening::<R>(bench, &theirs, round, &tail),
    )?;
    scratch::remove(&ours)?;
    scratch::remove(&theirs)?;
    Ok(vec![Line::of_pair(work, R::NAME, 1, Unit::Milliseconds, &pair)])
}

fn close_of<R: Rival>(bench: &Bench, work: &'static str, sessions: usize) -> Result<Vec<Line>> {
    let (ours, theirs) = (closed::<Sessile>(bench, sessions)?, closed::<R>(bench, sessions)?);
    let pair = bench.measure(
        |round| opening::<Sessile>(bench, &ours, round, &[]),
        |round| opening::<R>(bench, &theirs, round, &[]),
    )?;
    let mut line = Line::of_pair(work, R::NAME, 1, Unit::Milliseconds, &pair);
    let figures = child::run("reopen", Sessile::NAME, &ours, sessions)?;
    line.more = ["heap_bytes", "anonymous_bytes"].into_iter().zip(figures).collect();
    scratch::remove(&ours)?;
    scratch::remove(&theirs)?;
    Ok(vec![line])
}

/// Opens a fresh copy of what lies at `from`; the milliseconds to the first read. What was
/// acknowledged last, `tail`, is looked for when the clock has stopped.
fn opening<R: Rival>(bench: &Bench, from: &Path, round: usize, tail: &[Key]) -> Result<f64> {
    let dir = bench.scratch.copy(from)?;
    let key = &bench.keys.asked[round];
    let begun = Instant::now();
    let store = R::open(&dir, Level::Process)?;
    let value = store.client()?.get(key)?;
    let elapsed = milliseconds(begun);
    expect(R::NAME, key, value)?;
    check(&store, &tail[tail.len().saturating_sub(100)..])?;
    store.close()?;
    scratch::remove(&dir)?;
    Ok(elapsed)
}

/// The folder that a side leaves behind when its process is killed.
fn killed<R: Rival>(bench: &Bench, sessions: usize) -> Result<PathBuf> {
    let dir = bench.scratch.fresh();
    let mut child = child::spawn("fill-kill", R::NAME, &dir, sessions)?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("the child has no output")?;
    BufReader::new(output).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    if line != "ready\n" {
        return Err(format!("the child that filled {} failed", R::NAME).into());
    }
    thread::sleep(AFTERMATH);
    Ok(dir)
}

/// The folder that a side leaves behind when it is closed.
fn closed<R: Rival>(bench: &Bench, sessions: usize) -> Result<PathBuf> {
    let dir = bench.scratch.fresh();
    child::run("fill-close", R::NAME, &dir, sessions)?;
    Ok(dir)
}

/// In a child: fills a store, flushes it, writes the tail, and waits to be killed.
pub fn fill_kill<R: Rival>(dir: &Path, sessions: usize) -> Result<()> {
    let keys = Keys::new(sessions);
    let store = R::open(dir, Level::Process)?;
    fill(&store, &keys.filed)?;
    store.settle()?;
    store.flush()?;
    let mut client = store.client()?;
    // New sessions and saves of old ones in turn.
    for (new, old) in Keys::others(TAIL).iter().zip(keys.filed.iter().cycle()).skip(TAIL / 2) {
        client.insert(old, Record::of(old))?;
        client.insert(new, Record::of(new))?;
    }
    println!("ready");
    std::io::stdout().flush()?;
    thread::sleep(PATIENCE);
    Ok(())
}

/// In a child: fills a store and closes it.
pub fn fill_close<R: Rival>(dir: &Path, sessions: usize) -> Result<()> {
    let store = R::open(dir, Level::Process)?;
    fill(&store, &Keys::new(sessions).filed)?;
    store.close()
}

/// In a child: opens a store and reads one session; prints the bytes that took, on the heap and
/// as resident anonymous memory.
pub fn reopen<R: Rival>(dir: &Path, _: usize) -> Result<()> {
    let [key] = Keys::new(1).filed[..] else { return Err("one key is one key".into()) };
    let anonymous = heap::anonymous()?;
    heap::start();
    let store = R::open(dir, Level::Process)?;
    let value = store.client()?.get(&key)?;
    let (heap, anonymous) = (heap::live(), heap::anonymous()? - anonymous);
    expect(R::NAME, &key, value)?;
    println!("{heap} {anonymous}");
    store.close()
}
