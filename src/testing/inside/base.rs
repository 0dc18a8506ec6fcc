//! Doors to the bases; see the module above.

use crate::base::{self, Base, Builder, Expect, Found, Meta, Step};
use crate::clock::Epoch;
use crate::error::Result;
use crate::fs::Fs;
use crate::hash::Seed;
use crate::id::Key;

/// A record; a tombstone if it has no value. Times are ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the format")]
pub struct Record {
    pub key: Key,
    pub value: Option<Vec<u8>>,
    pub deadline: u32,
    pub cap: u32,
    pub idle: u32,
}

/// What a lookup gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is known of the key.
    Absent,
    /// This is.
    Record(Record),
}

/// What a walk meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A record.
    Record(Record),
    /// Records with hashes in this range, ends included, may be missing.
    Damage(u64, u64),
}

/// Writes a base of these records, in their order, for the epoch 0, and of these lost ranges.
///
/// # Errors
/// Those of the builder.
pub fn write_base(
    fs: &dyn Fs,
    name: &str,
    of: ([u8; 16], u64),
    seed: [u8; 16],
    expected_records: u64,
    records: &[Record],
    lost: &[(u64, u64)],
) -> Result<()> {
    let (uuid, number) = of;
    let seed = Seed::from_bytes(seed);
    let epoch = Epoch::from_millis(0);
    let meta = Meta { number, uuid, seed, cut: 9, epoch, codec: 1, schema: 2, expected_records };
    let mut builder = Builder::create(fs, name, meta)?;
    for (record, lsn) in records.iter().zip(1..) {
        let hash = seed.hash(&record.key);
        let kind = record.value.as_ref().map_or(base::Kind::Tombstone, |v| base::Kind::Value(v));
        let Record { key, deadline, cap, idle, .. } = *record;
        builder.push(&base::RecordRef { hash, key, kind, deadline, cap, idle }, lsn)?;
    }
    lost.iter().for_each(|(lo, hi)| builder.add_lost(*lo, *hi));
    builder.finish().map(drop)
}

/// An open base.
pub struct OpenBase(Base);

impl OpenBase {
    /// Opens it.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(fs: &dyn Fs, name: &str, of: ([u8; 16], u64), mapped: bool) -> Result<Self> {
        Base::open(fs, name, Expect { uuid: of.0, number: of.1 }, mapped).map(OpenBase)
    }

    /// The hash of a key.
    pub fn hash(&self, key: &Key) -> u64 {
        self.0.seed().hash(key)
    }

    /// Whether there may be a record with this hash, by the filter.
    pub fn contains(&self, hash: u64) -> bool {
        self.0.contains(hash)
    }

    /// About how many values have their deadline after this tick.
    pub fn live_at(&self, tick: u32) -> u64 {
        self.0.live_at(tick)
    }

    /// Looks a key up.
    ///
    /// # Errors
    /// Those of the lookup.
    pub fn find(&self, key: &Key) -> Result<Answer> {
        let mut value = Vec::new();
        let found = self.0.find(self.hash(key), key, &mut value)?;
        Ok(match found {
            Found::Absent => Answer::Absent,
            Found::Tombstone => {
                Answer::Record(Record { key: *key, value: None, deadline: 0, cap: 0, idle: 0 })
            }
            Found::Value { deadline, cap, idle } => {
                Answer::Record(Record { key: *key, value: Some(value), deadline, cap, idle })
            }
        })
    }

    /// All there is with hashes from `from` on.
    ///
    /// # Errors
    /// Those of the walk.
    pub fn walk(&self, from: u64) -> Result<Vec<Walked>> {
        let (mut iter, mut record) = (self.0.iter(from)?, base::Record::empty());
        let mut all = Vec::new();
        loop {
            all.push(match iter.read(&mut record)? {
                Step::End => return Ok(all),
                Step::Damaged(damage) => Walked::Damage(damage.lo, damage.hi),
                Step::Record => Walked::Record(Record {
                    key: record.key,
                    value: (!record.tombstone).then(|| record.value.clone()),
                    deadline: record.deadline,
                    cap: record.cap,
                    idle: record.idle,
                }),
            });
        }
    }
}
