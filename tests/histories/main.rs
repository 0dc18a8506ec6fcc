//! Histories that have gone wrong in stores like this one, each played back: what is gone stays
//! gone, what was acknowledged stays there.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod clear;
#[path = "../common/mod.rs"]
mod common;
mod durable;
mod ended;
mod found;
mod touch;

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::{Directory, Watch, copy_of};
use sessile::testing::ManualClock;
use sessile::{Background, Builder, Clock, Key, Store, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything takes that is not held up on purpose.
const LONG: Duration = Duration::from_secs(20);

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::builder()
        .clock(clock.clone())
        .background(Background::Callers)
        .idle(60 * SECOND)
        .absolute(3600 * SECOND)
}

fn open(path: &Path, clock: &ManualClock) -> Store<String> {
    builder(clock).open(path).unwrap()
}

fn value(store: &Store<String>, number: u64) -> Option<String> {
    store.peek(&key(number)).unwrap().map(|value| (*value).clone())
}

fn later(clock: &ManualClock, time: Duration) -> Timestamp {
    clock.wall().after(time)
}

/// What a killed process would leave, opened.
fn reopened(directory: &Directory, clock: &ManualClock) -> (Store<String>, Directory) {
    let copy = copy_of(directory.path(), "left");
    (open(copy.path(), clock), copy)
}

/// Calls back, once, before a base gets its name: in the middle of a flush or a merge.
#[derive(Default)]
struct AtBase(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl AtBase {
    fn next(&self, call: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(call));
    }
}

impl Watch for AtBase {
    fn rename(&self, from: &str, _: &str) -> io::Result<()> {
        let call = from.starts_with("base.").then(|| self.0.lock().unwrap().take());
        if let Some(call) = call.flatten() {
            call();
        }
        Ok(())
    }
}

/// Calls back, once, after a base has been read: in the middle of a cold read.
#[derive(Default)]
struct AtRead(AtBase);

impl Watch for AtRead {
    fn read(&self, _: &str) -> io::Result<()> {
        let call = self.0.0.lock().unwrap().take();
        if let Some(call) = call {
            call();
        }
        Ok(())
    }
}

/// Holds up writes or syncs of the log while it is shut, and tells of those that arrive.
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    arrived: Mutex<Sender<()>>,
    /// Hold up writes; otherwise syncs.
    writes: bool,
}

impl Gate {
    fn new(writes: bool) -> (Arc<Gate>, Receiver<()>) {
        let (sender, receiver) = channel();
        let (shut, opened) = (Mutex::new(false), Condvar::new());
        (Arc::new(Gate { shut, opened, arrived: Mutex::new(sender), writes }), receiver)
    }

    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self, name: &str) {
        let mut shut = self.shut.lock().unwrap();
        if !name.starts_with("log.") || !*shut {
            return;
        }
        let _ = self.arrived.lock().unwrap().send(());
        while *shut {
            shut = self.opened.wait(shut).unwrap();
        }
    }
}

impl Watch for Gate {
    fn write(&self, name: &str) -> io::Result<()> {
        if self.writes {
            self.pass(name);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<bool> {
        if !self.writes {
            self.pass(name);
        }
        Ok(true)
    }
}

/// Waits until `condition` holds: for something that another thread is about to do.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..LONG.as_millis() {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

/// A copy during which no flush or merge ended; otherwise its files are not of one moment.
fn whole_copy(store: &Store<u64>, directory: &Directory) -> Option<Directory> {
    let before = store.stats();
    let copy = copy_of(directory.path(), "left");
    let after = store.stats();
    let same = (before.flushes, before.merges) == (after.flushes, after.merges);
    same.then_some(copy)
}
