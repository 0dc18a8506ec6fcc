//! A Redis server of the bench's own, on a Unix socket, with an append-only file; one command
//! for each call, as a session middleware sends them. It stores bytes, so a get decodes them.
//!
//! `Process` is `appendfsync everysec`, as is `Memory`; `Power` is `always`, which answers after the
//! sync and takes the commands of all connections along. `SET` carries the idle deadline. `GET` is
//! plain, which spares Redis the touch; a visit is `GETEX`. An update is `WATCH` and `GET`, then
//! `MULTI`, `SET` and `EXEC`: two round trips.

mod connection;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use self::connection::Connection;
use super::{Level, Rival};
use crate::Result;
use crate::child;
use crate::scratch;

const SERVER: &str = "redis-server";
/// How long a server may take to start or to end: it may have a large file to read.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Redis {
    server: Child,
    socket: PathBuf,
}

impl Rival for Redis {
    type Client = Connection;

    const NAME: &'static str = "redis";

    fn missing() -> Option<String> {
        let found = Command::new(SERVER).arg("--version").stdout(Stdio::null()).status();
        found.err().map(|error| format!("{SERVER} cannot be started: {error}"))
    }

    fn open(dir: &Path, level: Level) -> Result<Self> {
        if !dir.exists() {
            scratch::private(dir)?;
        }
        let socket = dir.join("socket");
        scratch::remove(&socket)?;
        let server = spawn(dir, &socket, level)?;
        let mut redis = Redis { server, socket };
        redis.wait_until_ready(dir)?;
        Ok(redis)
    }

    fn client(&self) -> Result<Connection> {
        Connection::new(&self.socket)
    }

    /// Rewrites its file in the background, and waits.
    fn compact(&mut self) -> Result<()> {
        let mut connection = self.client()?;
        connection.send(&[b"BGREWRITEAOF"])?;
        connection.line()?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            connection.send(&[b"INFO", b"persistence"])?;
            let info = connection.string()?.ok_or("redis has no INFO")?;
            let info = std::str::from_utf8(info)?;
            if info.contains("aof_rewrite_in_progress:0")
                && info.contains("aof_rewrite_scheduled:0")
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("redis does not end rewriting its file".into())
    }

    fn close(mut self) -> Result<()> {
        // A server that ends has nothing left to answer.
        self.client()?.send(&[b"SHUTDOWN"])?;
        let begun = Instant::now();
        while self.server.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                return Err("redis-server does not end".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn spawn(dir: &Path, socket: &Path, level: Level) -> Result<Child> {
    let fsync = if level == Level::Power { "always" } else { "everysec" };
    let log = File::create(dir.join("log"))?;
    let mut command = child::command(SERVER);
    command
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", fsync])
        // A rewrite of its file would run into the other side's rounds.
        .args(["--auto-aof-rewrite-percentage", "0", "--daemonize", "no"])
        .arg("--dir")
        .arg(dir)
        .arg("--unixsocket")
        .arg(socket)
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command.spawn()?)
}

impl Redis {
    fn wait_until_ready(&mut self, dir: &Path) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.server.try_wait()? {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                return Err(format!("redis-server ended with {status}:\n{log}").into());
            }
            if let Ok(mut connection) = self.client()
                && connection.send(&[b"PING"]).is_ok()
                && connection.line().is_ok_and(|line| line.starts_with(b"+PONG"))
            {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Err("redis-server does not become ready".into())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Ok(None) = self.server.try_wait() {
            let _ = self.server.kill();
            let _ = self.server.wait();
        }
    }
}
