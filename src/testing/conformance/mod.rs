//! What a store of sessions must do, as a suite that any store's author can run.
//!
//! Implement [`Subject`] for a few lines around the store, and call [`check`]. Every check gets a
//! subject of its own, says in words what it looks for, and passes, fails with what happened
//! instead, or does not apply. The suite needs no runtime and knows no store; what it cannot see
//! is said at [`Subject`].
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use std::time::Duration;
//!
//! use sessile::testing::conformance::{Data, Result, Subject, check};
//!
//! /// Sessions by number, each with the time it ends at; and the time it is.
//! #[derive(Default)]
//! struct Naive(Mutex<(HashMap<u64, (Data, Duration)>, Duration, u64)>);
//!
//! impl Subject for Naive {
//!     type Id = u64;
//!
//!     async fn create(&self, data: &Data, lives: Duration) -> Result<u64> {
//!         let (sessions, now, last) = &mut *self.0.lock().unwrap();
//!         *last += 1;
//!         sessions.insert(*last, (data.clone(), *now + lives));
//!         Ok(*last)
//!     }
//!
//!     async fn load(&self, id: &u64) -> Result<Option<Data>> {
//!         let (sessions, now, _) = &*self.0.lock().unwrap();
//!         Ok(sessions.get(id).filter(|(_, ends)| ends > now).map(|(data, _)| data.clone()))
//!     }
//!
//!     async fn save(&self, id: &u64, data: &Data, lives: Duration) -> Result<u64> {
//!         let (sessions, now, _) = &mut *self.0.lock().unwrap();
//!         if let Some(session) = sessions.get_mut(id).filter(|(_, ends)| *ends > *now) {
//!             *session = (data.clone(), *now + lives);
//!         }
//!         Ok(*id)
//!     }
//!
//!     async fn delete(&self, id: &u64) -> Result<()> {
//!         self.0.lock().unwrap().0.remove(id);
//!         Ok(())
//!     }
//!
//!     fn unknown(&self) -> u64 {
//!         u64::MAX
//!     }
//!
//!     fn pass(&self, time: Duration) {
//!         self.0.lock().unwrap().1 += time;
//!     }
//! }
//!
//! check(Naive::default).assert_all();
//! ```

mod data;
mod ids;
mod lasting;
mod life;
mod report;
mod stage;
mod time;
mod together;

use std::collections::BTreeMap;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub use report::{Checked, Outcome, Report};

use stage::{Check, Stage, Stop};

/// What a session holds: values as JSON texts, by name. The texts are compact and an object's
/// names are in order, so that a store that parses them can write the same text again (the plus
/// sign of an exponent apart); whoever keeps them as text, or as bytes, returns them as they are.
pub type Data = BTreeMap<String, String>;

/// What a call of a subject returns. The error is any that can be shown.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a store did when the id that it drew for a new session was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collision<I> {
    /// It created the session under this id.
    Created(I),
    /// It refused, and created nothing.
    Refused,
    /// The subject has no way to make it draw a certain id.
    NotApplicable,
}

/// A store under test, and a way to let time pass.
///
/// Calls come from several threads at once; each future stays on the thread that made it, so it
/// need not be `Send`. The suite sees what a store answers. It cannot see whether ids can be
/// guessed, what stands in a log or on a disk, or what survives a power cut.
pub trait Subject: Sync {
    /// What the store knows a session by.
    type Id: Clone + PartialEq + Send + Sync;

    /// Begins a session that ends after `lives` unless something is done to it, under an id that
    /// the store draws.
    ///
    /// # Errors
    /// Whatever stands in the way; the check that called fails.
    fn create(&self, data: &Data, lives: Duration) -> impl Future<Output = Result<Self::Id>>;

    /// What the session holds; `None` if there is none, or no longer.
    ///
    /// # Errors
    /// Whatever stands in the way; absence is no error.
    fn load(&self, id: &Self::Id) -> impl Future<Output = Result<Option<Data>>>;

    /// Replaces what a session holds, as a request does that loaded it before; it ends after
    /// `lives` from now on, which may be zero. Returns the id that it goes by from now on: the
    /// same one, in most stores.
    ///
    /// # Errors
    /// Whatever stands in the way. That the session is gone may be an error or go unsaid.
    fn save(
        &self,
        id: &Self::Id,
        data: &Data,
        lives: Duration,
    ) -> impl Future<Output = Result<Self::Id>>;

    /// Ends a session, there or not.
    ///
    /// # Errors
    /// Whatever stands in the way; absence is no error.
    fn delete(&self, id: &Self::Id) -> impl Future<Output = Result<()>>;

    /// An id that is well formed and that the store has never issued, the same or another with
    /// every call.
    fn unknown(&self) -> Self::Id;

    /// Lets time pass: moves the store's clock by hand, or sleeps, and has the store do the
    /// housekeeping that it does by itself in use.
    fn pass(&self, time: Duration);

    /// The shortest time that the store can tell from none, generously: deadlines of the checks
    /// are small multiples of it. Default: one second, for a clock that is moved by hand.
    fn unit(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Records that the store keeps, those that have expired included. Default: `None`, the
    /// subject cannot tell.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn held(&self) -> impl Future<Output = Result<Option<u64>>> {
        async { Ok(None) }
    }

    /// Creates a session as [`create`](Self::create) does when the id that the store draws is
    /// `id`. Default: that cannot be arranged.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn collide(
        &self,
        id: &Self::Id,
        data: &Data,
        lives: Duration,
    ) -> impl Future<Output = Result<Collision<Self::Id>>> {
        let _ = (id, data, lives);
        async { Ok(Collision::NotApplicable) }
    }

    /// Gives a session another id, as a login does, and returns it; the same id, or any other that
    /// loads nothing, if the session is gone. Default: `None`, the store does not.
    ///
    /// # Errors
    /// Whatever stands in the way. That the session is gone may be an error or go unsaid.
    fn rotate(&self, id: &Self::Id) -> impl Future<Output = Result<Option<Self::Id>>> {
        let _ = id;
        async { Ok(None) }
    }

    /// Closes the store and opens it again, on what it left. Default: false, nothing is left.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn reopen(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Drives a future of this store. Default: [`block_on`](super::block_on), without a runtime;
    /// a store that needs its runtime enters it here.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        super::block_on(future)
    }
}

/// Runs every check, each on a new subject.
///
/// Panics in the store count as failures. A store that blocks a thread for ever blocks the suite.
pub fn check<S: Subject>(make: impl Fn() -> S) -> Report {
    let suites = [
        life::checks(),
        time::checks(),
        ids::checks(),
        data::checks(),
        lasting::checks(),
        together::checks(),
    ];
    let checks = suites.into_iter().flatten().map(|Check { name, statement, run }| {
        let ended = catch_unwind(AssertUnwindSafe(|| run(&mut Stage::new(make()))));
        let outcome = match ended {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Stop::NotApplicable(why))) => Outcome::NotApplicable(why.to_owned()),
            Err(panic) => Outcome::Failed(format!("it panicked: {}", stage::message(&*panic))),
        };
        Checked { name, statement, outcome }
    });
    Report { checks: checks.collect() }
}
