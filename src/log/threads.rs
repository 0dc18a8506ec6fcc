//! The log's own threads: they write and sync for those who do not wait themselves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Durability, Log};
use crate::sync::thread::{Builder, JoinHandle};

impl Log {
    /// Starts the two threads. What has been appended is written and synced within `sync_every`
    /// even if nobody asks.
    pub(crate) fn start(self: &Arc<Self>, sync_every: Duration) -> io::Result<[JoinHandle<()>; 2]> {
        let log = self.clone();
        let write = Builder::new().name("sessile-write".into()).spawn(move || log.write_loop())?;
        let log = self.clone();
        let sync =
            Builder::new().name("sessile-sync".into()).spawn(move || log.sync_loop(sync_every));
        match sync {
            Ok(sync) => Ok([write, sync]),
            Err(error) => {
                self.stop();
                // It was told to stop; that it ends is all that matters.
                let _ = write.join();
                Err(error)
            }
        }
    }

    /// Tells the threads to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.want(Durability::Process);
        self.want(Durability::Power);
    }

    fn write_loop(&self) {
        while self.write_wanted.1.recv().is_ok() && !self.stopping.load(Ordering::SeqCst) {
            self.write();
        }
    }

    fn sync_loop(&self, sync_every: Duration) {
        while !self.stopping.load(Ordering::SeqCst) {
            // Asked or not: what lies in the buffer has waited long enough.
            let _ = self.sync_wanted.1.recv_timeout(sync_every);
            self.sync_now();
        }
    }
}
