//! `sessile stat`: what is in a directory, in one look at everything.

use std::convert::Infallible;
use std::ops::ControlFlow;

use serde::Serialize;

use super::output::{Output, bar};
use super::text::{bytes, count, counted, duration, instant};
use super::{Look, Outcome};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::fs::layout::{Kind, Name, parse};
use crate::inspect::{Damage, Tally};

/// The version of the formats that are read: `src/log/FORMAT.md`, `src/base/FORMAT.md`.
const FORMAT: &str = "1.0";

#[derive(Serialize)]
struct Report {
    directory: String,
    format: &'static str,
    /// The process that has it open, as far as can be seen.
    process: Option<u32>,
    /// The time that deadlines are judged by, in milliseconds since 1970.
    at_ms: i64,
    sessions: u64,
    warm: u64,
    cold: u64,
    expired: u64,
    gone: u64,
    unknown: u64,
    value_bytes: u64,
    first_deadline_ms: Option<i64>,
    last_deadline_ms: Option<i64>,
    /// The time to which the store is known to have lived.
    mark_ms: i64,
    lsn: Lsn,
    log: Log,
    files: Vec<File>,
    bytes: u64,
    damage: Vec<Damage>,
    left_out: Option<String>,
}

/// How far the log has come.
#[derive(Serialize)]
struct Lsn {
    last: u64,
    /// Known to be on disk, by what is in the files.
    durable: u64,
    /// The bases speak up to here.
    cut: u64,
}

/// What an opening would have to replay.
#[derive(Serialize)]
struct Log {
    frames: u64,
    bytes: u64,
    torn_frames: u64,
    torn_bytes: u64,
}

#[derive(Serialize)]
struct File {
    name: String,
    bytes: u64,
    /// What it takes on the disk.
    allocated: u64,
    modified_ms: i64,
    role: &'static str,
}

pub(super) fn run(look: &Look, output: &mut Output) -> Result<Outcome> {
    let report = Report::of(look)?;
    match look.json {
        true => output.pretty(&report)?,
        false => report.print(output)?,
    }
    Ok(Outcome::of(&report.damage))
}

impl Report {
    fn of(look: &Look) -> Result<Report> {
        let reading = &look.reading;
        let mut damage = reading.damage.clone();
        let mut ends: Option<(Timestamp, Timestamp)> = None;
        let bar = bar(reading.records(), "reading");
        let walked = reading.walk(&mut damage, |session| {
            bar.inc(1);
            if !session.expired {
                let (first, last) = ends.unwrap_or((session.deadline, session.deadline));
                ends = Some((first.min(session.deadline), last.max(session.deadline)));
            }
            ControlFlow::<Infallible>::Continue(())
        })?;
        bar.finish_and_clear();
        let ControlFlow::Continue(tally) = walked;
        let Tally { warm, cold, gone, expired, unknown, bytes: value_bytes } = tally;
        let files = files(look)?;
        Ok(Report {
            directory: crate::fs::Fs::path(&look.fs).display().to_string(),
            format: FORMAT,
            process: look.process,
            at_ms: look.at.as_millis(),
            sessions: tally.sessions(),
            warm,
            cold,
            expired,
            gone,
            unknown,
            value_bytes,
            first_deadline_ms: ends.map(|(first, _)| first.as_millis()),
            last_deadline_ms: ends.map(|(_, last)| last.as_millis()),
            mark_ms: reading.mark().as_millis(),
            lsn: Lsn {
                last: reading.log.last_lsn,
                durable: reading.log.watermark,
                cut: reading.manifest.cut,
            },
            log: Log {
                frames: reading.log.count(),
                bytes: reading.log.bytes(),
                torn_frames: reading.log.torn_frames,
                torn_bytes: reading.log.torn_bytes,
            },
            bytes: files.iter().map(|file| file.allocated).sum(),
            files,
            damage,
            left_out: look.left_out(),
        })
    }

    fn print(&self, output: &mut Output) -> Result<()> {
        let mut row = |name: &str, text: String| output.line(&format!("{name:<10} {text}"));
        row("directory", self.directory.clone())?;
        let used = self.process.map(|process| format!("in use by process {process}"));
        row("state", format!("{}, format {}", used.unwrap_or("not in use".into()), self.format))?;
        let (warm, cold) = (count(self.warm), count(self.cold));
        let places = format!("{warm} in the log, {cold} in bases only");
        row("sessions", format!("{}: {places}", count(self.sessions)))?;
        let (expired, gone) = (count(self.expired), count(self.gone));
        row("", format!("{expired} expired and {gone} gone, not merged away yet"))?;
        if self.unknown > 0 {
            row("", format!("{} not known: see the damage below", count(self.unknown)))?;
        }
        let average = self.value_bytes.checked_div(self.sessions).unwrap_or(0);
        row("values", format!("{}, {average} B on average", bytes(self.value_bytes)))?;
        let of = |time: Option<i64>| time.map(|ms| instant(Timestamp::from_millis(ms)));
        if let (Some(first), Some(last)) = (of(self.first_deadline_ms), of(self.last_deadline_ms)) {
            row("deadlines", format!("{first} to {last}"))?;
        }
        row("lived to", instant(Timestamp::from_millis(self.mark_ms)))?;
        let Lsn { last, durable, cut } = self.lsn;
        row("LSN", format!("{last}: {durable} known to be on disk, {cut} in the bases"))?;
        let log = &self.log;
        let replay = format!("{}, {} to replay", counted(log.frames, "frame"), bytes(log.bytes));
        let torn = match log.torn_bytes {
            0 => String::new(),
            torn => format!("; {} behind the last whole group", bytes(torn)),
        };
        row("log", replay + &torn)?;
        row("files", format!("{}, {} on the disk", self.files.len(), bytes(self.bytes)))?;
        for file in &self.files {
            let age =
                Timestamp::from_millis(self.at_ms).since(Timestamp::from_millis(file.modified_ms));
            let (size, age) = (bytes(file.bytes), duration(age));
            let text = format!("  {:<24} {size:>10}  {} ago, {}", file.name, age, file.role);
            output.line(&text)?;
        }
        tell_damage(&self.damage, output)?;
        self.left_out.iter().try_for_each(|text| output.line(&format!("left out   {text}")))
    }
}

/// A line for each piece of damage.
pub(super) fn tell_damage(damage: &[Damage], output: &mut Output) -> Result<()> {
    for Damage { file, offset, what, lost } in damage {
        let at = offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        output.line(&format!("damage     {file}{at}: {what}; lost: {lost}"))?;
    }
    if damage.is_empty() {
        return Ok(());
    }
    output.line(
        "to do      restore the directory from a copy, or open it with `Recovery::Salvage`; a block \
         of a base alone leaves the store usable, and the next merge goes on without it",
    )
}

fn files(look: &Look) -> Result<Vec<File>> {
    let reading = &look.reading;
    let mut files = Vec::new();
    let mut names: Vec<_> = reading.names.ours.iter().chain(&reading.names.unknown).collect();
    names.sort();
    for name in names {
        let role = match parse(name) {
            Name::Ours(Kind::Manifest, number) if number == reading.number => "counts",
            Name::Ours(Kind::Manifest, number) if number > reading.number => "damaged",
            Name::Ours(Kind::Base, number) if reading.needs_base(number) => "counts",
            Name::Ours(Kind::Log, number) if reading.needs_log(number) => "counts",
            Name::Ours(..) => "not needed",
            Name::Temporary(_) => "being written or left over",
            Name::Fixed | Name::Unknown => "not ours",
        };
        match look.fs.about(name) {
            Ok(about) => files.push(File {
                name: name.clone(),
                bytes: about.bytes,
                allocated: about.allocated,
                modified_ms: about.modified.as_millis(),
                role,
            }),
            // A folder, say, or what a merge has collected meanwhile.
            Err(_) if role == "not ours" => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Error::io("the file cannot be looked at", error).at(name));
            }
        }
    }
    Ok(files)
}
