//! The log: an append-only stream of frames in segment files, and who may rely on what.
//!
//! Moves bytes; knows no values, no map, no clock. Three numbers tell how far it is: *appended*
//! (in the buffer, where the LSNs are given out), *written* (`write(2)` has returned) and
//! *durable* (an `fdatasync` that began after the write has returned). `appended ≥ written ≥
//! durable`, and each only rises.
//!
//! Two roles do the work, each behind its own lock: the writer drains the buffer into the segment,
//! the syncer makes durable what had been written before it began. A thread that waits takes a
//! role itself if it is free; threads of the log's own serve the futures and the idle.
//! Lock order: syncer → writer → buffer.

pub(crate) mod bytes;
pub(crate) mod event;
pub(crate) mod frame;
mod heal;
pub(crate) mod manifest;
#[cfg(all(test, loom))]
mod orders;
pub(crate) mod recovery;
pub(crate) mod segment;
#[cfg(test)]
mod tests;
mod threads;
mod writer;

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::layout::Numbers;
use crate::fs::{File, Fs};
use crate::limits::BUFFER_BYTES_WAKE;
use crate::metrics::Counter;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, Receiver, Sender, bounded, spin_loop};
use event::Event;
use frame::Group;
use heal::Aside;
use segment::{Identity, Position};
use writer::Writer;

/// How far a write must have come before the call that made it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the log's buffer: visible at once, survives nothing but a panic that is caught.
    Memory,
    /// Handed to the operating system: survives `kill -9`, a panic, the OOM killer.
    Process,
    /// On disk: survives power loss.
    Power,
}

/// What the log is able to do.
const HEALTHY: u8 = 0;
const DISK_FULL: u8 = 1;
const POISONED: u8 = 2;

/// Times that a waiter looks again before it sleeps: a few microseconds, about one `write(2)`.
/// Once where a checker counts the steps.
const SPINS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 200 };

/// What the log is made of and what it starts with.
pub(crate) struct Setup {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) identity: Identity,
    pub(crate) segment_bytes: u64,
    /// Where the stream goes on; `lsn` is the last one that is on disk.
    pub(crate) position: Position,
    /// Frames after `position` that were found but may not be on disk, unsealed.
    pub(crate) carry: Vec<u8>,
    /// The last LSN given out, `carry` included.
    pub(crate) last_lsn: u64,
    /// Segments that exist: number and last LSN.
    pub(crate) segments: Vec<(u64, u64)>,
    /// Nobody works in the background; whoever waits does it all.
    pub(crate) threadless: bool,
}

/// The log of one store.
pub(crate) struct Log {
    fs: Arc<dyn Fs>,
    numbers: Arc<Numbers>,
    entropy: Arc<Entropy>,
    identity: Identity,
    segment_bytes: u64,
    pid: u32,
    threadless: bool,
    front: Front,
    written: AtomicU64,
    durable: AtomicU64,
    writer: Mutex<Writer>,
    syncer: Mutex<()>,
    unsynced: Mutex<Unsynced>,
    writing: AtomicBool,
    syncing: AtomicBool,
    /// Somebody waited while the last sync ran.
    company: AtomicBool,
    stopping: AtomicBool,
    health: AtomicU8,
    error: Mutex<Option<Error>>,
    /// Something became durable, there is room, or the state of the log has changed.
    event: Event,
    /// Something was written.
    written_event: Event,
    write_wanted: (Sender<()>, Receiver<()>),
    sync_wanted: (Sender<()>, Receiver<()>),
    counters: Counters,
}

/// What every append writes, together and apart from everything else: one cache line travels.
#[repr(align(128))]
struct Front {
    buffer: Mutex<Buffer>,
    /// Bytes in the buffer, for those who only want to know whether there is room.
    buffered: AtomicUsize,
    appended: AtomicU64,
    appended_bytes: AtomicU64,
}

/// What the log has done since it was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) writes: Counter,
    pub(crate) syncs: Counter,
    /// When they were last counted.
    pub(crate) segments: Counter,
}

/// What has been appended and not yet taken by the writer.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    last_lsn: u64,
    closed: bool,
    /// The log is poisoned: frames are counted, not kept; `heal` takes the state from memory.
    discard: bool,
    /// While a log that had not failed is being healed: what it was.
    aside: Option<Aside>,
}

/// Files that hold written frames no sync has covered.
#[derive(Default)]
struct Unsynced {
    files: Vec<Arc<dyn File>>,
    names: bool,
    /// Frames of an earlier run are not in a segment of this one yet, and no sync covers them.
    carried: bool,
}

impl Log {
    pub(crate) fn new(setup: Setup) -> Self {
        let durable = setup.position.lsn;
        let unsynced = Unsynced { carried: !setup.carry.is_empty(), ..Unsynced::default() };
        Log {
            front: Front {
                buffer: Mutex::new(Buffer { last_lsn: setup.last_lsn, ..Buffer::default() }),
                buffered: AtomicUsize::new(0),
                appended: AtomicU64::new(setup.last_lsn),
                appended_bytes: AtomicU64::new(0),
            },
            written: AtomicU64::new(setup.last_lsn),
            durable: AtomicU64::new(durable),
            writer: Mutex::new(Writer::new(setup.position, setup.carry, setup.segments)),
            syncer: Mutex::new(()),
            unsynced: Mutex::new(unsynced),
            writing: AtomicBool::new(false),
            syncing: AtomicBool::new(false),
            company: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            health: AtomicU8::new(HEALTHY),
            error: Mutex::new(None),
            event: Event::default(),
            written_event: Event::default(),
            write_wanted: bounded(1),
            sync_wanted: bounded(1),
            counters: Counters::default(),
            pid: std::process::id(),
            threadless: setup.threadless,
            fs: setup.fs,
            numbers: setup.numbers,
            entropy: setup.entropy,
            identity: setup.identity,
            segment_bytes: setup.segment_bytes,
        }
    }

    /// Puts a group into the buffer and gives out its LSNs; returns the last. This is the moment
    /// at which the group takes its place in the order of all writes. Costs one short lock and
    /// one copy; never waits for the disk.
    ///
    /// # Errors
    /// `is_closed`; then nothing has happened.
    pub(crate) fn append(&self, group: &Group) -> Result<u64> {
        let (last, buffered) = {
            let mut buffer = self.front.buffer.lock();
            if buffer.closed {
                return Err(Error::closed());
            }
            buffer.last_lsn += group.count();
            if !buffer.discard {
                buffer.bytes.extend_from_slice(group.bytes());
            }
            self.front.appended.store(buffer.last_lsn, Ordering::Release);
            let bytes =
                self.front.appended_bytes.load(Ordering::Relaxed) + group.bytes().len() as u64;
            self.front.appended_bytes.store(bytes, Ordering::Relaxed);
            self.front.buffered.store(buffer.bytes.len(), Ordering::Relaxed);
            (buffer.last_lsn, buffer.bytes.len())
        };
        let size = group.bytes().len();
        if buffered >= BUFFER_BYTES_WAKE && buffered - size.min(buffered) < BUFFER_BYTES_WAKE {
            self.want_write();
        }
        Ok(last)
    }

    /// The last LSN given out.
    pub(crate) fn appended(&self) -> u64 {
        self.front.appended.load(Ordering::Acquire)
    }

    /// Every LSN up to this one is on disk.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The last LSN given out, and the bytes appended up to it: a place between two groups.
    pub(crate) fn cut(&self) -> (u64, u64) {
        let buffer = self.front.buffer.lock();
        (buffer.last_lsn, self.front.appended_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn appended_bytes(&self) -> u64 {
        self.front.appended_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the writer.
    pub(crate) fn buffered(&self) -> usize {
        self.front.buffered.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whoever waits for room or for a level may look again.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    fn reached(&self, lsn: u64, level: Durability) -> bool {
        match level {
            Durability::Memory => true,
            Durability::Process => self.written() >= lsn,
            Durability::Power => self.durable() >= lsn,
        }
    }

    /// Blocks until `lsn` has reached `level`, taking a free role on the way.
    ///
    /// # Errors
    /// What made the log fail, marked `is_unknown`: the frames are applied in memory.
    pub(crate) fn wait(&self, lsn: u64, level: Durability) -> Result<()> {
        while !self.reached(lsn, level) {
            self.check_waiter()?;
            match level {
                Durability::Memory => {}
                Durability::Process => self.take_part_in_writing(lsn),
                Durability::Power => self.take_part_in_syncing(lsn),
            }
        }
        Ok(())
    }

    /// Writes, or waits a little for the one who does.
    fn take_part_in_writing(&self, lsn: u64) {
        if !self.writing.load(Ordering::Acquire) {
            if self.try_write() {
                return;
            }
            // Somebody has just taken the role or is about to let it go.
            spin_loop();
        }
        let over =
            || self.written() >= lsn || self.failed() || !self.writing.load(Ordering::Acquire);
        for _ in 0..SPINS {
            if over() {
                return;
            }
            spin_loop();
        }
        self.written_event.wait(over);
    }

    /// Syncs, or waits for the one who does. Who syncs writes for all who wait.
    fn take_part_in_syncing(&self, lsn: u64) {
        if !self.syncing.load(Ordering::Acquire) {
            if self.try_sync() {
                return;
            }
            spin_loop();
        }
        self.event.wait(|| {
            self.durable() >= lsn || self.failed() || !self.syncing.load(Ordering::Acquire)
        });
    }

    /// The same as a poll: at most one uncontended `write(2)` is done here, never a sync.
    pub(crate) fn poll(
        &self,
        lsn: u64,
        level: Durability,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        if self.reached(lsn, level) {
            return Poll::Ready(Ok(()));
        }
        if self.threadless {
            return Poll::Ready(self.wait(lsn, level));
        }
        if level == Durability::Process {
            self.try_write_inline();
        }
        let event = if level == Durability::Power { &self.event } else { &self.written_event };
        event.register(context.waker());
        if self.reached(lsn, level) {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = self.check_waiter() {
            return Poll::Ready(Err(error));
        }
        self.want(level);
        Poll::Pending
    }

    /// Asks the log's own threads to bring what has been appended to `level`.
    pub(crate) fn want(&self, level: Durability) {
        match level {
            Durability::Memory => {}
            Durability::Process => self.want_write(),
            Durability::Power => {
                let _ = self.sync_wanted.0.try_send(());
            }
        }
    }

    fn want_write(&self) {
        let _ = self.write_wanted.0.try_send(());
    }

    /// Everybody looks again.
    fn notify_all(&self) {
        self.event.notify();
        self.written_event.notify();
    }

    fn failed(&self) -> bool {
        self.health.load(Ordering::Acquire) != HEALTHY
    }

    fn check_waiter(&self) -> Result<()> {
        if !self.failed() {
            return Ok(());
        }
        // A full disk may have room again; then the frames are written after all.
        if self.health.load(Ordering::Acquire) == DISK_FULL && !self.writer.lock().is_stuck() {
            return Ok(());
        }
        Err(self.failure().unknown())
    }

    /// Why the log takes no writes. Said again to everybody who asks.
    pub(crate) fn failure(&self) -> Error {
        let error = self.error.lock().clone();
        error.unwrap_or_else(|| Error::new(ErrorKind::Poisoned, "the log has failed"))
    }

    /// Whether writes may begin.
    ///
    /// # Errors
    /// `is_poisoned`, or `is_disk_full` unless space has turned up.
    pub(crate) fn check(&self) -> Result<()> {
        match self.health.load(Ordering::Acquire) {
            HEALTHY => Ok(()),
            DISK_FULL => {
                self.retry_space();
                if self.health.load(Ordering::Acquire) == HEALTHY {
                    Ok(())
                } else {
                    Err(self.failure())
                }
            }
            _ => Err(self.failure()),
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.health.load(Ordering::Acquire) == POISONED
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.health.load(Ordering::Acquire) == DISK_FULL
    }

    fn poison(&self, what: &str, error: std::io::Error) -> Error {
        let error = Error::new(
            ErrorKind::Poisoned,
            format!(
                "{what}; what is in memory is still served, nothing more is acknowledged as \
                 written until `heal` has succeeded"
            ),
        )
        .caused_by(error)
        .at(self.fs.path());
        let mut buffer = self.front.buffer.lock();
        if !self.is_poisoned() || buffer.aside.take().is_some() {
            *self.error.lock() = Some(error.clone());
            self.health.store(POISONED, Ordering::Release);
            buffer.discard = true;
            buffer.bytes = Vec::new();
            self.front.buffered.store(0, Ordering::Relaxed);
        }
        drop(buffer);
        self.notify_all();
        error
    }

    /// Makes durable what has been written. Blocks; the role may be waited for.
    pub(crate) fn sync(&self) -> Result<()> {
        let target = self.appended();
        self.wait(target, Durability::Power)
    }

    /// Refuses every append from now on.
    pub(crate) fn close(&self) {
        self.front.buffer.lock().closed = true;
        self.notify_all();
    }
}
