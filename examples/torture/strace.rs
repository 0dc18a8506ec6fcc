//! Faults from outside: the writer's n-th system call of a kind kills it, or fails, by `strace`.
//!
//! Every case begins with a copy of one directory that a killed writer left, so a fault may hit
//! the recovery too. Where the call fails, the writer goes on, heals, closes; in any case another
//! one, unharmed, must then find what may be there, and be able to write and close.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessile::Durability;
use sessile::testing::Random;

use super::child::Job;
use super::judge::{Event, Launch, Writer};
use super::kills::{Report, far};
use super::oracle::Oracle;
use super::plan::{Plan, Style};
use super::wire::{CLOSE, Class, GO, HEAL};

/// Calls, and what happens to them.
const FAULTS: [(&str, &str); 17] = [
    ("pwrite64", "signal=SIGKILL"),
    ("pwrite64", "error=EIO"),
    ("pwrite64", "error=ENOSPC"),
    ("pwrite64", "error=ENOSPC+"),
    ("fdatasync", "signal=SIGKILL"),
    ("fdatasync", "error=EIO"),
    ("fsync", "signal=SIGKILL"),
    ("fsync", "error=EIO"),
    ("fallocate", "error=ENOSPC"),
    ("fallocate", "error=ENOSPC+"),
    ("fallocate", "error=EIO"),
    ("?rename,?renameat,?renameat2", "signal=SIGKILL"),
    ("?rename,?renameat,?renameat2", "error=EIO"),
    ("?rename,?renameat,?renameat2", "error=ENOSPC"),
    ("?unlink,?unlinkat", "signal=SIGKILL"),
    ("?unlink,?unlinkat", "error=EIO"),
    ("?unlink,?unlinkat", "error=ENOSPC"),
];

/// Operations in one case.
const OPERATIONS: u32 = 60;
/// With the store's own threads calls are counted thread by thread, and few are many.
const THREADED: u64 = 8;

pub struct Strace<'a> {
    pub launch: &'a Launch,
    pub directory: PathBuf,
    pub seed: u64,
    /// At most so many calls are passed over between two that are hit; 1 for every call.
    pub stride: u64,
    pub jobs: usize,
}

/// Why it cannot be tried here.
pub fn missing() -> Option<String> {
    let mut strace = std::process::Command::new("strace");
    match strace.args(["-f", "-qq", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("strace: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("strace cannot be run: {error}")),
    }
}

struct Case {
    call: &'static str,
    action: &'static str,
    n: u64,
    style: Style,
}

impl Case {
    fn inject(&self) -> String {
        let (action, from) = match self.action.strip_suffix('+') {
            Some(action) => (action, "+"),
            None => (self.action, ""),
        };
        format!("inject={}:{action}:when={}{from}", self.call, self.n)
    }
}

impl Strace<'_> {
    pub fn run(&self) -> Result<Report, String> {
        let template = self.directory.join("template");
        let oracle = self.prepare(&template)?;
        let faults = Mutex::new(FAULTS.iter());
        let report = Mutex::new(Report { acknowledged: oracle.promised[0], ..Report::default() });
        let failed = Mutex::new(None);
        let workers = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    let place = format!("case-{}", workers.fetch_add(1, Ordering::Relaxed));
                    let directory = self.directory.join(place);
                    while failed.lock().unwrap().is_none() {
                        let Some((call, action)) = faults.lock().unwrap().next() else { break };
                        match self.points(&template, &oracle, &directory, call, action) {
                            Ok(done) => report.lock().unwrap().add(done),
                            Err(error) => *failed.lock().unwrap() = Some(error),
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap() {
            Some(error) => Err(error),
            None => Ok(report.into_inner().unwrap()),
        }
    }

    fn job(&self, directory: &Path, round: u32, style: Style) -> Job {
        let slots = if style == Style::ShortThreads { 3 } else { 1 };
        let plan = Plan { seed: self.seed, round, slots, limit: OPERATIONS, far: far(), style };
        Job { plan, directory: directory.to_path_buf() }
    }

    /// What a writer leaves that is killed after its last operation.
    fn prepare(&self, template: &Path) -> Result<Oracle, String> {
        let mut oracle = Oracle::new();
        let job = self.job(template, 1, Style::Short);
        let mut writer = Writer::start(self.launch, &job).map_err(|error| error.to_string())?;
        expect(&mut writer, &mut oracle, &Event::Ready)?;
        writer.tell(GO).map_err(|error| error.to_string())?;
        expect(&mut writer, &mut oracle, &Event::Done(Class::None))?;
        writer.kill(&mut oracle)?;
        Ok(oracle)
    }

    /// Every n-th call of a kind, until there are no more.
    fn points(
        &self,
        template: &Path,
        oracle: &Oracle,
        directory: &Path,
        call: &'static str,
        action: &'static str,
    ) -> Result<Report, String> {
        let mut rng = Random::new(self.seed ^ (call.len() * 64 + action.len()) as u64);
        let mut report = Report::default();
        for style in [Style::Short, Style::ShortThreads] {
            let mut n = 1 + rng.below(self.stride);
            loop {
                let case = Case { call, action, n, style };
                let mut oracle = oracle.clone();
                copy(template, directory).map_err(|error| error.to_string())?;
                let told = |error: String| {
                    format!(
                        "{} ({style:?}): {error}\n  once more: --strace --seed {} --stride {}",
                        case.inject(),
                        self.seed,
                        self.stride
                    )
                };
                let (hit, done) = self.case(&case, &mut oracle, directory).map_err(told)?;
                report.add(done);
                if !report.wrong.is_nothing() {
                    return Err(told(report.wrong.notes));
                }
                if !hit || style == Style::ShortThreads && n > THREADED {
                    break;
                }
                n += 1 + rng.below(self.stride);
            }
        }
        let _ = std::fs::remove_dir_all(directory);
        Ok(report)
    }

    /// Whether the fault was met, and what came of it.
    fn case(
        &self,
        case: &Case,
        oracle: &mut Oracle,
        directory: &Path,
    ) -> Result<(bool, Report), String> {
        let store = directory.join("store");
        let mut report = Report::default();
        let log = directory.join("strace");
        let before = oracle.promised[0];
        let mut launch = self.launch.clone();
        let signal = case.action.starts_with("signal");
        let mut command: Vec<PathBuf> = vec!["strace".into(), "-f".into()];
        // Quicker, but then no signal is ever injected.
        command.extend((!signal).then(|| "--seccomp-bpf".into()));
        command.extend(["-o".into(), log.clone()]);
        command.extend(["-e".into(), format!("trace={}", case.call).into()]);
        command.extend(["-e".into(), case.inject().into()]);
        command.append(&mut launch.command);
        launch.command = command;
        let mut writer = Writer::start(&launch, &self.job(&store, 2, case.style))
            .map_err(|error| error.to_string())?;
        self.under_fault(case, &mut writer, oracle, &mut report)?;
        // The one who traces it has to finish its list.
        if !writer.is_over(Duration::from_secs(30)) {
            return Err("the writer does not end".into());
        }
        let answers = writer.kill(oracle)?;
        if answers.other > 0 {
            return Err("an error of no known class".into());
        }

        let mut writer = Writer::start(self.launch, &self.job(&store, 3, Style::Short))
            .map_err(|error| error.to_string())?;
        expect(&mut writer, oracle, &Event::Ready)
            .map_err(|error| format!("afterwards: {error}"))?;
        report.wrong.add(oracle.check(&writer.found, Durability::Process));
        if !report.wrong.is_nothing() {
            return Ok((true, report));
        }
        oracle.go_on(&writer.found);
        live(&mut writer, oracle, GO)?;
        writer.tell(CLOSE).map_err(|error| error.to_string())?;
        expect(&mut writer, oracle, &Event::Done(Class::None))?;
        let traced = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let hit = traced.contains("INJECTED") || traced.contains("+++ killed by SIGKILL");
        report.acknowledged = oracle.promised[0] - before;
        report.kills = u64::from(hit && signal);
        report.more.push(("faults", u64::from(hit)));
        Ok((hit, report))
    }

    /// The writer's life until the fault kills it, or until it has closed in spite of it.
    fn under_fault(
        &self,
        case: &Case,
        writer: &mut Writer,
        oracle: &mut Oracle,
        report: &mut Report,
    ) -> Result<(), String> {
        let may_die = case.action.starts_with("signal");
        let died = |what: &str| {
            if may_die { Ok(()) } else { Err(format!("the writer died {what}")) }
        };
        match writer.expect(oracle)? {
            Event::Ready => {}
            Event::Closed(_) if !may_die => return Ok(()),
            Event::End => return died("while it opened the store"),
            event => return Err(format!("opening: {event:?}")),
        }
        report.wrong.add(oracle.check(&writer.found, Durability::Process));
        if !report.wrong.is_nothing() {
            return Err(report.wrong.notes.clone());
        }
        oracle.go_on(&writer.found);
        for order in [GO, HEAL] {
            writer.forget();
            if writer.tell(order).is_err() {
                return died("before an order");
            }
            let done = match writer.expect(oracle)? {
                Event::Done(class) => class == Class::None,
                Event::End => return died("at work"),
                event => return Err(format!("at work: {event:?}")),
            };
            match writer.expect(oracle)? {
                Event::Ready => oracle.check_live(&writer.found.slots)?,
                Event::End => return died("while it told what it holds"),
                event => return Err(format!("at rest: {event:?}")),
            }
            if order == HEAL && done {
                oracle.settle();
            }
        }
        if writer.tell(CLOSE).is_err() {
            return died("before it closed");
        }
        match writer.expect(oracle)? {
            Event::Done(Class::None) => oracle.settle(),
            Event::Done(_) => {}
            Event::End => return died("while it closed"),
            event => return Err(format!("closing: {event:?}")),
        }
        Ok(())
    }
}

/// Waits for exactly this.
pub fn expect(writer: &mut Writer, oracle: &mut Oracle, event: &Event) -> Result<(), String> {
    match writer.expect(oracle)? {
        found if found == *event => Ok(()),
        found => Err(format!("the writer came to {found:?} instead of {event:?}")),
    }
}

/// Gives an order that must succeed, and compares what is in memory afterwards.
pub fn live(writer: &mut Writer, oracle: &mut Oracle, order: u8) -> Result<(), String> {
    writer.forget();
    writer.tell(order).map_err(|error| error.to_string())?;
    expect(writer, oracle, &Event::Done(Class::None))?;
    expect(writer, oracle, &Event::Ready)?;
    oracle.check_live(&writer.found.slots)
}

/// A store's directory as it is, into `to/store`.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_dir_all(to);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to.join("store"))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join("store").join(entry.file_name()))?;
        }
    }
    Ok(())
}
