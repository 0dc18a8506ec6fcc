//! A stripe: the writers' lock of a part of the keys, with all that only writers need.
//!
//! Every change of an entry happens under its key's stripe, so the order in which frames are
//! appended is the order in which they are applied. Lock order: flush → publish → stripes by
//! index → the map's shards, the bases' pointer, the log's buffer.

use crate::clock::Tick;
use crate::id::Key;
use crate::log::segment::Encoding;
use crate::store::slab::Slab;
use crate::store::wheel::Wheel;
use crate::sync::Mutex;

/// Ticks in a second, the wheel's unit.
pub(crate) const TICKS_PER_SECOND: Tick = 8;

/// The second at whose end `tick` has passed.
pub(crate) fn second_of(tick: Tick) -> u32 {
    tick.div_ceil(TICKS_PER_SECOND)
}

/// See the module's text.
pub(crate) struct Stripe {
    /// One node for each entry of this generation in the map.
    pub(crate) slab: Slab,
    /// Has every node that lives.
    pub(crate) wheel: Wheel,
    /// Keys of entries that changed since the last flush took the list; may hold a key twice.
    pub(crate) dirty: Vec<Key>,
    /// The last LSN appended when the last flush took the list: an entry that is not newer is
    /// not in it. Never below the cut, which is what clean entries carry.
    pub(crate) note: u64,
    /// Encoded values of the entries that are `Raw`.
    pub(crate) raw: Raws,
}

/// An encoded value, as it was replayed.
#[derive(Clone)]
pub(crate) struct RawValue {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) encoding: Encoding,
}

/// Encoded values by the slot of their node: replay fills slots in their order.
#[derive(Default)]
pub(crate) struct Raws {
    values: Vec<Option<RawValue>>,
    len: usize,
}

impl Raws {
    pub(crate) fn get(&self, slot: u32) -> Option<&RawValue> {
        self.values.get(slot as usize)?.as_ref()
    }

    pub(crate) fn insert(&mut self, slot: u32, value: RawValue) {
        let slot = slot as usize;
        if self.values.len() <= slot {
            self.values.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.values.get_mut(slot) {
            self.len += usize::from(place.replace(value).is_none());
        }
    }

    /// Takes a value out that is to come back.
    pub(crate) fn take(&mut self, slot: u32) -> Option<RawValue> {
        let value = self.values.get_mut(slot as usize)?.take()?;
        self.len -= 1;
        Some(value)
    }

    /// Drops a value. The memory of all goes with the last one.
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.take(slot).is_some() && self.len == 0 {
            self.values = Vec::new();
        }
    }
}

impl Stripe {
    pub(crate) fn new(now: Tick, note: u64) -> Self {
        Stripe {
            slab: Slab::new(),
            wheel: Wheel::new(now / TICKS_PER_SECOND),
            dirty: Vec::new(),
            note,
            raw: Raws::default(),
        }
    }
}

/// All stripes. A key's stripe is chosen by the top bits of its hash, so that going through the
/// stripes in order is going through the hashes in order.
pub(crate) struct Stripes {
    stripes: Box<[Padded]>,
    shift: u32,
}

/// Keeps two stripes' locks out of one cache line, and of the pair that is fetched together.
#[repr(align(128))]
struct Padded(Mutex<Stripe>);

impl Stripes {
    /// `count` must be a power of two, at least two.
    pub(crate) fn new(count: usize, now: Tick, note: u64) -> Self {
        let stripes = (0..count).map(|_| Padded(Mutex::new(Stripe::new(now, note)))).collect();
        Stripes { stripes, shift: 64 - count.trailing_zeros() }
    }

    pub(crate) fn count(&self) -> usize {
        self.stripes.len()
    }

    pub(crate) fn index(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// The first hash of the stripe, and the last.
    pub(crate) fn range(&self, index: usize) -> (u64, u64) {
        let first = (index as u64) << self.shift;
        (first, first | (u64::MAX >> (64 - self.shift)))
    }

    /// The stripe with this index, which is below [`count`](Self::count) for every
    /// [`index`](Self::index).
    pub(crate) fn at(&self, index: usize) -> &Mutex<Stripe> {
        let index = index & (self.stripes.len() - 1);
        match self.stripes.get(index) {
            Some(stripe) => &stripe.0,
            None => unreachable!("the number of stripes is a power of two"),
        }
    }

    pub(crate) fn of(&self, hash: u64) -> &Mutex<Stripe> {
        self.at(self.index(hash))
    }
}
