//! What the log says beyond the bases: its frames applied, the last word on each key.
//!
//! Keeps neither values nor files; where a value lies, its LSN tells. The rules are those of
//! replay, and no deadline is judged.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::read::Times;
use crate::clock::Timestamp;
use crate::hash::Seed;
use crate::id::Key;
use crate::log::frame::{Op, Terms};
use crate::log::manifest::Manifest;
use crate::log::recovery::{Event, Recovered};
use crate::log::segment::Encoding;
use crate::record::expiry::Life;
use crate::store::disk::{carry_over, within};

/// The last word of the log on a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// It has a value: the frame with this LSN.
    Put { lsn: u64, life: Life, bytes: u64, encoding: Encoding },
    /// What a base has of it has these times.
    Terms(Life),
    /// It is gone.
    Gone,
}

/// See the module's text. In the order of (hash, key), as in bases.
pub(super) struct Overlay {
    pub(super) entries: BTreeMap<(u64, Key), Entry>,
    /// The log says that whatever the bases hold has ended.
    pub(super) cleared: bool,
}

impl Overlay {
    pub(super) fn of(log: &Recovered, manifest: &Manifest, times: Times) -> Overlay {
        let seed = Seed::from_bytes(manifest.seed);
        let mut overlay = Overlay { entries: BTreeMap::new(), cleared: false };
        let Ok(()) = log.replay(|event| {
            match event {
                // Told as damage elsewhere; what verifies is shown.
                Event::Gap => {}
                Event::Op(lsn, encoding, op) => overlay.apply(lsn, encoding, op, seed, times),
            }
            Ok::<(), Infallible>(())
        });
        overlay
    }

    fn apply(&mut self, lsn: u64, encoding: Encoding, op: Op<'_>, seed: Seed, times: Times) {
        match op {
            Op::Put(key, terms, value) => {
                let (life, bytes) = (times.life(terms), value.len() as u64);
                let entry = Entry::Put { lsn, life, bytes, encoding };
                self.entries.insert((seed.hash(&key), key), entry);
            }
            Op::Remove(key) => {
                self.entries.insert((seed.hash(&key), key), Entry::Gone);
            }
            Op::Terms(key, terms) => {
                let new = times.life(terms);
                match self.entries.entry((seed.hash(&key), key)).or_insert(Entry::Terms(new)) {
                    Entry::Put { life, .. } | Entry::Terms(life) => *life = new,
                    Entry::Gone => {}
                }
            }
            Op::Clear => {
                self.entries.clear();
                self.cleared = true;
            }
            Op::Mark(_) => {}
        }
    }
}

impl Times {
    /// Times that a frame says, with the grace for touches that were not logged.
    fn life(self, terms: Terms) -> Life {
        let life = Life {
            deadline: self.epoch.deadline(Timestamp::from_millis(terms.deadline_ms)),
            cap: self.epoch.deadline(Timestamp::from_millis(terms.cap_ms)),
            idle: terms.idle,
        };
        within(carry_over(life, self.epoch.tick(self.mark)), self.now)
    }
}
