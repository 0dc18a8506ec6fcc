//! Opening the store's directory: found or made, ours, and closed to everybody else.
//!
//! Knows nothing of what lies in it but whether there is anything. Every refusal names the path
//! and what to run.

use std::os::fd::OwnedFd;
use std::path::{self, Path, PathBuf};

use rustix::fs::{self as sys, Access, AtFlags, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

use super::{DIRECTORY_MODE, Permissions, names_in};
use crate::error::{Error, Result};

/// Bits of a mode that let others than the owner in.
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);

/// Opens `path`, made if missing, and checks that the store can keep secrets in it. Returns the
/// absolute path too: what a message tells to run must not depend on where it is run.
pub(super) fn open(path: &Path, permissions: Permissions) -> Result<(PathBuf, OwnedFd)> {
    let path = path::absolute(path)
        .map_err(|error| Error::config("this is no path for a directory").caused_by(error))?;
    let directory = match open_existing(&path) {
        Err(Errno::NOENT) => make(&path, DIRECTORY_MODE).and_then(|()| open_existing(&path)),
        result => result,
    };
    let directory = directory.map_err(|error| refused(&path, error))?;
    check_mode(&path, &directory, permissions)?;
    check_access(&directory).map_err(|error| refused(&path, error))?;
    Ok((path, directory))
}

/// Follows links: a data directory may be one. What it leads to is looked at once, here.
pub(super) fn open_existing(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| sys::open(path, flags, Mode::empty()))
}

/// Makes the directory `path` and what is missing above it, each name durable on return.
fn make(path: &Path, mode: Mode) -> rustix::io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let above = match open_existing(parent) {
        Err(Errno::NOENT) => {
            make(parent, Mode::RWXU | OTHERS)?;
            open_existing(parent)?
        }
        result => result?,
    };
    // A path that ends in `..` names nothing new, but what it leads through is there now.
    let Some(name) = path.file_name() else { return Ok(()) };
    match retry_on_intr(|| sys::mkdirat(&above, name, mode)) {
        Ok(()) => retry_on_intr(|| sys::fsync(&above)),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses a directory that is not ours or that others may enter, or closes it to them where that
/// is allowed: always if it is empty, since then nothing in it can have been read or planted.
fn check_mode(path: &Path, directory: &OwnedFd, permissions: Permissions) -> Result<()> {
    let stat = sys::fstat(directory).map_err(|error| refused(path, error))?;
    if permissions == Permissions::Any || (is_ours(&stat) && is_closed(&stat)) {
        return Ok(());
    }
    if !is_ours(&stat) {
        return Err(Error::config(foreign(path, &stat)).at(path));
    }
    let is_empty = || names_in(directory).map(|names| names.is_empty());
    let listed = |error| Error::io("the directory cannot be listed", error).at(path);
    if permissions == Permissions::Fix || is_empty().map_err(listed)? {
        return close(path, directory);
    }
    Err(Error::config(loose(path, &stat)).at(path))
}

/// Closes a directory of ours to others, and looks whether that has worked.
fn close(path: &Path, directory: &OwnedFd) -> Result<()> {
    let changed = retry_on_intr(|| sys::fchmod(directory, DIRECTORY_MODE));
    let stat =
        changed.and_then(|()| sys::fstat(directory)).map_err(|error| refused(path, error))?;
    if is_closed(&stat) {
        return Ok(());
    }
    let message = format!(
        "others may enter the directory (mode {:04o}), and its file system keeps no change of \
         that; choose another directory, or accept this one with `permissions(Permissions::Any)`",
        bits(&stat)
    );
    Err(Error::config(message).at(path))
}

/// Whether files can be made in it: the mode alone does not tell, a read-only disk has one too.
fn check_access(directory: &OwnedFd) -> rustix::io::Result<()> {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match sys::accessat(directory, ".", access, AtFlags::EACCESS) {
        Err(error @ (Errno::ACCESS | Errno::ROFS)) => Err(error),
        // Sandboxes that do not know the call refuse it with any other error.
        _ => Ok(()),
    }
}

fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == geteuid().as_raw()
}

fn is_closed(stat: &Stat) -> bool {
    !Mode::from_raw_mode(stat.st_mode).intersects(OTHERS)
}

fn bits(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

fn loose(path: &Path, stat: &Stat) -> String {
    format!(
        "others may enter the directory (mode {:04o}), and what the store keeps in it is secret; \
         run `chmod 700 {}`, or open it with `permissions(Permissions::Fix)` to have that done, \
         or with `permissions(Permissions::Any)` to accept it as it is",
        bits(stat),
        quoted(path)
    )
}

fn foreign(path: &Path, stat: &Stat) -> String {
    let (us, path) = (geteuid().as_raw(), quoted(path));
    format!(
        "the directory belongs to user {} (mode {:04o}) and this process runs as user {us}; run \
         `chown {us} {path} && chmod 700 {path}`, or the process as that user, or open it with \
         `permissions(Permissions::Any)` to accept it as it is (`Permissions::Fix` mends only \
         what is ours)",
        stat.st_uid,
        bits(stat),
    )
}

/// An error of the operating system, with what to do about it.
fn refused(path: &Path, error: Errno) -> Error {
    let us = geteuid().as_raw();
    let advice = match error {
        Errno::NOTDIR => "this, or a part of the path to it, is a file; \
             give the store a directory of its own, or move the file away"
            .into(),
        Errno::ACCESS | Errno::PERM => format!(
            "user {us}, as which this process runs, may not make, read and change this \
             directory; run `install -d -m 700 -o {us} {}` as root, or choose another directory",
            quoted(path)
        ),
        Errno::ROFS => "the file system is read-only; mount it writable (`mount -o remount,rw`), \
                        or choose another directory"
            .into(),
        Errno::NOENT => "the directory can be neither found nor made; \
                         look for a broken symbolic link in the path, or choose another directory"
            .into(),
        _ => String::from("the directory cannot be opened; mend the cause, or choose another"),
    };
    Error::io(advice, error.into()).at(path)
}

/// `path` as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%=".contains(letter);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
