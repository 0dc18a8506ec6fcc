//! The log's part in healing: what is appended while a base of all that memory holds is written,
//! and what becomes of it. Knows no bases.

use super::{HEALTHY, Log, POISONED, Unsynced};
use crate::error::{Error, ErrorKind};
use crate::sync::atomic::Ordering;

/// What a log goes back to if its healing fails.
pub(super) struct Aside {
    bytes: Vec<u8>,
    health: u8,
    error: Option<Error>,
}

impl Log {
    /// Begins to keep frames again, from the LSN returned on: everything up to it is what memory
    /// holds now. The caller must hold every stripe.
    pub(crate) fn begin_heal(&self) -> u64 {
        let mut buffer = self.front.buffer.lock();
        if !self.is_poisoned() {
            // Nobody may write what is appended from here on into the old segment.
            let healing = Error::new(ErrorKind::Poisoned, "the store is being healed; try again");
            let error = self.error.lock().replace(healing);
            let health = self.health.swap(POISONED, Ordering::AcqRel);
            buffer.aside = Some(Aside { bytes: std::mem::take(&mut buffer.bytes), health, error });
        }
        buffer.discard = false;
        buffer.bytes = Vec::new();
        self.front.buffered.store(0, Ordering::Relaxed);
        buffer.last_lsn
    }

    /// The healing base was not published: the log is again what it was. One that failed stays
    /// poisoned, one on a full disk goes on by itself when there is room.
    pub(crate) fn abandon_heal(&self) {
        let mut buffer = self.front.buffer.lock();
        match buffer.aside.take() {
            Some(mut aside) => {
                aside.bytes.append(&mut buffer.bytes);
                buffer.bytes = aside.bytes;
                *self.error.lock() = aside.error;
                self.health.store(aside.health, Ordering::Release);
            }
            None => {
                buffer.discard = true;
                buffer.bytes = Vec::new();
            }
        }
        self.front.buffered.store(buffer.bytes.len(), Ordering::Relaxed);
        drop(buffer);
        if self.writer.lock().is_stuck() {
            // Whoever was writing when the healing began has met the end of the disk since.
            self.disk_full(std::io::ErrorKind::StorageFull.into());
        }
        self.notify_all();
    }

    /// Goes on in a new segment after `cut`, which a published base covers.
    pub(crate) fn end_heal(&self, cut: u64) {
        let _syncer = self.syncer.lock();
        let mut writer = self.writer.lock();
        writer.restart(cut);
        *self.unsynced.lock() = Unsynced::default();
        self.front.buffer.lock().aside = None;
        self.written.fetch_max(cut, Ordering::AcqRel);
        self.durable.fetch_max(cut, Ordering::AcqRel);
        *self.error.lock() = None;
        self.health.store(HEALTHY, Ordering::Release);
        drop(writer);
        self.notify_all();
    }
}
