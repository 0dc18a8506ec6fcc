//! What the disk of a directory allows: how many small writes a second it makes durable, one
//! after the other.

use super::measure::measure;
use super::room::PROBE;
use crate::error::{Error, Result};
use crate::fs::{File, Fs, OsFs};

/// About as much as one write of the log.
const WRITE: [u8; 200] = [0xA5; 200];
/// Space that is allocated ahead, as the log's is.
const SPACE: u64 = 16 << 20;

/// Syncs a second, each after one write of 200 bytes.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Allows {
    /// Behind the end of a file.
    pub(super) appended_per_s: f64,
    /// Into space that was allocated before, as the log does it.
    pub(super) allocated_per_s: f64,
}

fn rate(fs: &OsFs, seconds: f64, space: u64) -> Result<f64> {
    let failed = |error| Error::io("the disk cannot be measured", error).at(fs.path());
    let file = fs.create(PROBE).map_err(failed)?;
    // A file system that cannot do that has only the first figure.
    let allocated = if space > 0 { file.allocate(0, space) } else { Ok(()) };
    allocated.or_else(|error| match error.kind() {
        std::io::ErrorKind::Unsupported => Ok(()),
        _ => Err(failed(error)),
    })?;
    file.sync().map_err(failed)?;
    let end = if space > 0 { space } else { u64::MAX };
    let file: &dyn File = &*file;
    let measured = measure(1, seconds, 1, |worker| {
        let offset = worker.calls.saturating_mul(WRITE.len() as u64) % end;
        file.write_at(&WRITE, offset).and_then(|()| file.sync()).map_err(failed)
    })?;
    fs.remove(PROBE).map_err(failed)?;
    Ok(measured.ops_per_s)
}

impl Allows {
    pub(super) fn measure(fs: &OsFs, seconds: f64) -> Result<Allows> {
        Ok(Allows {
            appended_per_s: rate(fs, seconds, 0)?,
            allocated_per_s: rate(fs, seconds, SPACE)?,
        })
    }

    pub(super) fn plus(self, share: f64, other: Allows) -> Allows {
        Allows {
            appended_per_s: self.appended_per_s + share * other.appended_per_s,
            allocated_per_s: self.allocated_per_s + share * other.allocated_per_s,
        }
    }
}
