//! The one error of the crate: opaque, with predicates for what a caller can act on.
//!
//! Absence is never an error. Where an error speaks of a file, the path and the byte offset are
//! data beside the message, which says what happened, where, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Cheap to clone; ask it with the `is_…` predicates.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    unknown: bool,
    message: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The classes of errors; public code asks through predicates only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Closed,
    Config,
    Corrupt,
    Decode,
    DiskFull,
    Full,
    Interrupted,
    Io,
    Late,
    Locked,
    LoginRequired,
    Mismatch,
    Poisoned,
    Reentrant,
    SuspectClock,
    TooLarge,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            kind,
            unknown: false,
            message: message.into(),
            path: None,
            offset: None,
            source: None,
        }))
    }

    /// An input/output error; a full disk is told from the rest.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        let kind = if is_disk_full(&source) { ErrorKind::DiskFull } else { ErrorKind::Io };
        Error::new(kind, what).caused_by(source)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Config, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn closed() -> Self {
        Error::new(ErrorKind::Closed, "the store is closed; open it again to use it")
    }

    pub(crate) fn reentrant() -> Self {
        Error::new(
            ErrorKind::Reentrant,
            "a store or a session was called from inside the closure of `update` or `transact`; \
             read what you need through the closure's arguments, or before the call",
        )
    }

    pub(crate) fn at(self, path: impl AsRef<Path>) -> Self {
        self.edit(|inner| inner.path = Some(path.as_ref().to_path_buf()))
    }

    pub(crate) fn offset(self, offset: u64) -> Self {
        self.edit(|inner| inner.offset = Some(offset))
    }

    pub(crate) fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The same error, said of an operation that is visible already but may not last.
    pub(crate) fn unknown(self) -> Self {
        self.edit(|inner| inner.unknown = true)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Another process, or this one, has the directory open.
    pub fn is_locked(&self) -> bool {
        self.kind() == ErrorKind::Locked
    }

    /// The store was closed, by this handle or another, or by a fork.
    pub fn is_closed(&self) -> bool {
        self.kind() == ErrorKind::Closed
    }

    /// A limit of the builder is reached (`max_memory`, `max_sessions`, or the log's backlog).
    /// Nothing happened; the call may be repeated later.
    pub fn is_full(&self) -> bool {
        self.kind() == ErrorKind::Full
    }

    /// The disk has no room. Ends by itself when there is room again.
    pub fn is_disk_full(&self) -> bool {
        self.kind() == ErrorKind::DiskFull
    }

    /// The encoded value, or the group, is larger than the limit. Nothing happened.
    pub fn is_too_large(&self) -> bool {
        self.kind() == ErrorKind::TooLarge
    }

    /// Bytes on disk are not what was written there. See [`path`](Self::path) and
    /// [`byte_offset`](Self::byte_offset).
    pub fn is_corrupt(&self) -> bool {
        self.kind() == ErrorKind::Corrupt
    }

    /// What is stored cannot be read, and will not be.
    pub(crate) fn is_damage(&self) -> bool {
        self.is_corrupt() || self.is_decode()
    }

    /// A file that should be there is not.
    pub(crate) fn is_missing(&self) -> bool {
        let source = self.0.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
        source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
    }

    /// A stored value does not decode as the type asked for: most often its struct changed
    /// and the schema tag did not.
    pub fn is_decode(&self) -> bool {
        self.kind() == ErrorKind::Decode
    }

    /// The directory was written with another codec, schema tag or format version.
    pub fn is_mismatch(&self) -> bool {
        self.kind() == ErrorKind::Mismatch
    }

    /// An earlier write or sync failed. Reads go on; `heal` brings writes back.
    pub fn is_poisoned(&self) -> bool {
        self.kind() == ErrorKind::Poisoned
    }

    /// The session ended, or what its login rested on was revoked, while the request was under
    /// way. Nothing happened.
    pub fn is_interrupted(&self) -> bool {
        self.kind() == ErrorKind::Interrupted
    }

    /// The response has begun: nothing that is set in its session could still be saved.
    pub fn is_late(&self) -> bool {
        self.kind() == ErrorKind::Late
    }

    /// Nobody has logged in, or not recently enough for what is asked.
    pub fn is_login_required(&self) -> bool {
        self.kind() == ErrorKind::LoginRequired
    }

    /// The store was called from inside one of its own closures.
    pub fn is_reentrant(&self) -> bool {
        self.kind() == ErrorKind::Reentrant
    }

    /// The wall clock is implausibly far ahead of the last time this directory was in use.
    pub fn is_suspect_clock(&self) -> bool {
        self.kind() == ErrorKind::SuspectClock
    }

    /// An option of the builder, or an argument, makes no sense; the message names it.
    pub fn is_config(&self) -> bool {
        self.kind() == ErrorKind::Config
    }

    /// The change is visible in this process but may not survive it: it was applied, and then
    /// writing or syncing it failed. `heal` makes it last. Errors without this say that nothing
    /// happened.
    pub fn is_unknown(&self) -> bool {
        self.0.unknown
    }

    /// What happened and what to do, without the place.
    #[cfg(feature = "cli")]
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The file or directory that the error speaks of.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The offset in [`path`](Self::path), in bytes.
    pub fn byte_offset(&self) -> Option<u64> {
        self.0.offset
    }
}

/// Whether the operating system says that there is no room: no space, over quota, file too big.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}", path.display())?;
            if let Some(offset) = self.0.offset {
                write!(f, " at byte {offset}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.0.message)?;
        if self.0.unknown {
            f.write_str(" (the change is visible now, and lasts only once it is written after all, or by `heal`)")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
