//! A disk that fills up, gets room again, and turns read-only under a running store.
//!
//! A full disk must be a typed error, spare what was acknowledged, let removals through from the
//! reserve, and end by itself. A read-only one must be an error and no harm. Knows not how the
//! judge judges.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sessile::Durability;

use super::child::Job;
use super::judge::{Event, Launch, Writer};
use super::kills::{Report, far};
use super::oracle::Oracle;
use super::plan::{Plan, SLOTS, Style};
use super::strace::{expect, live};
use super::volume::Volume;
use super::wire::{CLOSE, Class, GO, HEAL, STOP};

const MEBIBYTES: u64 = 24;
/// An episode that has not begun, or ended, within this time never does.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the writer is left alone between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// So many answers make it certain.
const ANSWERS: u64 = 20;

pub struct Full<'a> {
    pub launch: &'a Launch,
    pub directory: PathBuf,
    pub seed: u64,
}

/// A store on a volume, and what is known of it.
struct Bench<'a> {
    full: &'a Full<'a>,
    volume: Volume,
    oracle: Oracle,
    report: Report,
    round: u32,
    far: i64,
}

impl Full<'_> {
    pub fn run(&self, episodes: u64) -> Result<Report, String> {
        let mut report = self.fill_up(episodes)?;
        if report.wrong.is_nothing() {
            report.add(self.turn_read_only()?);
        }
        Ok(report)
    }

    fn bench(&self, name: &str) -> Result<Bench<'_>, String> {
        Ok(Bench {
            full: self,
            volume: Volume::make(&self.directory, name, MEBIBYTES)?,
            oracle: Oracle::new(),
            report: Report::default(),
            round: 0,
            far: far(),
        })
    }

    fn fill_up(&self, episodes: u64) -> Result<Report, String> {
        let mut bench = self.bench("full")?;
        let Some(mut writer) = bench.open(Durability::Process)? else {
            return Err("an empty volume is full".into());
        };
        for episode in 0..episodes {
            let told = |error| format!("episode {episode}: {error}");
            let going = bench.episode(writer, episode % 2 == 1).map_err(told);
            if going.is_err() || !bench.report.wrong.is_nothing() {
                bench.volume.keep();
                return going.map(|_| bench.report);
            }
            writer = going?;
        }
        bench.close(writer)?;
        bench.report.acknowledged = bench.oracle.promised[0];
        Ok(bench.report)
    }

    fn turn_read_only(&self) -> Result<Report, String> {
        let mut bench = self.bench("read-only")?;
        let Some(mut writer) = bench.open(Durability::Process)? else {
            return Err("an empty volume is full".into());
        };
        bench.go_on(&mut writer, Duration::from_millis(300))?;
        writer.drain(&mut bench.oracle)?;
        bench.oracle.disk_fails();
        bench.volume.fail()?;
        writer.drain(&mut bench.oracle)?;
        bench.oracle.disk_is_read_only();
        let until = Instant::now() + PATIENCE;
        while writer.answers.poisoned < ANSWERS {
            bench.go_on(&mut writer, PAUSE)?;
            if Instant::now() > until {
                return Err(format!("nobody notices a read-only disk: {:?}", writer.answers));
            }
        }
        // Reads go on, and show what was visible; there is no healing.
        live(&mut writer, &mut bench.oracle, STOP)?;
        writer.tell(HEAL).map_err(|error| error.to_string())?;
        match writer.expect(&mut bench.oracle)? {
            Event::Done(Class::None) => return Err("it healed on a read-only disk".into()),
            Event::Done(_) => {}
            event => return Err(format!("healing: {event:?}")),
        }
        bench.kill(writer)?;
        if bench.open(Durability::Process)?.is_some() {
            return Err("it opened on a read-only disk".into());
        }
        bench.volume.unmount()?;
        bench.volume.mount()?;
        let Some(writer) = bench.open(Durability::Power)? else {
            return Err("it does not open on a disk that is well again".into());
        };
        if bench.report.wrong.is_nothing() {
            bench.close(writer)?;
        } else {
            bench.volume.keep();
        }
        bench.report.acknowledged = bench.oracle.promised[0];
        bench.report.more.push(("read_only", 1));
        Ok(bench.report)
    }
}

impl Bench<'_> {
    /// A writer at work, after what it found was checked; nothing if the store does not open.
    fn open(&mut self, level: Durability) -> Result<Option<Writer>, String> {
        self.round += 1;
        let (round, seed, far) = (self.round, self.full.seed, self.far);
        let plan = Plan { seed, round, slots: SLOTS, limit: 0, far, style: Style::Long };
        let job = Job { plan, directory: self.volume.store() };
        let mut writer =
            Writer::start(self.full.launch, &job).map_err(|error| error.to_string())?;
        match writer.expect(&mut self.oracle)? {
            Event::Ready => {}
            Event::Closed(_) => return Ok(None),
            event => return Err(format!("opening: {event:?}")),
        }
        let wrong = self.oracle.check(&writer.found, level);
        if wrong.is_nothing() {
            self.oracle.go_on(&writer.found);
        }
        self.report.wrong.add(wrong);
        writer.tell(GO).map_err(|error| error.to_string())?;
        Ok(Some(writer))
    }

    fn go_on(&mut self, writer: &mut Writer, time: Duration) -> Result<(), String> {
        match writer.follow(&mut self.oracle, Instant::now() + time)? {
            Event::Time => Ok(()),
            event => Err(format!("the writer came to {event:?}")),
        }
    }

    /// Fills the disk, lets the writer live with it, or die, and makes room again.
    fn episode(&mut self, mut writer: Writer, kill: bool) -> Result<Writer, String> {
        self.go_on(&mut writer, Duration::from_millis(200))?;
        let path = self.volume.point().join("filler");
        let mut filler = File::create(&path).map_err(|error| error.to_string())?;
        let before = writer.answers;
        let until = Instant::now() + PATIENCE;
        while writer.answers.disk_full < before.disk_full + ANSWERS {
            fill(&mut filler);
            self.go_on(&mut writer, PAUSE)?;
            if Instant::now() > until {
                return Err(format!("the disk never fills up: {:?}", writer.answers));
            }
        }
        let removals = writer.answers.removals;
        for _ in 0..10 {
            fill(&mut filler);
            self.go_on(&mut writer, PAUSE)?;
        }
        let removals = writer.answers.removals - removals;
        if removals == 0 {
            return Err("no removal goes on while the disk is full".into());
        }
        self.figure("removals_while_full", removals);
        drop(filler);
        let remove = || std::fs::remove_file(&path).map_err(|error| error.to_string());
        let mut writer = if kill {
            self.kill(writer)?;
            match self.open(Durability::Process)? {
                Some(writer) => {
                    remove()?;
                    writer
                }
                None => {
                    remove()?;
                    self.open(Durability::Process)?.ok_or("with room again it does not open")?
                }
            }
        } else {
            remove()?;
            writer
        };
        if !self.report.wrong.is_nothing() {
            return Ok(writer);
        }
        self.ends_by_itself(&mut writer)?;
        self.figure("episodes", 1);
        Ok(writer)
    }

    fn figure(&mut self, name: &'static str, count: u64) {
        self.report.add(Report { more: vec![(name, count)], ..Report::default() });
    }

    fn ends_by_itself(&mut self, writer: &mut Writer) -> Result<(), String> {
        let (inserts, until) = (writer.answers.inserts, Instant::now() + PATIENCE);
        while writer.answers.inserts < inserts + ANSWERS {
            self.go_on(writer, PAUSE)?;
            if Instant::now() > until {
                return Err(format!("there is room, and it does not go on: {:?}", writer.answers));
            }
        }
        if writer.answers.poisoned + writer.answers.other > 0 {
            return Err(format!("a full disk is more than that: {:?}", writer.answers));
        }
        Ok(())
    }

    fn kill(&mut self, writer: Writer) -> Result<(), String> {
        writer.kill(&mut self.oracle)?;
        self.report.kills += 1;
        Ok(())
    }

    fn close(&mut self, mut writer: Writer) -> Result<(), String> {
        self.go_on(&mut writer, Duration::from_millis(100))?;
        live(&mut writer, &mut self.oracle, STOP)?;
        writer.tell(CLOSE).map_err(|error| error.to_string())?;
        expect(&mut writer, &mut self.oracle, &Event::Done(Class::None))
    }
}

/// Takes all the room there is.
fn fill(filler: &mut File) {
    for size in [1 << 18, 1 << 12, 1] {
        while filler.write_all(&vec![0x5a; size]).is_ok() {}
    }
}
