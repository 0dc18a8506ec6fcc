//! The folder in which a run keeps its stores, and which goes when the run ends.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::Result;

const PREFIX: &str = "sessile-rivals-";
/// The unit of `st_blocks`, whatever the file system's.
const BLOCK: u64 = 512;

/// A folder of this process; removed with everything in it on drop.
pub struct Scratch {
    path: PathBuf,
    next: AtomicUsize,
}

impl Scratch {
    /// Makes the folder in `parent`, and clears away those of runs that were killed.
    pub fn new(parent: &Path) -> Result<Self> {
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        private(&path)?;
        Ok(Scratch { path, next: AtomicUsize::new(0) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in it where there is nothing yet.
    pub fn fresh(&self) -> PathBuf {
        self.path.join(self.next.fetch_add(1, Relaxed).to_string())
    }

    /// A copy of the folder `from`, at a fresh path. The bytes are in the page cache afterwards.
    pub fn copy(&self, from: &Path) -> Result<PathBuf> {
        let to = self.fresh();
        copy(from, &to)?;
        Ok(to)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what a store left at `path`, a folder or a file; nothing is not an error.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Bytes that what lies at `path`, a folder or a file, occupies on the disk.
pub fn occupied(path: &Path) -> Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.blocks() * BLOCK);
    }
    fs::read_dir(path)?.map(|entry| occupied(&entry?.path())).sum()
}

/// Makes a folder that nobody else can read: stores refuse others.
pub fn private(path: &Path) -> Result<()> {
    Ok(fs::DirBuilder::new().mode(0o700).create(path)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    private(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
