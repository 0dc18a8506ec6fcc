//! Reads a store's directory without opening the store: also one that is in use, and one that is
//! damaged. Writes nothing, locks nothing, repairs nothing.
//!
//! What is found is the store as an opening at this moment would find it after the process that
//! uses it had been killed: the bases that the manifest names, and the log up to the last whole
//! group. The end of the log's newest segment may be read while it is written, because every frame
//! carries its own checksums and number, and a group counts only when it is whole; and damage is
//! believed only when two readings one after the other find the same. What such a reading leaves
//! out is what only the process has: writes that it has not yet handed to the operating system,
//! and touches.
//!
//! Knows bytes, keys and times; knows no values, and nothing of how a report looks.

mod find;
mod overlay;
mod read;
mod verify;
mod walk;

use serde::Serialize;

pub(crate) use read::Reading;
pub(crate) use verify::Verdict;
pub(crate) use walk::{Session, Tally};

use crate::error::Error;

/// Something in the directory that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Damage {
    /// The name of the file.
    pub(crate) file: String,
    /// Where in it the damage begins, in bytes; `None` if the file is not there.
    pub(crate) offset: Option<u64>,
    /// What is wrong.
    pub(crate) what: String,
    /// What it costs.
    pub(crate) lost: String,
}

impl Damage {
    fn new(file: &str, offset: u64, what: &str, lost: impl Into<String>) -> Self {
        let (file, what) = (file.to_owned(), what.to_owned());
        Damage { file, offset: Some(offset), what, lost: lost.into() }
    }

    /// What an error says of a file.
    fn of(error: &Error, lost: impl Into<String>) -> Self {
        let name = error.path().and_then(|path| path.file_name()).unwrap_or_default();
        Damage {
            file: name.to_string_lossy().into_owned(),
            offset: error.byte_offset(),
            what: error.message().to_owned(),
            lost: lost.into(),
        }
    }
}
