//! Checks every checksum in the directory: manifests, bases with all their parts, the log.
//!
//! What nothing needs any more is looked at and never counts as damage.

use serde::Serialize;

use super::{Damage, Reading};
use crate::base::{Base, Flaw};
use crate::error::Result;
use crate::fs::Fs;
use crate::fs::layout::Kind;
use crate::log::manifest::Manifest;
use crate::log::recovery::{Fault, FaultKind};

const NOTHING: &str = "nothing";

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) manifests: u64,
    pub(crate) bases: u64,
    pub(crate) records: u64,
    pub(crate) segments: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) damage: Vec<Damage>,
    /// What is not as usual, and costs nothing.
    pub(crate) notes: Vec<String>,
}

impl Reading {
    /// Bytes that [`verify`](Self::verify) reads.
    pub(crate) fn base_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.base.file_bytes()).sum()
    }

    /// Checks everything. Reads every base once; `progress` is told the bytes of them.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn verify(&self, fs: &dyn Fs, mut progress: impl FnMut(u64)) -> Result<Verdict> {
        let mut verdict = Verdict { damage: self.damage.clone(), ..Verdict::default() };
        self.verify_manifests(fs, &mut verdict)?;
        let mut before = 0;
        for layer in &self.layers {
            verify_base(&layer.base, &mut verdict, |bytes| progress(before + bytes))?;
            before += layer.base.file_bytes();
        }
        self.verify_log(&mut verdict);
        self.note_strays(&mut verdict);
        Ok(verdict)
    }

    fn verify_manifests(&self, fs: &dyn Fs, verdict: &mut Verdict) -> Result<()> {
        verdict.manifests = 1;
        for number in self.names.manifests.iter().filter(|number| **number < self.number) {
            match Manifest::load(fs, *number) {
                Ok(_) => verdict.manifests += 1,
                // Superseded by now, and collected.
                Err(error) if error.is_missing() => {}
                Err(error) if error.is_corrupt() || error.is_mismatch() => {
                    verdict
                        .damage
                        .push(Damage::of(&error, format!("{NOTHING}: a newer one counts")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verify_log(&self, verdict: &mut Verdict) {
        let (faults, frames, bytes) = self.log.verify();
        verdict.frames = frames;
        verdict.bytes += bytes;
        verdict.segments = self.log.segments().len() as u64;
        for Fault { file, offset, kind } in faults {
            let told = |damage: &Damage| damage.file == file && damage.offset == Some(offset);
            if verdict.damage.iter().any(told) {
                continue;
            }
            match kind {
                FaultKind::Header => verdict.damage.push(Damage::new(
                    &file,
                    offset,
                    "one of the two copies of the header is not as it was written",
                    format!("{NOTHING}: the other copy is whole"),
                )),
                FaultKind::Frames(first, last) if first <= self.manifest.cut => {
                    let lost = format!("{NOTHING}: the bases speak for LSN {first} to {last}");
                    let what = "frames are not as they were written";
                    verdict.damage.push(Damage::new(&file, offset, what, lost));
                }
                FaultKind::Frames(first, last) => verdict.notes.push(format!(
                    "{file} at byte {offset}: the log ends here, as after a loss of power or while \
                     it is written: LSN {first} to {last} were never acknowledged as on disk"
                )),
                FaultKind::Tail(bytes) => verdict.notes.push(format!(
                    "{file} at byte {offset}: the log ends here, as after a loss of power or while \
                     it is written: {bytes} bytes are no whole frame"
                )),
            }
        }
    }

    fn note_strays(&self, verdict: &mut Verdict) {
        let needed = |number: &u64| self.manifest.bases.iter().any(|base| base.number == *number);
        let bases = self.names.bases.iter().filter(|number| !needed(number));
        let strays = bases.map(|number| Kind::Base.name(*number)).chain(self.log.strays.clone());
        let note = |name| format!("{name}: nothing needs it, and it was not looked at");
        verdict.notes.extend(strays.map(note));
    }
}

fn verify_base(base: &Base, verdict: &mut Verdict, progress: impl FnMut(u64)) -> Result<()> {
    let name = Kind::Base.name(base.number());
    let damage = &mut verdict.damage;
    let mut blocks = Vec::new();
    let checked = base.verify(
        |flaw| {
            if matches!(flaw, Flaw::Block(_) | Flaw::Rest(_)) {
                blocks.push(damage.len());
            }
            damage.push(flaw_of(&name, base, flaw));
        },
        progress,
    )?;
    // The header counts the records of the whole base: how many of them lay in which block, nobody
    // knows any more.
    if let ([first, others @ ..], true) = (&*blocks, checked.missing > 0)
        && let Some(damage) = damage.get_mut(*first)
    {
        let also = if others.is_empty() { "" } else { "; with the damaged blocks below" };
        damage.lost += &format!(": {} records{also}", checked.missing);
    }
    verdict.bases += 1;
    verdict.records += checked.records;
    verdict.bytes += base.file_bytes();
    Ok(())
}

fn flaw_of(name: &str, base: &Base, flaw: Flaw) -> Damage {
    let checksum = "is not as it was written: its checksum is wrong";
    let (offset, what, lost) = match flaw {
        Flaw::Block(found) => (
            found.offset,
            format!("a block of records {checksum}"),
            format!("the sessions with hashes {:016x} to {:016x} in this base", found.lo, found.hi),
        ),
        Flaw::Rest(offset) => (
            offset,
            "a block of records verifies, and is not one".to_owned(),
            "the sessions in the rest of this base".to_owned(),
        ),
        Flaw::Record(offset) => {
            (offset, format!("a record in this block {checksum}"), "that session".to_owned())
        }
        Flaw::Directory(offset) => (
            offset,
            format!("a page of the directory {checksum}"),
            format!("{NOTHING}; until the next merge a lookup may fail"),
        ),
        Flaw::Filter(offset) => (
            offset,
            format!("a line of the filter {checksum}"),
            format!("{NOTHING}; until the next merge lookups of what is not there are slower"),
        ),
        Flaw::Count(found, counted) => (
            0,
            format!("there are {found} records in it, and its header says {counted}"),
            "unknown".to_owned(),
        ),
    };
    debug_assert!(offset < base.file_bytes().max(1));
    Damage::new(name, offset, &what, lost)
}
