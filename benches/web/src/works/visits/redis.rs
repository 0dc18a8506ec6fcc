//! A Redis server of the bench's own, on a Unix socket, with an append-only file that is synced
//! every second: as with sessile at `Process`, what was answered survives the process.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::{child, scratch};

const SERVER: &str = "redis-server";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ended, by its process id, with this value.
pub struct Redis {
    pub process: Child,
    pub dir: PathBuf,
}

pub fn socket(dir: &Path) -> PathBuf {
    dir.join("socket")
}

impl Redis {
    /// Why there is none, if there is none.
    pub fn missing() -> Option<String> {
        let found = Command::new(SERVER).arg("--version").stdout(Stdio::null()).status();
        found.err().map(|error| format!("{SERVER} cannot be started: {error}"))
    }

    pub fn start(dir: &Path) -> Result<Self> {
        scratch::private(dir)?;
        let log = File::create(dir.join("log"))?;
        let mut command = child::command(SERVER);
        command
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--daemonize", "no", "--dir"])
            .arg(dir)
            .arg("--unixsocket")
            .arg(socket(dir))
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut redis = Redis { process: command.spawn()?, dir: dir.to_path_buf() };
        let begun = Instant::now();
        while UnixStream::connect(socket(dir)).is_err() {
            let ended = redis.process.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                return Err(format!("redis-server does not become ready:\n{log}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
