//! A file system that fails when it is told to: the real one, with a judge before every call and
//! a number of bytes that it still has room for.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sessile::Permissions;
use sessile::fs::{File, Fs, Image, Locked, OsFs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    List,
    Create,
    Open,
    Image,
    Rename,
    SetAside,
    Remove,
    SyncDir,
    Lock,
    Read,
    Write,
    Sync,
    Allocate,
    ReadImage,
}

impl Call {
    pub fn changes(self) -> bool {
        !matches!(
            self,
            Call::List | Call::Open | Call::Image | Call::Lock | Call::Read | Call::ReadImage
        )
    }
}

type Judge = Box<dyn FnMut(Call, &str) -> bool + Send>;

/// What is to fail from now on, and what has been asked for so far.
pub struct Faults {
    judge: Mutex<Option<Judge>>,
    room: AtomicU64,
    calls: Mutex<Vec<(Call, String)>>,
}

impl Faults {
    pub fn new() -> Arc<Faults> {
        let room = AtomicU64::new(u64::MAX / 2);
        Arc::new(Faults { judge: Mutex::new(None), room, calls: Mutex::default() })
    }

    /// Every call for which `judge` says so fails from now on. It is given the name of the file,
    /// or nothing for the directory.
    pub fn fail(&self, judge: impl FnMut(Call, &str) -> bool + Send + 'static) {
        *self.judge.lock().unwrap() = Some(Box::new(judge));
    }

    /// The call that comes after `before` others that change something fails, and no other does.
    pub fn fail_nth(&self, before: usize) {
        let mut seen = 0;
        self.calls.lock().unwrap().clear();
        self.fail(move |call, _| {
            seen += usize::from(call.changes());
            call.changes() && seen == before + 1
        });
    }

    pub fn end(&self) {
        *self.judge.lock().unwrap() = None;
    }

    /// The calls since the last `fail_nth`.
    pub fn calls(&self) -> Vec<(Call, String)> {
        self.calls.lock().unwrap().clone()
    }

    pub fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    fn ask(&self, call: Call, name: &str) -> io::Result<()> {
        let mut judge = self.judge.lock().unwrap();
        let Some(judge) = judge.as_mut() else { return Ok(()) };
        self.calls.lock().unwrap().push((call, name.to_owned()));
        if judge(call, name) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    /// Takes up to `bytes` of the room; says how many.
    fn take_room(&self, bytes: u64) -> u64 {
        let left = |room: u64| Some(room.saturating_sub(bytes));
        let room = self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).unwrap();
        room.min(bytes)
    }

    fn give_room(&self, bytes: u64) {
        self.room.fetch_add(bytes, Ordering::SeqCst);
    }
}

fn no_space() -> io::Error {
    io::Error::from_raw_os_error(28)
}

pub struct FaultyFs {
    inner: OsFs,
    faults: Arc<Faults>,
    sizes: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

impl FaultyFs {
    pub fn open(path: &Path, faults: &Arc<Faults>) -> Arc<FaultyFs> {
        let inner = OsFs::open(path, Permissions::Strict).unwrap();
        Arc::new(FaultyFs { inner, faults: faults.clone(), sizes: Mutex::default() })
    }
}

impl Fs for FaultyFs {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.faults.ask(Call::List, "")?;
        self.inner.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.faults.ask(Call::Create, name)?;
        let inner = self.inner.create(name)?;
        let size = Arc::new(AtomicU64::new(0));
        self.sizes.lock().unwrap().insert(name.to_owned(), size.clone());
        let (faults, unsynced) = (self.faults.clone(), Mutex::default());
        Ok(Arc::new(FaultyFile { inner, faults, name: name.to_owned(), size, unsynced }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.faults.ask(Call::Open, name)?;
        let inner = self.inner.open(name)?;
        let (faults, size) = (self.faults.clone(), Arc::new(AtomicU64::new(inner.size()?)));
        Ok(Arc::new(FaultyFile {
            inner,
            faults,
            name: name.to_owned(),
            size,
            unsynced: Mutex::default(),
        }))
    }

    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        self.faults.ask(Call::Image, name)?;
        let inner = self.inner.image(name, mapped)?;
        Ok(Arc::new(FaultyImage { inner, faults: self.faults.clone(), name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.ask(Call::Rename, from)?;
        self.inner.rename(from, to)?;
        let mut sizes = self.sizes.lock().unwrap();
        if let Some(size) = sizes.remove(from) {
            sizes.insert(to.to_owned(), size);
        }
        Ok(())
    }

    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.faults.ask(Call::SetAside, name)?;
        self.inner.set_aside(name, folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults.ask(Call::Remove, name)?;
        self.inner.remove(name)?;
        if let Some(size) = self.sizes.lock().unwrap().remove(name) {
            self.faults.give_room(size.load(Ordering::SeqCst));
        }
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.faults.ask(Call::SyncDir, "")?;
        self.inner.sync_dir()
    }

    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        self.faults.ask(Call::Lock, name)?;
        self.inner.lock(name, owner, wait)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.faults.room.load(Ordering::SeqCst))
    }
}

struct FaultyFile {
    inner: Arc<dyn File>,
    faults: Arc<Faults>,
    name: String,
    /// Bytes that the file has room for.
    size: Arc<AtomicU64>,
    unsynced: Mutex<Vec<(u64, usize)>>,
}

impl FaultyFile {
    /// Grows the file to `end` as far as there is room; says how far.
    fn grow(&self, end: u64) -> u64 {
        let size = self.size.load(Ordering::SeqCst);
        let taken = self.faults.take_room(end.saturating_sub(size));
        self.size.fetch_add(taken, Ordering::SeqCst);
        end.min(size + taken)
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.ask(Call::Read, &self.name)?;
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.faults.ask(Call::Write, &self.name) {
            // A part of it gets through.
            self.inner.write_at(&buf[..buf.len() / 2], offset)?;
            return Err(error);
        }
        let end = offset + buf.len() as u64;
        let fits = (self.grow(end).saturating_sub(offset) as usize).min(buf.len());
        self.inner.write_at(&buf[..fits], offset)?;
        self.unsynced.lock().unwrap().push((offset, fits));
        if fits == buf.len() { Ok(()) } else { Err(no_space()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced.lock().unwrap();
        if let Err(error) = self.faults.ask(Call::Sync, &self.name) {
            // What was not synced before never will be: the pages count as clean from here on.
            for (offset, length) in unsynced.drain(..) {
                self.inner.write_at(&vec![0; length], offset)?;
            }
            return Err(error);
        }
        unsynced.clear();
        self.inner.sync()
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.faults.ask(Call::Allocate, &self.name)?;
        let (end, before) = (offset + len, self.size.load(Ordering::SeqCst));
        let reached = self.grow(end);
        if reached < end {
            self.faults.give_room(reached.saturating_sub(before));
            self.size.store(before, Ordering::SeqCst);
            return Err(no_space());
        }
        self.inner.allocate(offset, len)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

struct FaultyImage {
    inner: Arc<dyn Image>,
    faults: Arc<Faults>,
    name: String,
}

impl Image for FaultyImage {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.faults.ask(Call::ReadImage, &self.name)?;
        self.inner.read(offset, buf)
    }

    fn size(&self) -> u64 {
        self.inner.size()
    }
}
