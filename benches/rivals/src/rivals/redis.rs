//! A Redis server of the bench's own, on a Unix socket, with an append-only file; one command
//! for each call, as a session middleware sends them. It stores bytes, so a get decodes them.
//!
//! `SET` carries the idle deadline; `GET` is plain, which spares Redis the touch.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, IDLE_S, Level, Rival};
use crate::Result;
use crate::child;
use crate::keys::Key;
use crate::record::{ENCODED, Record};
use crate::scratch;

const SERVER: &str = "redis-server";
/// How long a server may take to start or to end: it may have a large file to read.
const PATIENCE: Duration = Duration::from_secs(60);
/// A reply that takes longer than this is a hang.
const REPLY: Duration = Duration::from_secs(20);

pub struct Redis {
    server: Child,
    socket: PathBuf,
}

/// One connection.
pub struct Connection {
    stream: UnixStream,
    request: Vec<u8>,
    value: Vec<u8>,
    reply: Vec<u8>,
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

impl Connection {
    fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(REPLY))?;
        stream.set_write_timeout(Some(REPLY))?;
        Ok(Connection {
            stream,
            request: Vec::with_capacity(512),
            value: Vec::with_capacity(ENCODED),
            reply: Vec::with_capacity(512),
        })
    }

    /// Sends one command, as an array of its words.
    fn send(&mut self, words: &[&[u8]]) -> Result<()> {
        self.request.clear();
        write!(self.request, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.request, "${}\r\n", word.len())?;
            self.request.extend_from_slice(word);
            self.request.extend_from_slice(b"\r\n");
        }
        self.reply.clear();
        Ok(self.stream.write_all(&self.request)?)
    }

    /// Reads more of the reply.
    fn fill(&mut self) -> Result<()> {
        let mut bytes = [0; 512];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err("redis has closed the connection".into()),
            Ok(count) => {
                self.reply.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The first line of the reply, without its end; an error reply is an error.
    fn line(&mut self) -> Result<&[u8]> {
        let end = loop {
            match self.reply.windows(2).position(|pair| pair == b"\r\n") {
                Some(end) => break end,
                None => self.fill()?,
            }
        };
        let line = &self.reply[..end];
        if line.starts_with(b"-") {
            return Err(format!("redis says {}", String::from_utf8_lossy(line)).into());
        }
        Ok(line)
    }
}

impl Client for Connection {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        self.send(&[b"GET", &key.0])?;
        let head = self.line()?;
        if head == b"$-1" {
            return Ok(None);
        }
        let digits = head.strip_prefix(b"$").ok_or("redis did not answer GET with a string")?;
        let length: usize = std::str::from_utf8(digits)?.parse()?;
        let begin = head.len() + 2;
        while self.reply.len() < begin + length + 2 {
            self.fill()?;
        }
        Record::decode(&self.reply[begin..begin + length]).map(Some)
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        record.encode(&mut value)?;
        let idle = IDLE_S.to_string();
        self.send(&[b"SET", &key.0, &value, b"EX", idle.as_bytes()])?;
        self.value = value;
        match self.line()? {
            b"+OK" => Ok(()),
            line => Err(format!("redis says {}", String::from_utf8_lossy(line)).into()),
        }
    }
}
