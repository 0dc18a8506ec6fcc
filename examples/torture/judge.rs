//! A writer's process as its judge holds it: started, listened to, stopped, killed, gone for good
//! when this is dropped.
//!
//! Translates messages into the oracle's terms. Knows not when to kill and what to spare.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::child::{JOB, Job};
use super::oracle::Oracle;
use super::plan::{Draws, Op, SLOTS};
use super::state::Cell;
use super::verdict::Found;
use super::wire::{BYTES, Class, Code, Kind, Message};

/// A writer that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a writer is started: this program, or something that runs it.
#[derive(Clone, Debug)]
pub struct Launch {
    pub command: Vec<PathBuf>,
}

/// What came of waiting for a writer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It has told what it holds, and waits.
    Ready,
    /// An order was carried out.
    Done(Class),
    /// It could not open the store.
    Closed(Class),
    /// The time is over.
    Time,
    /// It is dead.
    End,
}

/// Answers that the writer gave, by how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    pub fine: u64,
    pub removals: u64,
    pub inserts: u64,
    pub full: u64,
    pub disk_full: u64,
    pub poisoned: u64,
    /// Errors that are none of these: there should be none from a key's operations.
    pub other: u64,
}

/// A running writer.
pub struct Writer {
    child: Child,
    /// The process itself, which need not be the child.
    process: Option<Pid>,
    pipe: UnixStream,
    buffer: Vec<u8>,
    used: usize,
    draws: Vec<Draws>,
    /// What each slot is at.
    at: Vec<Option<Op>>,
    pub found: Found,
    pub answers: Answers,
}

impl Writer {
    pub fn start(launch: &Launch, job: &Job) -> io::Result<Writer> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&launch.command[0]);
        command.args(&launch.command[1..]).env(JOB, job.to_text());
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let child = command.spawn()?;
        Ok(Writer {
            child,
            process: None,
            pipe: ours,
            buffer: Vec::new(),
            used: 0,
            draws: (0..SLOTS).map(|slot| job.plan.draws(slot)).collect(),
            at: vec![None; SLOTS],
            found: Found::nothing(),
            answers: Answers::default(),
        })
    }

    pub fn tell(&mut self, order: u8) -> io::Result<()> {
        self.pipe.write_all(&[order])
    }

    /// Follows the writer until something happens, or until that time.
    pub fn follow(&mut self, oracle: &mut Oracle, until: Instant) -> Result<Event, String> {
        loop {
            while let Some(bytes) = self.buffer.get(self.used..self.used + BYTES) {
                let message = Message::decode(bytes).map_err(|error| error.to_string())?;
                self.used += BYTES;
                if let Some(event) = self.hear(oracle, message)? {
                    return Ok(event);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Time);
            }
            if let Some(event) = self.read(Some(left))? {
                return Ok(event);
            }
        }
    }

    /// The same, for what must come soon in any case.
    pub fn expect(&mut self, oracle: &mut Oracle) -> Result<Event, String> {
        match self.follow(oracle, Instant::now() + PATIENCE)? {
            Event::Time => Err(format!("the writer hangs: nothing for {PATIENCE:?}")),
            event => Ok(event),
        }
    }

    /// Hears what a writer has said until now.
    pub fn drain(&mut self, oracle: &mut Oracle) -> Result<(), String> {
        self.pipe.set_nonblocking(true).map_err(|error| error.to_string())?;
        let far = Instant::now() + PATIENCE;
        let event = loop {
            match self.follow(oracle, far)? {
                Event::End | Event::Time => break Ok(()),
                _ => {}
            }
        };
        self.pipe.set_nonblocking(false).map_err(|error| error.to_string())?;
        event
    }

    fn read(&mut self, wait: Option<Duration>) -> Result<Option<Event>, String> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let text = |error: io::Error| error.to_string();
        self.pipe
            .set_read_timeout(wait.map(|wait| wait.max(Duration::from_micros(50))))
            .map_err(text)?;
        let mut bytes = [0; 8192];
        match (&self.pipe).read(&mut bytes) {
            Ok(0) => Ok(Some(Event::End)),
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(None)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(Some(Event::Time)),
                io::ErrorKind::Interrupted => Ok(None),
                io::ErrorKind::ConnectionReset => Ok(Some(Event::End)),
                _ => Err(text(error)),
            },
        }
    }

    fn hear(&mut self, oracle: &mut Oracle, message: Message) -> Result<Option<Event>, String> {
        let slot = usize::from(message.slot);
        if slot >= SLOTS {
            return Err(format!("there is no slot {slot}"));
        }
        match message.kind {
            Kind::Hello => self.process = Pid::from_raw(message.a as i32),
            Kind::Opened if message.code != Code::Yes => {
                return Ok(Some(Event::Closed(message.class)));
            }
            Kind::Opened => self.found.opened = Instant::now(),
            Kind::Found => {
                let cell = Cell { id: message.a, end: message.b };
                self.found.slots[slot][message.number as usize] = cell;
            }
            Kind::Loose => drop(self.found.loose.insert(message.a)),
            Kind::Phantom => self.found.phantoms.push(message.a),
            Kind::Ready => return Ok(Some(Event::Ready)),
            Kind::Announce | Kind::Heal => {
                let (id, op, level) = self.announced(&message)?;
                oracle.announce(slot, id, &op, level, message.a);
                self.at[slot] = Some(op);
            }
            Kind::Ack => {
                let op = self.at[slot].take();
                self.count(&message, op.as_ref());
                oracle.acknowledge(slot, message.code, message.a)?;
                if message.class == Class::Poisoned {
                    oracle.poisoned();
                }
            }
            Kind::Done => return Ok(Some(Event::Done(message.class))),
        }
        Ok(None)
    }

    fn announced(&mut self, message: &Message) -> Result<(u64, Op, sessile::Durability), String> {
        let draws = &mut self.draws[usize::from(message.slot)];
        if message.kind == Kind::Heal {
            return Ok((draws.id(), Op::Heal, sessile::Durability::Power));
        }
        let (number, op, level) = draws.next();
        if number != message.number {
            return Err(format!("operation {} where {number} was due", message.number));
        }
        Ok((draws.id(), op, level))
    }

    fn count(&mut self, message: &Message, op: Option<&Op>) {
        let answers = &mut self.answers;
        let write = op.is_some_and(Op::is_write);
        match message.class {
            Class::None => {
                answers.fine += u64::from(write);
                answers.removals += u64::from(op.is_some_and(Op::is_removal));
                answers.inserts += u64::from(matches!(op, Some(Op::Insert(..))));
            }
            Class::Full => answers.full += 1,
            Class::DiskFull => answers.disk_full += 1,
            Class::Poisoned => answers.poisoned += 1,
            // What concerns the files as a whole may fail in the file system's own way.
            Class::Closed | Class::Other => answers.other += u64::from(write),
        }
    }

    /// Forgets what was found, for it to be told anew.
    pub fn forget(&mut self) {
        let opened = self.found.opened;
        self.found = Found { opened, ..Found::nothing() };
    }

    pub fn signal(&self, signal: Signal) -> bool {
        self.process.is_some_and(|process| kill_process(process, signal).is_ok())
    }

    /// Stops every thread of it, and returns when they stand still.
    pub fn freeze(&self) -> Result<(), String> {
        let process = self.process.ok_or("the writer has not said which process it is")?;
        kill_process(process, Signal::STOP).map_err(|error| error.to_string())?;
        let tasks = format!("/proc/{}/task", process.as_raw_pid());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if all_stopped(&tasks).map_err(|error| error.to_string())? {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err("the writer cannot be stopped".into())
    }

    /// Kills it, hears its last words, and tells the oracle.
    pub fn kill(mut self, oracle: &mut Oracle) -> Result<Answers, String> {
        self.end();
        loop {
            match self.expect(oracle)? {
                Event::End => break,
                _ => continue,
            }
        }
        oracle.died(Instant::now());
        Ok(self.answers)
    }

    /// Waits for it to end by itself, for a while.
    pub fn is_over(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        false
    }

    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::KILL);
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether every thread listed there stands still.
fn all_stopped(tasks: &str) -> io::Result<bool> {
    for task in std::fs::read_dir(tasks)? {
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if !state.starts_with(['T', 't']) {
            return Ok(false);
        }
    }
    Ok(true)
}
