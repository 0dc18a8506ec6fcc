//! What sessions cost a web server, and what the same costs with tower-sessions. This file reads
//! the command line, runs the works and prints.

// Shared with the package next to this one, which uses more of them.
#[allow(dead_code)]
#[path = "../../rivals/src/child.rs"]
mod child;
mod measure;
mod report;
#[allow(dead_code)]
#[path = "../../rivals/src/scratch.rs"]
mod scratch;
mod works;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::prelude::*;

use crate::report::head;
use crate::scratch::Scratch;
use crate::works::{Bench, PLAN, Size};

type Failure = Box<dyn Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

const HELP: &str = "\
Measures what sessions cost a web server, beside tower-sessions, in interleaved rounds.

usage: web [--quick] [--json] [--dir DIR] [WORK...]

  WORK      middleware, lookup, revoke, visits; all of them if none is named
  --quick   fewer rounds: a minute and a half for everything, instead of five
  --json    one JSON object for each measurement, instead of a table
  --dir     where the stores lie while they are measured (default: the system's temporary
            folder); on a disk, not in memory, or what a sync costs cannot be seen
";

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: i64 = 0x0102_1994;

struct Arguments {
    quick: bool,
    json: bool,
    dir: PathBuf,
    /// Empty means all.
    works: Vec<String>,
}

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

/// What was asked for; `None` for help.
fn parse() -> Result<Option<Arguments>> {
    let dir = std::env::temp_dir();
    let mut asked = Arguments { quick: false, json: false, dir, works: Vec::new() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => asked.quick = true,
            Long("json") => asked.json = true,
            Long("dir") => asked.dir = parser.value()?.into(),
            Long("help") | Short('h') => return Ok(None),
            Value(work) => asked.works.push(work.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if let Some(work) = asked.works.iter().find(|work| PLAN.iter().all(|(name, _)| name != work)) {
        let names: Vec<_> = PLAN.iter().map(|(name, _)| *name).collect();
        return Err(format!("no work is called {work}; there are {}", names.join(", ")).into());
    }
    Ok(Some(asked))
}

/// Runs what was asked for; whether all of it succeeded.
fn bench() -> Result<bool> {
    let Some(asked) = parse()? else {
        print!("{HELP}");
        return Ok(true);
    };
    let size = if asked.quick { Size::QUICK } else { Size::FULL };
    let scratch = Scratch::new(&asked.dir)?;
    guard(scratch.path().to_path_buf(), size.limit);
    let cores = thread::available_parallelism()?;
    eprintln!("{cores} cores, {} sessions, stores in {}", size.sessions, scratch.path().display());
    if rustix::fs::statfs(&asked.dir)?.f_type == TMPFS {
        eprintln!("that folder is in memory: what syncing costs cannot be seen there; use --dir");
    }
    let bench = Bench { size, scratch };
    if !asked.json {
        println!("{}", head());
    }
    let mut good = true;
    for (work, run) in PLAN {
        if !asked.works.is_empty() && !asked.works.iter().any(|name| name == work) {
            continue;
        }
        let print = &mut |line: report::Line| {
            println!("{}", if asked.json { line.json() } else { line.row() });
        };
        if let Err(error) = run(&bench, print) {
            eprintln!("{work}: failed: {error}");
            good = false;
        }
    }
    Ok(good)
}

/// Ends the process, and leaves nothing behind, if something hangs: its children end with it.
fn guard(scratch: PathBuf, limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("the time is up: {} s", limit.as_secs());
        let _ = scratch::remove(&scratch);
        std::process::exit(3);
    });
}
