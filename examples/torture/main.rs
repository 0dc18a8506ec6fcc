//! Torture: real processes that are killed, disks that fail, fill up, turn read-only or lose
//! power, and a judge who knows what must be there afterwards.
//!
//! `cargo run --release --example torture --features testing -- --kills 200 --seed 1`
//!
//! Prints one line of JSON and fails if anything acknowledged was lost, anything removed came
//! back, or anything was there that nobody wrote; then the directory is kept, and the standard
//! error says where it is. `oracle` has what is promised; this file knows the program's arguments.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![allow(dead_code, reason = "a test takes in the same files")]

pub(crate) mod child;
mod disk;
mod full;
pub(crate) mod judge;
pub(crate) mod kills;
mod loose;
pub(crate) mod oracle;
pub(crate) mod plan;
mod power;
pub(crate) mod state;
mod strace;
pub(crate) mod verdict;
mod volume;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use judge::Launch;
use kills::{Kills, Report};

const USAGE: &str = "usage: torture [MODE] [--seed N] [--jobs N] [--directory DIR]
  --kills N     kill a writer N times (the default, 200)
  --strace      let its system calls kill it, or fail; --stride N leaves out up to N-1 at a time
  --full N      fill the disk N times, then turn it read-only (needs root)
  --power N     cut the power N times (needs root)
SESSILE_REQUIRE=strace,loop makes a failure of what would be skipped for lack of these.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Kills(u64),
    Strace,
    Full(u64),
    Power(u64),
}

struct Options {
    mode: Mode,
    seed: u64,
    jobs: usize,
    stride: u64,
    directory: PathBuf,
}

impl Options {
    fn parse() -> Option<Options> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let mut options = Options {
            mode: Mode::Kills(200),
            seed: now as u64 % 1_000_000_000,
            jobs: std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
            stride: 6,
            directory: std::env::temp_dir().join(format!("sessile-torture-{}", std::process::id())),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next()?.parse::<u64>().ok();
            match word.as_str() {
                "--kills" => options.mode = Mode::Kills(number()?),
                "--strace" => options.mode = Mode::Strace,
                "--full" => options.mode = Mode::Full(number()?),
                "--power" => options.mode = Mode::Power(number()?),
                "--seed" => options.seed = number()?,
                "--jobs" => options.jobs = number()?.clamp(1, 64) as usize,
                "--stride" => options.stride = number()?.max(1),
                "--directory" => options.directory = PathBuf::from(words.next()?),
                _ => return None,
            }
        }
        Some(options)
    }

    /// What the mode needs and this machine has not: its short name, and why.
    fn missing(&self) -> Option<(&'static str, String)> {
        match self.mode {
            Mode::Kills(_) => None,
            Mode::Strace => strace::missing().map(|why| ("strace", why)),
            Mode::Full(_) | Mode::Power(_) => {
                volume::missing(&self.directory).map(|why| ("loop", why))
            }
        }
    }

    fn run(&self, launch: &Launch) -> Result<Report, (Report, String)> {
        let (directory, seed) = (self.directory.clone(), self.seed);
        let alone = |error| (Report::default(), error);
        match self.mode {
            Mode::Kills(kills) => self.kill(launch, kills),
            Mode::Strace => {
                // A writer and its tracer take turns: they need one core for two.
                let (stride, jobs) = (self.stride, 2 * self.jobs);
                strace::Strace { launch, directory, seed, stride, jobs }.run().map_err(alone)
            }
            Mode::Full(episodes) => {
                full::Full { launch, directory, seed }.run(episodes).map_err(alone)
            }
            Mode::Power(cuts) => power::Power { launch, directory, seed }.run(cuts).map_err(alone),
        }
    }

    /// Several directories at a time, each with its share of the kills.
    fn kill(&self, launch: &Launch, kills: u64) -> Result<Report, (Report, String)> {
        let (sum, errors) = (Mutex::new(Report::default()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for job in 0..self.jobs as u64 {
                let share = (kills + job) / self.jobs as u64;
                let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(job);
                let directory = self.directory.join(format!("{job}"));
                let (sum, errors) = (&sum, &errors);
                scope.spawn(move || {
                    let mut kills = Kills::new(launch, &directory, seed);
                    let result = kills.run(share);
                    errors.lock().unwrap().extend(result.err());
                    sum.lock().unwrap().add(kills.report);
                });
            }
        });
        let (sum, errors) = (sum.into_inner().unwrap(), errors.into_inner().unwrap());
        if errors.is_empty() { Ok(sum) } else { Err((sum, errors.join("\n"))) }
    }
}

/// The one line. `kills` comes first because that is what the default mode counts.
fn print(report: &Report, seconds: f64) {
    let Report { kills, acknowledged, wrong, more } = report;
    let (lost, revived, phantom) = (wrong.lost, wrong.revived, wrong.phantom);
    let more: String = more.iter().map(|(name, count)| format!("\"{name}\": {count}, ")).collect();
    println!(
        "{{\"kills\": {kills}, \"acknowledged\": {acknowledged}, \"lost\": {lost}, \
         \"revived\": {revived}, \"phantom\": {phantom}, {more}\"seconds\": {seconds:.1}}}"
    );
}

fn skip(what: &str, why: &str) -> ExitCode {
    let required = std::env::var("SESSILE_REQUIRE").unwrap_or_default();
    let why = why.replace(['"', '\\', '\n'], " ");
    eprintln!("skipped: {why}");
    println!("{{\"skipped\": \"{why}\"}}");
    if required.split(',').any(|required| required == what) {
        eprintln!("and SESSILE_REQUIRE says that it may not be");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    if let Some(job) = child::Job::of_this_process() {
        child::run(&job);
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    if let Some((what, why)) = options.missing() {
        remove(&options.directory);
        return skip(what, &why);
    }
    let launch = match std::env::current_exe() {
        Ok(program) => Launch { command: vec![program] },
        Err(error) => {
            eprintln!("this program cannot be found: {error}");
            return ExitCode::FAILURE;
        }
    };
    let begun = Instant::now();
    let result = options.run(&launch);
    let seconds = begun.elapsed().as_secs_f64();
    let (report, error) = match result {
        Ok(report) => (report, None),
        Err((report, error)) => (report, Some(error)),
    };
    print(&report, seconds);
    if error.is_none() && report.wrong.is_nothing() {
        remove(&options.directory);
        return ExitCode::SUCCESS;
    }
    eprint!("{}", report.wrong.notes);
    error.iter().for_each(|error| eprintln!("{error}"));
    eprintln!("seed {}; what is left lies in {}", options.seed, options.directory.display());
    ExitCode::FAILURE
}

/// Best effort: it lies among temporary files.
fn remove(directory: &Path) {
    let _ = std::fs::remove_dir_all(directory);
}
