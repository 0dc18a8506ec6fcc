//! Ending all sessions of an owner who has ten, among very many others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::FallocateFlags;
use sessile::Durability;
use sessile::session::Sessions;

use super::Bench;
use super::fill::{EACH, fill, owner};
use crate::Result;
use crate::measure::{Spread, above};
use crate::report::{Goal, Line, Rival};

/// Of a call, without the sync.
const GOAL: f64 = 50.0;
/// About what a revocation of ten sessions writes.
const BYTES: usize = 512;

pub fn run(bench: &Bench, print: &mut dyn FnMut(Line)) -> Result<()> {
    let (count, owners) = (bench.size.sessions, bench.size.owners);
    let sessions = fill(&bench.scratch.fresh(), Durability::Memory, count, owners)?.sessions;
    let spent = (0..owners).map(|index| revoke(&sessions, index)).collect::<Result<Vec<_>>>()?;
    sessions.close()?;
    let mut sorted = spent.clone();
    sorted.sort_by(f64::total_cmp);
    let mut line = Line::new("revoke", "ten sessions at Memory", "µs", Spread::of(spent))
        .goal(Some(Goal::AtMost(GOAL)));
    line.more.push(("p99", crate::measure::quantile(&sorted, 0.99)));
    print(line);

    let owners = bench.size.owners_synced;
    let sessions = fill(&bench.scratch.fresh(), Durability::Power, count, owners)?.sessions;
    let mut disk = Disk::new(&bench.scratch.fresh())?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for index in 0..owners {
        // Who goes first changes, as the disk may not be the same after a sync.
        if index % 2 == 0 {
            ours.push(revoke(&sessions, index)?);
            bare.push(disk.sync()?);
        } else {
            bare.push(disk.sync()?);
            ours.push(revoke(&sessions, index)?);
        }
    }
    sessions.close()?;
    let mut line =
        Line::new("revoke", "ten sessions at Power", "µs", Spread::of(ours.iter().copied()));
    line.rival = Some(Rival {
        name: "one fdatasync",
        figure: Spread::of(bare.iter().copied()).median,
        ratio: Spread::of_ratio(&ours, &bare),
        goal: None,
    });
    print(line);
    // Pair by pair, since a disk is not the same for long.
    let beyond = Spread::of(above(&ours, &bare));
    print(
        Line::new("revoke", "at Power, beyond one fdatasync", "µs", beyond)
            .goal(Some(Goal::AtMost(GOAL))),
    );
    Ok(())
}

/// Microseconds.
fn revoke(sessions: &Sessions, index: usize) -> Result<f64> {
    let subject = owner(index);
    let begun = Instant::now();
    let ended = sessions.revoke_owner(&subject)?;
    let spent = begun.elapsed();
    if ended != EACH {
        return Err(format!("{subject} had {ended} sessions").into());
    }
    Ok(spent.as_secs_f64() * 1e6)
}

/// A file with room, written a little and synced, again and again: what any log has to do.
struct Disk {
    file: File,
    end: u64,
}

impl Disk {
    fn new(path: &Path) -> Result<Self> {
        let file = File::create(path)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 4 << 20)?;
        file.sync_all()?;
        Ok(Disk { file, end: 0 })
    }

    /// Microseconds.
    fn sync(&mut self) -> Result<f64> {
        let begun = Instant::now();
        self.file.write_all_at(&[1; BYTES], self.end)?;
        self.file.sync_data()?;
        self.end += BYTES as u64;
        Ok(begun.elapsed().as_secs_f64() * 1e6)
    }
}
