//! The file-system port on Linux: one directory, held by a descriptor, and what lies in it.
//!
//! Everything is named relative to that descriptor, so whatever happens to the path later, the
//! directory stays the one that was checked at open. Knows no file formats and no file names.

mod directory;
mod lock;
#[cfg(feature = "cli")]
mod look;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{self as sys, AtFlags, Dir, FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

#[cfg(feature = "cli")]
pub(crate) use look::remove_empty;

use super::mmap::Mapped;
use super::{File, Fs, Image, Locked};
use crate::error::Result;

/// Files are for their owner alone: they hold credentials. An umask can only take bits away.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The same for directories.
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// What to do with a directory that others may enter, or that belongs to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Refuse to open it, and say what to run.
    #[default]
    Strict,
    /// Set its mode to 0700 if it is ours; refuse to open it otherwise.
    Fix,
    /// Take it as it is. Whoever may enter it may read every session.
    Any,
}

/// The real file system, in one directory.
#[derive(Debug)]
pub struct OsFs {
    path: PathBuf,
    directory: OwnedFd,
}

impl OsFs {
    /// Opens the directory at `path`; makes it, for its owner alone, if it is missing.
    ///
    /// Missing parents are made with the default mode. An empty directory of ours that is open
    /// to others is closed to them; for one with something in it `permissions` decides.
    ///
    /// # Errors
    /// `is_config` for a directory that others may enter or own; any other error comes from the
    /// operating system. Both name the path and what to do.
    pub fn open(path: &Path, permissions: Permissions) -> Result<OsFs> {
        let (path, directory) = directory::open(path, permissions)?;
        Ok(OsFs { path, directory })
    }

    /// Opens the regular file `name`, without following a link or waiting at a pipe.
    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<fs::File> {
        check_name(name)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = retry_on_intr(|| sys::openat(&self.directory, name, flags, FILE_MODE))?;
        let file = fs::File::from(file);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is not a file")))
        }
    }
}

impl Fs for OsFs {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        names_in(&self.directory)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile(self.open_file(name, OFlags::RDONLY)?)))
    }

    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        if mapped {
            return Ok(Arc::new(Mapped::new(&file)?));
        }
        let size = file.metadata()?.len();
        Ok(Arc::new(Called { file, size }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let directory = &self.directory;
        Ok(retry_on_intr(|| sys::renameat(directory, from, directory, to))?)
    }

    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        check_name(name)?;
        folder.split('/').try_for_each(check_name)?;
        let mut folders: Vec<OwnedFd> = Vec::new();
        for component in folder.split('/') {
            let parent = folders.last().unwrap_or(&self.directory).as_fd();
            folders.push(enter(parent, component)?);
        }
        let into = folders.last().unwrap_or(&self.directory);
        retry_on_intr(|| sys::renameat(&self.directory, name, into, name))?;
        // Innermost first: a folder that lasts is never without what was moved into it.
        for folder in folders.iter().rev() {
            retry_on_intr(|| sys::fsync(folder))?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        Ok(retry_on_intr(|| sys::unlinkat(&self.directory, name, AtFlags::empty()))?)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| sys::fsync(&self.directory))?)
    }

    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        lock::take(self.open_file(name, OFlags::RDWR | OFlags::CREATE)?, owner, wait)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = retry_on_intr(|| sys::fstatvfs(&self.directory))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file of the operating system.
struct OsFile(fs::File);

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pread(&self.0, &mut *buf, offset))?)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // The size needs no more than this: fdatasync keeps what is needed to read the data.
        Ok(retry_on_intr(|| sys::fdatasync(&self.0))?)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mode = FallocateFlags::empty();
        match retry_on_intr(|| sys::fallocate(&self.0, mode, offset, len)) {
            Err(error @ (Errno::OPNOTSUPP | Errno::NOSYS)) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, error))
            }
            result => Ok(result?),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// A sealed file that is read by a call each time, so that a bad disk is an error.
struct Called {
    file: fs::File,
    size: u64,
}

impl Image for Called {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Refuses what is not the name of something directly in the directory.
fn check_name(name: &str) -> io::Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        let message = format!("`{}` is not a plain name", name.escape_debug());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// The names in a directory but `.` and `..`. What is not UTF-8 is not ours, and shown roughly.
fn names_in(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let entries = retry_on_intr(|| Dir::read_from(directory))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| !matches!(name.as_deref(), Ok("." | ".."))).collect()
}

/// Opens the directory `name` in `parent`, and makes it if it is missing.
fn enter(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    match retry_on_intr(|| sys::mkdirat(parent, name, DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| sys::openat(parent, name, flags, Mode::empty()))?)
}
