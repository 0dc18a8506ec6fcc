//! The judge's list of sessions that belong to no slot: tickets that any slot may take, once, and
//! brief ones that end by themselves.
//!
//! A name is used once. A ticket that was taken, by an answer that was promised to last, or that
//! somebody was promised is gone, must not be there; one that was promised must be, unless a
//! `take` or a clear has begun since. Knows not how the slots' own sessions are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sessile::Durability;

use super::disk::Disk;
use super::oracle::Clock;
use super::plan::{Op, SHORT, is_brief};
use super::wire::Code;

/// What a tick, a reader's view of the clock and a busy machine may add to a life.
const SLACK: Duration = Duration::from_millis(1500);

#[derive(Clone, Debug)]
struct Claim {
    slot: usize,
    position: u32,
    level: Durability,
    /// Whether it got the ticket, if it has returned.
    answer: Option<bool>,
}

#[derive(Clone, Debug)]
struct Ticket {
    /// Slot and operation that made it; nothing if it was found when the round began.
    issued: Option<(usize, u32)>,
    /// Clears that had ended when it was announced, and that had begun when it was acknowledged.
    clears: (u32, Option<u32>),
    claims: Vec<Claim>,
}

#[derive(Clone, Debug, Default)]
pub struct Loose {
    tickets: BTreeMap<u64, Ticket>,
    /// When a brief one was made at the latest; nothing while that is under way.
    briefs: BTreeMap<u64, Option<Instant>>,
    /// Clears that have begun.
    clears: u32,
    disk: Disk,
}

/// How a list of names that was found differs from what may be there.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    pub lost: Vec<u64>,
    pub revived: Vec<u64>,
}

impl Loose {
    pub(super) fn disk_fails(&mut self) {
        self.disk = Disk::Failing;
    }

    pub(super) fn announce(
        &mut self,
        slot: usize,
        position: u32,
        op: &Op,
        level: Durability,
        ticket: u64,
        clears: u32,
    ) {
        match op {
            Op::Issue(name) => {
                let issued = Some((slot, position));
                let ticket = Ticket { issued, clears: (clears, None), claims: Vec::new() };
                self.tickets.insert(*name, ticket);
            }
            Op::Brief(name) => drop(self.briefs.insert(*name, None)),
            Op::Claim(_) => {
                if let Some(ticket) = self.tickets.get_mut(&ticket) {
                    ticket.claims.push(Claim { slot, position, level, answer: None });
                }
            }
            Op::Clear => self.clears += 1,
            _ => {}
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        slot: usize,
        position: u32,
        code: Code,
        op: &Op,
        ticket: u64,
        clears: &[u32],
    ) -> Result<(), String> {
        match op {
            Op::Issue(name) if code == Code::Refused => drop(self.tickets.remove(name)),
            Op::Issue(name) => {
                if let Some(ticket) = self.tickets.get_mut(name) {
                    ticket.clears.1 = Some(clears.len() as u32);
                }
            }
            Op::Brief(name) if code == Code::Refused => drop(self.briefs.remove(name)),
            Op::Brief(name) => drop(self.briefs.insert(*name, Some(Instant::now()))),
            Op::Claim(_) => {
                let Some(found) = self.tickets.get_mut(&ticket) else { return Ok(()) };
                let mine = |claim: &Claim| (claim.slot, claim.position) == (slot, position);
                if code == Code::Refused {
                    found.claims.retain(|claim| !mine(claim));
                    return Ok(());
                }
                let got = found.claims.iter().any(|claim| claim.answer == Some(true));
                if got && code == Code::Yes {
                    return Err(format!("ticket {ticket:x} was taken twice"));
                }
                let untaken = found.claims.len() == 1 && self.clears == found.clears.0;
                if untaken && code == Code::No {
                    return Err(format!("ticket {ticket:x} is gone, and nobody took it"));
                }
                if let Some(claim) = found.claims.iter_mut().find(|claim| mine(claim)) {
                    let answer = (code != Code::Unknown).then_some(code == Code::Yes);
                    claim.answer = answer;
                    claim.level = self.disk.promises(claim.level);
                }
            }
            Op::Clear if code == Code::Refused => self.clears -= 1,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn died(&mut self, now: Instant) {
        for made in self.briefs.values_mut() {
            made.get_or_insert(now);
        }
    }

    /// Compares with the names that were found in a store opened at `opened`, after a failure that
    /// had to spare `floor`, which is that of `level`.
    pub(super) fn compare(
        &self,
        found: &BTreeSet<u64>,
        floor: &Clock,
        level: Durability,
        opened: Instant,
    ) -> Difference {
        let mut difference = Difference::default();
        for name in found {
            let may_be = match self.tickets.get(name) {
                Some(ticket) => !ticket.is_gone(floor, level),
                None if is_brief(*name) => self.briefs.get(name).is_some_and(|made| {
                    made.is_none_or(|made| opened.saturating_duration_since(made) < SHORT + SLACK)
                }),
                None => false,
            };
            if !may_be {
                difference.revived.push(*name);
            }
        }
        let missing = self.tickets.iter().filter(|(name, _)| !found.contains(name));
        let lost = missing.filter(|(_, ticket)| ticket.is_promised(floor, self.clears));
        difference.lost.extend(lost.map(|(name, _)| *name));
        difference
    }

    /// From now on what was found is all there is.
    pub(super) fn begin(&mut self, found: &BTreeSet<u64>, now: Instant) {
        (self.clears, self.disk) = (0, Disk::Sound);
        self.tickets.clear();
        for name in found.iter().filter(|name| !is_brief(**name)) {
            let ticket = Ticket { issued: None, clears: (0, Some(0)), claims: Vec::new() };
            self.tickets.insert(*name, ticket);
        }
        let old = SHORT + 2 * SLACK;
        self.briefs
            .retain(|_, made| made.is_none_or(|made| now.saturating_duration_since(made) < old));
    }
}

impl Ticket {
    fn is_gone(&self, floor: &Clock, level: Durability) -> bool {
        let taken = |claim: &Claim| match claim.answer {
            Some(true) => claim.position <= floor.slots[claim.slot],
            Some(false) => claim.level >= level,
            None => false,
        };
        self.claims.iter().any(taken) || self.clears.1.is_some_and(|clears| floor.clears > clears)
    }

    fn is_promised(&self, floor: &Clock, clears: u32) -> bool {
        let made = self.issued.is_none_or(|(slot, position)| position <= floor.slots[slot]);
        made && self.claims.is_empty() && clears == self.clears.0
    }
}
