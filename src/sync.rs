//! Locks, atomics, threads and channels: the one place where the crate takes them from.
//!
//! In an ordinary build they are those of std, parking_lot and crossbeam-channel, under the same
//! names and nothing added. Under `--cfg loom` and `--cfg shuttle` the same names stand for twins
//! that a checker drives through every order, or through very many: what is checked is the code
//! that runs. `Arc` is std's everywhere. Counters that nothing depends on (`metrics`) and the
//! file system port do without this.

#[cfg(any(loom, shuttle))]
mod checked;
mod share;

#[cfg(not(any(loom, shuttle)))]
mod plain {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic;
    pub(crate) use std::{thread, thread_local};

    pub(crate) use crossbeam_channel::{Receiver, Sender, bounded};
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
}

#[cfg(any(loom, shuttle))]
pub(crate) use checked::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use plain::*;
pub(crate) use share::{helpers, share_out};
