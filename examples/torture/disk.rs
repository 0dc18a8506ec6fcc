//! How far the file system under the writer is to be believed once the judge has made it fail.
//!
//! ext4 drops its journal first, then writes its superblock, and refuses everything after that. In
//! between, for some milliseconds, `fdatasync` returns success though the extent that it should
//! have marked as written stays as it was allocated, and reads as zeros after the repair; such
//! calls were traced, and all of them overlapped the call that forced the error. So what a sync
//! that had ended before may have covered must be there, what one that overlapped it may have
//! covered need not, and nothing that begins later may be called done. Knows no operations.

use sessile::Durability;

/// What has happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Disk {
    #[default]
    Sound,
    /// The error is about to be forced, or is being forced.
    Failing,
    /// It is read-only.
    ReadOnly,
    /// The writer has been told by a call, and has told so.
    Known,
}

impl Disk {
    /// What an answer at `level` that is heard now promises.
    pub(super) fn promises(self, level: Durability) -> Durability {
        if self == Disk::Sound { level } else { level.min(Durability::Process) }
    }

    /// Whether a write that begins now may be called done at `level`. `Memory` never asks a file;
    /// what is only written may go into a page cache that cannot be kept, until somebody is told.
    pub(super) fn allows(self, level: Durability) -> bool {
        match self {
            Disk::Sound | Disk::Failing => true,
            Disk::ReadOnly => level < Durability::Power,
            Disk::Known => level < Durability::Process,
        }
    }
}
