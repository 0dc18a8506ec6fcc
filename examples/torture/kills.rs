//! The loop: a writer is killed at a random moment, and the next one, on the same directory, must
//! find what may be there.
//!
//! A kill may come while the store is being opened: then the next writer recovers what the one
//! before had left of its recovery. Nobody else opens the directory, and nothing in it is mended
//! between two kills.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sessile::Durability;
use sessile::testing::Random;

use super::child::Job;
use super::judge::{Event, Launch, Writer};
use super::oracle::Oracle;
use super::plan::{Plan, SLOTS, Style};
use super::verdict::Wrong;
use super::wire::{CLOSE, GO, MERGE};

/// What a mode has to say in the end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub kills: u64,
    pub acknowledged: u64,
    pub wrong: Wrong,
    /// More figures, by name.
    pub more: Vec<(&'static str, u64)>,
}

impl Report {
    pub fn add(&mut self, other: Report) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.wrong.add(other.wrong);
        for (name, count) in other.more {
            match self.more.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => self.more.push((name, count)),
            }
        }
    }
}

/// From here on lie the ends that sessions are told: 400 days ahead, on a whole second.
pub fn far() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    (now + 400 * 24 * 3600) as i64 * 1000
}

/// One directory, and its history.
pub struct Kills<'a> {
    pub launch: &'a Launch,
    pub directory: PathBuf,
    pub seed: u64,
    pub oracle: Oracle,
    pub report: Report,
    rng: Random,
    far: i64,
    round: u32,
}

impl<'a> Kills<'a> {
    pub fn new(launch: &'a Launch, directory: &Path, seed: u64) -> Kills<'a> {
        Kills {
            launch,
            directory: directory.to_path_buf(),
            seed,
            oracle: Oracle::new(),
            report: Report::default(),
            rng: Random::new(seed),
            far: far(),
            round: 0,
        }
    }

    /// Kills so often, unless something is wrong before; then lets a last writer close the store
    /// and another one look at it.
    pub fn run(&mut self, kills: u64) -> Result<(), String> {
        while self.report.kills < kills && self.report.wrong.is_nothing() {
            self.round().map_err(|error| format!("round {}: {error}", self.round))?;
        }
        for _ in 0..2 {
            self.close().map_err(|error| format!("at the end: {error}"))?;
        }
        self.report.acknowledged = self.oracle.promised[0];
        Ok(())
    }

    fn start(&mut self) -> Result<Writer, String> {
        self.round += 1;
        let slots = [SLOTS, SLOTS, 2, 1][self.rng.below(4) as usize];
        let (seed, round, far) = (self.seed, self.round, self.far);
        let plan = Plan { seed, round, slots, limit: 0, far, style: Style::Long };
        let job = Job { plan, directory: self.directory.clone() };
        Writer::start(self.launch, &job).map_err(|error| format!("no writer: {error}"))
    }

    fn round(&mut self) -> Result<(), String> {
        let mut writer = self.start()?;
        // Mostly while it writes; now and then while it starts, recovers and looks around.
        let early = self.rng.below(6) == 0;
        if early {
            let until = Instant::now() + Duration::from_micros(self.rng.below(12_000));
            let event = writer.follow(&mut self.oracle, until)?;
            if event != Event::Ready {
                return self.kill(writer);
            }
        } else if writer.expect(&mut self.oracle)? != Event::Ready {
            return Err("the store did not open".into());
        }
        self.check(&mut writer)?;
        if !self.report.wrong.is_nothing() {
            return Ok(());
        }
        writer.tell(GO).map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_micros(self.rng.below(320_000));
        match writer.follow(&mut self.oracle, until)? {
            Event::Time => self.kill(writer),
            event => Err(format!("the writer did not go on until its kill: {event:?}")),
        }
    }

    fn kill(&mut self, writer: Writer) -> Result<(), String> {
        let answers = writer.kill(&mut self.oracle)?;
        self.report.kills += 1;
        if answers.disk_full + answers.poisoned + answers.other > 0 {
            return Err(format!("errors on a disk without any: {answers:?}"));
        }
        Ok(())
    }

    fn check(&mut self, writer: &mut Writer) -> Result<(), String> {
        let wrong = self.oracle.check(&writer.found, Durability::Process);
        if wrong.is_nothing() {
            self.oracle.go_on(&writer.found);
        }
        self.report.wrong.add(wrong);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let mut writer = self.start()?;
        for order in [MERGE, CLOSE] {
            match writer.expect(&mut self.oracle)? {
                Event::Ready => self.check(&mut writer)?,
                event => return Err(format!("not ready: {event:?}")),
            }
            writer.forget();
            writer.tell(order).map_err(|error| error.to_string())?;
            match writer.expect(&mut self.oracle)? {
                Event::Done(super::wire::Class::None) => {}
                event => return Err(format!("the order failed: {event:?}")),
            }
        }
        if writer.is_over(Duration::from_secs(30)) { Ok(()) } else { Err("it does not end".into()) }
    }
}
