//! Looking at a directory that another process may be using: nothing is made, changed or locked.
//!
//! Knows no formats. Whether somebody holds the lock is read from the kernel's list, because a
//! lock that is tried out, however shortly, keeps a server that starts at that moment from it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path};

use rustix::fs::{self as sys, OFlags};

use super::lock::note;
use super::{OsFs, directory};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Bytes in the units that a file's space is counted in.
const UNIT: u64 = 512;

/// What the file system knows of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) bytes: u64,
    /// Bytes of the disk that it takes; more or less than its size.
    pub(crate) allocated: u64,
    pub(crate) modified: Timestamp,
}

impl OsFs {
    /// Opens a directory that is there, whoever it belongs to, to read what lies in it.
    ///
    /// # Errors
    /// Those of the operating system, with the path and what to do.
    pub(crate) fn open_to_read(path: &Path) -> Result<OsFs> {
        let path = path::absolute(path)
            .map_err(|error| Error::config("this is no path of a directory").caused_by(error))?;
        let directory = directory::open_existing(&path).map_err(|error| {
            let message = "the directory cannot be opened; give the path of a store's directory, \
                           and run this as the user whom it belongs to";
            Error::io(message, error.into()).at(&path)
        })?;
        Ok(OsFs { path, directory })
    }

    pub(crate) fn about(&self, name: &str) -> io::Result<About> {
        let data = self.open_file(name, OFlags::RDONLY)?.metadata()?;
        let millis =
            data.mtime().saturating_mul(1000).saturating_add(data.mtime_nsec() / 1_000_000);
        Ok(About {
            bytes: data.size(),
            allocated: data.blocks().saturating_mul(UNIT),
            modified: Timestamp::from_millis(millis),
        })
    }

    /// The process that holds the lock `name`; `None` if there is none that can be seen from here.
    pub(crate) fn holder(&self, name: &str) -> io::Result<Option<u32>> {
        let file = match self.open_file(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let noted = note(&file)?.trim().parse().ok();
        let data = file.metadata()?;
        let device = format!("{:02x}:{:02x}", sys::major(data.dev()), sys::minor(data.dev()));
        let locks = fs::read_to_string("/proc/locks")?;
        Ok(locks.lines().find_map(|line| held(line, &device, data.ino(), noted)))
    }
}

/// Removes the directory at `path`, which must be empty.
pub(crate) fn remove_empty(path: &Path) -> io::Result<()> {
    fs::remove_dir(path)
}

/// Who holds the file exclusively, if this line of the kernel's list says so. Some file systems
/// give the kernel another number of the device than they give us: then who noted himself counts.
fn held(line: &str, device: &str, inode: u64, noted: Option<u32>) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let is_ours = (words.next()?, words.next()?, words.next()?) == ("FLOCK", "ADVISORY", "WRITE");
    let pid: u32 = words.next()?.parse().ok()?;
    let (on, number) = words.next()?.rsplit_once(':')?;
    let is_file = number.parse() == Ok(inode) && (on == device || Some(pid) == noted);
    (is_ours && is_file).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, noted: Option<u32>, expected: Option<u32>) {
        assert_eq!(held(line, "fe:00", 77, noted), expected, "{line}");
    }

    #[test]
    fn a_line_of_the_kernels_list_names_the_holder() {
        check("1: FLOCK  ADVISORY  WRITE 14550 fe:00:77 0 EOF", None, Some(14550));
        check("1: FLOCK  ADVISORY  WRITE 14550 00:2a:77 0 EOF", Some(14550), Some(14550));
        check("1: FLOCK  ADVISORY  WRITE 14550 00:2a:77 0 EOF", Some(3), None);
        check("1: FLOCK  ADVISORY  READ 14550 fe:00:77 0 EOF", None, None);
        check("1: POSIX  ADVISORY  WRITE 14550 fe:00:77 0 EOF", None, None);
        check("1: FLOCK  ADVISORY  WRITE 14550 fe:00:78 0 EOF", None, None);
        check("1: -> FLOCK  ADVISORY  WRITE 14550 fe:00:77 0 EOF", None, None);
        check("", None, None);
    }
}
