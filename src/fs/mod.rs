//! The file-system port: every byte that the store reads or writes passes through these traits.
//!
//! Knows names and offsets, not what the bytes mean. [`OsFs`] is the real one; a simulated one
//! can take its place to lose what was not synced, or to fail at a chosen call.

pub(crate) mod layout;
mod mmap;
mod os;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "cli")]
pub(crate) use os::remove_empty;
pub use os::{OsFs, Permissions};

/// One directory. Names are single components; nothing outside the directory is reachable.
///
/// A name that was created, renamed or removed is durable only after [`sync_dir`](Fs::sync_dir).
pub trait Fs: Send + Sync + 'static {
    /// The directory, for messages.
    fn path(&self) -> &Path;

    /// The names of everything in the directory but `.` and `..`, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a new, empty file, readable and writable by the owner only; fails if the name exists.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading. Symbolic links are not followed.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a sealed file, one that will never change again, for random reads. `mapped` asks
    /// for a memory map; otherwise every read is a call.
    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>>;

    /// Renames within the directory, replacing `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Moves a file into the subdirectory `folder`, which is made if it is missing.
    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names in the directory durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the exclusive lock file `name`, making it if it is missing, and writes `owner` into
    /// it. Tries again until `wait` has passed.
    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked>;

    /// Bytes that may still be allocated on the file system.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// What came of taking the lock.
pub enum Locked {
    /// It is ours until the guard is dropped.
    Ours(Box<dyn Send + Sync>),
    /// Somebody else holds it; the text is what the owner wrote into it.
    Theirs(String),
}

/// An open file. Writes are durable only after [`sync`](File::sync).
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 means the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`. On error any part of it may have been written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Makes data and size durable. After an error nothing is known of what was written.
    fn sync(&self) -> io::Result<()>;

    /// Extends the file with zeros to `offset + len`, with the space reserved on disk. An
    /// `Unsupported` error means that the file system cannot; then nothing has happened.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// A sealed file for random reads. What it holds is copied out, never borrowed.
pub trait Image: Send + Sync {
    /// Fills `buf` from `offset`; an error if the file is shorter.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// The size in bytes.
    fn size(&self) -> u64;
}

/// Reads a whole file into memory.
pub(crate) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
