//! What the disk of a directory allows: how many small writes a second it makes durable, one
//! after the other.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::measure::measure;
use super::room::PROBES;
use crate::error::{Error, Result};
use crate::fs::{File, Fs, OsFs};

/// About as much as one write of the log.
const WRITE: [u8; 200] = [0xA5; 200];
/// Space that is allocated ahead, as the log's is; as much as a disk makes durable in an hour.
const SPACE: u64 = 64 << 20;

/// Syncs a second, each after one write of 200 bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Allows {
    /// Behind the end of a file.
    pub(super) appended_per_s: f64,
    /// Into space that was allocated before, as the log does it.
    pub(super) allocated_per_s: f64,
}

/// Two files to write to, from turn to turn further on: what was written once is quicker.
pub(super) struct Probe<'a> {
    fs: &'a OsFs,
    files: [Target; 2],
}

struct Target {
    file: Arc<dyn File>,
    end: AtomicU64,
}

impl<'a> Probe<'a> {
    pub(super) fn new(fs: &'a OsFs) -> Result<Self> {
        let make = |name| -> Result<Target> {
            let file = fs.create(name).map_err(|error| failed(fs, error))?;
            Ok(Target { file, end: AtomicU64::new(0) })
        };
        let [appended, allocated] = PROBES.map(make);
        let (appended, allocated) = (appended?, allocated?);
        let space = allocated.file.allocate(0, SPACE);
        space.or_else(|error| match error.kind() {
            // Then both are the same.
            ErrorKind::Unsupported => Ok(()),
            _ => Err(failed(fs, error)),
        })?;
        allocated.file.sync().map_err(|error| failed(fs, error))?;
        Ok(Probe { fs, files: [appended, allocated] })
    }

    pub(super) fn measure(&self, seconds: f64) -> Result<Allows> {
        let [appended, allocated] = &self.files;
        Ok(Allows {
            appended_per_s: self.rate(appended, seconds)?,
            allocated_per_s: self.rate(allocated, seconds)?,
        })
    }

    fn rate(&self, target: &Target, seconds: f64) -> Result<f64> {
        let measured = measure(1, seconds, 1, |_| {
            let offset = target.end.fetch_add(WRITE.len() as u64, Ordering::Relaxed);
            let written = target.file.write_at(&WRITE, offset).and_then(|()| target.file.sync());
            written.map_err(|error| failed(self.fs, error))
        })?;
        Ok(measured.ops_per_s)
    }

    /// Removes the files.
    pub(super) fn end(self) -> Result<()> {
        let remove = |name| self.fs.remove(name).map_err(|error| failed(self.fs, error));
        PROBES.into_iter().try_for_each(remove)
    }
}

impl Allows {
    pub(super) fn plus(self, share: f64, other: Allows) -> Allows {
        Allows {
            appended_per_s: self.appended_per_s + share * other.appended_per_s,
            allocated_per_s: self.allocated_per_s + share * other.allocated_per_s,
        }
    }
}

fn failed(fs: &OsFs, error: std::io::Error) -> Error {
    Error::io("the disk cannot be measured", error).at(fs.path())
}
