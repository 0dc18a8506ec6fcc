//! A disk that is full from time to time, and that a process can be cut off from as a kill would;
//! and a clock that is set wrong and sleeps. Knows files and times, not what they are for.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sessile::fs::{File, Fs, Image, Locked, OsFs};
use sessile::{Clock, Permissions, SystemClock, Timestamp};

/// What is wrong with the disk at the moment.
#[derive(Default)]
pub struct Trouble {
    /// No file may grow.
    pub full: AtomicBool,
    /// Nothing arrives any more.
    pub cut: AtomicBool,
}

impl Trouble {
    fn ask(&self, grows: bool) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(io::Error::other("the process was killed"));
        }
        if grows && self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// The directory, with its trouble.
pub struct RoughFs {
    inner: OsFs,
    trouble: Arc<Trouble>,
}

impl RoughFs {
    pub fn open(path: &Path, trouble: Arc<Trouble>) -> sessile::Result<Arc<RoughFs>> {
        Ok(Arc::new(RoughFs { inner: OsFs::open(path, Permissions::Strict)?, trouble }))
    }

    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(RoughFile { inner, trouble: self.trouble.clone() })
    }
}

impl Fs for RoughFs {
    fn path(&self) -> &Path {
        self.inner.path()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.trouble.ask(false)?;
        self.inner.create(name).map(|file| self.file(file))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.inner.open(name).map(|file| self.file(file))
    }
    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        self.inner.image(name, mapped)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.trouble.ask(false)?;
        self.inner.rename(from, to)
    }
    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.trouble.ask(false)?;
        self.inner.set_aside(name, folder)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.trouble.ask(false)?;
        self.inner.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.trouble.ask(false)?;
        self.inner.sync_dir()
    }
    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        self.inner.lock(name, owner, wait)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        if self.trouble.full.load(Ordering::SeqCst) { Ok(0) } else { self.inner.free_bytes() }
    }
}

struct RoughFile {
    inner: Arc<dyn File>,
    trouble: Arc<Trouble>,
}

impl File for RoughFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let grows = offset + buf.len() as u64 > self.inner.size()?;
        self.trouble.ask(grows)?;
        self.inner.write_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.trouble.ask(false)?;
        self.inner.sync()
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.trouble.ask(offset + len > self.inner.size()?)?;
        self.inner.allocate(offset, len)
    }
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

/// The system's clock, as an operator and a suspended machine leave it. Clones are the same one.
#[derive(Clone, Default)]
pub struct RoughClock(Arc<(AtomicI64, AtomicU64)>);

impl RoughClock {
    /// Shows a wall time that is wrong by this much from now on.
    pub fn set_wrong_by(&self, millis: i64) {
        self.0.0.store(millis, Ordering::SeqCst);
    }

    /// The machine sleeps.
    pub fn suspend(&self, time: Duration) {
        self.0.1.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for RoughClock {
    fn wall(&self) -> Timestamp {
        let asleep = Duration::from_millis(self.0.1.load(Ordering::SeqCst));
        let right = SystemClock.wall().after(asleep).as_millis();
        Timestamp::from_millis(right + self.0.0.load(Ordering::SeqCst))
    }
    fn boot_ms(&self) -> u64 {
        SystemClock.boot_ms() + self.0.1.load(Ordering::SeqCst)
    }
}
