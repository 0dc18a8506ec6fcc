//! The works: what is called, on how many threads, and what bounds it.

use super::disk::{Allows, Probe};
use super::measure::{Measured, Worker, measure};
use super::room::Room;
use super::visit::Visit;
use super::{Measuring, builder};
use crate::error::{Error, Result};
use crate::id::Key;
use crate::log::Durability;
use crate::store::Store;

/// Works that [`run`] does.
pub(super) const COUNT: u64 = 9;
/// Of so many quick calls one is timed.
const SAMPLE: u64 = 16;
/// Writers of a busy server, more than there are processors, that all wait for the disk.
const MANY: usize = 16;
/// Turns that the disk and the store take.
const TURNS: u32 = 8;

/// A work that was done.
pub(super) struct Done {
    pub(super) work: &'static str,
    pub(super) threads: usize,
    pub(super) measured: Measured,
    /// Every call waits for the disk: of each thread one is in each sync at most.
    pub(super) synced: bool,
}

/// A full store, and what to do with it.
struct Stage<'a> {
    store: Store<Visit>,
    keys: &'a [Key],
    measuring: &'a Measuring,
    /// What each session holds, but for its number: making it up is not to be measured.
    visit: Visit,
    done: Vec<Done>,
}

/// Does all works, one after the other; `step` is told the name of each.
pub(super) fn run(
    room: &Room,
    measuring: &Measuring,
    keys: &[Key],
    step: impl Fn(&'static str),
) -> Result<(Vec<Done>, Allows)> {
    let open = || builder(measuring.sessions).open(room.path());
    let store = open()?;
    step("insert");
    let level = store.at(Durability::Memory);
    for (key, number) in keys.iter().zip(0..) {
        level.insert(*key, Visit::of(number))?;
    }
    let mut stage = Stage { store, keys, measuring, visit: Visit::of(0), done: Vec::new() };
    step("get-warm");
    stage.quick("get-warm", |stage, worker| {
        let (number, key) = stage.any(worker);
        check(stage.store.get(&key)?.as_deref(), number)
    })?;
    step("miss");
    stage.quick("miss", |stage, worker| {
        let key = Key::from_bytes(u128::from(worker.random.next()).to_le_bytes());
        stage.store.get(&key).map(drop)
    })?;
    step("insert");
    for (name, level) in
        [("insert-memory", Durability::Memory), ("insert-process", Durability::Process)]
    {
        stage.quick(name, |stage, worker| {
            let (number, key) = stage.any(worker);
            stage.store.at(level).insert(key, stage.visit(number))
        })?;
    }
    step("insert-power");
    let disk = stage.synced("insert-power", room, |stage, worker| {
        let (number, key) = stage.any(worker);
        stage.store.at(Durability::Power).insert(key, stage.visit(number))
    })?;
    step("update");
    stage.quick("update", |stage, worker| {
        let (_, key) = stage.any(worker);
        stage.store.update(&key, |visit| visit.seen += 1).map(drop)
    })?;
    step("web");
    stage.quick("web", web)?;
    step("get-cold");
    // Everything goes into bases, and comes back into memory only if it is touched.
    stage.store.close()?;
    stage.store = open()?;
    stage.quick("get-cold", |stage, worker| {
        let (number, key) = stage.any(worker);
        check(stage.store.peek(&key)?.as_deref(), number)
    })?;
    stage.store.close()?;
    Ok((stage.done, disk))
}

impl Stage<'_> {
    fn any(&self, worker: &mut Worker) -> (u64, Key) {
        let number = worker.random.below(self.keys.len() as u64);
        let key = usize::try_from(number).ok().and_then(|index| self.keys.get(index));
        (number, key.copied().unwrap_or(Key::from_bytes([0; 16])))
    }

    fn visit(&self, number: u64) -> Visit {
        self.visit.numbered(number)
    }

    fn quick(
        &mut self,
        work: &'static str,
        call: impl Fn(&Self, &mut Worker) -> Result<()> + Sync,
    ) -> Result<()> {
        let (threads, seconds) = (self.measuring.threads, self.measuring.seconds);
        let measured = measure(threads, seconds, SAMPLE, |worker| call(self, worker))?;
        self.done.push(Done { work, threads, measured, synced: false });
        Ok(())
    }

    /// By one writer and by many, in turns with the disk alone: it is shared with others, and what
    /// it allows changes from second to second.
    fn synced(
        &mut self,
        work: &'static str,
        room: &Room,
        call: impl Fn(&Self, &mut Worker) -> Result<()> + Sync,
    ) -> Result<Allows> {
        let (share, mut disk) = (1.0 / f64::from(TURNS), Allows::default());
        let seconds = self.measuring.seconds * share;
        let mut sums = [1, MANY].map(|threads| (threads, None));
        let probe = Probe::new(room.fs())?;
        for _ in 0..TURNS {
            disk = disk.plus(share, probe.measure(seconds)?);
            for (threads, sum) in &mut sums {
                let turn = measure(*threads, seconds, 1, |worker| call(self, worker))?;
                *sum = Some(Measured::plus(sum.take(), share, turn)?);
            }
        }
        probe.end()?;
        for (threads, sum) in sums {
            let done = |measured| Done { work, threads, measured, synced: true };
            self.done.extend(sum.map(done));
        }
        Ok(disk)
    }
}

/// Of a hundred calls 94 read, four change, one begins a session and one ends that session.
fn web(stage: &Stage<'_>, worker: &mut Worker) -> Result<()> {
    let store = &stage.store;
    // Never one of the sessions that others read.
    let fresh = |round: u64| Key::of([worker.thread as u64, round].map(u64::to_le_bytes).concat());
    let (round, call) = (worker.calls / 100, worker.calls % 100);
    match call {
        0 => store.create(fresh(round), stage.visit(round)).map(drop),
        99 => store.at(Durability::Process).remove(&fresh(round)).map(drop),
        24 | 49 | 74 | 98 => {
            let (_, key) = stage.any(worker);
            store.update(&key, |visit| visit.seen += 1).map(drop)
        }
        _ => {
            let (_, key) = stage.any(worker);
            store.get(&key).map(drop)
        }
    }
}

/// A wrong value would be worse than a slow one.
pub(super) fn check(found: Option<&Visit>, number: u64) -> Result<()> {
    if found.is_some_and(|visit| visit.number == number) {
        return Ok(());
    }
    Err(Error::corrupt("the store gave another session than the one that was asked for, or none"))
}
