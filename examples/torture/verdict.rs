//! Judging a store that was opened again: is what was found one of the states that it may be in?
//!
//! `oracle` has the promise in words. Here each slot's states that fit are narrowed to those that
//! fit together, and where none do, the nearest tells what is lost, revived or invented.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

use sessile::Durability;

use super::oracle::{Candidate, Clock, Oracle};
use super::plan::{CELLS, SLOTS, slot_of};
use super::state::{Cell, Cells};

/// All that a store was found to hold.
#[derive(Clone, Debug)]
pub struct Found {
    pub slots: [Cells; SLOTS],
    /// Names of tickets and brief sessions.
    pub loose: BTreeSet<u64>,
    /// Names of sessions that are no session of ours, or not under their name.
    pub phantoms: Vec<u64>,
    /// When the store had been opened.
    pub opened: Instant,
}

impl Found {
    pub fn nothing() -> Found {
        Found {
            slots: [[Cell::default(); CELLS]; SLOTS],
            loose: BTreeSet::new(),
            phantoms: Vec::new(),
            opened: Instant::now(),
        }
    }
}

/// What is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Wrong {
    pub lost: u64,
    pub revived: u64,
    pub phantom: u64,
    pub notes: String,
}

impl Wrong {
    pub fn is_nothing(&self) -> bool {
        self.lost + self.revived + self.phantom == 0
    }

    pub fn add(&mut self, other: Wrong) {
        self.lost += other.lost;
        self.revived += other.revived;
        self.phantom += other.phantom;
        self.notes.push_str(&other.notes);
    }

    fn note(&mut self, note: &str) {
        let _ = writeln!(self.notes, "  {note}");
    }
}

impl Oracle {
    /// Compares with what was found after a failure that had to spare `level`.
    pub fn check(&self, found: &Found, level: Durability) -> Wrong {
        let floor = &self.floors[usize::from(level == Durability::Power)];
        let mut wrong = Wrong::default();
        for name in &found.phantoms {
            wrong.phantom += 1;
            wrong.note(&format!("phantom: the session {name:x} is none that was written there"));
        }
        let difference = self.loose.compare(&found.loose, floor, level, found.opened);
        wrong.lost += difference.lost.len() as u64;
        wrong.revived += difference.revived.len() as u64;
        difference.lost.iter().for_each(|name| wrong.note(&format!("lost: {name:x}")));
        difference.revived.iter().for_each(|name| wrong.note(&format!("revived: {name:x}")));

        let allowed: Vec<Vec<&Candidate>> =
            (0..SLOTS).map(|slot| self.allowed(slot, floor)).collect();
        let fits = |slot: usize| -> Vec<&Candidate> {
            let states = allowed[slot].iter().copied();
            states.filter(|seen| seen.state.cells == found.slots[slot]).collect()
        };
        let fitting: Vec<Vec<&Candidate>> = (0..SLOTS).map(fits).collect();
        for slot in (0..SLOTS).filter(|slot| fitting[*slot].is_empty()) {
            self.explain(slot, &allowed[slot], &found.slots[slot], &mut wrong);
        }
        let whole = fitting.iter().all(|states| !states.is_empty());
        if whole && !self.fit_together(&fitting, floor) {
            wrong.lost += 1;
            wrong.note("lost: each slot is as it once was, and they never were so together:");
            for (slot, states) in fitting.iter().enumerate() {
                let spans: Vec<_> =
                    states.iter().map(|seen| (seen.from, seen.to, seen.clears)).collect();
                wrong.note(&format!("slot {slot}: after operations, clears {spans:?}"));
            }
        }
        wrong
    }

    /// Goes on from what was found, which was checked.
    pub fn go_on(&mut self, found: &Found) {
        self.loose.begin(&found.loose, found.opened);
        self.begin(&found.slots);
    }

    fn allowed(&self, slot: usize, floor: &Clock) -> Vec<&Candidate> {
        let seen = self.slots[slot].seen.iter();
        seen.filter(|seen| seen.to >= floor.slots[slot] && seen.clears >= floor.clears).collect()
    }

    /// Whether there is one choice of states, one for each slot, with all clears in all of them or
    /// in none, and with everything that ended before something that is there.
    fn fit_together(&self, fitting: &[Vec<&Candidate>], floor: &Clock) -> bool {
        let counts: BTreeSet<u32> = fitting.iter().flatten().map(|seen| seen.clears).collect();
        counts.into_iter().any(|clears| self.fit_with(fitting, floor, clears))
    }

    /// The same, for so many clears: the smallest choice, raised until it needs no more.
    fn fit_with(&self, fitting: &[Vec<&Candidate>], floor: &Clock, clears: u32) -> bool {
        let mut need = floor.slots;
        loop {
            let before = need;
            for (slot, states) in fitting.iter().enumerate() {
                let least = need[slot];
                let states = states.iter().filter(|seen| seen.clears == clears && seen.to >= least);
                let Some(at) = states.map(|seen| seen.from.max(least)).min() else { return false };
                need[slot] = at;
                let Some(clock) =
                    (at as usize).checked_sub(1).map(|at| self.slots[slot].clocks[at])
                else {
                    continue;
                };
                if clock.clears > clears {
                    return false;
                }
                for (need, at) in need.iter_mut().zip(clock.slots) {
                    *need = (*need).max(at);
                }
            }
            if need == before {
                return true;
            }
        }
    }

    /// Counts by what the nearest allowed state has and was not found, and the other way round.
    fn explain(&self, slot: usize, allowed: &[&Candidate], found: &Cells, wrong: &mut Wrong) {
        let differ = |seen: &&&Candidate| {
            seen.state.cells.iter().zip(found).filter(|(one, other)| one != other).count()
        };
        let Some(nearest) = allowed.iter().min_by_key(differ) else {
            wrong.lost += 1;
            wrong.note(&format!("slot {slot}: the judge knows no state that it may be in"));
            return;
        };
        wrong.note(&format!("slot {slot}, compared with operation {}:", nearest.to));
        for (cell, (expected, found)) in nearest.state.cells.iter().zip(found).enumerate() {
            if expected == found {
                continue;
            }
            let written = slot_of(found.id) == slot && found.id <= self.latest[slot];
            let what = if found.id != 0 && !written {
                wrong.phantom += 1;
                "phantom"
            } else if expected.id == 0 {
                wrong.revived += 1;
                "revived"
            } else {
                wrong.lost += 1;
                "lost"
            };
            wrong.note(&format!("{what}: cell {cell} is {found:x?}, expected {expected:x?}"));
        }
    }
}
