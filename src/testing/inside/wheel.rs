//! Doors to the timer wheel; see the module above.

use crate::id::Key;
use crate::store::slab::Slab;
use crate::store::wheel::Wheel;

/// A wheel and its slab. Times are seconds.
pub struct Timer {
    wheel: Wheel,
    slab: Slab,
}

impl Timer {
    /// One that stands at `now`.
    pub fn new(now: u32) -> Self {
        Timer { wheel: Wheel::new(now), slab: Slab::new() }
    }

    /// A new node, not filed.
    pub fn node(&mut self) -> u32 {
        self.slab.insert(Key::from_bytes([1; 16]))
    }

    /// Files a node.
    pub fn file(&mut self, index: u32, when: u32) {
        self.wheel.insert(&mut self.slab, index, when);
    }

    /// Takes a node out of the wheel.
    pub fn cancel(&mut self, index: u32) {
        self.wheel.remove(&mut self.slab, index);
    }

    /// Forgets a node that is not filed.
    pub fn forget(&mut self, index: u32) {
        self.slab.remove(index);
    }

    /// A node that is due.
    pub fn poll(&mut self, now: u32, budget: &mut u32) -> Option<u32> {
        self.wheel.poll(&mut self.slab, now, budget)
    }

    /// Gives memory back.
    pub fn shrink(&mut self) {
        while self.slab.shrink() {}
    }
}
