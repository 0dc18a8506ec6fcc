//! Sessions without HTTP: the statements of their specification, the rules, races, values.
//!
//! `statements` and `rules` have a test named after each; `request` tries random calls within one
//! request, `owners` random histories of many sessions, both against models that are as plain as
//! can be.
#![cfg(all(
    feature = "session",
    feature = "testing",
    any(feature = "bincode", feature = "postcard", feature = "json")
))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(dropping_copy_types, reason = "what a call returns does not matter there")]

mod cases;
mod clones;
mod closures;
mod codecs;
mod damaged;
mod failures;
mod futures;
mod lifetimes;
mod limits;
mod owners;
mod planted;
mod races;
mod refused;
mod renewal;
mod request;
mod rules;
mod statements;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod turns;
mod values;

use std::sync::Arc;
use std::time::Duration;

use sessile::session::{Session, Sessions, SessionsBuilder};
use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Id};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than anything takes that is not stuck.
const LONG: Duration = Duration::from_secs(60);

/// Sessions on a simulated disk, and a clock that is moved by hand.
struct World {
    clock: ManualClock,
    fs: SimFs,
    configure: fn(SessionsBuilder) -> SessionsBuilder,
    sessions: Sessions,
}

impl World {
    fn new() -> World {
        World::with(|builder| builder)
    }

    fn with(configure: fn(SessionsBuilder) -> SessionsBuilder) -> World {
        let (clock, fs) = (ManualClock::new(), SimFs::new(1));
        let sessions = World::open(&clock, &fs, configure);
        World { clock, fs, configure, sessions }
    }

    fn open(
        clock: &ManualClock,
        fs: &SimFs,
        configure: fn(SessionsBuilder) -> SessionsBuilder,
    ) -> Sessions {
        let clock = clock.clone();
        let builder =
            Sessions::builder().store(|store| store.clock(clock).background(Background::Callers));
        configure(builder).open_fs(Arc::new(fs.clone())).unwrap()
    }

    /// The process is killed, and another one opens the directory.
    fn kill(&mut self) {
        self.fs = self.fs.kill();
        self.sessions = World::open(&self.clock, &self.fs, self.configure);
    }

    /// A saved session with one value, its key being `k`.
    fn saved(&self, value: i64) -> Id {
        let session = self.sessions.create();
        session.insert("k", value).unwrap();
        session.save().unwrap().unwrap()
    }

    /// A session in which `subject` has logged in.
    fn logged_in(&self, subject: &str) -> Id {
        logged_in(&self.sessions, subject)
    }

    #[track_caller]
    fn load(&self, id: &Id) -> Session {
        self.sessions.load(id).unwrap().expect("there is a session")
    }

    #[track_caller]
    fn is_gone(&self, id: &Id) {
        assert!(self.sessions.load(id).unwrap().is_none(), "the session lives");
    }
}

fn logged_in(sessions: &Sessions, subject: &str) -> Id {
    let session = sessions.create();
    session.login(subject).unwrap();
    session.save().unwrap().unwrap()
}

/// Sessions in memory, under the system's clock: for threads.
fn in_memory() -> Sessions {
    Sessions::builder().in_memory().unwrap()
}

fn get(session: &Session, key: &str) -> Option<i64> {
    session.get(key).unwrap()
}

/// Runs `work` on so many threads, each with its number, and returns what they return.
fn threads<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let barrier = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let running: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    barrier.wait();
                    work(number)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
