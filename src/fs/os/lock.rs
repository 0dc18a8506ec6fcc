//! The lock file: one owner at a time, and a note in it that says who.
//!
//! Knows no store. The file is never deleted: whoever deletes a lock file lets two owners in.

use std::fs::{self, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::process;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::fs::Locked;

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(10);
/// Most bytes of the owner's note that are read.
const NOTE_BYTES_MAX: usize = 4096;

/// Locks `file` and writes `owner` into it, or reads who has it when `wait` has passed.
///
/// The lock is on the open file, not on the process: a second one in this process is refused
/// too. The kernel gives it back when the process ends, however it ends.
pub(super) fn take(file: fs::File, owner: &str, wait: Duration) -> io::Result<Locked> {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let until_ms = SystemClock.boot_ms().saturating_add(wait_ms);
    loop {
        if try_lock(&file)? {
            return Ok(Locked::Ours(Box::new(Guard::new(file, owner))));
        }
        let left_ms = until_ms.saturating_sub(SystemClock.boot_ms());
        if left_ms == 0 {
            return Ok(Locked::Theirs(note(&file)?));
        }
        thread::sleep(RETRY.min(Duration::from_millis(left_ms)));
    }
}

fn try_lock(file: &fs::File) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// What the owner wrote; empty while it is coming or going.
pub(super) fn note(file: &fs::File) -> io::Result<String> {
    let mut bytes = vec![0; NOTE_BYTES_MAX];
    let count = loop {
        match file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    bytes.truncate(count);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Holds the lock until it is dropped by the process that took it.
pub(super) struct Guard {
    file: fs::File,
    pid: u32,
}

impl Guard {
    fn new(file: fs::File, owner: &str) -> Guard {
        // The note is for people. A full disk, which the store can get out of by itself, must
        // not keep it from opening.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(owner.as_bytes(), 0));
        Guard { file, pid: process::id() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child shares the lock with us: it must neither give it back nor touch the
        // note. For the same reason closing the file is not enough in the parent.
        if self.pid == process::id() {
            let _ = self.file.set_len(0);
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::os::tests::Temp;
    use crate::fs::{Fs, OsFs, Permissions};

    fn check(fs: &OsFs, owner: &str, wait: Duration, holder: Option<&str>) -> Locked {
        let locked = fs.lock("lock", owner, wait).unwrap();
        match &locked {
            Locked::Ours(_) => assert_eq!(holder, None, "should have been refused"),
            Locked::Theirs(note) => assert_eq!(holder, Some(note.as_str())),
        }
        locked
    }

    #[test]
    fn the_second_is_told_who_was_first() {
        let temp = Temp::new();
        let fs = temp.open(Permissions::Strict);
        let first = check(&fs, "first", Duration::ZERO, None);
        check(&fs, "second", Duration::ZERO, Some("first"));
        check(&temp.open(Permissions::Strict), "third", Duration::ZERO, Some("first"));
        drop(first);
        assert_eq!(std::fs::read(temp.path().join("lock")).unwrap(), b"");
        let _second = check(&fs, "2", Duration::ZERO, None);
        check(&fs, "third", Duration::ZERO, Some("2"));
    }

    #[test]
    fn a_wait_ends_with_the_lock_or_after_its_time() {
        let temp = Temp::new();
        let fs = temp.open(Permissions::Strict);
        let first = check(&fs, "first", Duration::ZERO, None);
        let before_ms = SystemClock.boot_ms();
        check(&fs, "second", Duration::from_millis(30), Some("first"));
        assert!(SystemClock.boot_ms() >= before_ms + 30);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| check(&fs, "second", Duration::from_secs(60), None));
            thread::sleep(Duration::from_millis(25));
            drop(first);
            waiter.join().unwrap();
        });
    }

    #[test]
    fn a_forked_child_leaves_lock_and_note_alone() {
        let temp = Temp::new();
        let fs = temp.open(Permissions::Strict);
        let open = || {
            let path = temp.path().join("lock");
            fs::File::options().read(true).write(true).create(true).truncate(false).open(path)
        };
        let file = open().unwrap();
        assert!(try_lock(&file).unwrap());
        let shared = file.try_clone().unwrap();
        let mut guard = Guard::new(file, "parent");
        guard.pid = guard.pid.wrapping_add(1);
        drop(guard);
        check(&fs, "other", Duration::ZERO, Some("parent"));
        // The other way round: what the parent drops is free although a child still has it open.
        drop(Guard::new(shared.try_clone().unwrap(), "parent"));
        check(&fs, "other", Duration::ZERO, None);
        drop(shared);
    }
}
