//! Histories to crash in: together they hold every operation at every level, rotation of the log,
//! flush, exact flush, merge, expiry and reopening.

use std::time::Duration;

use sessile::Durability::{self, Memory, Power, Process};
use sessile::testing::{Failure, Fault, Level, Op, Step, Trial, Value, Wish};

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Deed {
    Do(Op),
    /// The next sync, or whatever comes first of what this befalls, fails.
    Poison(Failure),
    Heal,
}

pub struct Script {
    pub name: &'static str,
    pub deeds: Vec<Deed>,
}

impl Deed {
    pub fn run(&self, trial: &mut Trial) -> Result<(), String> {
        match self {
            Deed::Do(op) => trial.step(op),
            Deed::Poison(failure) => {
                trial.let_fail(Fault { call: 1, failure: *failure, lasting: true });
                // What fails is the sync of this; a removal takes effect all the same.
                trial.step(&remove(1, Some(Power)))?;
                trial.fs().repair();
                Ok(())
            }
            Deed::Heal => trial.heal(),
        }
    }
}

fn value(tag: u16, size: u8) -> Value {
    Value { tag, size }
}

pub fn insert(key: u8, tag: u16, level: Level) -> Op {
    Op::Insert { key, value: value(tag, 40), wish: Wish::Default, level }
}

fn large(key: u8, tag: u16, level: Level) -> Op {
    Op::Insert { key, value: value(tag, 255), wish: Wish::Default, level }
}

fn create(key: u8, tag: u16, level: Level) -> Op {
    Op::Create { key, value: value(tag, 9), wish: Wish::Default, level }
}

pub fn update(key: u8, tag: u16, level: Level) -> Op {
    Op::Update { key, value: value(tag, 60), level }
}

pub fn remove(key: u8, level: Level) -> Op {
    Op::Remove { key, level }
}

fn take(key: u8, level: Level) -> Op {
    Op::Take { key, level }
}

fn rename(old: u8, new: u8, level: Level) -> Op {
    Op::Rename { old, new, level }
}

fn expire(key: u8, wish: Wish, level: Level) -> Op {
    Op::SetExpiry { key, wish, level }
}

fn transact(level: Level) -> Op {
    let steps = vec![
        (0, Step::Set(value(70, 5))),
        (1, Step::Remove),
        (2, Step::Insert(value(71, 200), Wish::After(seconds(90)))),
        (3, Step::Expire(Wish::Idle(seconds(45)))),
    ];
    Op::Transact { steps, level }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const LEVELS: [Level; 4] = [None, Some(Memory), Some(Process), Some(Power)];

/// Every operation that changes something, at one level.
fn operations(level: Level) -> Vec<Op> {
    vec![
        insert(0, 1, level),
        create(1, 2, level),
        insert(2, 3, level),
        create(2, 4, level),
        update(0, 5, level),
        Op::Get { key: 2 },
        rename(0, 3, level),
        take(1, level),
        take(1, level),
        create(1, 6, level),
        expire(2, Wish::At(20_000), level),
        expire(2, Wish::Idle(seconds(300)), level),
        transact(level),
        remove(3, level),
        remove(3, level),
        update(3, 7, level),
        Op::Clear { level },
        insert(4, 8, level),
    ]
}

fn of_level(level: Level) -> Script {
    let name = match level {
        None => "own-levels",
        Some(Durability::Memory) => "memory",
        Some(Durability::Process) => "process",
        Some(Durability::Power) => "power",
    };
    let mut ops = operations(level);
    ops.push(Op::Sync);
    Script::of(name, ops)
}

impl Script {
    fn of(name: &'static str, ops: Vec<Op>) -> Script {
        Script { name, deeds: ops.into_iter().map(Deed::Do).collect() }
    }
}

/// The log goes on in new segments, some of them written and not synced.
fn rotation() -> Script {
    let mut ops = Vec::new();
    for round in 0..6 {
        let level = [Some(Process), Some(Memory), Some(Process), Some(Power)][round % 4];
        for key in 0..6 {
            ops.push(large(key, (round * 10) as u16 + u16::from(key), level));
        }
        ops.push(remove((round % 6) as u8, [Some(Process), Some(Power)][round % 2]));
    }
    Script::of("rotation", ops)
}

/// Bases with tombstones, records above the cut, and merges of all of it.
fn bases() -> Script {
    let mut ops = Vec::new();
    for round in 0..3_u8 {
        let tag = u16::from(round) * 20;
        ops.extend((0..5).map(|key| insert((key + round) % 6, tag + u16::from(key), None)));
        ops.push(Op::Flush);
        ops.push(remove(round, None));
        ops.push(update((round + 1) % 6, tag + 9, Some(Process)));
        ops.push(rename((round + 2) % 6, round, None));
        ops.push(Op::Flush);
        ops.push(take((round + 3) % 6, Some(Process)));
        if round % 2 == 1 {
            ops.push(Op::Merge);
        }
    }
    ops.extend([Op::Merge, Op::Clear { level: None }, insert(2, 99, None), Op::Flush, Op::Merge]);
    Script::of("bases", ops)
}

/// Sessions end by themselves, are touched, and are looked at after a while.
fn expiry() -> Script {
    let ops = vec![
        insert(0, 1, None),
        Op::Insert { key: 1, value: value(2, 3), wish: Wish::After(seconds(50)), level: None },
        insert(2, 3, Some(Power)),
        Op::Flush,
        Op::Advance(seconds(31)),
        Op::Get { key: 0 },
        Op::Sync,
        Op::Advance(seconds(20)),
        insert(3, 4, None),
        Op::Get { key: 0 },
        Op::Advance(seconds(20)),
        Op::Get { key: 2 },
        Op::Flush,
        expire(0, Wish::At(-1), None),
        Op::Advance(seconds(45)),
        Op::Merge,
        create(1, 5, None),
        Op::Advance(seconds(61)),
        Op::Flush,
        Op::Merge,
    ];
    Script::of("expiry", ops)
}

/// Closed, killed, and opened again, with different things left over.
fn reopening() -> Script {
    let mut ops = vec![insert(0, 1, None), insert(1, 2, Some(Power)), insert(2, 3, Some(Memory))];
    ops.push(Op::Reopen(seconds(1)));
    ops.extend([remove(1, None), update(0, 4, None), Op::Crash(seconds(2)), insert(3, 5, None)]);
    ops.extend([Op::Crash(Duration::ZERO), rename(3, 1, None), Op::Crash(Duration::ZERO)]);
    ops.extend([Op::Flush, remove(0, Some(Process)), Op::Reopen(Duration::ZERO)]);
    ops.extend([take(1, Some(Process)), Op::Crash(Duration::ZERO), insert(1, 6, Some(Process))]);
    ops.extend([Op::Flush, Op::Merge, Op::Reopen(Duration::ZERO), Op::Clear { level: None }]);
    Script::of("reopening", ops)
}

/// A sync, a write, the disk's room fails; then it is healed, and goes on.
fn healing() -> Script {
    let mut deeds: Vec<Deed> = (0..4).map(|key| Deed::Do(insert(key, key.into(), None))).collect();
    deeds.push(Deed::Do(Op::Flush));
    for (round, failure) in
        [Failure::Io, Failure::NoSpace, Failure::ReadOnly, Failure::Io].into_iter().enumerate()
    {
        let tag = 10 * round as u16;
        deeds.push(Deed::Do(insert(0, tag + 11, Some(Process))));
        deeds.push(Deed::Do(insert(1, tag + 12, Some(Memory))));
        deeds.push(Deed::Poison(failure));
        deeds.push(Deed::Do(remove(2, Some(Power))));
        deeds.push(Deed::Do(insert(3, tag + 13, Some(Process))));
        deeds.push(Deed::Heal);
        deeds.push(Deed::Do(insert(2, tag + 14, Some(Power))));
        deeds.push(Deed::Do(update(3, tag + 15, Some(Process))));
    }
    deeds.push(Deed::Do(Op::Merge));
    Script { name: "healing", deeds }
}

pub fn scripts() -> Vec<Script> {
    let mut scripts: Vec<Script> = LEVELS.into_iter().map(of_level).collect();
    scripts.extend([rotation(), bases(), expiry(), reopening(), healing()]);
    scripts
}
