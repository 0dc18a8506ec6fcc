//! What happens beside a store, or under it, while the model is compared with it: files that fail,
//! and a thread that flushes and merges.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use sessile::{Error, Store};

use super::common::Watch;

/// A file system without syncs, on which a call for a base or a manifest fails when it is the
/// turn of it.
#[derive(Default)]
pub struct Faults {
    calls: AtomicU64,
    turn: AtomicU64,
    /// A base or manifest has got its name: the next sync of the directory is for that one, any
    /// other for the log.
    named: AtomicBool,
}

impl Faults {
    fn call(&self, name: &str) -> io::Result<()> {
        let log =
            name.starts_with("log.") || name == "." && !self.named.swap(false, Ordering::Relaxed);
        if log || self.turn.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let call = 1 + self.calls.fetch_add(1, Ordering::Relaxed);
        if call == self.turn.load(Ordering::Relaxed) {
            return Err(io::Error::other("the test wants it so"));
        }
        Ok(())
    }

    /// The call with this number fails from now on; 0: none.
    pub fn set(&self, turn: u64) {
        self.calls.store(0, Ordering::Relaxed);
        self.turn.store(turn, Ordering::Relaxed);
    }
}

impl Watch for Faults {
    fn rename(&self, from: &str, _: &str) -> io::Result<()> {
        self.call(from)?;
        self.named.fetch_or(!from.starts_with("log."), Ordering::Relaxed);
        Ok(())
    }
    fn write(&self, name: &str) -> io::Result<()> {
        self.call(name)
    }
    fn read(&self, name: &str) -> io::Result<()> {
        self.call(name)
    }
    fn sync(&self, name: &str) -> io::Result<bool> {
        self.call(name).map(|()| false)
    }
    fn allocate(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A thread that flushes and merges until it is told to stop.
pub struct Beside {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Beside {
    pub fn start(store: Store<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            while !stopped.load(Ordering::Relaxed) {
                store.flush()?;
                store.flush()?;
                store.merge()?;
            }
            Ok(())
        };
        Beside { stop, thread: Some(thread::spawn(work)) }
    }

    pub fn end(&mut self) -> Result<(), Error> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| thread.join().expect("it does not panic"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
