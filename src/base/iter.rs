//! Goes through a base in the order of its records, block by block, each verified as a whole.
//!
//! Knows how to get past a damaged block: the directory says where the next one begins.

use super::block::{self, Head, offset_of};
use super::read::Base;
use super::{PAGE, Record, verifies};
use crate::error::{Error, Result};

/// Pages that are read at a time.
const READ_PAGES: u32 = 64;
/// Pages that are read at first: a walk may be over after a few records.
const FIRST_PAGES: u32 = 2;

/// A stretch of a base that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Records with hashes from here on may be missing …
    pub lo: u64,
    /// … to here; both ends included.
    pub hi: u64,
    /// Where in the file it begins.
    pub offset: u64,
}

/// What comes next in a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The record that was read.
    Record,
    /// Records of this range are missing.
    Damaged(Damage),
    /// Nothing.
    End,
}

/// A walk through a base. Holds 256 KiB, or the largest block if that is more.
pub(crate) struct Iter<'a> {
    base: &'a Base,
    from: u64,
    /// The next block, and the page after the last.
    page: u32,
    end: u32,
    /// The hash of the last record, wanted or not.
    last: u64,
    buffer: Vec<u8>,
    /// The page that the buffer begins with.
    buffered: u32,
    block: Option<Open>,
}

/// The block that is being read.
#[derive(Clone, Copy)]
struct Open {
    page: u32,
    head: Head,
    /// Index of the next record.
    next: u16,
}

impl<'a> Iter<'a> {
    pub(super) fn new(base: &'a Base, from: u64) -> Result<Self> {
        let end = base.header.page_count + 1;
        let page = if from == 0 { 1 } else { start(base, from)? };
        let (buffer, buffered) = (Vec::new(), page);
        Ok(Iter { base, from, page, end, last: 0, buffer, buffered, block: None })
    }

    /// Reads the next record into `into`, whose buffer is used again.
    ///
    /// # Errors
    /// Those of the file system. Damage is no error: it is a step, and what follows it is read.
    pub(crate) fn read(&mut self, into: &mut Record) -> Result<Step> {
        loop {
            if let Some(open) = self.block.filter(|open| open.next < open.head.count) {
                self.block = Some(Open { next: open.next + 1, ..open });
                self.record(open, into)?;
                if into.hash >= self.from {
                    return Ok(Step::Record);
                }
            } else if self.page >= self.end {
                return Ok(Step::End);
            } else if let Some(head) = self.load()? {
                self.block = Some(Open { page: self.page, head, next: 0 });
                self.page += u32::from(head.pages);
            } else {
                self.block = None;
                let damage = self.skip()?;
                if damage.hi >= self.from {
                    return Ok(Step::Damaged(damage));
                }
            }
        }
    }

    /// Where the block of the last record begins.
    #[cfg(feature = "cli")]
    pub(crate) fn offset(&self) -> u64 {
        self.block.map_or(0, |open| offset_of(open.page))
    }

    /// Whether the last record is as it was written by its own checksum too.
    #[cfg(feature = "cli")]
    pub(super) fn is_sealed(&self) -> bool {
        let Some(open) = self.block else { return false };
        let block = self.bytes(open.page, open.head.bytes()).unwrap_or_default();
        let slots = block::slots(block, open.head.count);
        let slot = slots.and_then(|mut slots| slots.nth(usize::from(open.next).wrapping_sub(1)));
        let bytes = slot.and_then(|slot| block.get(usize::from(slot.offset)..)?.first_chunk());
        let found = slot.and_then(|slot| block::record(block, slot.offset));
        let (salt, offset) = (self.base.header.salt, offset_of(open.page));
        found
            .zip(bytes)
            .is_some_and(|((head, value), bytes)| head.verifies(bytes, value, salt, offset))
    }

    fn record(&mut self, open: Open, into: &mut Record) -> Result<()> {
        let block = self.bytes(open.page, open.head.bytes()).unwrap_or_default();
        let slots = block::slots(block, open.head.count);
        let slot = slots.and_then(|mut slots| slots.nth(open.next.into()));
        let record = slot.and_then(|slot| block::record(block, slot.offset));
        let Some((head, value)) = record else { return Err(self.nonsense(open.page)) };
        let hash = self.base.seed().hash(&head.key);
        if hash < self.last || open.next == 0 && hash != open.head.first {
            return Err(self.nonsense(open.page));
        }
        into.hash = hash;
        into.key = head.key;
        into.tombstone = head.tombstone;
        into.deadline = head.deadline;
        into.cap = head.cap;
        into.idle = head.idle;
        into.value.clear();
        into.value.extend_from_slice(value);
        self.last = hash;
        Ok(())
    }

    /// Brings the next block into the buffer; `None` if it is damaged.
    fn load(&mut self) -> Result<Option<Head>> {
        if self.bytes(self.page, PAGE).is_none() {
            let pages = if self.buffer.is_empty() { FIRST_PAGES } else { READ_PAGES };
            self.fill(pages)?;
        }
        let head = self.bytes(self.page, PAGE).and_then(Head::parse);
        let Some(head) = head.filter(|head| self.base.is_plausible(self.page, head)) else {
            return Ok(None);
        };
        if self.bytes(self.page, head.bytes()).is_none() {
            self.fill(READ_PAGES.max(head.pages.into()))?;
        }
        let block = self.bytes(self.page, head.bytes()).unwrap_or_default();
        // Parsed again: the copy that is verified is not the one that was looked at.
        let verified = verifies(block, self.base.header.salt, offset_of(self.page));
        Ok(Head::parse(block).filter(|again| verified && *again == head))
    }

    /// The `count` bytes from `page` on, if the buffer has them.
    fn bytes(&self, page: u32, count: usize) -> Option<&[u8]> {
        let start = page.checked_sub(self.buffered)? as usize * PAGE;
        self.buffer.get(start..start + count)
    }

    /// Reads up to so many pages from the next block on.
    fn fill(&mut self, pages: u32) -> Result<()> {
        let pages = pages.min(self.end - self.page);
        // Not `resize`: what is there is overwritten, and fresh zeros come for nothing.
        let bytes = pages as usize * PAGE;
        if self.buffer.len() < bytes {
            self.buffer = vec![0; bytes];
        }
        self.buffer.truncate(bytes);
        self.buffered = self.page;
        let read = self.base.copy(offset_of(self.page), &mut self.buffer);
        if read.is_err() {
            self.buffer.clear();
        }
        read
    }

    /// Goes on behind the block that should begin at the next page. Where the directory is
    /// damaged too, that is where its next sound page begins.
    fn skip(&mut self) -> Result<Damage> {
        let damaged = self.page;
        let mut damage = Damage { lo: self.last, hi: u64::MAX, offset: offset_of(damaged) };
        let near = self.base.fences.before(self.last).saturating_sub(1);
        for page in near..self.base.fences.count() {
            let directory = match self.base.directory(page) {
                Err(error) if error.is_corrupt() => continue,
                directory => directory?,
            };
            let index = directory.first_not(|entry| entry.page < damaged);
            let here = directory.entry(index).filter(|entry| entry.page == damaged);
            if let Some(here) = here {
                damage.lo = here.first.max(self.last);
            }
            if let Some(next) = directory.entry(index + usize::from(here.is_some())) {
                damage.hi = next.first.max(damage.lo);
                self.page = next.page;
                return Ok(damage);
            }
        }
        self.page = self.end;
        Ok(damage)
    }

    /// A block that verifies and makes no sense was not damaged but written wrongly.
    fn nonsense(&self, page: u32) -> Error {
        Error::corrupt("a block of records verifies, and is not one")
            .at(self.base.path())
            .offset(offset_of(page))
    }
}

/// The page of a block before which no record has a hash of `from` or more.
fn start(base: &Base, from: u64) -> Result<u32> {
    for page in (0..base.fences.before(from)).rev() {
        let directory = match base.directory(page) {
            Err(error) if error.is_corrupt() => continue,
            directory => directory?,
        };
        let index = directory.first_not(|entry| entry.first < from).saturating_sub(1);
        if let Some(entry) = directory.entry(index) {
            return Ok(entry.page);
        }
    }
    Ok(1)
}
