//! What several integration tests share: directories that go away, keys, a seeded generator.

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub mod faulty;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use sessile::Key;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A place for a store, empty at first; removed on drop with all that is in it.
pub struct Temp(PathBuf);

impl Temp {
    pub fn new() -> Temp {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sessile-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Temp(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names in it that begin with `start`, in order.
    pub fn names(&self, start: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        names.sort();
        names
    }

    /// The files as they are now, as a `kill -9` would leave them. Nobody may be writing.
    pub fn copy(&self) -> Temp {
        let copy = Temp::new();
        fs::DirBuilder::new().mode(0o700).create(&copy.0).unwrap();
        for name in self.names("") {
            if self.0.join(&name).is_file() {
                fs::copy(self.0.join(&name), copy.0.join(&name)).unwrap();
            }
        }
        copy
    }

    /// Names and contents of all files but the lock.
    pub fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.names("").into_iter().filter(|name| name != "lock");
        let names = names.filter(|name| self.0.join(name).is_file());
        names.map(|name| (name.clone(), fs::read(self.0.join(name)).unwrap())).collect()
    }

    pub fn mode(&self) -> u32 {
        fs::metadata(&self.0).unwrap().permissions().mode() & 0o7777
    }

    pub fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.0, fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// SplitMix64: the same numbers for the same seed, on every machine.
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The seed of this run: from `SESSILE_SEED` if that is set, else new. Printed, to be set again.
pub fn seed() -> u64 {
    let given = std::env::var("SESSILE_SEED").ok().and_then(|text| text.parse().ok());
    let drawn = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32
    };
    let seed = given.unwrap_or_else(drawn);
    println!("SESSILE_SEED={seed}");
    seed
}

/// Runs `work` on a thread of its own. A deadlock fails the test instead of hanging it.
pub fn within<R: Send + 'static>(limit: Duration, work: impl FnOnce() -> R + Send + 'static) -> R {
    let (send, receive) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = work();
        let _ = send.send(());
        result
    });
    if receive.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("stuck: not done within {limit:?}");
    }
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs one ignored test of this binary in a process of its own, with `job` as its order.
pub fn child(name: &str, job: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("SESSILE_JOB", job).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The order of this process, if it is such a child.
pub fn job() -> Option<String> {
    std::env::var("SESSILE_JOB").ok()
}
