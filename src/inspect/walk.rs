//! Goes through all sessions in the order of their hashes, one at a time: the log's word on each
//! key if it has one, else the newest base's.
//!
//! Holds a buffer of each base and what the log says; no list of sessions.

use std::iter::Peekable;
use std::ops::ControlFlow;

use super::Damage;
use super::overlay::Entry;
use super::read::{Reading, Times};
use crate::base::{Record, Step, rebase};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::fs::layout::Kind;
use crate::id::Key;
use crate::log::segment::Encoding;
use crate::record::expiry::Life;
use crate::store::disk::{Layer, carry_over, within};

/// A session that has a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) key: Key,
    /// When it ends unless it is touched, and in any case.
    pub(crate) deadline: Timestamp,
    pub(crate) cap: Timestamp,
    /// How far a touch moves the deadline; 0 if it does not.
    pub(crate) idle_ms: u64,
    /// Of its encoded value.
    pub(crate) bytes: u64,
    pub(crate) encoding: Encoding,
    /// The file that its value lies in, and the LSN of its frame or the offset of its block.
    pub(crate) place: (Kind, u64, u64),
    /// Its deadline has passed.
    pub(crate) expired: bool,
}

/// How many of what was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Sessions whose value lies in the log.
    pub(crate) warm: u64,
    /// Sessions whose value lies in a base.
    pub(crate) cold: u64,
    /// Keys of which the last word is that they are gone.
    pub(crate) gone: u64,
    /// Values whose deadline has passed.
    pub(crate) expired: u64,
    /// Keys of which nothing is known for certain, because something newer was lost.
    pub(crate) unknown: u64,
    /// Bytes of the values of the live sessions.
    pub(crate) bytes: u64,
}

/// One base, on its way.
struct Head<'a> {
    layer: &'a Layer,
    records: crate::base::Iter<'a>,
    record: Record,
    done: bool,
    /// Ranges of hashes in which it has lost records, so far.
    lost: Vec<(u64, u64)>,
    read: u64,
}

impl<'a> Head<'a> {
    fn new(layer: &'a Layer) -> Result<Self> {
        let lost = layer.base.lost().ranges().to_vec();
        let records = layer.base.iter(0)?;
        Ok(Head { layer, records, record: Record::empty(), done: false, lost, read: 0 })
    }

    fn at(&self) -> Option<(u64, Key)> {
        (!self.done).then_some((self.record.hash, self.record.key))
    }

    /// Goes to the next record.
    fn advance(&mut self, damage: &mut Vec<Damage>) -> Result<()> {
        loop {
            match self.records.read(&mut self.record) {
                Ok(Step::Record) => {
                    self.read += 1;
                    return Ok(());
                }
                Ok(Step::Damaged(found)) => {
                    self.lost.push((found.lo, found.hi));
                    damage.push(self.damaged(found.offset, found.lo, found.hi));
                }
                Ok(Step::End) => break,
                Err(error) if error.is_corrupt() => {
                    self.lost.push((self.record.hash, u64::MAX));
                    damage.push(Damage::of(&error, "the sessions in the rest of this base"));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.done = true;
        Ok(())
    }

    fn damaged(&self, offset: u64, lo: u64, hi: u64) -> Damage {
        let what = "a block of records is not as it was written: its checksum is wrong";
        let lost = format!("the sessions with hashes {lo:016x} to {hi:016x} in this base");
        Damage::new(&Kind::Base.name(self.layer.base.number()), offset, what, lost)
    }

    fn has_lost(&self, hash: u64) -> bool {
        self.lost.iter().any(|(lo, hi)| (*lo..=*hi).contains(&hash))
    }

    fn life(&self, times: Times) -> Life {
        let from = self.layer.base.epoch();
        let life = Life {
            deadline: rebase(self.record.deadline, from, times.epoch),
            cap: rebase(self.record.cap, from, times.epoch),
            idle: self.record.idle,
        };
        times.inherit(life, self.layer)
    }
}

impl Times {
    /// A base's times, with the grace for touches that were not logged.
    pub(super) fn inherit(self, life: Life, layer: &Layer) -> Life {
        let mark = layer.inherited.unwrap_or(self.mark);
        within(carry_over(life, self.epoch.tick(mark)), self.now)
    }
}

impl Reading {
    /// Shows `each` session that has a value, the expired ones included, until it breaks off.
    /// Reads every base once; what is damaged in them goes into `damage`.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn walk<B>(
        &self,
        damage: &mut Vec<Damage>,
        mut each: impl FnMut(&Session) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B, Tally>> {
        let layers = if self.overlay.cleared { &[] } else { &*self.layers };
        let heads = layers.iter().map(|layer| Head::new(layer));
        let mut heads = heads.collect::<Result<Vec<_>>>()?;
        for head in &mut heads {
            head.advance(damage)?;
        }
        let mut entries = self.overlay.entries.iter().peekable();
        let mut tally = Tally::default();
        while let Some(at) = next(&heads, &mut entries) {
            let entry = entries.next_if(|(key, _)| **key == at).map(|(_, entry)| *entry);
            match self.judge(at, entry, &heads) {
                Said::Nothing => {}
                Said::Gone => tally.gone += 1,
                Said::Unknown => tally.unknown += 1,
                Said::Session(session) => {
                    tally.add(&session);
                    if let ControlFlow::Break(with) = each(&session) {
                        return Ok(ControlFlow::Break(with));
                    }
                }
            }
            for head in heads.iter_mut().filter(|head| head.at() == Some(at)) {
                head.advance(damage)?;
            }
        }
        Ok(ControlFlow::Continue(tally))
    }

    fn judge(&self, at: (u64, Key), entry: Option<Entry>, heads: &[Head<'_>]) -> Said {
        let (hash, key) = at;
        let newer = match entry {
            Some(Entry::Gone) => return Said::Gone,
            Some(Entry::Put { lsn, life, bytes, encoding }) => {
                let place = (Kind::Log, self.log.position(lsn).number, lsn);
                return Said::Session(self.session(key, life, bytes, encoding, place));
            }
            Some(Entry::Terms(life)) => Some(life),
            None => None,
        };
        let found = heads.iter().position(|head| head.at() == Some(at)).unwrap_or(heads.len());
        if heads.iter().take(found).any(|head| head.has_lost(hash)) {
            return Said::Unknown;
        }
        let Some(head) = heads.get(found) else { return Said::Nothing };
        if head.record.tombstone {
            return Said::Gone;
        }
        let life = newer.unwrap_or_else(|| head.life(self.times));
        let bytes = head.record.value.len() as u64;
        let place = (Kind::Base, head.layer.base.number(), head.records.offset());
        Said::Session(self.session(key, life, bytes, head.layer.encoding(), place))
    }

    pub(super) fn session(
        &self,
        key: Key,
        life: Life,
        bytes: u64,
        encoding: Encoding,
        place: (Kind, u64, u64),
    ) -> Session {
        let Times { epoch, now, .. } = self.times;
        Session {
            key,
            deadline: epoch.time(life.deadline),
            cap: epoch.time(life.cap),
            idle_ms: u64::from(life.idle) * crate::limits::TICK_MS.unsigned_abs(),
            bytes,
            encoding,
            place,
            expired: life.is_over(now),
        }
    }
}

/// What is known of a key.
enum Said {
    Nothing,
    Gone,
    Unknown,
    Session(Session),
}

impl Tally {
    /// Sessions that live.
    pub(crate) fn sessions(&self) -> u64 {
        self.warm + self.cold
    }

    fn add(&mut self, session: &Session) {
        if session.expired {
            self.expired += 1;
            return;
        }
        self.bytes += session.bytes;
        match session.place {
            (Kind::Log, ..) => self.warm += 1,
            _ => self.cold += 1,
        }
    }
}

/// The key that comes next in any of them.
fn next<'a>(
    heads: &[Head<'_>],
    entries: &mut Peekable<impl Iterator<Item = (&'a (u64, Key), &'a Entry)>>,
) -> Option<(u64, Key)> {
    let in_log = entries.peek().map(|(at, _)| **at);
    heads.iter().filter_map(Head::at).chain(in_log).min()
}
