//! The two roles of the log: draining the buffer into segments, and syncing them.
//!
//! Knows files and frames' sizes, not what frames say. A failed write or sync is never retried
//! on the same file: a full disk goes on in a new segment, anything else poisons the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::{FRAMES_AT, Header, Position};
use super::{DISK_FULL, HEALTHY, Log, Unsynced, frame};
use crate::error::{Error, ErrorKind, is_disk_full};
use crate::fs::File;
use crate::fs::layout::Kind;
use crate::limits::{BUFFER_BYTES_KEPT, BUFFER_BYTES_MAX, RESERVE_BYTES, SEGMENT_ALLOCATE_BYTES};
use crate::sync::thread;

/// Bytes that a caller in an async executor may write itself.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// What the one who writes needs.
pub(super) struct Writer {
    current: Option<Segment>,
    /// Where the stream goes on if there is no current segment.
    position: Position,
    /// Recovered frames that go first into the next segment.
    carry: Vec<u8>,
    /// Taken from the buffer and not written, because there was no room.
    stuck: Vec<u8>,
    /// The buffer's other half, empty.
    spare: Vec<u8>,
    /// Closed segments: number and last LSN, oldest first.
    sealed: Vec<(u64, u64)>,
    /// The last attempt to write failed because the disk was full.
    blocked: bool,
}

struct Segment {
    number: u64,
    file: Arc<dyn File>,
    salt: u32,
    offset: u64,
    allocated: u64,
    /// Space is allocated in multiples of this.
    chunk: u64,
    /// The file system cannot reserve space; the file grows as it is written.
    unreserved: bool,
}

impl Segment {
    /// Allocates space up to `end`, and some more.
    fn extend(&mut self, end: u64) -> io::Result<()> {
        if end <= self.allocated || self.unreserved {
            return Ok(());
        }
        let length = (end - self.allocated).next_multiple_of(self.chunk);
        match self.file.allocate(self.allocated, length) {
            Ok(()) => self.allocated += length,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.unreserved = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Writer {
    pub(super) fn new(position: Position, carry: Vec<u8>, sealed: Vec<(u64, u64)>) -> Self {
        Writer {
            current: None,
            position,
            carry,
            stuck: Vec::new(),
            spare: Vec::new(),
            sealed,
            blocked: false,
        }
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.blocked
    }

    /// Forgets what could not be written; the next segment begins the chain after `cut`.
    pub(super) fn restart(&mut self, cut: u64) {
        self.seal();
        self.position = Position { number: 0, offset: 0, lsn: cut };
        self.carry = Vec::new();
        self.stuck = Vec::new();
        self.blocked = false;
    }

    /// Where the stream goes on.
    fn end(&self) -> Position {
        let lsn = self.position.lsn;
        match &self.current {
            Some(segment) => Position { number: segment.number, offset: segment.offset, lsn },
            None => self.position,
        }
    }

    /// Whether so many bytes fit into what is allocated.
    fn has_room(&self, bytes: u64) -> bool {
        self.current.as_ref().is_some_and(|segment| segment.offset + bytes <= segment.allocated)
    }

    /// Closes the current segment where it is; the next write begins a new one.
    fn seal(&mut self) {
        if let Some(segment) = self.current.take() {
            self.position.number = segment.number;
            self.position.offset = segment.offset;
            self.sealed.push((segment.number, self.position.lsn));
        }
    }
}

impl Log {
    /// Drains the buffer if nobody else is at it. False: somebody is.
    pub(super) fn try_write(&self) -> bool {
        let Some(mut writer) = self.writer.try_lock() else { return false };
        self.drain_as(&mut writer);
        drop(writer);
        self.written_event.notify();
        true
    }

    /// Drains the buffer if that is one small write into the segment that is open already.
    pub(super) fn try_write_inline(&self) {
        if self.buffered() > INLINE_BYTES_MAX || self.failed() {
            return;
        }
        let Some(mut writer) = self.writer.try_lock() else { return };
        let room = writer.current.as_ref().is_some_and(|segment| {
            segment.offset + (self.buffered() as u64) + RESERVE_BYTES < segment.allocated
        });
        if room && writer.stuck.is_empty() {
            self.drain_as(&mut writer);
            drop(writer);
            self.written_event.notify();
        }
    }

    /// Drains the buffer, waiting for the role.
    pub(crate) fn write(&self) {
        let mut writer = self.writer.lock();
        self.drain_as(&mut writer);
        drop(writer);
        self.written_event.notify();
    }

    fn drain_as(&self, writer: &mut Writer) {
        self.writing.store(true, Ordering::Release);
        self.drain(writer);
        self.writing.store(false, Ordering::Release);
    }

    fn drain(&self, writer: &mut Writer) {
        if self.is_poisoned() {
            return;
        }
        if self.pid != std::process::id() {
            let error = io::Error::other("this process is a fork of the one that opened the store");
            self.poison("the log belongs to another process", error);
            return;
        }
        let stuck = std::mem::take(&mut writer.stuck);
        if (!stuck.is_empty() || !writer.carry.is_empty()) && !self.put_or_keep(writer, stuck) {
            return;
        }
        let bytes = self.take_buffer(writer);
        if bytes.is_empty() {
            writer.spare = bytes;
        } else {
            self.put_or_keep(writer, bytes);
        }
    }

    /// Writes `bytes`, or keeps them if the disk is full. False: they are not written.
    fn put_or_keep(&self, writer: &mut Writer, mut bytes: Vec<u8>) -> bool {
        match self.put(writer, &mut bytes) {
            Ok(()) => {
                if std::mem::take(&mut writer.blocked) {
                    self.recovered_space();
                }
                bytes.clear();
                bytes.shrink_to(BUFFER_BYTES_KEPT);
                writer.spare = bytes;
                true
            }
            Err(error) if is_disk_full(&error) => {
                writer.stuck = bytes;
                writer.blocked = true;
                self.disk_full(error);
                false
            }
            Err(error) => {
                self.poison("writing the log failed", error);
                false
            }
        }
    }

    fn take_buffer(&self, writer: &mut Writer) -> Vec<u8> {
        let spare = std::mem::take(&mut writer.spare);
        let mut buffer = self.front.buffer.lock();
        let buffered = self.front.buffered.swap(0, Ordering::Relaxed);
        let bytes = std::mem::replace(&mut buffer.bytes, spare);
        drop(buffer);
        if buffered > BUFFER_BYTES_MAX {
            // Somebody waits for room.
            self.event.notify();
        }
        bytes
    }

    /// Writes whole groups behind what is there, in a new segment if need be. On error nothing
    /// of them counts as written, and the segment takes no more.
    fn put(&self, writer: &mut Writer, bytes: &mut [u8]) -> io::Result<()> {
        self.prepare(writer, bytes.len() as u64)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(segment) = &mut writer.current else { return Ok(()) };
        let next = frame::seal(bytes, writer.position.lsn + 1, self.durable(), segment.salt);
        if let Err(error) = segment.file.write_at(bytes, segment.offset) {
            frame::unseal(bytes, segment.salt);
            writer.seal();
            return Err(error);
        }
        segment.offset += bytes.len() as u64;
        writer.position.lsn = next - 1;
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        self.written.store(next - 1, Ordering::Release);
        Ok(())
    }

    /// Sees to it that there is a segment with room for `bytes` and [`RESERVE_BYTES`] after them.
    /// Where that cannot be had the disk is full, and what is left of the reserve serves.
    fn prepare(&self, writer: &mut Writer, bytes: u64) -> io::Result<()> {
        let Some(segment) = &mut writer.current else { return self.begin_segment(writer) };
        if segment.offset + bytes <= self.segment_bytes {
            return self.reserve(segment, bytes);
        }
        match self.begin_segment(writer) {
            // The old one has its reserve still, and takes what fits into it.
            Err(error) if is_disk_full(&error) && writer.has_room(bytes) => {
                self.disk_full(error);
                Ok(())
            }
            begun => begun,
        }
    }

    /// Creates the next segment, with its reserve, and then closes the current one. Carried
    /// frames are in it before it has its name, so that a kill in the middle leaves the old ones
    /// in force.
    fn begin_segment(&self, writer: &mut Writer) -> io::Result<()> {
        let number = self.numbers.next();
        let salt = u32::from_le_bytes(self.entropy.bytes()?);
        let previous = writer.end();
        let header = Header { identity: self.identity, number, previous, salt };
        let mut page = header.page();
        let carried = page.len();
        page.extend_from_slice(&writer.carry);
        let frames = page.get_mut(carried..).unwrap_or_default();
        let next = frame::seal(frames, previous.lsn + 1, self.durable(), salt);
        let name = Kind::Log.temporary(number);
        let offset = page.len() as u64;
        let made = self.fs.create(&name).and_then(|file| {
            let chunk = SEGMENT_ALLOCATE_BYTES.min(self.segment_bytes);
            let mut segment =
                Segment { number, file, salt, offset, allocated: 0, chunk, unreserved: false };
            segment.extend(offset + RESERVE_BYTES)?;
            segment.file.write_at(&page, 0)?;
            if !writer.carry.is_empty() {
                // With its name the old copy of these frames no longer counts, and that one may
                // have been on disk: a loss of power could keep the name and lose the new copy.
                segment.file.sync()?;
            }
            self.fs.rename(&name, &Kind::Log.name(number))?;
            Ok(segment)
        });
        let segment = made.inspect_err(|_| {
            // Nothing refers to it; what stays is collected at a later opening.
            let _ = self.fs.remove(&name);
        })?;
        writer.seal();
        let mut unsynced = self.unsynced.lock();
        unsynced.files.push(segment.file.clone());
        unsynced.names = true;
        unsynced.carried = false;
        drop(unsynced);
        writer.position.lsn = next - 1;
        writer.carry = Vec::new();
        debug_assert!(offset >= FRAMES_AT, "frames begin after the header's page");
        writer.current = Some(segment);
        Ok(())
    }

    /// Keeps [`RESERVE_BYTES`] allocated beyond what is about to be written. If that fails the
    /// disk is full, while there is still room for removals.
    fn reserve(&self, segment: &mut Segment, bytes: u64) -> io::Result<()> {
        match segment.extend(segment.offset + bytes + RESERVE_BYTES) {
            Err(error) if is_disk_full(&error) => {
                self.disk_full(error);
                Ok(())
            }
            extended => extended,
        }
    }

    pub(super) fn disk_full(&self, error: io::Error) {
        let error = Error::new(
            ErrorKind::DiskFull,
            "the disk is full; removals go on as long as the reserve lasts, other writes are \
             refused until there is room",
        )
        .caused_by(error)
        .at(self.fs.path());
        *self.error.lock() = Some(error);
        let _ =
            self.health.compare_exchange(HEALTHY, DISK_FULL, Ordering::AcqRel, Ordering::Acquire);
        self.notify_all();
    }

    fn recovered_space(&self) {
        let _ =
            self.health.compare_exchange(DISK_FULL, HEALTHY, Ordering::AcqRel, Ordering::Acquire);
        self.notify_all();
    }

    /// Tries again what the full disk prevented.
    pub(super) fn retry_space(&self) {
        let Some(mut writer) = self.writer.try_lock() else { return };
        if writer.is_stuck() {
            self.drain_as(&mut writer);
        } else {
            self.probe_space(&mut writer);
        }
        drop(writer);
        self.notify_all();
    }

    fn probe_space(&self, writer: &mut Writer) {
        let Some(segment) = &mut writer.current else { return self.recovered_space() };
        if segment.extend(segment.offset + RESERVE_BYTES).is_ok() {
            self.recovered_space();
        }
    }

    /// Syncs what has been written if nobody else is at it. False: somebody is.
    pub(super) fn try_sync(&self) -> bool {
        let Some(guard) = self.syncer.try_lock() else { return false };
        self.sync_as_holder();
        drop(guard);
        self.company.store(self.event.notify(), Ordering::Relaxed);
        true
    }

    /// Writes and syncs all that has been appended, waiting for both roles.
    pub(crate) fn sync_now(&self) {
        let guard = self.syncer.lock();
        self.sync_as_holder();
        drop(guard);
        self.company.store(self.event.notify(), Ordering::Relaxed);
    }

    fn sync_as_holder(&self) {
        self.syncing.store(true, Ordering::Release);
        self.sync_written();
        self.syncing.store(false, Ordering::Release);
    }

    /// What is durable afterwards is what was written before the sync began, never more.
    fn sync_written(&self) {
        if self.company.load(Ordering::Relaxed) {
            // Those who were told of the last sync are about to write again: a sync takes as long
            // for all of them as for one.
            thread::yield_now();
        }
        self.write();
        if self.is_poisoned() {
            return;
        }
        let target = self.written();
        if target <= self.durable() {
            return;
        }
        let Unsynced { files, names, carried } = self.unsynced_now();
        if carried {
            // The disk is full, and they lie where a kill has left them.
            return;
        }
        let synced = files.iter().try_for_each(|file| file.sync());
        let synced = synced.and_then(|()| if names { self.fs.sync_dir() } else { Ok(()) });
        match synced {
            Ok(()) => {
                self.counters.syncs.fetch_add(1, Ordering::Relaxed);
                self.durable.store(target, Ordering::Release);
            }
            Err(error) => {
                self.poison("syncing the log failed", error);
            }
        }
    }

    /// Takes the list of files to sync, and leaves the one that is written to on it.
    fn unsynced_now(&self) -> Unsynced {
        let mut unsynced = self.unsynced.lock();
        let last = unsynced.files.last().cloned();
        let files = std::mem::replace(&mut unsynced.files, last.into_iter().collect());
        let names = std::mem::take(&mut unsynced.names);
        Unsynced { files, names, carried: unsynced.carried }
    }

    /// Closes the current segment, so that it can go once a base covers it.
    pub(crate) fn seal_segment(&self) {
        let mut writer = self.writer.lock();
        if writer.carry.is_empty() {
            writer.seal();
        }
    }

    /// Removes the closed segments that hold nothing after `cut`. What cannot be removed now is
    /// tried again with the next ones.
    pub(crate) fn release(&self, cut: u64) {
        let mut writer = self.writer.lock();
        let gone = |(number, _): &(u64, u64)| self.fs.remove(&Kind::Log.name(*number)).is_ok();
        writer.sealed.retain(|segment| segment.1 > cut || !gone(segment));
        // What was closed may hold frames after `cut` that no sync has covered yet.
        if writer.current.is_none() && self.durable() >= writer.position.lsn {
            // An open file keeps its space even when its name is gone.
            self.unsynced.lock().files.clear();
        }
    }

    /// The smallest number of a segment that holds something after `cut`, or could.
    pub(crate) fn first_needed(&self, cut: u64) -> u64 {
        let writer = self.writer.lock();
        let sealed = writer.sealed.iter().find(|(_, last)| *last > cut).map(|(number, _)| *number);
        let current = writer.current.as_ref().map(|segment| segment.number);
        // With none needed: those that may still be lying about are not to be read again.
        sealed.or(current).unwrap_or_else(|| self.numbers.upcoming())
    }

    /// Segments there are; as many as there were while a write is under way, which the disk may
    /// hold up for long.
    pub(crate) fn segments(&self) -> u64 {
        let known = &self.counters.segments;
        if let Some(writer) = self.writer.try_lock() {
            let count = writer.sealed.len() + usize::from(writer.current.is_some());
            known.store(count as u64, Ordering::Relaxed);
        }
        known.load(Ordering::Relaxed)
    }
}
