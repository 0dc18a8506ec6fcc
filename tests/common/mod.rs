//! What several tests need: a directory that goes away, a copy of it as a crash would leave it,
//! and a file system on which calls can be watched, held up or left out.
#![allow(dead_code, reason = "no test needs all of it")]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessile::Permissions;
use sessile::fs::{File, Fs, Image, Locked, OsFs};

/// A temporary directory, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        Directory::within(&std::env::temp_dir(), name)
    }

    /// One on a file system in memory, where there is one: quicker, for very many files.
    pub fn quick(name: &str) -> Self {
        let shared = Path::new("/dev/shm");
        if shared.is_dir() { Directory::within(shared, name) } else { Directory::new(name) }
    }

    fn within(parent: &Path, name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sessile-{name}-{}-{number}", std::process::id());
        let path = parent.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a killed process would leave: the files as the operating system has them now.
pub fn copy_of(directory: &Path, name: &str) -> Directory {
    copy_to(directory, Directory::new(name))
}

/// The same in a directory of the caller's.
pub fn copy_to(directory: &Path, copy: Directory) -> Directory {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let to = copy.path().join(path.file_name().unwrap());
        // A file may go between the listing and the copy; so might it in a crash.
        if fs::copy(&path, &to).is_ok() {
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    copy
}

/// What is called before a call of the file system; an error takes its place.
pub trait Watch: Send + Sync + 'static {
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }
    fn write(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    /// Of a sealed file.
    fn read(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    /// False: leave it out.
    fn sync(&self, _name: &str) -> io::Result<bool> {
        Ok(true)
    }
}

/// The directory, with every call shown to `watch`.
pub fn watched(path: &Path, watch: Arc<dyn Watch>) -> Arc<dyn Fs> {
    Arc::new(WatchedFs { fs: OsFs::open(path, Permissions::default()).unwrap(), watch })
}

/// The directory without its syncs, and without space allocated ahead: for tests in which the
/// machine does not fail, and which are to be quick.
pub fn unsynced(path: &Path) -> Arc<dyn Fs> {
    struct Unsynced;
    impl Watch for Unsynced {
        fn allocate(&self, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync(&self, _: &str) -> io::Result<bool> {
            Ok(false)
        }
    }
    watched(path, Arc::new(Unsynced))
}

struct WatchedFs {
    fs: OsFs,
    watch: Arc<dyn Watch>,
}

impl WatchedFs {
    fn file(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile { file, name: name.to_owned(), watch: self.watch.clone() })
    }
}

impl Fs for WatchedFs {
    fn path(&self) -> &Path {
        self.fs.path()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.fs.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(name, self.fs.create(name)?))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(name, self.fs.open(name)?))
    }
    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        let image = self.fs.image(name, mapped)?;
        Ok(Arc::new(WatchedImage { image, name: name.to_owned(), watch: self.watch.clone() }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.watch.rename(from, to)?;
        self.fs.rename(from, to)
    }
    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.fs.set_aside(name, folder)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.fs.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        if self.watch.sync(".")? { self.fs.sync_dir() } else { Ok(()) }
    }
    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        self.fs.lock(name, owner, wait)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.fs.free_bytes()
    }
}

struct WatchedFile {
    file: Arc<dyn File>,
    name: String,
    watch: Arc<dyn Watch>,
}

impl File for WatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.watch.write(&self.name)?;
        self.file.write_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        if self.watch.sync(&self.name)? { self.file.sync() } else { Ok(()) }
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watch.allocate(&self.name)?;
        self.file.allocate(offset, len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

struct WatchedImage {
    image: Arc<dyn Image>,
    name: String,
    watch: Arc<dyn Watch>,
}

impl Image for WatchedImage {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // Read first: what the caller gets is what was there before the watcher acts.
        self.image.read(offset, buf)?;
        self.watch.read(&self.name)
    }
    fn size(&self) -> u64 {
        self.image.size()
    }
}
