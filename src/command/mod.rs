//! The command `sessile`: reads a store's directory, and measures on the user's machine.
//!
//! | command | what it does |
//! |---|---|
//! | `stat DIR` | what is in the directory: sessions, files, how far the log has come |
//! | `verify DIR` | checks every checksum |
//! | `keys DIR` | the key of every session, its deadline, its size, and where it lies |
//! | `get DIR KEY` | one session, with its value |
//! | `bench DIR` | the store's own work, measured in that directory |
//!
//! The first four write nothing and lock nothing, and read a directory that is in use as well. They
//! never see an id. `get` is given a key in hexadecimal, as `keys` prints it, or `-` and then an id
//! on its standard input: a command line is shown to every user of the machine. Values are printed
//! by `get` alone.
//!
//! The process ends with 0 if all is well, 1 if there is damage, 2 if the directory cannot be read
//! or the command is not understood, 3 if `get` finds no such session.

mod arguments;
mod bench;
mod get;
mod keys;
mod output;
mod stat;
mod text;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use arguments::{Command, Looking};
use output::Output;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Error, Result};
use crate::fs::OsFs;
use crate::fs::layout::LOCK;
use crate::inspect::{Damage, Reading};

/// How a command ends when nothing has kept it from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    Damaged,
    Absent,
}

impl Outcome {
    fn of(damage: &[Damage]) -> Outcome {
        if damage.is_empty() { Outcome::Fine } else { Outcome::Damaged }
    }
}

/// Runs the command that the process was given, and says how it ended.
pub fn main() -> ExitCode {
    let mut output = Output::new();
    let result = match arguments::parse() {
        Ok(command) => run(command, &mut output),
        Err(message) => {
            output.complain(&format!("{message}; `sessile --help` says what there is"));
            return ExitCode::from(2);
        }
    };
    let result = result.and_then(|outcome| output.finish().map(|()| outcome));
    match result {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(1),
        Ok(Outcome::Absent) => ExitCode::from(3),
        Err(error) if output.is_closed() => {
            // Whoever read it, `head` say, has enough.
            drop(error);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output.complain(&error.to_string());
            ExitCode::from(if error.is_corrupt() { 1 } else { 2 })
        }
    }
}

fn run(command: Command, output: &mut Output) -> Result<Outcome> {
    match command {
        Command::Help => output.text(arguments::HELP).map(|()| Outcome::Fine),
        Command::Version => output
            .text(concat!("sessile ", env!("CARGO_PKG_VERSION"), "\n"))
            .map(|()| Outcome::Fine),
        Command::Stat(looking) => stat::run(&Look::at(&looking)?, output),
        Command::Verify(looking) => verify::run(&Look::at(&looking)?, output),
        Command::Keys(looking, expired) => keys::run(&Look::at(&looking)?, expired, output),
        Command::Get(looking, key) => get::run(&looking, key, output),
        Command::Bench(measuring) => bench::run(&measuring, output).map(|()| Outcome::Fine),
        Command::Fill(measuring) => bench::fill(&measuring).map(|()| Outcome::Fine),
        Command::Sweep(path, whole) => {
            bench::sweep(Path::new(&path), whole).map(|()| Outcome::Fine)
        }
    }
}

/// A directory that is being looked at.
struct Look {
    fs: OsFs,
    reading: Reading,
    json: bool,
    /// The time that deadlines are judged by.
    at: Timestamp,
    /// The process that has the directory open, as far as can be seen.
    process: Option<u32>,
}

impl Look {
    fn at(looking: &Looking) -> Result<Look> {
        let fs = OsFs::open_to_read(Path::new(&looking.directory))?;
        let holder = |error| Error::io("whether it is in use cannot be told", error).at(LOCK);
        let process = fs.holder(LOCK).map_err(holder)?;
        let at = looking.at.unwrap_or_else(|| SystemClock.wall());
        let reading = Reading::of(&fs, at)?;
        Ok(Look { fs, reading, json: looking.json, at, process })
    }

    /// What a reading of a directory in use cannot show.
    fn left_out(&self) -> Option<String> {
        let process = self.process?;
        Some(format!(
            "process {process} has the store open: left out is what it has in memory alone, \
             touches and writes at `Durability::Memory` that it has not handed over, and what it \
             wrote after LSN {}",
            self.reading.log.last_lsn
        ))
    }
}
