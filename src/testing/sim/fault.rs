//! What may go wrong with a call to a simulated file system, and when.

use std::io;

/// A call to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the calls are those of `Fs`, `File` and `Image`")]
pub enum Call {
    List,
    Create,
    Open,
    Image,
    Rename,
    SetAside,
    Remove,
    SyncDir,
    Lock,
    FreeBytes,
    Read,
    Write,
    Sync,
    Allocate,
    ReadImage,
}

impl Call {
    /// Whether it changes what is on the disk, or may.
    pub fn changes(self) -> bool {
        !self.reads() && !matches!(self, Call::List | Call::Open | Call::Image | Call::FreeBytes)
    }

    fn reads(self) -> bool {
        matches!(self, Call::Read | Call::ReadImage)
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EIO`, and nothing has happened; a write may have come through in part.
    Io,
    /// `EIO` from a call that has changed names, after it has: the answer lies.
    IoAfter,
    /// `ENOSPC` from a call that takes space; nothing of it has happened.
    NoSpace,
    /// `ENOSPC` from a write after a part of it.
    ShortWrite,
    /// A read gets only a part of what is there, and no error.
    ShortRead,
    /// `EROFS` from every call that changes something.
    ReadOnly,
    /// The process ends before the call, or a write in the middle of it; all later calls fail too.
    Halt,
}

impl Failure {
    /// All of them but `Halt`, which is no error.
    pub const ERRORS: [Failure; 6] = [
        Failure::Io,
        Failure::IoAfter,
        Failure::NoSpace,
        Failure::ShortWrite,
        Failure::ShortRead,
        Failure::ReadOnly,
    ];

    /// Whether this can befall that call.
    pub fn befalls(self, call: Call) -> bool {
        match self {
            Failure::Io => call != Call::FreeBytes,
            Failure::IoAfter => {
                matches!(call, Call::Create | Call::Rename | Call::Remove | Call::SyncDir)
            }
            Failure::NoSpace => matches!(
                call,
                Call::Create
                    | Call::Rename
                    | Call::SetAside
                    | Call::Write
                    | Call::Sync
                    | Call::Allocate
                    | Call::SyncDir
            ),
            Failure::ShortWrite => call == Call::Write,
            Failure::ShortRead => call == Call::Read,
            Failure::ReadOnly => call.changes(),
            Failure::Halt => true,
        }
    }

    pub(super) fn error(self) -> io::Error {
        // EIO, ENOSPC, EROFS: the numbers are Linux's.
        io::Error::from_raw_os_error(match self {
            Failure::NoSpace | Failure::ShortWrite => 28,
            Failure::ReadOnly => 30,
            _ => 5,
        })
    }
}

/// A failure that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The call that fails, counted from 1 from the moment at which the fault is set.
    pub call: u64,
    /// How it fails.
    pub failure: Failure,
    /// Every later call that this can befall fails too, until [`SimFs::repair`](super::SimFs).
    pub lasting: bool,
}

/// What reading a sector gives instead of what was written. The sector itself stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// One bit of it, by its number below 4096, is flipped.
    BitRot(u16),
    /// What it held before it was last written.
    Stale,
    /// What another sector of the same file holds, by its number.
    Misdirected(u64),
    /// `EIO`.
    Unreadable,
}
