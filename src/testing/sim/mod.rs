//! A file system in memory that loses what was not synced, and fails when it is told to.
//!
//! Knows the port's calls and nothing of who makes them. Deterministic: the same calls from one
//! thread, the same seed, the same result.

mod disk;
mod fault;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

pub use disk::SyncFailure;
pub use fault::{Call, Failure, Fault, ReadFault};

use crate::fs::{File, Fs, Image, Locked};
use crate::testing::random::Random;
use disk::{Disk, Number};
use file::{SimFile, SimImage};

/// A simulated directory. Clones are the same one; [`kill`](Self::kill) and
/// [`power_cut`](Self::power_cut) leave it and give another, as the next process finds it.
///
/// Data are volatile in sectors of 512 bytes until the file is synced, sizes apart from them, and
/// names until the directory is. Everything fits into memory; a hole costs nothing.
///
/// ```
/// # use std::sync::Arc;
/// # use sessile::{Durability, Key, Store};
/// # use sessile::testing::{Keep, SimFs};
/// let fs = SimFs::new(1);
/// let store: Store<String> = Store::builder().open_fs(Arc::new(fs.clone()))?;
/// let key = Key::from_bytes([7; 16]);
/// store.at(Durability::Power).insert(key, "kept".to_owned())?;
/// let found = fs.power_cut(Keep::Nothing);
/// let store: Store<String> = Store::builder().open_fs(Arc::new(found))?;
/// assert!(store.get(&key)?.is_some());
/// # Ok::<(), sessile::Error>(())
/// ```
#[derive(Clone)]
pub struct SimFs(Arc<Mutex<State>>);

/// Which of the changes that no sync has covered are found after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Those whose bit is set, the oldest being the lowest; none above the 64th.
    Chosen(u64),
    /// Each with a chance that is chosen too, by this seed.
    Random(u64),
}

/// How the disk stood after a call that changed something.
#[derive(Clone)]
pub struct Moment {
    /// The number of the call, counted from 1.
    pub call: u64,
    /// What it was, and to which file.
    pub what: String,
    disk: Disk,
    seed: u64,
}

#[derive(Default)]
struct State {
    disk: Disk,
    seed: u64,
    random: Option<Random>,
    calls: u64,
    faults: Vec<(Fault, u64)>,
    fired: u64,
    sync_failure: SyncFailure,
    read_faults: BTreeMap<(String, u64), ReadFault>,
    capacity: Option<u64>,
    read_only: bool,
    locks: BTreeMap<String, (Weak<()>, String)>,
    moments: Option<Vec<Moment>>,
    log: Option<Vec<(Call, String)>>,
}

impl SimFs {
    /// An empty directory. The seed decides what is left to chance: how much of a failing write
    /// or sync gets through.
    pub fn new(seed: u64) -> Self {
        Self::of(Disk::default(), seed)
    }

    fn of(mut disk: Disk, seed: u64) -> Self {
        disk.forget_handles();
        let random = Some(Random::new(seed));
        SimFs(Arc::new(Mutex::new(State { disk, seed, random, ..State::default() })))
    }

    /// The directory as the next process finds it after this one was killed: all that was
    /// written is there, and what was not synced is still not durable. No fault, lock or
    /// limit is carried over.
    pub fn kill(&self) -> SimFs {
        let state = self.0.lock();
        Self::of(state.disk.clone(), state.seed)
    }

    /// The directory as it is found after a power cut.
    pub fn power_cut(&self, keep: Keep) -> SimFs {
        let state = self.0.lock();
        Self::of(cut(&state.disk, keep), state.seed)
    }

    /// How many changes no sync has covered.
    pub fn pending(&self) -> usize {
        self.0.lock().disk.pending()
    }

    /// Calls so far, those that failed included.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Keeps, from now on, how the disk stands after every call that changes something.
    pub fn record(&self) {
        self.0.lock().moments = Some(Vec::new());
    }

    /// What was kept since [`record`](Self::record) or the last call of this.
    pub fn moments(&self) -> Vec<Moment> {
        self.0.lock().moments.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The disk as it is at this moment.
    pub fn moment(&self) -> Moment {
        self.0.lock().moment("now".to_owned())
    }

    /// Notes every call from now on, with the name of the file.
    pub fn trace(&self) {
        self.0.lock().log = Some(Vec::new());
    }

    /// The calls since [`trace`](Self::trace) or the last call of this.
    pub fn traced(&self) -> Vec<(Call, String)> {
        self.0.lock().log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Sets a fault, beside those that are set already.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.0.lock();
        let from = state.calls;
        state.faults.push((fault, from));
    }

    /// How many calls have failed, or were cut short, by a fault.
    pub fn fired(&self) -> u64 {
        self.0.lock().fired
    }

    /// Takes back all faults, limits and the read-only state. What they have done stays.
    pub fn repair(&self) {
        let mut state = self.0.lock();
        state.faults.clear();
        state.read_faults.clear();
        (state.capacity, state.read_only) = (None, false);
    }

    /// What becomes of a file whose sync fails.
    pub fn set_sync_failure(&self, how: SyncFailure) {
        self.0.lock().sync_failure = how;
    }

    /// Whether a sync that fails takes back what was written.
    pub(crate) fn reverts(&self) -> bool {
        self.0.lock().sync_failure == SyncFailure::Revert
    }

    /// What reading a sector of a file gives from now on. Sector `n` begins at byte 512 n.
    pub fn set_read_fault(&self, name: &str, sector: u64, fault: ReadFault) {
        self.0.lock().read_faults.insert((name.to_owned(), sector), fault);
    }

    /// Bytes that all files together may have.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Whether every change is refused with `EROFS`.
    pub fn set_read_only(&self, read_only: bool) {
        self.0.lock().read_only = read_only;
    }

    /// After a power cut a rename may have happened by half: both names, or neither. No journaling
    /// file system does that; off unless it is asked for.
    pub fn set_torn_renames(&self, torn: bool) {
        self.0.lock().disk.torn_renames = torn;
    }

    /// Whether space can be allocated ahead, as on most file systems. If not, files grow as they
    /// are written, each size a change of its own.
    pub fn set_reserving(&self, reserving: bool) {
        self.0.lock().disk.unreserved = !reserving;
    }

    /// The names of the files, those in folders with the folder before them, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().disk.names().cloned().collect()
    }

    /// What a file holds; `None` if there is none of this name.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let number = state.disk.lookup(name).ok()?;
        let mut bytes = vec![0; usize::try_from(state.disk.size(number).ok()?).ok()?];
        state.read(number, None, &mut bytes, 0).ok()?;
        Some(bytes)
    }

    /// A number that is the same for two directories made from the same one by power cuts, if
    /// they hold the same, and as good as never if they do not. Costs a step for each sector.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.0.lock().disk.fingerprint(&mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    /// Puts these bytes, durable, in the place of all that a file held, or makes one of them.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.0.lock().disk.put(name, bytes);
    }

    /// Removes a file, durably.
    pub fn delete(&self, name: &str) -> bool {
        let mut state = self.0.lock();
        let removed = state.disk.remove(name).is_ok();
        state.disk.sync_dir();
        removed
    }

    /// Counts a call, and lets it fail if it is to.
    fn begin(&self, call: Call, name: &str) -> Result<Running<'_>, (Failure, Running<'_>)> {
        let mut state = self.0.lock();
        state.calls += 1;
        if let Some(log) = &mut state.log {
            log.push((call, name.to_owned()));
        }
        let failure = state.failure(call);
        let running = Running { state, call, name: name.to_owned() };
        match failure {
            None => Ok(running),
            Some(failure) => Err((failure, running)),
        }
    }

    /// A call that either happens or does not.
    fn call<T>(
        &self,
        call: Call,
        name: &str,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.begin(call, name) {
            Ok(mut running) => work(&mut running.state),
            Err((Failure::IoAfter, mut running)) => {
                work(&mut running.state)?;
                Err(Failure::IoAfter.error())
            }
            Err((failure, _)) => Err(failure.error()),
        }
    }

    fn opened(&self, number: Number, name: &str) -> io::Result<Arc<dyn File>> {
        let handle = self.0.lock().disk.handle(number)?;
        Ok(Arc::new(SimFile { fs: self.clone(), number, name: name.to_owned(), _handle: handle }))
    }
}

impl Moment {
    /// How many changes no sync has covered.
    pub fn pending(&self) -> usize {
        self.disk.pending()
    }

    /// Those changes, in words, oldest first.
    pub fn describe(&self) -> Vec<String> {
        self.disk.describe()
    }

    /// As [`SimFs::kill`].
    pub fn kill(&self) -> SimFs {
        SimFs::of(self.disk.clone(), self.seed)
    }

    /// As [`SimFs::power_cut`].
    pub fn power_cut(&self, keep: Keep) -> SimFs {
        SimFs::of(cut(&self.disk, keep), self.seed)
    }
}

fn cut(disk: &Disk, keep: Keep) -> Disk {
    match keep {
        Keep::Nothing => disk.after_power_cut(|_| false),
        Keep::Everything => disk.after_power_cut(|_| true),
        Keep::Chosen(bits) => disk.after_power_cut(|place| place < 64 && bits >> place & 1 == 1),
        Keep::Random(seed) => {
            let mut random = Random::new(seed);
            let chance = random.below(9);
            disk.after_power_cut(|_| random.below(8) < chance)
        }
    }
}

/// A call while it runs; keeps the moment after it.
struct Running<'a> {
    state: MutexGuard<'a, State>,
    call: Call,
    name: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.call.changes() && self.state.moments.is_some() {
            let moment = self.state.moment(format!("{:?} {}", self.call, self.name));
            if let Some(moments) = self.state.moments.as_mut() {
                moments.push(moment);
            }
        }
    }
}

impl State {
    fn moment(&self, what: String) -> Moment {
        Moment { call: self.calls, what, disk: self.disk.clone(), seed: self.seed }
    }

    fn failure(&mut self, call: Call) -> Option<Failure> {
        let calls = self.calls;
        let due = |(fault, from): &(Fault, u64)| {
            let number = calls - from;
            let now = number == fault.call || fault.lasting && number > fault.call;
            (now && fault.failure.befalls(call)).then_some(fault.failure)
        };
        let failure = self.faults.iter().find_map(due);
        self.fired += u64::from(failure.is_some());
        let read_only = self.read_only && Failure::ReadOnly.befalls(call);
        failure.or(read_only.then_some(Failure::ReadOnly))
    }

    fn chance(&mut self, end: u64) -> u64 {
        self.random.as_mut().map_or(0, |random| random.below(end))
    }

    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX / 4, |bytes| bytes.saturating_sub(self.disk.used()))
    }
}

impl Fs for SimFs {
    fn path(&self) -> &Path {
        Path::new("simulated")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.call(Call::List, "", |state| {
            let first = |name: &String| name.split('/').next().unwrap_or_default().to_owned();
            let mut names: Vec<String> = state.disk.names().map(first).collect();
            names.dedup();
            Ok(names)
        })
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let number = self.call(Call::Create, name, |state| state.disk.create(name))?;
        self.opened(number, name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let number = self.call(Call::Open, name, |state| state.disk.lookup(name))?;
        self.opened(number, name)
    }

    fn image(&self, name: &str, _mapped: bool) -> io::Result<Arc<dyn Image>> {
        let number = self.call(Call::Image, name, |state| state.disk.lookup(name))?;
        let mut state = self.0.lock();
        let (size, handle) = (state.disk.size(number)?, state.disk.handle(number)?);
        let fs = self.clone();
        Ok(Arc::new(SimImage { fs, number, name: name.to_owned(), size, _handle: handle }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Rename, from, |state| state.disk.rename(from, to))
    }

    fn set_aside(&self, name: &str, folder: &str) -> io::Result<()> {
        self.call(Call::SetAside, name, |state| state.disk.set_aside(name, folder))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(Call::Remove, name, |state| state.disk.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.call(Call::SyncDir, "", |state| {
            state.disk.sync_dir();
            Ok(())
        })
    }

    /// Does not wait: nobody else could let go meanwhile.
    fn lock(&self, name: &str, owner: &str, _wait: Duration) -> io::Result<Locked> {
        self.call(Call::Lock, name, |state| {
            if let Some((holder, text)) = state.locks.get(name)
                && holder.strong_count() > 0
            {
                return Ok(Locked::Theirs(text.clone()));
            }
            let number = match state.disk.lookup(name) {
                Ok(number) => number,
                Err(_) => state.disk.create(name)?,
            };
            state.disk.write(number, owner.as_bytes(), 0)?;
            let guard = Arc::new(());
            let entry = (Arc::downgrade(&guard), owner.to_owned());
            state.locks.insert(name.to_owned(), entry);
            Ok(Locked::Ours(Box::new(guard)))
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.call(Call::FreeBytes, "", |state| Ok(state.room()))
    }
}
