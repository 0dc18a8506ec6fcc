//! A file system in memory whose bytes can be damaged; knows no bases.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::fs::{File, Fs, Image, Locked};

/// A directory in memory. Counts its writes and syncs, and can refuse from a chosen one on;
/// can refuse to read a stretch of its files.
#[derive(Default)]
pub(crate) struct MemFs {
    files: Mutex<BTreeMap<String, Arc<MemFile>>>,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    calls: AtomicU64,
    /// Writes and syncs from this one on fail; 0 for never.
    fail_from: AtomicU64,
    /// Reads of any of these offsets fail.
    unreadable: Mutex<std::ops::Range<u64>>,
}

pub(crate) struct MemFile {
    bytes: Mutex<Vec<u8>>,
    synced: AtomicBool,
    faults: Arc<Faults>,
}

impl MemFs {
    pub(crate) fn file(&self, name: &str) -> io::Result<Arc<MemFile>> {
        self.files.lock().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A copy of what a file holds.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.file(name).unwrap().bytes.lock().clone()
    }

    /// Whether nothing was written to a file since it was synced.
    pub(crate) fn is_synced(&self, name: &str) -> bool {
        self.file(name).unwrap().synced.load(Ordering::Relaxed)
    }

    /// Makes a file of these bytes, in the place of another if there is one.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let file = MemFile {
            bytes: Mutex::new(bytes),
            synced: AtomicBool::new(false),
            faults: self.faults.clone(),
        };
        self.files.lock().insert(name.to_owned(), Arc::new(file));
    }

    /// Changes the bytes of a file under whoever has it open.
    pub(crate) fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.file(name).unwrap().bytes.lock());
    }

    /// Flips one bit, counted from the start of the file.
    pub(crate) fn flip(&self, name: &str, bit: usize) {
        self.corrupt(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    /// Lets the `call`th write or sync from now on fail, counted from 1, and all after it.
    pub(crate) fn fail_from(&self, call: u64) {
        self.faults.calls.store(0, Ordering::Relaxed);
        self.faults.fail_from.store(call, Ordering::Relaxed);
    }

    /// Lets every read fail that touches these offsets, in any file.
    pub(crate) fn make_unreadable(&self, offsets: std::ops::Range<u64>) {
        *self.faults.unreadable.lock() = offsets;
    }
}

impl Faults {
    fn change(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fail_from.load(Ordering::Relaxed) {
            from if from > 0 && call >= from => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl MemFile {
    fn copy(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let unreadable = self.faults.unreadable.lock().clone();
        if offset < unreadable.end && unreadable.start < offset + buf.len() as u64 {
            return Err(io::Error::other("unreadable"));
        }
        let bytes = self.bytes.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Fs for MemFs {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        if self.files.lock().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(name, Vec::new());
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(name)?)
    }

    fn image(&self, name: &str, _mapped: bool) -> io::Result<Arc<dyn Image>> {
        Ok(self.file(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.rename(name, &format!("{folder}/{name}"))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _name: &str, _owner: &str, _wait: Duration) -> io::Result<Locked> {
        Ok(Locked::Ours(Box::new(())))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.copy(offset, buf)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.faults.change()?;
        self.synced.store(false, Ordering::Relaxed);
        let (start, end) = (offset as usize, offset as usize + buf.len());
        let mut bytes = self.bytes.lock();
        let size = bytes.len().max(end);
        bytes.resize(size, 0);
        bytes[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.change()?;
        self.synced.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn allocate(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }
}

impl Image for MemFile {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self.copy(offset, buf)? == buf.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn size(&self) -> u64 {
        self.bytes.lock().len() as u64
    }
}
