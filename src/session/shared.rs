//! What all sessions of one manager share: the backend, the settings, the counters.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tower")]
use crate::backend::Work;
use crate::backend::{Backend, Purpose};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Key;
use crate::limits::RENEWALS_FOLLOWED_MAX;
use crate::log::Durability;
use crate::session::events::{EventKind, Events, Refusal};
use crate::session::record::{Body, Kind, Record};
use crate::store::Slots;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// What to do about a login of an owner who has as many sessions as is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOwnerFull {
    /// The session that logged in longest ago ends.
    #[default]
    EndOldest,
    /// The login is refused: `is_full`.
    Refuse,
}

/// Settings that last as long as the manager.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `None`: reads do not extend.
    pub(crate) idle: Option<Duration>,
    /// The same for sessions in which nobody has logged in.
    pub(crate) anonymous_idle: Option<Duration>,
    pub(crate) absolute: Duration,
    pub(crate) renew_every: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) per_owner: usize,
    pub(crate) when_owner_full: WhenOwnerFull,
    /// Sessions from which on anonymous ones are refused.
    pub(crate) anonymous_max: Option<u64>,
    pub(crate) max_value_bytes: usize,
    pub(crate) write_level: Durability,
    pub(crate) removal_level: Durability,
}

/// See the module's text.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend<Record>>,
    pub(crate) settings: Settings,
    pub(crate) events: Events,
    /// Raised by every revocation of everything: a login that began before it is refused.
    pub(crate) clears: AtomicU64,
    /// Held by whoever goes through all records to make an owner's list anew. Taken on a thread
    /// that holds nothing else and serves nobody.
    pub(crate) walking: Arc<Mutex<()>>,
}

/// What a change of a session came to.
pub(crate) enum Changed<R> {
    /// Its result, and where the session is now.
    Done(R, Key),
    /// There is no session any more.
    Gone,
}

/// What a closure wants of the session that it was shown.
pub(crate) enum Verdict<R> {
    Keep(R),
    /// As before, under the same expiry.
    Save(R),
    /// Under the expiry that it has now.
    SaveWith(R),
}

impl<R> Verdict<R> {
    pub(crate) fn map<T>(self, make: impl FnOnce(R) -> T) -> Verdict<T> {
        match self {
            Verdict::Keep(result) => Verdict::Keep(make(result)),
            Verdict::Save(result) => Verdict::Save(make(result)),
            Verdict::SaveWith(result) => Verdict::SaveWith(make(result)),
        }
    }
}

/// What a change makes of a session: its verdict, and the session as it is to be.
pub(crate) type Decided<R> = Result<(Verdict<R>, Arc<Record>)>;

impl Shared {
    pub(crate) fn new(
        backend: Arc<dyn Backend<Record>>,
        settings: Settings,
        events: Events,
    ) -> Shared {
        let (clears, walking) = (AtomicU64::new(0), Arc::new(Mutex::new(())));
        Shared { backend, settings, events, clears, walking }
    }

    pub(crate) fn tell(&self, kind: EventKind, key: Option<Key>) {
        self.events.tell(kind, key, self.backend.now());
    }

    pub(crate) fn refused(&self, why: Refusal) {
        self.tell(EventKind::Refused(why), None);
    }

    /// Says that the store has failed, if that is what the error is about.
    pub(crate) fn failed(&self, error: &Error) {
        use ErrorKind::{Closed, Corrupt, DiskFull, Io, Poisoned};
        if matches!(error.kind(), Closed | Corrupt | DiskFull | Io | Poisoned) {
            self.tell(EventKind::Failed, None);
        }
    }

    /// The idle time of a session with no expiry of its own.
    pub(crate) fn idle_of(&self, body: &Body) -> Option<Duration> {
        match (body.owner.is_some(), self.settings.anonymous_idle) {
            (false, Some(idle)) => Some(idle),
            _ => self.settings.idle,
        }
    }

    pub(crate) async fn transact(
        &self,
        purpose: Purpose,
        keys: &[Key],
        mut decide: impl FnMut(&mut Slots<Record>) + Send,
    ) -> Result<()> {
        self.backend.transact(purpose, keys, &mut decide).await
    }

    /// Changes the session under `key`, or where a renewal has moved it to, as one whole. `change`
    /// is told where that is.
    ///
    /// # Errors
    /// The closure's own, and then nothing has happened; those of the backend.
    pub(crate) async fn change<R: Send>(
        &self,
        purpose: Purpose,
        mut key: Key,
        mut change: impl FnMut(Key, Body) -> Decided<R> + Send,
    ) -> Result<Changed<R>> {
        for _ in 0..RENEWALS_FOLLOWED_MAX {
            let mut step = Step::Gone;
            self.transact(purpose, &[key], |slots| step = self.step(slots, key, &mut change))
                .await?;
            match step.at(key) {
                ControlFlow::Continue(to) => key = to,
                ControlFlow::Break(changed) => return changed,
            }
        }
        Err(contended())
    }

    /// The same in a store that answers at once. `None` if it does not: nothing has happened then.
    #[cfg(feature = "tower")]
    pub(crate) fn change_at_once<R: Send>(
        &self,
        purpose: Purpose,
        mut key: Key,
        mut change: impl FnMut(Key, Body) -> Decided<R> + Send,
    ) -> Option<Result<Changed<R>>> {
        for _ in 0..RENEWALS_FOLLOWED_MAX {
            let mut step = Step::Gone;
            let decide = &mut |slots: &mut Slots<Record>| step = self.step(slots, key, &mut change);
            // What waits has not begun: it begins when it is polled.
            let Work::Done(done) = self.backend.transact(purpose, &[key], decide) else {
                return None;
            };
            if let Err(error) = done? {
                return Some(Err(error));
            }
            match step.at(key) {
                ControlFlow::Continue(to) => key = to,
                ControlFlow::Break(changed) => return Some(changed),
            }
        }
        Some(Err(contended()))
    }

    fn step<R>(
        &self,
        slots: &mut Slots<Record>,
        key: Key,
        change: &mut impl FnMut(Key, Body) -> Decided<R>,
    ) -> Step<R> {
        slots.discard();
        let body = match slots.get(0).map(|record| &record.0) {
            Some(Kind::Session(body)) => body.clone(),
            Some(Kind::Moved(to)) => return Step::Moved(to.key()),
            _ => return Step::Gone,
        };
        let (verdict, record) = match change(key, body) {
            Ok(decided) => decided,
            Err(error) => return Step::Done(Err(error)),
        };
        let result = match verdict {
            Verdict::Keep(result) => result,
            Verdict::Save(result) => {
                slots.set_shared(0, record, None);
                result
            }
            Verdict::SaveWith(result) => {
                let terms = record.session().map(|body| body.terms(self.idle_of(body)));
                slots.set_shared(0, record, terms);
                result
            }
        };
        Step::Done(Ok(result))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.backend.now()
    }
}

enum Step<R> {
    Gone,
    Moved(Key),
    Done(Result<R>),
}

impl<R> Step<R> {
    /// What it came to at `key`, or where to go on.
    fn at(self, key: Key) -> ControlFlow<Result<Changed<R>>, Key> {
        match self {
            Step::Gone => ControlFlow::Break(Ok(Changed::Gone)),
            Step::Moved(to) => ControlFlow::Continue(to),
            Step::Done(done) => ControlFlow::Break(done.map(|result| Changed::Done(result, key))),
        }
    }
}

/// Lost against others every time: nothing happened.
pub(crate) fn contended() -> Error {
    Error::new(
        ErrorKind::Full,
        "too many changes of a session or its owner's sessions at once; nothing happened, try again",
    )
}
