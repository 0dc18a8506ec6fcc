//! `sessile verify`: every checksum in the directory.

use serde::Serialize;

use super::output::{Output, bar};
use super::stat::tell_damage;
use super::text::{bytes, counted};
use super::{Look, Outcome};
use crate::error::Result;
use crate::inspect::Verdict;

#[derive(Serialize)]
struct Report {
    directory: String,
    #[serde(flatten)]
    verdict: Verdict,
    left_out: Option<String>,
}

pub(super) fn run(look: &Look, output: &mut Output) -> Result<Outcome> {
    let bar = bar(look.reading.base_bytes(), "verifying");
    let verdict = look.reading.verify(&look.fs, |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    let outcome = Outcome::of(&verdict.damage);
    let directory = crate::fs::Fs::path(&look.fs).display().to_string();
    let report = Report { directory, verdict, left_out: look.left_out() };
    match look.json {
        true => output.pretty(&report)?,
        false => report.print(output)?,
    }
    Ok(outcome)
}

impl Report {
    fn print(&self, output: &mut Output) -> Result<()> {
        let Verdict { manifests, bases, records, segments, frames, bytes: size, damage, notes } =
            &self.verdict;
        let [manifests, bases, records, segments, frames] = [
            (manifests, "manifest"),
            (bases, "base"),
            (records, "record"),
            (segments, "segment"),
            (frames, "frame"),
        ]
        .map(|(number, noun)| counted(*number, noun));
        output.line(&format!("checked    {}", self.directory))?;
        output.line(&format!(
            "           {manifests}, {bases} with {records}, {segments} with {frames}; {}",
            bytes(*size)
        ))?;
        notes.iter().try_for_each(|note| output.line(&format!("note       {note}")))?;
        tell_damage(damage, output)?;
        match damage.len() {
            0 => output.line("result     no damage")?,
            1 => output.line("result     damaged in one place")?,
            places => output.line(&format!("result     damaged in {places} places"))?,
        }
        self.left_out.iter().try_for_each(|text| output.line(&format!("left out   {text}")))
    }
}
