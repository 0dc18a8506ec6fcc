//! sessile and its rivals on the same sessions. This file walks the plan and prints.

mod alone;
mod arguments;
mod child;
mod finding;
mod heap;
mod keys;
mod latency;
mod machine;
mod measure;
mod plot;
mod record;
mod report;
mod results;
mod rivals;
mod scratch;
mod works;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, HELP};
use crate::keys::Keys;
use crate::report::{Line, head};
use crate::results::Row;
use crate::scratch::Scratch;
use crate::works::{Bench, Entry, PLAN, Size};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: i64 = 0x0102_1994;
/// What is left of the time when the plan has to be done: for the last work to end.
const RESERVE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    let done = if words.next_if(|word| word == child::WORD).is_some() {
        child::main(words.collect()).map(|()| true)
    } else {
        bench()
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; whether all of it succeeded.
fn bench() -> Result<bool> {
    let asked = Arguments::parse()?;
    if asked.help {
        print!("{HELP}");
        return Ok(true);
    }
    if let (Some(from), Some(plot)) = (&asked.from, &asked.plot) {
        plot::draw(&results::read(from)?, plot)?;
        return Ok(true);
    }
    let (size, limit) = if asked.full { full() } else { quick() };
    let begun = Instant::now();
    let scratch = Scratch::new(&asked.dir)?;
    guard(scratch.path().to_path_buf(), limit);
    greet(&size, scratch.path())?;
    let bench = Bench { keys: Keys::new(size.sessions), size, scratch };
    let late = || begun.elapsed() + RESERVE > limit;
    let mut good = true;
    let mut rows = Vec::new();
    let plan: Vec<_> = PLAN.iter().filter(|entry| asked.wants(entry)).collect();
    if !asked.json && !plan.is_empty() {
        println!("{}", head());
    }
    for entry in plan {
        good &= run(&bench, entry, late(), asked.json, &mut rows);
    }
    let plan: Vec<_> = alone::PLAN.iter().filter(|entry| asked.wants_alone(entry)).collect();
    if !asked.json && !plan.is_empty() {
        println!("{}", finding::head());
    }
    for entry in plan {
        good &= run_alone(&bench, entry, late(), asked.json, &mut rows);
    }
    if let Some(path) = &asked.record {
        results::append(path, &rows, &asked.dir)?;
    }
    if let Some(dir) = &asked.plot {
        plot::draw(&rows, dir)?;
    }
    Ok(good)
}

/// Runs one row of the plan and prints what came out; whether it succeeded or was skipped for a
/// good reason.
fn run(bench: &Bench, entry: &Entry, late: bool, json: bool, rows: &mut Vec<Row>) -> bool {
    let Entry { work, rival, .. } = entry;
    if let Some(reason) = (entry.missing)() {
        eprintln!("{work} against {rival}: skipped: {reason}");
        return true;
    }
    if late {
        eprintln!("{work} against {rival}: skipped: the time is up");
        return false;
    }
    match (entry.run)(bench) {
        Ok(lines) => {
            for line in &lines {
                println!("{}", if json { line.json() } else { line.row() });
            }
            rows.extend(lines.iter().map(|line: &Line| Row::from(line)));
            true
        }
        Err(error) => {
            eprintln!("{work} against {rival}: failed: {error}");
            false
        }
    }
}

/// The same for a work that is set beside itself.
fn run_alone(
    bench: &Bench,
    entry: &alone::Entry,
    late: bool,
    json: bool,
    rows: &mut Vec<Row>,
) -> bool {
    let alone::Entry { work, rival, run } = entry;
    if late {
        eprintln!("{work} beside {rival}: skipped: the time is up");
        return false;
    }
    match run(bench) {
        Ok(findings) => {
            for finding in &findings {
                println!("{}", if json { finding.json() } else { finding.row() });
            }
            rows.extend(findings.iter().map(Row::from));
            true
        }
        Err(error) => {
            eprintln!("{work} beside {rival}: failed: {error}");
            false
        }
    }
}

/// The sizes, and the longest that each may take.
fn quick() -> (Size, Duration) {
    let size = Size {
        sessions: 100_000,
        rounds: 11,
        slice: Duration::from_millis(200),
        round_max: Duration::from_millis(700),
        pair_max: Duration::from_secs(8),
    };
    (size, Duration::from_secs(300))
}

fn full() -> (Size, Duration) {
    let size = Size {
        sessions: 1_000_000,
        rounds: 11,
        slice: Duration::from_millis(400),
        round_max: Duration::from_secs(4),
        pair_max: Duration::from_secs(45),
    };
    (size, Duration::from_secs(2 * 3600))
}

/// Ends the process, and leaves nothing behind, if something hangs.
fn guard(scratch: std::path::PathBuf, limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("the time is up: {} s", limit.as_secs());
        let _ = scratch::remove(&scratch);
        std::process::exit(3);
    });
}

/// Says on what is measured.
fn greet(size: &Size, dir: &Path) -> Result<()> {
    let cores = thread::available_parallelism()?;
    eprintln!("{} sessions, {cores} cores, stores in {}", size.sessions, dir.display());
    if rustix::fs::statfs(dir)?.f_type == TMPFS {
        eprintln!("that folder is in memory: what syncing costs cannot be seen there; use --dir");
    }
    Ok(())
}
