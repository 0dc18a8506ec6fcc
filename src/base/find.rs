//! Looks keys up in a base, and believes nothing that it has not verified on a copy of its own.
//!
//! A hit is quick: the record is copied and its own checksum compared, so that the way to it
//! need not be trusted. Whatever is not a hit is looked up a second time, slowly: every piece on
//! the way is verified before the answer is "absent". Knows no times and decides nothing by them.

use super::PAGE;
use super::block::{self, Head, RECORD_HEAD, RecordHead, offset_of};
use super::directory::{self, Entry, WINDOW};
use super::filter::{self, Says};
use super::read::Base;
use crate::clock::Tick;
use crate::error::{Error, Result};
use crate::id::Key;

/// What is copied of a mapped block to see its head and its index: enough for 59 records.
const PEEK: usize = 256;

/// What a base says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing: older bases may speak.
    Absent,
    /// It is gone, whatever older bases say.
    Tombstone,
    /// It has the value that was asked for; instants are ticks since the base's epoch.
    Value { deadline: Tick, cap: Tick, idle: Tick },
}

/// An entry of the directory and where it stands: in which page, at which index.
#[derive(Clone, Copy)]
struct Place {
    page: usize,
    index: usize,
    entry: Entry,
}

/// What came of looking at one record, or at all of one block with the right tag.
enum Seen {
    /// It is the key's.
    Hit(Found),
    /// It is another key's.
    Other,
    /// It is damaged.
    Damaged,
}

impl Base {
    /// Looks `key` up; `hash` is its hash. A value goes into `out`, which is empty otherwise.
    /// Allocates nothing if `out` has room.
    ///
    /// # Errors
    /// `is_corrupt`, with path and offset, if damage stands between the key and its answer;
    /// errors of the file system.
    pub(crate) fn find(&self, hash: u64, key: &Key, out: &mut Vec<u8>) -> Result<Found> {
        let found = self.search(hash, key, out);
        if !matches!(found, Ok(Found::Value { .. })) {
            out.clear();
        }
        found
    }

    fn search(&self, hash: u64, key: &Key, out: &mut Vec<u8>) -> Result<Found> {
        if !self.contains(hash) {
            return self.absent(hash);
        }
        let quick = match self.mapped {
            true => self.quick::<PEEK>(hash, key, out)?,
            // One call for the whole block.
            false => self.quick::<PAGE>(hash, key, out)?,
        };
        match quick {
            Some(found) => Ok(found),
            None => self.slow(hash, key, out),
        }
    }

    /// Whether there may be a record with this hash, by the filter alone: false is certain, true
    /// is wrong for about one hash in a hundred, or if the filter is damaged there. Costs one
    /// cache line.
    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        let section = self.header.filter;
        let lines = section.length / filter::LINE as u64;
        let offset = section.offset + filter::line_of(hash, lines) * filter::LINE as u64;
        let mut line = [0; filter::LINE];
        // A line that cannot be read says nothing, like a damaged one: the block will.
        self.copy(offset, &mut line).is_err()
            || filter::ask(&line, hash, self.header.salt, offset) != Says::No
    }

    /// Looks where the record most probably is, trusting nothing but the record's own checksum.
    /// `None` if it is not there, for whatever reason.
    fn quick<const BYTES: usize>(
        &self,
        hash: u64,
        key: &Key,
        out: &mut Vec<u8>,
    ) -> Result<Option<Found>> {
        let Some(page) = self.fences.page_of(hash) else { return Ok(None) };
        let entry = match self.entry_near(page, hash)? {
            Some(entry) => Some(entry),
            None => self.directory_copy(page)?.last(|entry| entry.first <= hash).map(|(_, e)| e),
        };
        let Some(entry) = entry.filter(|entry| self.is_block(entry.page)) else { return Ok(None) };
        let mut bytes = [0; BYTES];
        self.copy(offset_of(entry.page), &mut bytes)?;
        let count = Head::parse(&bytes).map_or(0, |head| head.count);
        if BYTES < PAGE && block::slots(&bytes, count).is_none() {
            return self.quick::<PAGE>(hash, key, out);
        }
        match self.look(entry.page, &bytes, hash, key, out)? {
            Seen::Hit(found) => Ok(Some(found)),
            Seen::Other | Seen::Damaged => Ok(None),
        }
    }

    /// The entry for `hash`, if it is where it is expected in its page; not verified.
    #[inline]
    fn entry_near(&self, page: usize, hash: u64) -> Result<Option<Entry>> {
        let Some(start) = self.fences.window(page, hash) else { return Ok(None) };
        let mut window = [0; WINDOW];
        self.copy(self.directory_offset(page) + start as u64, &mut window)?;
        Ok(directory::entry_within(&window, hash))
    }

    /// Looks again, and verifies every piece on the way, so that "absent" is certain.
    #[cold]
    fn slow(&self, hash: u64, key: &Key, out: &mut Vec<u8>) -> Result<Found> {
        let mut place = match self.fences.page_of(hash) {
            Some(page) => self.place(page, |entry| entry.first <= hash)?,
            None => None,
        };
        let mut bytes = [0; PAGE];
        while let Some(Place { page, index, entry }) = place {
            let head = self.block(entry.page, &mut bytes)?;
            if head.first != entry.first {
                return Err(self.damaged_directory(page));
            }
            match self.look(entry.page, &bytes, hash, key, out)? {
                Seen::Hit(found) => return Ok(found),
                Seen::Damaged => return Err(self.damaged_block(entry.page)),
                Seen::Other => {}
            }
            // Keys with the same hash may have begun in the block before.
            place = match (head.first == hash, index.checked_sub(1), page.checked_sub(1)) {
                (true, Some(index), _) => {
                    let entry = self.directory(page)?.entry(index);
                    entry.map(|entry| Place { page, index, entry })
                }
                (true, None, Some(page)) => self.place(page, |_| true)?,
                _ => None,
            };
        }
        self.absent(hash)
    }

    /// The last entry of a directory page for which `wanted` holds; the page is verified.
    fn place(&self, page: usize, wanted: impl Fn(Entry) -> bool) -> Result<Option<Place>> {
        let last = self.directory(page)?.last(wanted);
        Ok(last.map(|(index, entry)| Place { page, index, entry }))
    }

    /// The answer for a key that is not there: not known if records of its hash were lost.
    fn absent(&self, hash: u64) -> Result<Found> {
        let Some((lo, hi)) = self.lost().around(hash) else { return Ok(Found::Absent) };
        let message = format!(
            "the records with hashes {lo:016x} to {hi:016x} were lost to damage of an earlier \
             file; what is written anew can be read"
        );
        Err(Error::corrupt(message).at(self.path()).offset(self.header.lost.offset))
    }

    /// Looks for the key among the records of the block at `page`, whose first bytes are `copy`.
    fn look(
        &self,
        page: u32,
        copy: &[u8],
        hash: u64,
        key: &Key,
        out: &mut Vec<u8>,
    ) -> Result<Seen> {
        let slots = Head::parse(copy).and_then(|head| block::slots(copy, head.count));
        let Some(slots) = slots else { return Ok(Seen::Damaged) };
        let tag = block::tag(hash);
        let mut seen = Seen::Other;
        for slot in slots.filter(|slot| slot.tag == tag) {
            match self.record(page, copy, slot.offset.into(), key, out)? {
                Seen::Hit(found) => return Ok(Seen::Hit(found)),
                Seen::Damaged => seen = Seen::Damaged,
                Seen::Other => {}
            }
        }
        Ok(seen)
    }

    /// Copies one record out and verifies the copy.
    fn record(
        &self,
        page: u32,
        copy: &[u8],
        offset: usize,
        key: &Key,
        out: &mut Vec<u8>,
    ) -> Result<Seen> {
        let mut bytes = [0; RECORD_HEAD];
        if !self.copy_within(page, copy, offset, &mut bytes)? {
            return Ok(Seen::Damaged);
        }
        let Some(head) = RecordHead::parse(&bytes) else { return Ok(Seen::Damaged) };
        if head.key != *key {
            return Ok(Seen::Other);
        }
        let offset = offset + RECORD_HEAD;
        // The length is not verified yet: nothing is allocated for more than the file holds.
        if offset_of(page) + (offset + head.length) as u64 > self.blocks_end() {
            return Ok(Seen::Damaged);
        }
        out.clear();
        out.resize(head.length, 0);
        if !self.copy_within(page, copy, offset, out)?
            || !head.verifies(&bytes, out, self.header.salt, offset_of(page))
        {
            return Ok(Seen::Damaged);
        }
        let RecordHead { deadline, cap, idle, .. } = head;
        Ok(Seen::Hit(match head.tombstone {
            true => Found::Tombstone,
            false => Found::Value { deadline, cap, idle },
        }))
    }

    /// Fills `out` from an offset in a block: from `copy`, its first bytes, if they reach that
    /// far, else from the file. False if it reaches beyond the blocks.
    #[inline]
    fn copy_within(&self, page: u32, copy: &[u8], offset: usize, out: &mut [u8]) -> Result<bool> {
        if let Some(bytes) = copy.get(offset..offset + out.len()) {
            out.copy_from_slice(bytes);
            return Ok(true);
        }
        let offset = offset_of(page) + offset as u64;
        if offset + out.len() as u64 > self.blocks_end() {
            return Ok(false);
        }
        self.copy(offset, out)?;
        Ok(true)
    }

    /// Where the block begins that would hold this hash, for tests that damage it.
    #[cfg(test)]
    pub(crate) fn block_at(&self, hash: u64) -> Option<u64> {
        let page = self.fences.page_of(hash)?;
        let place = self.place(page, |entry| entry.first <= hash).ok()??;
        Some(offset_of(place.entry.page))
    }
}
