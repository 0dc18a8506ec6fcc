//! The directory of a base: the first hash and the page of every block, in pages of their own.
//!
//! Knows blocks by number, not what is in them. The first hashes of the directory's own pages,
//! the *fences*, are few enough to be held in memory.

use super::{Fields, seal, verifies};

/// Bytes of a directory page.
pub(super) const DIRECTORY_PAGE: usize = 512;
/// Entries of a directory page; only the last page has fewer.
pub(super) const ENTRIES: usize = 42;
const HEAD: usize = 8;
const ENTRY: usize = 12;

/// Entries of a directory page that are looked at first.
const WINDOW_ENTRIES: usize = 6;
/// Bytes of so many.
pub(super) const WINDOW: usize = WINDOW_ENTRIES * ENTRY;
/// Fences that are looked at first, to either side of the expected one.
const FENCES_NEAR: usize = 8;

const _: () = assert!(HEAD + ENTRIES * ENTRY == DIRECTORY_PAGE);

/// Where a block begins: the hash of its first record, and its first page in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first: u64,
    pub(super) page: u32,
}

impl Entry {
    fn parse(bytes: &[u8; ENTRY]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Entry { first: fields.u64()?, page: fields.u32()? })
    }
}

/// A copy of one page of the directory, verified or not.
pub(super) struct DirectoryPage(pub(super) [u8; DIRECTORY_PAGE]);

impl DirectoryPage {
    pub(super) fn verifies(&self, salt: u32, offset: u64) -> bool {
        verifies(&self.0, salt, offset)
    }

    fn entries(&self) -> &[[u8; ENTRY]] {
        let mut fields = Fields(&self.0);
        let count = fields.u32().and(fields.u32()).unwrap_or(0) as usize;
        let (entries, _) = fields.0.as_chunks();
        entries.get(..count).unwrap_or_default()
    }

    pub(super) fn entry(&self, index: usize) -> Option<Entry> {
        self.entries().get(index).and_then(Entry::parse)
    }

    /// The last entry for which `wanted` holds, where it holds for all before it.
    #[inline]
    pub(super) fn last(&self, wanted: impl Fn(Entry) -> bool) -> Option<(usize, Entry)> {
        let index = self.first_not(wanted).checked_sub(1)?;
        self.entry(index).map(|entry| (index, entry))
    }

    /// The first entry for which `behind` is false, where it is true for those before.
    pub(super) fn first_not(&self, behind: impl Fn(Entry) -> bool) -> usize {
        self.entries().partition_point(|entry| Entry::parse(entry).is_some_and(&behind))
    }
}

/// A directory that is being filled, in memory: 12 bytes per block.
pub(super) struct Directory(Vec<Entry>);

impl Directory {
    pub(super) fn new() -> Self {
        Directory(Vec::new())
    }

    pub(super) fn add(&mut self, first: u64, page: u32) {
        self.0.push(Entry { first, page });
    }

    pub(super) fn blocks(&self) -> u64 {
        self.0.len() as u64
    }

    /// The pages, sealed for the place where the first of them will lie.
    pub(super) fn pages(&self, salt: u32, offset: u64) -> impl Iterator<Item = Vec<u8>> {
        let places = (offset..).step_by(DIRECTORY_PAGE);
        self.0.chunks(ENTRIES).zip(places).map(move |(entries, place)| {
            let mut page = vec![0; 4];
            page.extend_from_slice(&(entries.len() as u32).to_le_bytes());
            for entry in entries {
                page.extend_from_slice(&entry.first.to_le_bytes());
                page.extend_from_slice(&entry.page.to_le_bytes());
            }
            page.resize(DIRECTORY_PAGE, 0);
            seal(&mut page, salt, place);
            page
        })
    }

    /// The fences, sealed for their place.
    pub(super) fn fences(&self, salt: u32, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        for entry in self.0.iter().step_by(ENTRIES) {
            bytes.extend_from_slice(&entry.first.to_le_bytes());
        }
        seal(&mut bytes, salt, offset);
        bytes
    }
}

/// Pages of a directory of so many blocks.
pub(super) fn pages_for(blocks: u64) -> u64 {
    blocks.div_ceil(ENTRIES as u64)
}

/// Bytes of so many fences.
pub(super) fn fence_bytes(count: u64) -> u64 {
    8 + 8 * count
}

/// The first hash of every page of the directory.
#[derive(Debug)]
pub(super) struct Fences(Box<[u64]>);

impl Fences {
    /// `None` if the bytes are not what was written.
    pub(super) fn decode(bytes: &[u8], salt: u32, offset: u64) -> Option<Self> {
        if !verifies(bytes, salt, offset) {
            return None;
        }
        let (fences, _) = bytes.get(8..)?.as_chunks::<8>();
        Some(Fences(fences.iter().map(|fence| u64::from_le_bytes(*fence)).collect()))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The last page whose first hash is at most `hash`; `None` if the hash lies before all.
    #[inline]
    pub(super) fn page_of(&self, hash: u64) -> Option<usize> {
        // Hashes are spread evenly: the page is hardly ever far from where it would be if they
        // lay in a row.
        let guess = ((u128::from(hash) * self.0.len() as u128) >> 64) as usize;
        let start = guess.saturating_sub(FENCES_NEAR);
        let near = self.0.get(start..self.0.len().min(guess + FENCES_NEAR)).unwrap_or_default();
        let behind = near.partition_point(|first| *first <= hash);
        if behind == 0 || behind == near.len() {
            return self.0.partition_point(|first| *first <= hash).checked_sub(1);
        }
        Some(start + behind - 1)
    }

    /// The pages whose first hash is less than `hash`.
    pub(super) fn before(&self, hash: u64) -> usize {
        self.0.partition_point(|first| *first < hash)
    }

    /// Where in a page the entry for `hash` most probably is: the offset of the bytes to show to
    /// [`entry_within`]. `None` for the last page, which may have any number of entries.
    #[inline]
    pub(super) fn window(&self, page: usize, hash: u64) -> Option<usize> {
        let (first, next) = (*self.0.get(page)?, *self.0.get(page + 1)?);
        let (place, width) = (hash.checked_sub(first)? >> 32, next.checked_sub(first)? >> 32);
        let guess = (place * ENTRIES as u64 / (width + 1)) as usize;
        let start = guess.saturating_sub(WINDOW_ENTRIES / 2 - 1).min(ENTRIES - WINDOW_ENTRIES);
        Some(HEAD + start * ENTRY)
    }
}

/// The last entry of a window with a first hash of at most `hash`, if the window shows that it
/// is the last of its page.
#[inline]
pub(super) fn entry_within(window: &[u8; WINDOW], hash: u64) -> Option<Entry> {
    let (entries, _) = window.as_chunks();
    let mut last = None;
    for entry in entries.iter().map_while(Entry::parse) {
        if entry.first > hash {
            return last;
        }
        last = Some(entry);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of blocks with these first hashes, looked through the quick way and the plain.
    fn check(firsts: impl IntoIterator<Item = u64>) -> (usize, usize) {
        let mut directory = Directory::new();
        firsts.into_iter().zip(1..).for_each(|(first, page)| directory.add(first, page));
        let fences = Fences::decode(&directory.fences(1, 64), 1, 64).unwrap();
        let pages: Vec<_> = directory.pages(1, 4096).collect();
        assert_eq!(
            (fences.count(), pages.len() as u64),
            (pages.len(), pages_for(directory.blocks()))
        );
        let firsts = directory.0.iter().map(|entry| entry.first);
        let (mut near, mut far) = (0, 0);
        for hash in firsts.flat_map(|f| [f.saturating_sub(1), f, f.saturating_add(1)]) {
            let block = directory.0.partition_point(|entry| entry.first <= hash).checked_sub(1);
            assert_eq!(fences.page_of(hash), block.map(|block| block / ENTRIES), "{hash}");
            let Some(block) = block else { continue };
            let entry = directory.0[block];
            let page = DirectoryPage(pages[block / ENTRIES].clone().try_into().unwrap());
            assert!(page.verifies(1, 4096 + (block / ENTRIES * DIRECTORY_PAGE) as u64));
            assert_eq!(page.last(|entry| entry.first <= hash), Some((block % ENTRIES, entry)));
            let window = fences.window(block / ENTRIES, hash).and_then(|start| {
                entry_within(page.0[start..start + WINDOW].try_into().unwrap(), hash)
            });
            match window {
                Some(found) => {
                    assert_eq!(found, entry, "{hash}");
                    near += 1;
                }
                None => far += 1,
            }
        }
        (near, far)
    }

    #[test]
    fn the_quick_way_through_a_directory_leads_where_the_plain_one_does() {
        let spread =
            |count: u64| move |index: u64| u64::MAX / count * index + (index * 7919 % 1000);
        let (near, far) = check((0..5000).map(spread(5000)));
        assert!(near > 40 * far, "{near} of {}", near + far);
        check([]);
        check([5]);
        check((0..42).map(spread(42)));
        check((0..43).map(spread(43)));
        check((0..3000).map(|index| index * 3));
        check((0..3000).map(|index| u64::MAX - 3000 * 3 + index * 3));
        check((0..3000).map(|index| if index < 1500 { index } else { u64::MAX / 2 + index }));
        check((0..2000).map(|index| index / 100 * (u64::MAX / 50)));
        check((0..64).map(|index| (1 << index) - 1));
    }
}
