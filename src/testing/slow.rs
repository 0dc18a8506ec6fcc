//! The simulated file system under a checker of concurrency, with a place to switch threads before
//! and after every call that changes it: what is written while a sync runs is not covered by it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::fs::{File, Fs, Image, Locked};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::testing::SimFs;

/// A [`SimFs`] whose calls take their time. Only for the checkers of concurrency. Clones are the
/// same one.
#[derive(Clone)]
pub struct SlowFs {
    fs: SimFs,
    turns: Turns,
}

/// Where the checker may let another thread go on. One number for all calls, so that loom tries
/// their orders; relaxed, so that it orders nothing else.
#[derive(Clone, Default)]
struct Turns(Arc<AtomicUsize>);

impl Turns {
    fn pause(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn around<R>(&self, call: impl FnOnce() -> R) -> R {
        self.pause();
        let result = call();
        self.pause();
        result
    }
}

impl SlowFs {
    /// Makes a file system slow.
    pub fn new(fs: SimFs) -> Self {
        SlowFs { fs, turns: Turns::default() }
    }

    /// The disk as it is at this moment, which the checker chooses.
    pub fn now(&self) -> &SimFs {
        self.turns.pause();
        &self.fs
    }
}

impl Fs for SlowFs {
    fn path(&self) -> &Path {
        self.fs.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.fs.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inner = self.turns.around(|| self.fs.create(name))?;
        Ok(Arc::new(SlowFile { inner, turns: self.turns.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.fs.open(name)
    }

    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        let inner = self.fs.image(name, mapped)?;
        Ok(Arc::new(SlowImage { inner, turns: self.turns.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.turns.around(|| self.fs.rename(from, to))
    }

    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.fs.set_aside(name, folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.turns.around(|| self.fs.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.turns.around(|| self.fs.sync_dir())
    }

    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        self.fs.lock(name, owner, wait)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.fs.free_bytes()
    }
}

struct SlowFile {
    inner: Arc<dyn File>,
    turns: Turns,
}

impl File for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.turns.around(|| self.inner.write_at(buf, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.turns.around(|| self.inner.sync())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.allocate(offset, len)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

struct SlowImage {
    inner: Arc<dyn Image>,
    turns: Turns,
}

impl Image for SlowImage {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.turns.around(|| self.inner.read(offset, buf))
    }

    fn size(&self) -> u64 {
        self.inner.size()
    }
}
