//! A global allocator that counts what the calling thread holds: make it the allocator of a
//! binary, and ask [`peak_of`] what a piece of work needs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// See the module's text.
pub struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // Without a slot for this thread any more nobody asks.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator as it came. `realloc` is the trait's own,
// which holds the old piece and the new at the same time, as the worst allocator does.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that this thread has held during `work`, beyond what it held before, and the
/// result. Nothing is counted unless [`Counting`] is the allocator.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    let result = work();
    let peak = PEAK.with(Cell::get);
    (usize::try_from(peak - before).unwrap_or(0), result)
}

/// Whether [`Counting`] is the allocator.
pub fn is_counting() -> bool {
    peak_of(|| std::hint::black_box(Box::new([0_u8; 100]))).0 >= 100
}
