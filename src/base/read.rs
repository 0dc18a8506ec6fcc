//! An open base: what it is, what it holds in sum, and copies of its pieces.
//!
//! Knows the file through [`Image`] alone and how to verify each piece; how a key is looked up
//! stands in `find.rs`, how the records are gone through in `iter.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::{Head, offset_of};
use super::directory::{DIRECTORY_PAGE, DirectoryPage, Fences};
use super::header::{BLOCK_PAGES_MAX, Header, Section};
use super::iter::Iter;
use super::lost::Lost;
use super::{PAGE, Seal};
use crate::clock::{Epoch, Tick};
use crate::error::{Error, Result};
use crate::fs::{Fs, Image};
use crate::hash::Seed;

/// What a base must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expect {
    pub uuid: [u8; 16],
    pub number: u64,
}

/// An open base. Holds eight bytes in memory for every 42 blocks.
pub(crate) struct Base {
    image: Arc<dyn Image>,
    path: PathBuf,
    pub(super) mapped: bool,
    pub(super) header: Header,
    pub(super) fences: Fences,
    lost: Lost,
}

impl Base {
    /// Opens the base `name`. Reads the header, the fences and the lost ranges, nothing else:
    /// the cost does not depend on the number of records to speak of. `mapped` asks for a
    /// memory map; otherwise a lookup costs three or four calls of the system.
    ///
    /// # Errors
    /// `is_corrupt` with path and offset if the file is damaged, or not the one expected;
    /// `is_mismatch` if another version of the format must read it; errors of the file system.
    pub(crate) fn open(fs: &dyn Fs, name: &str, expect: Expect, mapped: bool) -> Result<Self> {
        let path = fs.path().join(name);
        let opened = fs.image(name, mapped);
        let image =
            opened.map_err(|error| Error::io("a base could not be opened", error).at(&path))?;
        let size = image.size();
        if size < PAGE as u64 {
            let message = format!("{size} bytes are too few for a base");
            return Err(Error::corrupt(message).at(&path).offset(size));
        }
        let mut page = vec![0; PAGE];
        copy(&*image, &path, 0, &mut page)?;
        let header = Header::decode(&page, size).map_err(|error| error.at(&path))?;
        if header.uuid != expect.uuid {
            let message = "this base belongs to another store";
            return Err(Error::corrupt(message).at(&path).offset(24));
        }
        if header.number != expect.number {
            let message = format!("this is base {}, not {}", header.number, expect.number);
            return Err(Error::corrupt(message).at(&path).offset(40));
        }
        let part = |section: Section| {
            let mut bytes = vec![0; usize::try_from(section.length).unwrap_or(0)];
            copy(&*image, &path, section.offset, &mut bytes).map(|()| bytes)
        };
        let (fences, lost) = (part(header.fences)?, part(header.lost)?);
        let Some(fences) = Fences::decode(&fences, header.salt, header.fences.offset) else {
            return Err(damaged(&path, header.fences.offset, "the list of fences"));
        };
        let Some(lost) = Lost::decode(&lost, header.salt, header.lost.offset) else {
            return Err(damaged(&path, header.lost.offset, "the list of lost ranges"));
        };
        Ok(Base { image, path, mapped, header, fences, lost })
    }

    /// All records with hashes from `from` on, in order. Reads 64 pages at a time.
    ///
    /// # Errors
    /// Those of the file system; damage is a step of the iteration.
    pub(crate) fn iter(&self, from: u64) -> Result<Iter<'_>> {
        Iter::new(self, from)
    }

    /// About how many of its values have their deadline after `tick`, which counts from the
    /// base's epoch.
    pub(crate) fn live_at(&self, tick: Tick) -> u64 {
        match tick {
            tick if tick < self.header.deadline_min => self.header.values,
            tick if tick >= self.header.deadline_max => 0,
            tick => self.header.histogram.after(tick),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    /// It speaks for all LSNs up to this one.
    pub(crate) fn cut(&self) -> u64 {
        self.header.cut
    }

    /// The highest LSN of a record in it, or 0.
    pub(crate) fn highest(&self) -> u64 {
        self.header.highest
    }

    pub(crate) fn seed(&self) -> Seed {
        self.header.seed
    }

    /// What its ticks are counted from; see [`rebase`](super::rebase).
    pub(crate) fn epoch(&self) -> Epoch {
        self.header.epoch
    }

    pub(crate) fn codec(&self) -> u32 {
        self.header.codec
    }

    pub(crate) fn schema(&self) -> u64 {
        self.header.schema
    }

    pub(crate) fn values(&self) -> u64 {
        self.header.values
    }

    pub(crate) fn tombstones(&self) -> u64 {
        self.header.tombstones
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.header.file_bytes
    }

    /// The ranges of hashes whose records were lost before this base was written.
    pub(crate) fn lost(&self) -> &Lost {
        &self.lost
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn copy(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        copy(&*self.image, &self.path, offset, out)
    }

    pub(super) fn directory_offset(&self, page: usize) -> u64 {
        self.header.directory.offset + (page * DIRECTORY_PAGE) as u64
    }

    /// A page of the directory, not verified.
    pub(super) fn directory_copy(&self, page: usize) -> Result<DirectoryPage> {
        let mut directory = DirectoryPage([0; DIRECTORY_PAGE]);
        self.copy(self.directory_offset(page), &mut directory.0)?;
        Ok(directory)
    }

    /// A page of the directory.
    pub(super) fn directory(&self, page: usize) -> Result<DirectoryPage> {
        let directory = self.directory_copy(page)?;
        match directory.verifies(self.header.salt, self.directory_offset(page)) {
            true => Ok(directory),
            false => Err(self.damaged_directory(page)),
        }
    }

    /// Whether a block can begin at this page.
    pub(super) fn is_block(&self, page: u32) -> bool {
        page >= 1 && page <= self.header.page_count
    }

    /// Whether the head may be that of the block at `page`, before its checksum is compared.
    pub(super) fn is_plausible(&self, page: u32, head: &Head) -> bool {
        let pages = u32::from(head.pages);
        head.page == page
            && (1..=BLOCK_PAGES_MAX).contains(&pages)
            && self.is_block(page)
            && pages <= self.header.page_count - page + 1
    }

    /// Verifies a whole block, and leaves its first page in `first`.
    pub(super) fn block(&self, page: u32, first: &mut [u8; PAGE]) -> Result<Head> {
        let offset = offset_of(page);
        if !self.is_block(page) {
            return Err(self.damaged_block(page));
        }
        self.copy(offset, first)?;
        let head = Head::parse(first).filter(|head| self.is_plausible(page, head));
        let Some((head, (_, sealed))) = head.zip(first.split_first_chunk::<4>()) else {
            return Err(self.damaged_block(page));
        };
        let mut seal = Seal::new(self.header.salt, offset).add(sealed);
        let mut bytes = [0; PAGE];
        for next in (1..u32::from(head.pages)).map(|next| offset_of(page + next)) {
            self.copy(next, &mut bytes)?;
            seal = seal.add(&bytes);
        }
        if seal.value() == head.crc { Ok(head) } else { Err(self.damaged_block(page)) }
    }

    /// Where the blocks end, in bytes.
    pub(super) fn blocks_end(&self) -> u64 {
        self.header.blocks.offset + self.header.blocks.length
    }

    pub(super) fn damaged_block(&self, page: u32) -> Error {
        damaged(&self.path, offset_of(page), "a block of records")
    }

    pub(super) fn damaged_directory(&self, page: usize) -> Error {
        damaged(&self.path, self.directory_offset(page), "a page of the directory")
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base({}, {})", self.header.number, self.path.display())
    }
}

fn copy(image: &dyn Image, path: &Path, offset: u64, out: &mut [u8]) -> Result<()> {
    image
        .read(offset, out)
        .map_err(|error| Error::io("a base could not be read", error).at(path).offset(offset))
}

fn damaged(path: &Path, offset: u64, what: &str) -> Error {
    Error::corrupt(format!("{what} is not as it was written: its checksum is wrong"))
        .at(path)
        .offset(offset)
}
