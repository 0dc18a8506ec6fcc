//! Looks one key up: the log's word first, then the bases', newest first.

use std::convert::Infallible;

use super::overlay::Entry;
use super::read::Reading;
use super::walk::Session;
use crate::base::{Found, rebase};
use crate::error::Result;
use crate::fs::layout::Kind;
use crate::hash::Seed;
use crate::id::Key;
use crate::log::frame::Op;
use crate::log::recovery::Event;
use crate::record::expiry::Life;

/// A session and its encoded value.
pub(crate) struct Value {
    pub(crate) session: Session,
    pub(crate) bytes: Vec<u8>,
}

impl Reading {
    /// The value of a key; `None` if there is none. One that has expired is given as such.
    ///
    /// # Errors
    /// `is_corrupt`, with path and offset, if damage stands between the key and its answer; those
    /// of the file system.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Value>> {
        let hash = Seed::from_bytes(self.manifest.seed).hash(key);
        let newer = match self.overlay.entries.get(&(hash, *key)) {
            Some(Entry::Gone) => return Ok(None),
            Some(Entry::Put { lsn, life, bytes, encoding }) => {
                let place = (Kind::Log, self.log.position(*lsn).number, *lsn);
                let session = self.session(*key, *life, *bytes, *encoding, place);
                return Ok(Some(Value { session, bytes: self.logged(*lsn) }));
            }
            Some(Entry::Terms(life)) => Some(*life),
            None => None,
        };
        if self.overlay.cleared {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for layer in &self.layers {
            match layer.base.find(hash, key, &mut bytes)? {
                Found::Absent => {}
                Found::Tombstone => return Ok(None),
                Found::Value { deadline, cap, idle } => {
                    let (from, to) = (layer.base.epoch(), self.times.epoch);
                    let (deadline, cap) = (rebase(deadline, from, to), rebase(cap, from, to));
                    let life = self.times.inherit(Life { deadline, cap, idle }, layer);
                    let life = newer.unwrap_or(life);
                    // A lookup needs no block, so this is the file alone.
                    let place = (Kind::Base, layer.base.number(), 0);
                    let size = bytes.len() as u64;
                    let session = self.session(*key, life, size, layer.encoding(), place);
                    return Ok(Some(Value { session, bytes }));
                }
            }
        }
        Ok(None)
    }

    /// The value in the frame with this LSN.
    fn logged(&self, wanted: u64) -> Vec<u8> {
        let mut found = Vec::new();
        let Ok(()) = self.log.replay(|event| {
            match event {
                Event::Op(lsn, _, Op::Put(_, _, value)) if lsn == wanted => found = value.to_vec(),
                _ => {}
            }
            Ok::<(), Infallible>(())
        });
        found
    }
}
