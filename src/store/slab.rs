//! Slab of nodes: what a stripe knows of a key that no reader needs, named by a small index.
//!
//! Knows no map, lock or time; the links and the second of a node belong to the wheel.

use crate::clock::Tick;
use crate::id::Key;
use crate::limits::VALUE_BYTES_MAX;

/// Indices are smaller than this; the wheel's list heads have the numbers from here on.
pub(crate) const NODES_MAX: u32 = 1 << 26;
/// Nodes of a chunk; only the first chunk may be smaller, see [`FIRST_CHUNK`].
const CHUNK: usize = 512;
/// How the first chunk grows, so that a store of a few sessions is small in every stripe.
const FIRST_CHUNK: [usize; 2] = [8, 64];
/// Most chunks that one call of [`Slab::shrink`] gives back: some microseconds of the lock.
const SHRINK_CHUNKS_MAX: usize = 16;
/// The end of a list, and both links of a node that is in none.
const NIL: u32 = u32::MAX;
/// The previous link of a node that is not in use.
const FREE: u32 = u32::MAX - 1;

const _: () = assert!(size_of::<Node>() == 40, "a node is in memory once per session");
const _: () = assert!(VALUE_BYTES_MAX < 1 << 24, "a node keeps the length in 24 bits");
const _: () = assert!((NODES_MAX as usize).is_multiple_of(CHUNK) && NODES_MAX < FREE);

/// The two neighbours of a node in a list of the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl Links {
    /// Of a node that is in no list.
    pub(super) const NONE: Links = Links { prev: NIL, next: NIL };
}

/// What is kept of one key beside the map's entry: 40 bytes.
///
/// Byte arrays hold what needs no whole word: an LSN of 48 bits lasts 8,900 years at 1,000
/// writes per second, and an encoded value is shorter than 2^24 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The key that the node belongs to.
    pub key: Key,
    /// The tick of the deadline that was last logged.
    pub logged: Tick,
    pub(super) links: Links,
    lsn: [u8; 6],
    bytes: [u8; 3],
    when: [u8; 3],
}

impl Node {
    fn new(key: Key) -> Self {
        Node { key, logged: 0, links: Links::NONE, lsn: [0; 6], bytes: [0; 3], when: [0; 3] }
    }

    fn free(next: u32) -> Self {
        Node { links: Links { prev: FREE, next }, ..Node::new(Key::from_bytes([0; 16])) }
    }

    /// The LSN of the key's last frame.
    pub(crate) fn lsn(&self) -> u64 {
        let [a, b, c, d, e, f] = self.lsn;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// Sets the LSN, which must be below 2^48.
    pub(crate) fn set_lsn(&mut self, lsn: u64) {
        debug_assert!(lsn >> 48 == 0, "LSN {lsn} does not fit into 48 bits");
        let [a, b, c, d, e, f, ..] = lsn.to_le_bytes();
        self.lsn = [a, b, c, d, e, f];
    }

    /// The length of the encoded value.
    pub(crate) fn bytes(&self) -> u32 {
        read_24(self.bytes)
    }

    /// Sets the length of the encoded value, at most [`VALUE_BYTES_MAX`].
    pub(crate) fn set_bytes(&mut self, bytes: u32) {
        debug_assert!(bytes as usize <= VALUE_BYTES_MAX, "{bytes} bytes in one value");
        self.bytes = write_24(bytes);
    }

    /// The low 24 bits of the second that the wheel has filed the node under.
    pub(super) fn when_low(&self) -> u32 {
        read_24(self.when)
    }

    /// Keeps the low 24 bits of `when`; the wheel knows the others from its own time.
    pub(super) fn set_when(&mut self, when: u32) {
        self.when = write_24(when);
    }
}

fn read_24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

fn write_24(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

/// Nodes in chunks of 512: growth copies nothing (but the first 64 nodes), an empty slab has no
/// heap. The lowest chunk with room is filled first, so that the last ones run empty.
pub(crate) struct Slab {
    chunks: Vec<Chunk>,
    /// One bit per chunk, set while it has room.
    room: Vec<u64>,
    len: usize,
}

struct Chunk {
    /// The nodes that were ever in use since the chunk was last empty.
    nodes: Vec<Node>,
    /// The place of the first free node in `nodes`, or [`NIL`].
    free: u32,
    live: u32,
}

impl Slab {
    /// An empty slab.
    pub(crate) const fn new() -> Self {
        Slab { chunks: Vec::new(), room: Vec::new(), len: 0 }
    }

    /// Takes a node for `key` and returns its index, which is below [`NODES_MAX`] and stays the
    /// same until it is removed. The node is in no list and all its numbers are zero.
    /// Cost: a step per 32,768 nodes to find room; once in 512 times an allocation of 20 KiB.
    ///
    /// # Panics
    /// At 2^26 nodes, which admission does not let a stripe come to.
    pub(crate) fn insert(&mut self, key: Key) -> u32 {
        let found = self.room.iter().zip(0..).find(|(word, _)| **word != 0);
        let at = match found {
            Some((word, place)) => place * 64 + word.trailing_zeros() as usize,
            None => self.push_chunk(),
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            debug_assert!(false, "a chunk that is not there has room");
            return NIL;
        };
        let place = chunk.insert(key);
        if chunk.live as usize == CHUNK {
            self.set_room(at, false);
        }
        self.len += 1;
        (at * CHUNK) as u32 + place
    }

    /// Frees a node, which must be in no list; its index may come back from the next
    /// [`insert`](Self::insert). Does nothing if it is free.
    pub(crate) fn remove(&mut self, index: u32) {
        let Some(node) = self.get(index) else { return };
        debug_assert_eq!(node.links, Links::NONE, "node {index} is still in the wheel");
        let (at, place) = split(index);
        if let Some(chunk) = self.chunks.get_mut(at) {
            chunk.remove(place);
            self.set_room(at, true);
            self.len -= 1;
        }
    }

    /// The node at `index`, unless it is free.
    pub(crate) fn get(&self, index: u32) -> Option<&Node> {
        let (at, place) = split(index);
        self.chunks.get(at)?.nodes.get(place).filter(|node| node.links.prev != FREE)
    }

    /// The node at `index`, unless it is free.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Node> {
        let (at, place) = split(index);
        self.chunks.get_mut(at)?.nodes.get_mut(place).filter(|node| node.links.prev != FREE)
    }

    /// Nodes in use.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Nodes that there is memory for, 40 bytes each; every index in use is smaller.
    pub(crate) fn capacity(&self) -> usize {
        let Some((first, others)) = self.chunks.split_first() else { return 0 };
        first.nodes.capacity() + others.len() * CHUNK
    }

    /// The nodes in use among the `count` indices from `start` on, in order.
    ///
    /// A walk in such slices, up to [`capacity`](Self::capacity), meets every node that is in
    /// use all the while exactly once, whatever is inserted, removed or shrunk between them.
    pub(crate) fn iter_range(
        &self,
        start: u32,
        count: u32,
    ) -> impl Iterator<Item = (u32, &Node)> + '_ {
        let end = start.saturating_add(count).min(self.capacity() as u32);
        (start..end).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// Gives back memory: up to 16 free chunks from the end. Answers whether there are more, so
    /// that the caller may let its lock go before it asks again.
    pub(crate) fn shrink(&mut self) -> bool {
        for _ in 0..SHRINK_CHUNKS_MAX {
            if self.chunks.pop_if(|chunk| chunk.live == 0).is_none() {
                break;
            }
            self.set_room(self.chunks.len(), false);
        }
        if self.chunks.is_empty() {
            *self = Slab::new();
        }
        self.chunks.last().is_some_and(|chunk| chunk.live == 0)
    }

    fn push_chunk(&mut self) -> usize {
        let at = self.chunks.len();
        // By `max_memory`'s account so many entries of one stripe are 10 GiB.
        assert!(at < NODES_MAX as usize / CHUNK, "2^26 sessions in one stripe");
        let capacity = if at == 0 { 0 } else { CHUNK };
        self.chunks.push(Chunk { nodes: Vec::with_capacity(capacity), free: NIL, live: 0 });
        if self.room.len() * 64 <= at {
            self.room.push(0);
        }
        self.set_room(at, true);
        at
    }

    fn set_room(&mut self, at: usize, room: bool) {
        if let Some(word) = self.room.get_mut(at / 64) {
            let bit = 1 << (at % 64);
            *word = if room { *word | bit } else { *word & !bit };
        }
    }
}

fn split(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}

impl Chunk {
    /// Takes a node and returns its place; there must be room.
    fn insert(&mut self, key: Key) -> u32 {
        self.live += 1;
        let node = Node::new(key);
        if let Some(free) = self.nodes.get_mut(self.free as usize) {
            let place = self.free;
            self.free = free.links.next;
            *free = node;
            return place;
        }
        let len = self.nodes.len();
        if len == self.nodes.capacity() {
            let size = FIRST_CHUNK.into_iter().find(|size| *size > len).unwrap_or(CHUNK);
            self.nodes.reserve_exact(size - len);
        }
        self.nodes.push(node);
        len as u32
    }

    fn remove(&mut self, place: usize) {
        let Some(node) = self.nodes.get_mut(place) else { return };
        *node = Node::free(self.free);
        self.free = place as u32;
        self.live -= 1;
        if self.live == 0 {
            self.nodes.clear();
            self.free = NIL;
        }
    }
}

#[cfg(test)]
mod tests;
