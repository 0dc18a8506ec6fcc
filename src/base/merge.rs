//! Makes one base of several, in one pass over all of them.
//!
//! Knows which version of a key is the newest and what may be left out; when to merge, and what
//! a value means, is for the layer above.

use std::borrow::Borrow;

use super::iter::{Iter, Step};
use super::lost::Lost;
use super::{Base, Builder, Record};
use crate::clock::Tick;
use crate::error::{Error, Result};
use crate::id::Key;

/// Records that are read between two calls of the pacer at most.
const PACE_RECORDS: u64 = 1024;
/// Bytes that are written between two calls of the pacer.
const PACE_BYTES: u64 = 64 << 10;

/// Where the records of a merge went: `read` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub read: u64,
    pub written: u64,
    /// A newer base had a version of the key.
    pub superseded: u64,
    /// The key was gone, and no base is left that could say otherwise.
    pub tombstones: u64,
    pub expired: u64,
    /// A newer base lost the range of their hash, and with it perhaps their end.
    pub lost: u64,
}

/// What is to become of a record if it has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    Drop,
    /// Its value is needed: newer times for it are kept elsewhere.
    Keep,
}

/// Merges `bases`, the newest first, into `out`, which the caller finishes.
///
/// The newest version of a key wins, and only then is asked whether it has expired. What is gone
/// or expired is left out only if the oldest base of the store is among `bases` (`bottom`), and
/// what has expired only by a clock that is trusted (`now`, counted from the epoch of `out`). In
/// a range that was lost nothing is left out, since it is the only proof that its key is not
/// there; and versions from bases older than the one that lost it are not kept, since what was
/// lost may have removed them. Damage that is found on the way is lost from then on.
///
/// `adjust` is shown each winner, in the ticks of its base, and must leave it in those of `out`
/// ([`rebase`](super::rebase)); it may extend the deadline or rewrite the value, and says whether
/// an expired record is needed all the same. `pace` is told the bytes written so far; it may
/// sleep, or give up by an error.
///
/// # Errors
/// `is_config` if the bases' hashes differ in their seed, `is_corrupt` if records do not add up;
/// errors of the file system, of `adjust` and of `pace`.
pub(crate) fn merge<B: Borrow<Base>>(
    bases: &[B],
    bottom: bool,
    now: Option<Tick>,
    out: &mut Builder,
    adjust: &mut dyn FnMut(&Base, &mut Record) -> Result<Expired>,
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Counts> {
    let bases: Vec<&Base> = bases.iter().map(Borrow::borrow).collect();
    let mut inputs = Inputs::new(&bases, out)?;
    let mut counts = Counts::default();
    let before = out.records();
    let mut pacer = Pacer { pace, bytes: out.bytes(), idle: 0 };
    while let Some(winner) = inputs.winner() {
        let superseded = inputs.pass(winner)?;
        counts.superseded += superseded;
        counts.read += superseded + 1;
        let unsure = inputs.lost_before(winner);
        let complete = bottom && !inputs.lost_before(bases.len());
        let Some(input) = inputs.all.get_mut(winner) else { break };
        if unsure {
            counts.lost += 1;
        } else {
            let droppable = adjust(input.base, &mut input.head)? == Expired::Drop;
            let expired = droppable && now.is_some_and(|now| input.head.deadline <= now);
            if complete && input.head.tombstone {
                counts.tombstones += 1;
            } else if complete && expired {
                counts.expired += 1;
            } else {
                out.push(&input.head.as_ref(), input.base.highest())?;
                counts.written += 1;
            }
        }
        input.advance()?;
        pacer.tell(out.bytes())?;
    }
    inputs.close(out, before, &counts)?;
    Ok(counts)
}

/// Calls `pace` now and then.
struct Pacer<'a> {
    pace: &'a mut dyn FnMut(u64) -> Result<()>,
    bytes: u64,
    idle: u64,
}

impl Pacer<'_> {
    fn tell(&mut self, bytes: u64) -> Result<()> {
        self.idle += 1;
        if self.idle < PACE_RECORDS && bytes - self.bytes < PACE_BYTES {
            return Ok(());
        }
        (self.idle, self.bytes) = (0, bytes);
        (self.pace)(bytes)
    }
}

/// One base that is merged, at its next record.
struct Input<'a> {
    base: &'a Base,
    iter: Iter<'a>,
    head: Record,
    ended: bool,
    read: u64,
    damaged: bool,
    /// What the base lost before, and what is found lost on the way.
    lost: Lost,
}

impl<'a> Input<'a> {
    fn new(base: &'a Base) -> Result<Self> {
        let mut input = Input {
            base,
            iter: base.iter(0)?,
            head: Record::empty(),
            ended: false,
            read: 0,
            damaged: false,
            lost: base.lost().clone(),
        };
        input.advance()?;
        Ok(input)
    }

    /// Goes to the next record. Damage before it is known when this returns.
    fn advance(&mut self) -> Result<()> {
        loop {
            match self.iter.read(&mut self.head)? {
                Step::Record => {
                    self.read += 1;
                    return Ok(());
                }
                Step::Damaged(damage) => {
                    self.damaged = true;
                    self.lost.add(damage.lo, damage.hi);
                }
                Step::End => {
                    self.ended = true;
                    return Ok(());
                }
            }
        }
    }

    fn place(&self) -> Option<(u64, Key)> {
        (!self.ended).then_some((self.head.hash, self.head.key))
    }
}

struct Inputs<'a> {
    all: Vec<Input<'a>>,
    /// The hash of the last winner.
    hash: u64,
}

impl<'a> Inputs<'a> {
    fn new(bases: &[&'a Base], out: &Builder) -> Result<Self> {
        if let Some(base) = bases.iter().find(|base| base.seed() != out.seed()) {
            return Err(
                Error::config("bases with different hash seeds cannot be merged").at(base.path())
            );
        }
        let all = bases.iter().copied().map(Input::new).collect::<Result<_>>()?;
        Ok(Inputs { all, hash: 0 })
    }

    /// The input with the next record in order; of several with the same key, the newest.
    fn winner(&mut self) -> Option<usize> {
        let mut winner = None;
        for (index, input) in self.all.iter().enumerate() {
            let Some(place) = input.place() else { continue };
            if winner.is_none_or(|(least, _)| place < least) {
                winner = Some((place, index));
            }
        }
        let ((hash, _), index) = winner?;
        self.hash = hash;
        Some(index)
    }

    /// Passes the older versions of the winner's key; gives their number.
    fn pass(&mut self, winner: usize) -> Result<u64> {
        let place = self.all.get(winner).and_then(Input::place);
        let mut count = 0;
        for input in self.all.iter_mut().skip(winner + 1).filter(|input| input.place() == place) {
            input.advance()?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether one of the first `count` inputs lost the range that the last winner lies in.
    fn lost_before(&self, count: usize) -> bool {
        self.all.iter().take(count).any(|input| input.lost.around(self.hash).is_some())
    }

    /// Hands the lost ranges on, and checks that every record went somewhere.
    fn close(self, out: &mut Builder, before: u64, counts: &Counts) -> Result<()> {
        for (lo, hi) in self.all.iter().flat_map(|input| input.lost.ranges()) {
            out.add_lost(*lo, *hi);
        }
        for input in self.all.iter().filter(|input| !input.damaged) {
            let held = input.base.values() + input.base.tombstones();
            if input.read != held {
                let message = format!("{} records were read of {held} in the base", input.read);
                return Err(Error::corrupt(message).at(input.base.path()));
            }
        }
        let read: u64 = self.all.iter().map(|input| input.read).sum();
        let dropped = counts.superseded + counts.tombstones + counts.expired + counts.lost;
        if counts.read != read
            || counts.read != counts.written + dropped
            || counts.written != out.records() - before
        {
            let message = format!("a merge does not add up: {counts:?}, {read} records read");
            return Err(Error::corrupt(message));
        }
        Ok(())
    }
}
