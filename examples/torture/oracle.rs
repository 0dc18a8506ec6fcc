//! The judge: what may be in memory, and what a crash may leave, given what the writer has said.
//!
//! The promise, from the README's table. A slot's operations are announced before they begin and
//! acknowledged after they returned, all through one pipe, so it is known which ended before
//! which began. What is found must be the effect of the first n writes, for some n:
//!
//! - each slot's sessions, all of them at once, are as they were after one of its operations: a
//!   group is whole or absent, and an operation in flight is there or not;
//! - not before anything that was acknowledged at the level that the failure must spare
//!   (`Process` for a kill, `Power` for a loss of power), nor before what that answer rests on: the
//!   loser of a `take` has been promised the winner's removal;
//! - if an operation is there, so is everything, of any slot, that had ended before it began;
//! - a refused operation has not happened; one that is unknown is visible, and promised nothing
//!   until a heal;
//! - on a file system that has turned read-only nothing is done: `disk` has what that excepts.
//!
//! Slots share nothing but counters, of which each slot owns a part, and `clear`, which slot 0
//! alone calls: what overlaps with one is tried both before and after it. Knows no processes.

use std::time::Instant;

use sessile::Durability;

use super::disk::Disk;
use super::loose::Loose;
use super::plan::{Op, SLOTS};
use super::state::{Basis, Cells, Effect, State};
use super::wire::Code;

/// Which operations of each slot, and which clears, something comes after.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub slots: [u32; SLOTS],
    pub clears: u32,
}

impl Clock {
    fn raise(&mut self, other: &Clock) {
        for (own, other) in self.slots.iter_mut().zip(other.slots) {
            *own = (*own).max(other);
        }
        self.clears = self.clears.max(other.clears);
    }
}

/// A state of a slot, and after how many of its operations it is that.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) state: State,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) clears: u32,
    effect: Option<Effect>,
}

#[derive(Clone, Debug)]
struct Pending {
    op: Op,
    level: Durability,
    /// The ticket of a claim, or 0.
    ticket: u64,
    /// What the file system was like when it was announced.
    disk: Disk,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// What may be in memory.
    live: Vec<Candidate>,
    /// What a crash may leave, in the order in which it came about.
    pub(super) seen: Vec<Candidate>,
    pending: Option<Pending>,
    /// Operations that have ended, refused ones not counted.
    acked: u32,
    /// When each began, in terms of what had ended.
    pub(super) clocks: Vec<Clock>,
    /// What was said, for whoever has to understand a contradiction.
    told: Vec<(Op, Durability, Code, u64)>,
}

impl Slot {
    fn see(&mut self, candidate: &Candidate) {
        let same = |seen: &&mut Candidate| {
            seen.state.cells == candidate.state.cells && seen.clears == candidate.clears
        };
        match self.seen.last_mut().filter(same) {
            Some(seen) if seen.to + 1 >= candidate.from => seen.to = seen.to.max(candidate.to),
            _ => self.seen.push(candidate.clone()),
        }
    }

    /// The operation `position` was not done.
    fn unsee(&mut self, position: u32) {
        self.seen.retain(|seen| seen.from < position);
        for seen in &mut self.seen {
            seen.to = seen.to.min(position - 1);
        }
        self.clocks.truncate(position as usize - 1);
    }
}

/// Everything that has been said since the store was last seen whole.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    pub(super) slots: [Slot; SLOTS],
    /// Where in slot 0 each clear is.
    clears: Vec<u32>,
    /// The last of them is under way.
    clearing: bool,
    /// What survives a kill, and what a loss of power.
    pub(super) floors: [Clock; 2],
    pub(super) loose: Loose,
    disk: Disk,
    /// Acknowledged writes that were promised to survive a kill, and a loss of power.
    pub promised: [u64; 2],
    /// The last write that each slot has announced, by its id.
    pub(super) latest: [u64; SLOTS],
}

/// What the judge calls a contradiction: what the writer said cannot be.
pub type Verdict = Result<(), String>;

impl Oracle {
    /// Nothing has been written yet.
    pub fn new() -> Oracle {
        let mut oracle = Oracle::default();
        oracle.begin(&[Cells::default(); SLOTS]);
        oracle
    }

    /// All that was said so far has been heard, and an error is about to be forced upon the file
    /// system.
    pub fn disk_fails(&mut self) {
        self.disk = Disk::Failing;
        self.loose.disk_fails();
    }

    /// It is read-only, and all that was said until then has been heard.
    pub fn disk_is_read_only(&mut self) {
        self.disk = Disk::ReadOnly;
    }

    /// The writer has said that its log is poisoned.
    pub fn poisoned(&mut self) {
        if self.disk != Disk::Sound {
            self.disk = Disk::Known;
        }
    }

    /// From now on everything rests on what was found.
    pub(super) fn begin(&mut self, found: &[Cells; SLOTS]) {
        for (slot, cells) in self.slots.iter_mut().zip(found) {
            let state = State::found(*cells);
            let begin = Candidate { state, from: 0, to: 0, clears: 0, effect: None };
            *slot = Slot { live: vec![begin.clone()], seen: vec![begin], ..Slot::default() };
        }
        self.clears.clear();
        self.clearing = false;
        self.disk = Disk::Sound;
        self.floors = [Clock::default(); 2];
    }

    fn clock(&self) -> Clock {
        let acked = self.slots.each_ref().map(|slot| slot.acked);
        Clock { slots: acked, clears: (self.clears.len() - usize::from(self.clearing)) as u32 }
    }

    pub fn announce(&mut self, slot: usize, id: u64, op: &Op, level: Durability, ticket: u64) {
        let clock = self.clock();
        self.latest[slot] = id;
        let position = clock.slots[slot] + 1;
        self.loose.announce(slot, position, op, level, ticket, clock.clears);
        self.slots[slot].clocks.push(clock);
        self.slots[slot].pending = Some(Pending { op: op.clone(), level, ticket, disk: self.disk });
        if *op == Op::Clear {
            self.clears.push(position);
            self.clearing = true;
            (0..SLOTS).for_each(|slot| self.expand(slot));
        } else {
            self.expand(slot);
        }
    }

    /// Adds what the operations under way may make of a slot, in any order.
    fn expand(&mut self, index: usize) {
        let clear = self.clears.len() as u32;
        let slot = &mut self.slots[index];
        let position = slot.acked + 1;
        let mut next = 0;
        while let Some(candidate) = slot.live.get(next).cloned() {
            next += 1;
            let mut found = Vec::new();
            if let Some(pending) = slot.pending.as_ref().filter(|_| candidate.to < position) {
                let mut after = candidate.clone();
                after.effect = Some(after.state.apply(&pending.op, position));
                (after.from, after.to) = (position, position);
                if pending.op == Op::Clear {
                    after.state.wipe(clear);
                    after.clears = clear;
                }
                found.push(after);
            }
            if self.clearing && index != 0 && candidate.clears < clear {
                let mut after = candidate;
                after.state.wipe(clear);
                after.clears = clear;
                found.push(after);
            }
            for candidate in found {
                if !slot.live.contains(&candidate) {
                    slot.see(&candidate);
                    slot.live.push(candidate);
                }
            }
        }
    }

    pub fn acknowledge(&mut self, index: usize, code: Code, back: u64) -> Verdict {
        let slot = &mut self.slots[index];
        let Some(pending) = slot.pending.take() else {
            return Err(format!("slot {index} acknowledges what it never announced"));
        };
        if code == Code::Yes && pending.op.is_write() && !pending.disk.allows(pending.level) {
            let Pending { op, level, disk, .. } = pending;
            return Err(format!(
                "slot {index}: {op:?} is done at {level:?}, and began when the disk was {disk:?}"
            ));
        }
        let position = slot.acked + 1;
        slot.told.push((pending.op.clone(), pending.level, code, back));
        self.loose.acknowledge(index, position, code, &pending.op, pending.ticket, &self.clears)?;
        if code == Code::Refused {
            slot.live.retain(|candidate| candidate.to < position);
            slot.unsee(position);
            if pending.op == Op::Clear {
                self.unclear();
            }
            return Ok(());
        }
        let returned = code != Code::Unknown;
        let said = (code == Code::Yes, back);
        let fits = |effect: Effect| !returned || effect.answer.is_none_or(|answer| answer == said);
        let before = slot.live.len();
        let expected: Vec<_> = slot.live.iter().filter_map(|candidate| candidate.effect).collect();
        slot.live.retain(|live| live.to == position && live.effect.is_some_and(fits));
        if slot.live.is_empty() {
            let from = slot.told.len().saturating_sub(400);
            let told: Vec<_> = slot.told[from..].iter().map(|told| format!("{told:x?}")).collect();
            return Err(format!(
                "slot {index}: {:?} answered {said:x?}, and may have answered {expected:x?}; it was \
                 said before:\n{}",
                pending.op,
                told.join("\n")
            ));
        }
        slot.acked = position;
        if before > 2 {
            // A clear overlaps: what has turned out impossible cannot be found either.
            slot.seen.retain(|seen| seen.from < position);
            for candidate in slot.live.clone() {
                slot.see(&candidate);
            }
        }
        if slot.live.iter().any(|live| live.effect != slot.live[0].effect) {
            slot.live.iter_mut().for_each(|live| live.effect = None);
        }
        let effect = slot.live[0].effect;
        for live in &mut slot.live {
            live.effect = None;
        }
        if pending.op == Op::Clear {
            self.clearing = false;
            let clear = self.clears.len() as u32;
            for slot in self.slots.iter_mut().skip(1) {
                slot.live.retain(|candidate| candidate.clears == clear);
            }
        }
        if returned {
            self.promise(index, position, &pending, code, effect);
        }
        Ok(())
    }

    /// A clear was refused: nobody has seen it.
    fn unclear(&mut self) {
        self.clears.pop();
        self.clearing = false;
        let clear = self.clears.len() as u32;
        for slot in &mut self.slots {
            slot.live.retain(|candidate| candidate.clears <= clear);
            slot.seen.retain(|candidate| candidate.clears <= clear);
        }
    }

    fn promise(
        &mut self,
        slot: usize,
        position: u32,
        pending: &Pending,
        code: Code,
        effect: Option<Effect>,
    ) {
        let mut rests = effect.map_or(Basis::Found, |effect| effect.rests);
        let mut level = pending.level;
        match pending.op {
            Op::Claim(_) if code == Code::No => rests = Basis::Found,
            // Everything that had ended before is on disk.
            Op::Sync | Op::Heal => (rests, level) = (Basis::Op(position), Durability::Power),
            _ => {}
        }
        let clock = match rests {
            Basis::Found => return,
            Basis::Op(position) => self.reached(slot, position),
            Basis::Clear(clear) => self.reached(0, self.clears[clear as usize - 1]),
        };
        level = self.disk.promises(level);
        let levels = [Durability::Process, Durability::Power];
        for (index, _) in levels.iter().enumerate().filter(|(_, kept)| level >= **kept) {
            self.floors[index].raise(&clock);
            self.promised[index] += u64::from(pending.op.is_write());
        }
        let floor = self.floors[1];
        let slot_floor = floor.slots[slot];
        let slot = &mut self.slots[slot];
        if slot.seen.len() > 64 {
            slot.seen.retain(|seen| seen.to >= slot_floor && seen.clears >= floor.clears);
        }
    }

    /// The store was closed, or healed, with nothing under way: all that is visible is on disk.
    pub fn settle(&mut self) {
        let clock = self.clock();
        self.floors.iter_mut().for_each(|floor| floor.raise(&clock));
    }

    /// The operation, and all that ended before it began.
    fn reached(&self, slot: usize, position: u32) -> Clock {
        let mut clock = self.slots[slot].clocks[position as usize - 1];
        clock.slots[slot] = clock.slots[slot].max(position);
        if let Some(clear) = self.clears.iter().position(|clear| slot == 0 && *clear == position) {
            clock.clears = clock.clears.max(clear as u32 + 1);
        }
        clock
    }

    /// The writer is dead; what was under way happened before now or never.
    pub fn died(&mut self, now: Instant) {
        self.loose.died(now);
    }

    /// Compares with what is in memory, nothing being under way.
    pub fn check_live(&mut self, found: &[Cells; SLOTS]) -> Verdict {
        for (index, (slot, cells)) in self.slots.iter_mut().zip(found).enumerate() {
            let live = slot.live.clone();
            slot.live.retain(|candidate| candidate.state.cells == *cells);
            if slot.live.is_empty() {
                return Err(format!("slot {index} shows {cells:x?}; there should be {live:x?}"));
            }
        }
        Ok(())
    }
}
