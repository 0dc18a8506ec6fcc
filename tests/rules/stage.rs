//! A simulated directory in which something can be done, or go wrong, at a chosen call.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sessile::fs::{File, Fs, Image, Locked};
use sessile::testing::{Call, SimFs};

type Act = Box<dyn FnOnce() -> io::Result<()> + Send>;

struct Cue {
    call: Call,
    start: &'static str,
    after: bool,
    act: Act,
}

/// What is to happen, each once, at the first call that fits.
#[derive(Clone)]
pub struct Stage {
    pub fs: SimFs,
    cues: Arc<Mutex<Vec<Cue>>>,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::on(SimFs::new(1))
    }

    pub fn on(fs: SimFs) -> Stage {
        Stage { fs, cues: Arc::default() }
    }

    /// The directory, for a builder.
    pub fn open(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// Before the next such call of a file whose name begins with `start`.
    pub fn before(
        &self,
        call: Call,
        start: &'static str,
        act: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) {
        self.cue(call, start, false, Box::new(act));
    }

    /// After it, and before whoever made the call knows that it is done.
    pub fn after(&self, call: Call, start: &'static str, act: impl FnOnce() + Send + 'static) {
        self.cue(call, start, true, Box::new(move || Ok(act())));
    }

    /// Such a call fails, once.
    pub fn fail(&self, call: Call, start: &'static str) {
        self.before(call, start, || Err(io::Error::from_raw_os_error(5)));
    }

    /// Whether everything that was to happen has.
    pub fn is_done(&self) -> bool {
        self.cues.lock().unwrap().is_empty()
    }

    fn cue(&self, call: Call, start: &'static str, after: bool, act: Act) {
        self.cues.lock().unwrap().push(Cue { call, start, after, act });
    }

    fn now(&self, call: Call, name: &str, after: bool) -> io::Result<()> {
        let mut cues = self.cues.lock().unwrap();
        let fits =
            |cue: &Cue| cue.call == call && cue.after == after && name.starts_with(cue.start);
        let Some(at) = cues.iter().position(fits) else { return Ok(()) };
        let cue = cues.remove(at);
        drop(cues);
        (cue.act)()
    }

    fn around<T>(
        &self,
        call: Call,
        name: &str,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.now(call, name, false)?;
        let result = work();
        self.now(call, name, true)?;
        result
    }

    fn file(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(Played { name: name.to_owned(), stage: self.clone(), file })
    }
}

impl Fs for Stage {
    fn path(&self) -> &Path {
        self.fs.path()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.fs.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.around(Call::Create, name, || self.fs.create(name))?;
        Ok(self.file(name, file))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(name, self.fs.open(name)?))
    }
    fn image(&self, name: &str, mapped: bool) -> io::Result<Arc<dyn Image>> {
        let image = self.fs.image(name, mapped)?;
        Ok(Arc::new(Played { name: name.to_owned(), stage: self.clone(), file: image }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.around(Call::Rename, from, || self.fs.rename(from, to))
    }
    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.fs.set_aside(name, folder)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.fs.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.around(Call::SyncDir, "", || self.fs.sync_dir())
    }
    fn lock(&self, name: &str, owner: &str, wait: Duration) -> io::Result<Locked> {
        self.fs.lock(name, owner, wait)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.fs.free_bytes()
    }
}

struct Played<F: ?Sized> {
    name: String,
    stage: Stage,
    file: Arc<F>,
}

impl File for Played<dyn File> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.stage.around(Call::Write, &self.name, || self.file.write_at(buf, offset))
    }
    fn sync(&self) -> io::Result<()> {
        self.stage.around(Call::Sync, &self.name, || self.file.sync())
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.allocate(offset, len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

impl Image for Played<dyn Image> {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.stage.around(Call::ReadImage, &self.name, || self.file.read(offset, buf))
    }
    fn size(&self) -> u64 {
        self.file.size()
    }
}
