//! Hierarchical timer wheel: files nodes by the second they are due, yields those that are.
//!
//! Knows no clock, lock, map or deadline. Time enters as seconds, nodes as indices of a [`Slab`].
//!
//! Five levels of 64 slots; a slot of level n spans 64^n seconds. A node is filed under the
//! highest group of six bits in which its second differs from the wheel's own, so every occupied
//! slot of a level lies ahead, and the lowest slot of the lowest level is the next. When the
//! wheel arrives at a slot, its list becomes the *pending* list, whose nodes leave it one by
//! one: to the caller if they are due, else to a lower level. The wheel's time stands still while
//! a node is pending, which is what makes it safe to stop anywhere.

use std::mem;

use super::slab::{Links, NODES_MAX, Slab};

/// The last second that can be told from the ones before: 34 years.
const SECONDS_MAX: u32 = (1 << (BITS * LEVELS)) - 1;
const LEVELS: u32 = 5;
/// Bits of a second that choose the slot of a level.
const BITS: u32 = 6;
const SLOTS: u32 = 1 << BITS;
/// A head's number is its place in [`Lists`], counted from here.
const HEADS: u32 = NODES_MAX;
/// The head of the pending list, after those of the slots.
const PENDING: u32 = HEADS + LEVELS * SLOTS;
const HEADS_COUNT: usize = (PENDING - HEADS + 1) as usize;
/// The bits of its second that a node keeps: those below the top level's slots.
const LOW: u32 = (1 << 24) - 1;

const _: () = assert!(LOW == SECONDS_MAX >> BITS);

/// Nodes by the second they are due. 16 bytes, and 2.6 KiB of heap from the first insert on.
///
/// A node is never returned before its second, and it is returned by the first run of polls with
/// that second or a later one whose budget suffices. A node costs at most five of the budget from
/// an insert to its return, whatever time has passed.
pub(crate) struct Wheel {
    /// The wheel's own second: every node of a slot is due later.
    elapsed: u32,
    len: u32,
    lists: Option<Box<Lists>>,
}

impl Wheel {
    /// An empty wheel that stands at `now`, in seconds of the store's epoch.
    pub(crate) fn new(now: u32) -> Self {
        Wheel { elapsed: now.min(SECONDS_MAX), len: 0, lists: None }
    }

    /// Files the node at `index` for the second `when`, from wherever it was filed before. If the
    /// wheel has passed that second, the next poll returns it. Cost: O(1).
    pub(crate) fn insert(&mut self, slab: &mut Slab, index: u32, when: u32) {
        self.remove(slab, index);
        let when = when.clamp(self.elapsed, SECONDS_MAX);
        let Some(node) = slab.get_mut(index) else {
            debug_assert!(false, "there is no node {index}");
            return;
        };
        node.set_when(when);
        self.lists.get_or_insert_default().push(slab, head_of(self.elapsed, when), index);
        self.len += 1;
    }

    /// Takes the node at `index` out, pending or not; does nothing if it is not filed.
    /// Cost: O(1), two neighbours are written.
    pub(crate) fn remove(&mut self, slab: &mut Slab, index: u32) {
        if let Some(lists) = &mut self.lists
            && lists.unlink(slab, index)
        {
            self.len -= 1;
        }
    }

    /// Returns a node that is due at `now`, taken out, or `None` if none is left or the `budget`
    /// is. Each node that is returned or moved to a lower level takes one from the budget; empty
    /// slots are skipped and cost nothing. An earlier `now` than before counts as no progress.
    /// The order of nodes that are due together is not defined.
    pub(crate) fn poll(&mut self, slab: &mut Slab, now: u32, budget: &mut u32) -> Option<u32> {
        let now = now.clamp(self.elapsed, SECONDS_MAX);
        let Some(lists) = &mut self.lists else {
            self.elapsed = now;
            return None;
        };
        while *budget > 0 {
            let Some(index) = lists.pop_pending(slab) else {
                let Some((head, start)) = lists.next(self.elapsed).filter(|next| next.1 <= now)
                else {
                    self.elapsed = now;
                    return None;
                };
                lists.set_pending(slab, head);
                self.elapsed = start;
                continue;
            };
            *budget -= 1;
            // A pending node shares the high bits with the slot that the wheel has arrived at.
            let when = (self.elapsed & !LOW) | slab.get(index)?.when_low();
            if when <= now {
                self.len -= 1;
                return Some(index);
            }
            lists.push(slab, head_of(self.elapsed, when), index);
        }
        None
    }

    /// Nodes that are filed, the pending ones included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no node is filed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The list that a node due at `when` belongs into while the wheel stands at `elapsed`.
fn head_of(elapsed: u32, when: u32) -> u32 {
    let Some(highest) = (elapsed ^ when).checked_ilog2() else { return PENDING };
    let level = highest / BITS;
    HEADS + level * SLOTS + (when >> (level * BITS)) % SLOTS
}

/// Circular lists through heads and nodes, so that a node need not know which list it is in.
struct Lists {
    /// `prev` of a head is the last node, `next` the first, both the head itself if it has none.
    heads: [Links; HEADS_COUNT],
    /// One bit per slot of each level, set while its list has nodes.
    occupied: [u64; LEVELS as usize],
}

impl Default for Lists {
    fn default() -> Self {
        let mut lists = Lists { heads: [Links::NONE; HEADS_COUNT], occupied: [0; LEVELS as usize] };
        for (links, head) in lists.heads.iter_mut().zip(HEADS..) {
            *links = Links { prev: head, next: head };
        }
        lists
    }
}

impl Lists {
    /// The links of a head or a node.
    fn links<'a>(&'a mut self, slab: &'a mut Slab, at: u32) -> Option<&'a mut Links> {
        let found = match at.checked_sub(HEADS) {
            Some(place) => self.heads.get_mut(place as usize),
            None => slab.get_mut(at).map(|node| &mut node.links),
        };
        debug_assert!(found.is_some(), "a list leads to {at}, which is not there");
        found
    }

    /// Makes `prev` and `next` neighbours.
    fn join(&mut self, slab: &mut Slab, prev: u32, next: u32) {
        if let Some(links) = self.links(slab, prev) {
            links.next = next;
        }
        if let Some(links) = self.links(slab, next) {
            links.prev = prev;
        }
    }

    /// Puts a node that is in no list at the end of the list of `head`.
    fn push(&mut self, slab: &mut Slab, head: u32, index: u32) {
        let Some(last) = self.links(slab, head).map(|links| links.prev) else { return };
        self.join(slab, last, index);
        self.join(slab, index, head);
        self.mark(head, true);
    }

    /// Takes a node out of its list; answers whether it was in one.
    fn unlink(&mut self, slab: &mut Slab, index: u32) -> bool {
        let Some(node) = slab.get_mut(index) else { return false };
        let links = mem::replace(&mut node.links, Links::NONE);
        if links == Links::NONE {
            return false;
        }
        self.join(slab, links.prev, links.next);
        if links.prev == links.next {
            self.mark(links.prev, false);
        }
        true
    }

    /// Notes whether the list of `head` has nodes. The pending list needs no note.
    fn mark(&mut self, head: u32, occupied: bool) {
        let slot = head - HEADS;
        if let Some(word) = self.occupied.get_mut((slot / SLOTS) as usize) {
            let bit = 1 << (slot % SLOTS);
            *word = if occupied { *word | bit } else { *word & !bit };
        }
    }

    /// The head and the first second of the next slot that has nodes, after `elapsed`.
    fn next(&self, elapsed: u32) -> Option<(u32, u32)> {
        let (word, level) = self.occupied.iter().zip(0..).find(|(word, _)| **word != 0)?;
        let slot = word.trailing_zeros();
        let shift = level * BITS;
        let rotation = elapsed >> (shift + BITS) << (shift + BITS);
        Some((HEADS + level * SLOTS + slot, rotation | (slot << shift)))
    }

    /// Makes the nodes of a slot the pending ones, of which there must be none. Cost: O(1).
    fn set_pending(&mut self, slab: &mut Slab, head: u32) {
        let Some(links) = self.links(slab, head) else { return };
        let Links { prev: last, next: first } = *links;
        *links = Links { prev: head, next: head };
        self.mark(head, false);
        self.join(slab, PENDING, first);
        self.join(slab, last, PENDING);
    }

    /// Takes the first pending node out of the list.
    fn pop_pending(&mut self, slab: &mut Slab) -> Option<u32> {
        let first = self.links(slab, PENDING)?.next;
        self.unlink(slab, first).then_some(first)
    }
}

#[cfg(test)]
mod tests;
