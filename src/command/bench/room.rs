//! The directory that is measured in: taken only if it is empty, left as it was found.
//!
//! What removes the files is a process of its own that waits for the end of the one that
//! measures: so they go too when that one is interrupted or killed.

use std::io::{Read, stdin};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::arguments::SWEEP;
use crate::error::{Error, Result};
use crate::fs::layout::{LOCK, Name, parse};
use crate::fs::{Fs, Locked, OsFs, Permissions, remove_empty};

/// The files that the disk is measured with.
pub(super) const PROBES: [&str; 2] = ["sessile-bench.appended", "sessile-bench.allocated"];
/// Says that what lies in the directory was made to be measured, and may be removed.
const MARK: &str = "sessile-bench";
/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(30);

/// See the module's text.
pub(super) struct Room {
    fs: OsFs,
    sweeper: Child,
}

impl Room {
    /// # Errors
    /// `is_config` if there is something in the directory.
    pub(super) fn take(path: &Path) -> Result<Room> {
        let is_new = match OsFs::open_to_read(path) {
            Ok(found) => {
                check_empty(&found)?;
                false
            }
            Err(error) if error.is_missing() => true,
            Err(error) => return Err(error),
        };
        let fs = OsFs::open(path, Permissions::Strict)?;
        check_empty(&fs)?;
        let failed = |error| Error::io("no file can be made in the directory", error).at(fs.path());
        fs.create(MARK).map_err(failed)?;
        let mut command = again()?;
        command.arg(SWEEP).arg(fs.path()).args(is_new.then_some("whole"));
        // Not of our group: what interrupts us must not end it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper =
            command.spawn().map_err(|error| Error::io("no process to clean up", error))?;
        Ok(Room { fs, sweeper })
    }

    pub(super) fn fs(&self) -> &OsFs {
        &self.fs
    }

    pub(super) fn path(&self) -> PathBuf {
        self.fs.path().to_path_buf()
    }

    /// Has everything removed, and waits for it.
    pub(super) fn leave(mut self) -> Result<()> {
        drop(self.sweeper.stdin.take());
        let ended = self.sweeper.wait();
        match ended.map_err(|error| Error::io("cleaning up cannot be waited for", error))? {
            status if status.success() => Ok(()),
            _ => Err(Error::config("what was measured with could not be removed; remove it")
                .at(self.fs.path())),
        }
    }
}

/// This command, to be started once more.
pub(super) fn again() -> Result<Command> {
    let path = std::env::current_exe();
    path.map(Command::new).map_err(|error| Error::io("this command cannot find itself", error))
}

fn check_empty(fs: &OsFs) -> Result<()> {
    let failed = |error| Error::io("the directory cannot be listed", error).at(fs.path());
    if fs.list().map_err(failed)?.is_empty() {
        return Ok(());
    }
    let message = "the directory is not empty, and what is in it would be in danger; name one that \
                   is empty, or one that is not there, on the disk to be measured";
    Err(Error::config(message).at(fs.path()))
}

/// Refuses a directory that was not made to be measured in.
pub(super) fn check_marked(fs: &OsFs) -> Result<()> {
    let failed = |error| Error::io("the directory cannot be listed", error).at(fs.path());
    match fs.list().map_err(failed)?.iter().any(|name| name == MARK) {
        true => Ok(()),
        false => Err(Error::config("`sessile bench` has not made this directory").at(fs.path())),
    }
}

/// What the second process does: waits until nobody holds the other end of its standard input,
/// and removes the files of a store that lie in `path`, the directory too if it was made for this.
pub(in super::super) fn sweep(path: &Path, whole: bool) -> Result<()> {
    let failed = |error| Error::io("cannot be removed", error).at(path);
    let _ = stdin().lock().read_to_end(&mut Vec::new());
    let fs = OsFs::open_to_read(path)?;
    check_marked(&fs)?;
    // Whoever was killed may still be about to make a file.
    let Locked::Ours(lock) = fs.lock(LOCK, "", GONE).map_err(failed)? else {
        return Err(Error::config("somebody uses it").at(path));
    };
    for name in fs.list().map_err(failed)? {
        let is_ours = [LOCK, MARK].contains(&&*name) || PROBES.contains(&&*name);
        if is_ours || matches!(parse(&name), Name::Ours(..) | Name::Temporary(_)) {
            fs.remove(&name).map_err(failed)?;
        }
    }
    drop(lock);
    if whole { remove_empty(path).map_err(failed) } else { Ok(()) }
}
