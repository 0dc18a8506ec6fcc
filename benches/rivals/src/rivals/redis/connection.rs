//! One connection to the server: commands as arrays of words, replies as they come.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};
use crate::rivals::{Change, Client, IDLE_S};

/// A reply that takes longer than this is a hang.
const REPLY: Duration = Duration::from_secs(20);

/// One connection.
pub struct Connection {
    stream: UnixStream,
    request: Vec<u8>,
    value: Vec<u8>,
    /// What has come of the replies, and how much of it is read.
    reply: Vec<u8>,
    read: usize,
}

impl Connection {
    pub fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(REPLY))?;
        stream.set_write_timeout(Some(REPLY))?;
        Ok(Connection {
            stream,
            request: Vec::with_capacity(512),
            value: Vec::with_capacity(ENCODED),
            reply: Vec::with_capacity(512),
            read: 0,
        })
    }

    /// Sends one command, as an array of its words.
    pub fn send(&mut self, words: &[&[u8]]) -> Result<()> {
        self.send_all(&[words])
    }

    /// Sends commands in one write; their replies come one after the other.
    fn send_all(&mut self, commands: &[&[&[u8]]]) -> Result<()> {
        self.request.clear();
        for words in commands {
            write!(self.request, "*{}\r\n", words.len())?;
            for word in *words {
                write!(self.request, "${}\r\n", word.len())?;
                self.request.extend_from_slice(word);
                self.request.extend_from_slice(b"\r\n");
            }
        }
        self.reply.clear();
        self.read = 0;
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

    /// The next line of the replies, without its end; an error reply is an error.
    pub fn line(&mut self) -> Result<&[u8]> {
        let begin = self.read;
        let end = loop {
            match self.reply[begin..].windows(2).position(|pair| pair == b"\r\n") {
                Some(length) => break begin + length,
                None => self.fill()?,
            }
        };
        self.read = end + 2;
        let line = &self.reply[begin..end];
        if line.starts_with(b"-") {
            return Err(format!("redis says {}", String::from_utf8_lossy(line)).into());
        }
        Ok(line)
    }

    /// The next reply, a string or nothing.
    pub fn string(&mut self) -> Result<Option<&[u8]>> {
        let head = self.line()?;
        if head == b"$-1" {
            return Ok(None);
        }
        let digits = head.strip_prefix(b"$").ok_or("redis did not answer with a string")?;
        let length: usize = std::str::from_utf8(digits)?.parse()?;
        let begin = self.read;
        while self.reply.len() < begin + length + 2 {
            self.fill()?;
        }
        self.read = begin + length + 2;
        Ok(Some(&self.reply[begin..begin + length]))
    }

    fn record(&mut self) -> Result<Option<Record>> {
        self.string()?.map(Record::decode).transpose()
    }

    /// The next reply, which has to be `expected`.
    pub fn expect(&mut self, expected: &[u8]) -> Result<()> {
        match self.line()? {
            line if line == expected => Ok(()),
            line => Err(format!("redis says {}", String::from_utf8_lossy(line)).into()),
        }
    }

    /// The record in the bytes of `value`, which are given back after use.
    fn encoded(&mut self, record: &Record) -> Result<Vec<u8>> {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        record.encode(&mut value)?;
        Ok(value)
    }
}

impl Client for Connection {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        self.send(&[b"GET", &key.0])?;
        self.record()
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        let value = self.encoded(&record)?;
        self.send(&[b"SET", &key.0, &value, b"EX", idle()])?;
        self.value = value;
        self.expect(b"+OK")
    }
}

impl Change for Connection {
    fn visit(&mut self, key: &Key) -> Result<Option<Record>> {
        self.send(&[b"GETEX", &key.0, b"EX", idle()])?;
        self.record()
    }

    fn update(&mut self, key: &Key, change: fn(&mut Record)) -> Result<bool> {
        loop {
            self.send_all(&[&[b"WATCH", &key.0], &[b"GET", &key.0]])?;
            self.expect(b"+OK")?;
            let Some(mut record) = self.record()? else {
                self.send(&[b"UNWATCH"])?;
                self.expect(b"+OK")?;
                return Ok(false);
            };
            change(&mut record);
            let value = self.encoded(&record)?;
            let set: &[&[u8]] = &[b"SET", &key.0, &value, b"EX", idle()];
            self.send_all(&[&[b"MULTI"], set, &[b"EXEC"]])?;
            self.value = value;
            self.expect(b"+OK")?;
            self.expect(b"+QUEUED")?;
            // Nothing instead of an array of one reply: somebody else has changed it meanwhile.
            if self.line()? == b"*1" {
                self.expect(b"+OK")?;
                return Ok(true);
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Result<bool> {
        self.send(&[b"DEL", &key.0])?;
        Ok(self.line()? == b":1")
    }
}

/// [`IDLE_S`] in digits.
fn idle() -> &'static [u8] {
    static DIGITS: LazyLock<String> = LazyLock::new(|| IDLE_S.to_string());
    DIGITS.as_bytes()
}
