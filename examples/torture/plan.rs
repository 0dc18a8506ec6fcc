//! What a writer does, drawn from a seed: its operations, their levels, the keys and the values.
//!
//! Writer and judge draw the same sequence, each for itself, so a message need only name a
//! number. Knows no store but the options of its builder, and no process.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sessile::testing::Random;
use sessile::{Background, Builder, Durability, Key, Read, Store};

/// Writers at work at once. Each has keys of its own, and all share some counters.
pub const SLOTS: usize = 4;
/// Keys that belong to one slot.
pub const KEYS: usize = 24;
/// Keys that all slots write. To the judge a slot's own part of each is one more cell.
pub const COUNTERS: usize = 2;
/// What the judge follows of one slot.
pub const CELLS: usize = KEYS + COUNTERS;
/// Sessions made to end soon live this long.
pub const SHORT: Duration = Duration::from_millis(100);

const SLOT_BITS: u32 = 28;
const COUNTER_NAMES: u64 = 1 << 61;
const TICKET_NAMES: u64 = 1 << 62;
const SHORT_NAMES: u64 = 1 << 63;

/// How busy a writer is beside its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Thousands of writes, flush and merge now and then, the store's own threads.
    Long,
    /// Some dozens of writes with a flush, a merge or a clear after every few of them, and one
    /// thread for everything, so that the n-th system call is the same one each time.
    Short,
    /// As `Short`, with the store's own threads.
    ShortThreads,
}

/// One run of a writer.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub round: u32,
    pub slots: usize,
    /// Operations of each slot; 0 for as many as it comes to.
    pub limit: u32,
    /// Milliseconds from which on lie the ends that a session is told; others end sooner.
    pub far: i64,
    pub style: Style,
}

/// What a slot does next. Cells below [`KEYS`] are its own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Get(usize),
    Insert(usize, u64),
    InsertUntil(usize, u64, i64),
    Create(usize, u64),
    Update(usize, u64),
    Remove(usize),
    Take(usize),
    Rename(usize, usize),
    /// Every session moves on to the next of these keys, and the first gets a new one.
    Rotate(Vec<usize>, u64),
    /// The slot's part of a counter, and a key of its own, as one group.
    Bump(usize, Option<usize>, u64),
    SetEnd(usize, i64),
    /// A session that ends soon, under a name of its own.
    Brief(u64),
    /// A session that any slot may take, under a name of its own.
    Issue(u64),
    /// Takes the newest ticket of that slot.
    Claim(usize),
    Clear,
    Sync,
    Flush,
    Merge,
    /// Not drawn: what a writer does when its disk has failed.
    Heal,
}

impl Op {
    /// Whether this can change a session.
    pub fn is_write(&self) -> bool {
        !matches!(self, Op::Get(_) | Op::Sync | Op::Flush | Op::Merge | Op::Heal)
    }

    pub fn is_removal(&self) -> bool {
        matches!(self, Op::Remove(_) | Op::Take(_) | Op::Claim(_) | Op::Clear)
    }
}

impl Plan {
    /// The store's options: small files, so that everything that happens happens often.
    pub fn builder(&self) -> Builder<Value> {
        let mut rng = self.random(SLOTS);
        let short = self.style != Style::Long;
        let flush =
            if short { 16 << 10 } else { [48 << 10, 256 << 10, 2 << 20][rng.below(3) as usize] };
        let segment = if short { 8 << 10 } else { [32 << 10, 128 << 10][rng.below(2) as usize] };
        let read = if rng.below(2) == 0 { Read::Pread } else { Read::Mmap };
        let threads = self.style != Style::Short;
        Store::builder()
            .flush_bytes(flush)
            .segment_bytes(segment)
            .sync_every(Duration::from_millis(15))
            .read(read)
            .background(if threads { Background::Threads } else { Background::Callers })
    }

    fn random(&self, slot: usize) -> Random {
        let mixed = self.seed ^ u64::from(self.round) << 32 ^ (slot as u64) << 57;
        Random::new(Random::new(mixed).draw())
    }

    /// The operations of one slot, from the first.
    pub fn draws(&self, slot: usize) -> Draws {
        Draws { plan: *self, slot, number: 0, rng: self.random(slot) }
    }
}

/// The operations of one slot, without end.
#[derive(Clone)]
pub struct Draws {
    plan: Plan,
    slot: usize,
    number: u32,
    rng: Random,
}

impl Draws {
    /// What the last operation writes, if it writes anything. Grows with every operation.
    pub fn id(&self) -> u64 {
        let slot = (self.slot as u64) << SLOT_BITS;
        (u64::from(self.plan.round) + 1) << 32 | slot | u64::from(self.number)
    }

    fn cell(&mut self) -> usize {
        self.rng.below(KEYS as u64) as usize
    }

    fn end(&mut self) -> i64 {
        self.plan.far + self.rng.below(2_500_000) as i64 * 1000
    }

    /// Number, operation and level.
    pub fn next(&mut self) -> (u32, Op, Durability) {
        self.number += 1;
        // Who waits for the disk writes little: every other round is about the many.
        let level = match self.rng.below(32) {
            0 => Durability::Power,
            1..4 if self.plan.round.is_multiple_of(2) => Durability::Power,
            4..12 => Durability::Memory,
            _ => Durability::Process,
        };
        let rare =
            if self.plan.style == Style::Long { self.rng.below(1500) } else { self.rng.below(36) };
        let op = match rare {
            0 if self.slot == 0 => Op::Clear,
            1..3 => Op::Flush,
            3 => Op::Merge,
            4..8 => Op::Sync,
            _ => self.common(),
        };
        (self.number, op, level)
    }

    fn common(&mut self) -> Op {
        let (cell, id) = (self.cell(), self.id());
        match self.rng.below(100) {
            0..5 => Op::Get(cell),
            5..27 => Op::Insert(cell, id),
            27..31 => Op::InsertUntil(cell, id, self.end()),
            31..39 => Op::Create(cell, id),
            39..51 => Op::Update(cell, id),
            51..60 => Op::Remove(cell),
            60..65 => Op::Take(cell),
            65..73 => {
                let to = self.cell();
                if to == cell { Op::Take(cell) } else { Op::Rename(cell, to) }
            }
            73..80 => {
                let mut cells: Vec<usize> =
                    (0..1 + self.rng.below(6)).map(|_| self.cell()).collect();
                cells.sort_unstable();
                cells.dedup();
                Op::Rotate(cells, id)
            }
            80..86 => {
                let counter = KEYS + self.rng.below(COUNTERS as u64) as usize;
                Op::Bump(counter, (self.rng.below(2) == 0).then_some(cell), id)
            }
            86..90 => Op::SetEnd(cell, self.end()),
            90..92 => Op::Brief(SHORT_NAMES | id),
            92..96 => Op::Issue(TICKET_NAMES | id),
            _ => Op::Claim(self.rng.below(self.plan.slots as u64) as usize),
        }
    }
}

/// What is stored: who wrote it last, and bytes that follow from that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The name it was first stored under.
    pub name: u64,
    /// The id of the write; of a counter, one for each slot.
    pub ids: Vec<u64>,
    filler: String,
}

impl Value {
    pub fn new(name: u64, ids: Vec<u64>) -> Value {
        let filler = filler(&ids);
        Value { name, ids, filler }
    }

    /// Whether its bytes are those that its ids ask for.
    pub fn is_whole(&self) -> bool {
        self.filler == filler(&self.ids)
    }

    pub fn id(&self) -> u64 {
        self.ids.first().copied().unwrap_or(0)
    }
}

/// Mostly short, and now and then several pages.
fn filler(ids: &[u64]) -> String {
    let mut rng = Random::new(ids.iter().fold(0, |sum, id| sum ^ Random::new(*id).draw()));
    let size = if rng.below(50) == 0 { rng.below(9000) } else { rng.below(240) };
    let start = rng.draw();
    (0..size).map(|at| char::from(b'a' + ((start ^ at).wrapping_add(at >> 3) % 26) as u8)).collect()
}

/// The name of a cell; the counters' are the same for every slot.
pub fn name(slot: usize, cell: usize) -> u64 {
    if cell < KEYS { (slot * 1000 + cell) as u64 } else { COUNTER_NAMES | cell as u64 }
}

/// The slot whose write has this id.
pub fn slot_of(id: u64) -> usize {
    (id >> SLOT_BITS & 15) as usize
}

pub fn key(name: u64) -> Key {
    Key::of(name.to_le_bytes())
}

pub fn is_ticket(name: u64) -> bool {
    name & TICKET_NAMES != 0 && name & SHORT_NAMES == 0
}

pub fn is_brief(name: u64) -> bool {
    name & SHORT_NAMES != 0
}
