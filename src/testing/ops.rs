//! What can be done to a store, as data, and how to make it from any bytes: for property tests
//! and fuzzers. Knows neither the store nor the model.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::log::Durability;
use crate::record::expiry::Expiry;
use crate::testing::random::Random;

/// Bytes that one operation is made from.
pub const OP_BYTES: usize = 8;
/// Durations to choose from: around the tick, the second of the wheel, and the grace of 30 s.
const TIMES_MS: [u64; 16] = [
    1, 124, 125, 126, 1_000, 1_001, 5_000, 14_900, 20_000, 30_000, 31_000, 45_000, 60_000, 90_000,
    300_000, 900_000,
];

/// One step. Keys and values are numbers; who runs it decides what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations are those of `Store`, their fields its arguments")]
pub enum Op {
    Insert {
        key: u8,
        value: Value,
        wish: Wish,
        level: Level,
    },
    Create {
        key: u8,
        value: Value,
        wish: Wish,
        level: Level,
    },
    Get {
        key: u8,
    },
    Peek {
        key: u8,
    },
    Update {
        key: u8,
        value: Value,
        level: Level,
    },
    Take {
        key: u8,
        level: Level,
    },
    Remove {
        key: u8,
        level: Level,
    },
    Rename {
        old: u8,
        new: u8,
        level: Level,
    },
    Transact {
        steps: Vec<(u8, Step)>,
        level: Level,
    },
    SetExpiry {
        key: u8,
        wish: Wish,
        level: Level,
    },
    Clear {
        level: Level,
    },
    Count,
    Iterate,
    Sync,
    Flush,
    Merge,
    /// Let time pass.
    Advance(Duration),
    /// Set the wall clock back. Nobody notices before the store is opened the next time.
    SetBack(Duration),
    /// Close, let time pass, open.
    Reopen(Duration),
    /// Kill, let time pass, open.
    Crash(Duration),
}

/// What a handle made by [`Store::at`](crate::Store::at) waits for; `None`: the store's own level.
pub type Level = Option<Durability>;

/// A value: a number to tell it from others, and a size in whatever unit suits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Tells it from others.
    pub tag: u16,
    /// How large it is to be.
    pub size: u8,
}

/// An [`Expiry`] before it is known what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// [`Expiry::Default`].
    Default,
    /// [`Expiry::Idle`].
    Idle(Duration),
    /// [`Expiry::At`], this long after, or before, now.
    At(i64),
    /// [`Expiry::After`].
    After(Duration),
    /// [`Expiry::IdleUntil`]: how far a read moves the deadline, and the end from now.
    IdleUntil(Duration, Duration),
}

impl Wish {
    /// The wish at this time.
    pub fn at(self, now: Timestamp) -> Expiry {
        match self {
            Wish::Default => Expiry::Default,
            Wish::Idle(idle) => Expiry::Idle(idle),
            Wish::At(millis) => {
                Expiry::At(Timestamp::from_millis(now.as_millis().saturating_add(millis)))
            }
            Wish::After(duration) => Expiry::After(duration),
            Wish::IdleUntil(idle, end) => Expiry::IdleUntil { idle, until: now.after(end) },
        }
    }

    fn of(kind: u8, amount: u8) -> Self {
        let (first, second) = (time(amount), time(amount >> 4));
        match kind % 8 {
            0..3 => Wish::Default,
            3 => Wish::Idle(first),
            4 => {
                let millis = i64::try_from(first.as_millis()).unwrap_or(0);
                Wish::At(if amount & 0x80 == 0 { millis } else { -millis })
            }
            5 => Wish::After(first),
            _ => Wish::IdleUntil(first, second),
        }
    }
}

/// What a transaction does to one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As [`Slots::set`](crate::Slots::set).
    Set(Value),
    /// As [`Slots::insert`](crate::Slots::insert).
    Insert(Value, Wish),
    /// As [`Slots::remove`](crate::Slots::remove).
    Remove,
    /// As [`Slots::set_expiry`](crate::Slots::set_expiry).
    Expire(Wish),
}

impl Op {
    /// The operation that these bytes stand for: each stands for one, and smaller bytes for
    /// simpler ones.
    pub fn from_bytes([kind, a, b, c, d, e, f, g]: [u8; OP_BYTES]) -> Op {
        let value = Value { tag: u16::from_le_bytes([f, g]), size: e };
        let (key, wish, level) = (a, Wish::of(b, c), level(d));
        match kind % 64 {
            0..6 => Op::Get { key },
            6..8 => Op::Peek { key },
            8..18 => Op::Insert { key, value, wish, level },
            18..21 => Op::Create { key, value, wish, level },
            21..25 => Op::Update { key, value, level },
            25..28 => Op::Remove { key, level },
            28..30 => Op::Take { key, level },
            30..33 => Op::Rename { old: a, new: b, level },
            33..36 => {
                let mut steps = vec![(a, step(b, c, value)), (e, step(f, g, value))];
                steps.push((b ^ g, step(c, f, value)));
                steps.truncate(1 + usize::from(d >> 4) % 3);
                Op::Transact { steps, level }
            }
            36..40 => Op::SetExpiry { key, wish, level },
            40 => Op::Clear { level },
            41 => Op::Count,
            42 => Op::Iterate,
            43 => Op::Sync,
            44..49 => Op::Flush,
            49..51 => Op::Merge,
            51..55 => Op::Reopen(if b & 1 == 0 { Duration::ZERO } else { time(a) }),
            55..58 => Op::Crash(if b & 1 == 0 { Duration::ZERO } else { time(a) }),
            58 if b & 1 == 0 => Op::SetBack(time(a)),
            _ => Op::Advance(time(a)),
        }
    }

    /// The operations that any bytes stand for, [`OP_BYTES`] each; what is left over is ignored.
    pub fn sequence(bytes: &[u8]) -> impl Iterator<Item = Op> + '_ {
        let (ops, _) = bytes.as_chunks();
        ops.iter().map(|bytes| Op::from_bytes(*bytes))
    }

    /// Operations without end, the same for the same seed.
    pub fn random(seed: u64) -> impl Iterator<Item = Op> {
        let mut random = Random::new(seed);
        std::iter::repeat_with(move || Op::from_bytes(random.draw().to_le_bytes()))
    }
}

fn time(choice: u8) -> Duration {
    let millis = TIMES_MS.get(usize::from(choice) % TIMES_MS.len()).copied().unwrap_or(1);
    Duration::from_millis(millis)
}

fn level(choice: u8) -> Level {
    match choice % 8 {
        0..3 => None,
        3..6 => Some(Durability::Memory),
        6 => Some(Durability::Process),
        _ => Some(Durability::Power),
    }
}

fn step(kind: u8, amount: u8, value: Value) -> Step {
    match kind % 4 {
        0 => Step::Set(value),
        1 => Step::Insert(value, Wish::of(kind >> 2, amount)),
        2 => Step::Remove,
        _ => Step::Expire(Wish::of(kind >> 2, amount)),
    }
}
