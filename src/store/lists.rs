//! The one pointer to the list of bases, kept in several copies: every cold read takes it, and
//! threads that count up and down at one place would wait for each other's cache.
//!
//! All copies change at once, under the locks of all: nobody sees an older list after somebody
//! has seen a newer one.

use std::sync::Arc;

use crate::metrics::number_of_thread;
use crate::store::disk::Bases;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// One for a checker: which copy a thread takes must not depend on what ran before.
const COPIES: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

/// Keeps two copies out of one cache line, and of the pair that is fetched together.
#[repr(align(128))]
struct Copy(RwLock<Arc<Bases>>);

/// See the module's text.
pub(crate) struct Lists {
    copies: [Copy; COPIES],
    /// The number of the list that counts.
    current: AtomicU64,
}

impl Lists {
    pub(crate) fn new(list: Bases) -> Self {
        let current = AtomicU64::new(list.number);
        Lists {
            copies: std::array::from_fn(|_| Copy(RwLock::new(Arc::new(list.clone())))),
            current,
        }
    }

    /// The list as it is now.
    pub(crate) fn get(&self) -> Arc<Bases> {
        match self.copies.get(number_of_thread() % COPIES) {
            Some(copy) => copy.0.read().clone(),
            None => unreachable!("a remainder is smaller"),
        }
    }

    /// Whether `list` is the one that counts.
    pub(crate) fn is_current(&self, list: &Bases) -> bool {
        self.current.load(Ordering::Acquire) == list.number
    }

    /// Makes `list` the one that counts, and its number one that no list had. Whoever calls it is
    /// the only one.
    pub(crate) fn swap(&self, mut list: Bases) {
        list.number = self.current.load(Ordering::Acquire) + 1;
        let mut new: Vec<_> = (0..COPIES).map(|_| Arc::new(list.clone())).collect();
        let mut guards: Vec<_> = self.copies.iter().map(|copy| copy.0.write()).collect();
        for (old, new) in guards.iter_mut().zip(&mut new) {
            std::mem::swap(&mut **old, new);
        }
        self.current.store(list.number, Ordering::Release);
        drop(guards);
        // The last reference may unmap files: not under the locks.
        drop(new);
    }
}
