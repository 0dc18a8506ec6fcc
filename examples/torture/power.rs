//! Loss of power: the writer stands still, its disk is copied, and the copy is what is left.
//!
//! The store lies on an ext4 of its own, in a file. What the writer had not synced is in memory
//! alone, so it is not in the file: mounting a copy recovers the file system's journal, opening
//! the store on it recovers the store. Then the writer goes on; now and then the copy is taken
//! for the disk itself, so that losses of power stack up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sessile::Durability;
use sessile::testing::Random;

use super::child::Job;
use super::judge::{Event, Launch, Writer};
use super::kills::{Report, far};
use super::oracle::Oracle;
use super::plan::{Plan, SLOTS, Style};
use super::strace::{expect, live};
use super::volume::Volume;
use super::wire::{CLOSE, Class, GO};

/// Cuts that one writer lives through.
const CUTS_PER_WRITER: u64 = 5;
const MEBIBYTES: u64 = 16;

pub struct Power<'a> {
    pub launch: &'a Launch,
    pub directory: PathBuf,
    pub seed: u64,
}

impl Power<'_> {
    pub fn run(&self, cuts: u64) -> Result<Report, String> {
        let mut rng = Random::new(self.seed);
        let mut report = Report::default();
        let mut oracle = Oracle::new();
        let mut volume = Volume::make(&self.directory, "disk-0", MEBIBYTES)?;
        let mut cut = 0;
        while cut < cuts {
            let mut writer = self.start(&volume, cut, 0)?;
            expect(&mut writer, &mut oracle, &Event::Ready)?;
            report.wrong.add(oracle.check(&writer.found, Durability::Power));
            if !report.wrong.is_nothing() {
                break;
            }
            oracle.go_on(&writer.found);
            writer.tell(GO).map_err(|error| error.to_string())?;
            loop {
                cut += 1;
                let until = Instant::now() + Duration::from_micros(rng.below(150_000));
                match writer.follow(&mut oracle, until)? {
                    Event::Time => {}
                    event => return Err(format!("cut {cut}: the writer came to {event:?}")),
                }
                let mut copy = self.cut(&mut writer, &mut oracle, &volume, cut)?;
                let mut after = oracle.clone();
                let told = |error| format!("cut {cut}: {error}");
                let looked = self.look(&copy, &mut after, cut, &mut report).map_err(told);
                if looked.is_err() || !report.wrong.is_nothing() {
                    copy.keep();
                    return looked.map(|()| report);
                }
                if cut % CUTS_PER_WRITER == 0 || cut == cuts {
                    report.acknowledged = oracle.promised[1];
                    report.kills += 1;
                    writer.kill(&mut oracle)?;
                    let promised = oracle.promised;
                    (oracle, volume) = (after, copy);
                    oracle.promised = promised;
                    break;
                }
            }
        }
        report.more.push(("cuts", cut));
        Ok(report)
    }

    fn start(&self, volume: &Volume, round: u64, limit: u32) -> Result<Writer, String> {
        let (slots, style) = if limit > 0 { (1, Style::Short) } else { (SLOTS, Style::Long) };
        let round = 2 * round as u32 + u32::from(limit > 0);
        let plan = Plan { seed: self.seed, round, slots, limit, far: self.far(), style };
        let job = Job { plan, directory: volume.store() };
        Writer::start(self.launch, &job).map_err(|error| error.to_string())
    }

    /// The same for all writers of one directory, whose ends it separates from the usual ones.
    fn far(&self) -> i64 {
        static FAR: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
        *FAR.get_or_init(far)
    }

    /// What is left if the power fails now.
    fn cut(
        &self,
        writer: &mut Writer,
        oracle: &mut Oracle,
        volume: &Volume,
        cut: u64,
    ) -> Result<Volume, String> {
        writer.freeze()?;
        writer.drain(oracle)?;
        let bytes = volume.disk()?;
        writer.signal(Signal::CONT);
        Volume::of(&self.directory, &format!("disk-{cut}"), &bytes)
    }

    /// Recovers, compares, writes a little and closes.
    fn look(
        &self,
        copy: &Volume,
        oracle: &mut Oracle,
        cut: u64,
        report: &mut Report,
    ) -> Result<(), String> {
        oracle.died(Instant::now());
        let mut writer = self.start(copy, cut, 40)?;
        expect(&mut writer, oracle, &Event::Ready)?;
        report.wrong.add(oracle.check(&writer.found, Durability::Power));
        if !report.wrong.is_nothing() {
            return Ok(());
        }
        oracle.go_on(&writer.found);
        live(&mut writer, oracle, GO)?;
        writer.tell(CLOSE).map_err(|error| error.to_string())?;
        expect(&mut writer, oracle, &Event::Done(Class::None))?;
        oracle.settle();
        if writer.is_over(Duration::from_secs(30)) { Ok(()) } else { Err("it does not end".into()) }
    }
}
