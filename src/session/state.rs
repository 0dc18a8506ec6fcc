//! What one request knows of its session, and has done to it.
//!
//! Held behind a lock for moments only: never while a closure of the application runs, and never
//! while anything is waited for.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Id, Key};
use crate::log::Durability;
use crate::session::act::Shown;
use crate::session::delta::{Delta, Known};
use crate::session::record::{BODY_BYTES, Body, Login, SessionExpiry};
use crate::session::resolve::Live;

/// A new id that comes with the response.
#[derive(Clone)]
pub(crate) enum Turn {
    /// Same session, another id.
    Cycle,
    Login(LoggingIn),
}

impl Turn {
    /// Who logs in.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Turn::Cycle => None,
            Turn::Login(login) => Some(&login.subject),
        }
    }
}

/// A login as it was when it was asked for.
#[derive(Clone)]
pub(crate) struct LoggingIn {
    pub(crate) subject: Box<str>,
    /// That of the owner's list.
    pub(crate) generation: u64,
    /// Revocations of everything, until then.
    pub(crate) clears: u64,
    /// Somebody else was logged in, if only since earlier in the request: what there was goes.
    pub(crate) anew: bool,
    /// What the request had changed before. It concerns the session that there was, or, if this
    /// one starts anew, what was set in it so far.
    pub(crate) before: Delta,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) loaded: bool,
    pub(crate) accessed: bool,
    /// The application has changed something, saved or not.
    pub(crate) modified: bool,
    /// Something is to be saved.
    pub(crate) dirty: bool,
    pub(crate) live: Option<Live>,
    /// The browser's cookie named no session when it was first looked at.
    pub(crate) dead: bool,
    /// This request has ended the session that it came with.
    pub(crate) ended: bool,
    /// Somebody else has ended it since it was looked at.
    pub(crate) vanished: bool,
    pub(crate) turn: Option<Box<Turn>>,
    pub(crate) delta: Delta,
    /// The id that the browser is to get.
    pub(crate) new_id: Option<Box<Id>>,
    /// Whoever serves the session in his own way has not been given that id.
    pub(crate) unsaid: bool,
    /// The browser is to be told anew how long to keep its cookie.
    pub(crate) tell: bool,
    /// How many clones are just writing the session under another id, which is shown already and may
    /// not be good in the end.
    pub(crate) moving: u32,
    /// How many clones are just saving what they have taken of it, and how often that was put back.
    pub(crate) saving: u32,
    pub(crate) put_back: u32,
    /// How many sessions this request has ended.
    pub(crate) ends: u32,
    /// What the response waits for, and how often that was asked for.
    pub(crate) wait: Option<Durability>,
    pub(crate) waits: u32,
    /// Why the session could not be loaded: the response is an error, whatever the handler says.
    pub(crate) failed: Option<Error>,
    /// The response's headers are gone: nothing that is set from now on would be saved.
    pub(crate) late: bool,
}

impl State {
    pub(crate) fn body(&self) -> Option<&Body> {
        self.live.as_ref().and_then(Live::body)
    }

    /// Whether the session that was loaded is no longer the one that what is set now belongs to.
    pub(crate) fn starts_anew(&self) -> bool {
        matches!(self.turn.as_deref(), Some(Turn::Login(login)) if login.anew)
    }

    /// Where the session is, if it has not vanished.
    pub(crate) fn key(&self) -> Option<Key> {
        self.live.as_ref().filter(|_| !self.vanished).map(|live| live.key)
    }

    /// What the request sees under a key, as JSON text.
    pub(crate) fn see(&self, key: &str) -> Option<&str> {
        match self.delta.known(key) {
            Known::Set(value) => return Some(value),
            Known::Gone => return None,
            Known::Unknown => {}
        }
        if let Some(Turn::Login(login)) = self.turn.as_deref() {
            match login.before.known(key) {
                Known::Set(value) => return Some(value),
                Known::Gone => return None,
                Known::Unknown if login.anew => return None,
                Known::Unknown => {}
            }
        }
        self.body()?.data.get(key)
    }

    /// The dictionary as the request sees it.
    pub(crate) fn view(&self) -> crate::session::dict::Dict {
        let body = self.body().filter(|_| !self.starts_anew());
        let mut data = body.map(|body| body.data.clone()).unwrap_or_default();
        if let Some(Turn::Login(login)) = self.turn.as_deref() {
            data = login.before.over(&data);
        }
        self.delta.over(&data)
    }

    /// Keys and bytes of that at most: a bound, quickly had.
    pub(crate) fn at_most(&self) -> (usize, usize) {
        let saved = self.body().map_or((0, BODY_BYTES), |body| (body.data.len(), body.size()));
        let before = match self.turn.as_deref() {
            Some(Turn::Login(login)) => {
                let (keys, bytes) = login.before.at_most();
                (keys, bytes + login.subject.len())
            }
            _ => (0, 0),
        };
        let delta = self.delta.at_most();
        (saved.0 + before.0 + delta.0, saved.1 + before.1 + delta.1)
    }

    /// The session as it will be saved if nobody else changes it: what `delta` adds included.
    ///
    /// # Errors
    /// Those of [`Delta::apply`].
    pub(crate) fn with(&self, delta: &Delta, blank: Body, most: usize) -> Result<Body> {
        let mut body = self.body().filter(|_| !self.starts_anew()).cloned().unwrap_or(blank);
        if let Some(Turn::Login(login)) = self.turn.as_deref() {
            login.before.apply(&mut body, most)?;
            let (subject, at) = (login.subject.clone(), body.saved);
            body.owner = Some(Box::new(Login { subject, at }));
        }
        delta.apply(&mut body, most)?;
        Ok(body)
    }

    pub(crate) fn expiry(&self) -> SessionExpiry {
        let kept = || match self.turn.as_deref() {
            _ if self.delta.cleared => SessionExpiry::Default,
            Some(Turn::Login(login)) if login.before.expiry.is_some() => {
                login.before.expiry.unwrap_or_default()
            }
            Some(Turn::Login(login)) if login.before.cleared || login.anew => {
                SessionExpiry::Default
            }
            _ => self.body().map(|body| body.expiry).unwrap_or_default(),
        };
        self.delta.expiry.unwrap_or_else(kept)
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        match self.turn.as_deref() {
            Some(Turn::Login(login)) => Some(&login.subject),
            _ => self.body().and_then(Body::subject),
        }
    }

    /// Whether there is a live record that a change of `key` would act upon at once, and where.
    pub(crate) fn target(&self) -> Option<Key> {
        if self.delta.cleared || self.vanished || self.starts_anew() {
            return None;
        }
        if matches!(self.turn.as_deref(), Some(Turn::Login(login)) if login.before.cleared) {
            return None;
        }
        self.live.as_ref().map(|live| live.key)
    }

    /// The same for a change that puts something in. Where somebody logs in and nobody had, that is
    /// not for whoever knows the old id, and that may be who planted it.
    pub(crate) fn target_to_set(&self) -> Option<Key> {
        let arriving = matches!(self.turn.as_deref(), Some(Turn::Login(_)))
            && self.body().is_some_and(|body| body.owner.is_none());
        self.target().filter(|_| !arriving)
    }

    pub(crate) fn change(&mut self) {
        (self.modified, self.dirty) = (true, true);
    }

    /// Whether there is no session, and one is to begin in which nobody logs in.
    pub(crate) fn begins(&self) -> bool {
        self.live.is_none()
            && match self.turn.as_deref() {
                // What holds no value begins none, and waits for one that does.
                None => !self.delta.is_vacant(),
                Some(turn) => turn.subject().is_none(),
            }
    }

    /// The session is under this id, and the browser is to learn it; unless a clone has given it
    /// another one since, or has ended it.
    pub(crate) fn arrive(&mut self, id: Id, level: Durability) {
        self.moving -= 1;
        self.wait_for(level);
        if self.live.as_ref().is_some_and(|live| live.key == id.key()) {
            self.give(id);
        }
    }

    /// What there is of a login that is refused: only what had been set before it has nothing to do
    /// with it.
    pub(crate) fn refuse(&mut self) {
        self.delta = match self.turn.take().map(|turn| *turn) {
            Some(Turn::Login(login)) if !login.anew => login.before,
            _ => Delta::default(),
        };
        self.dirty = true;
    }

    /// The browser is to learn this id.
    pub(crate) fn give(&mut self, id: Id) {
        self.new_id = Some(Box::new(id));
        (self.tell, self.unsaid) = (true, true);
    }

    /// The response waits for this at least.
    pub(crate) fn wait_for(&mut self, level: Durability) {
        self.wait = self.wait.max(Some(level));
        self.waits = self.waits.wrapping_add(1);
    }

    /// What a clone took has been saved, or may have been.
    pub(crate) fn saved(&mut self, shown: &Shown) {
        self.saving -= u32::from(shown.saves);
    }

    /// Whether there is something that the request wants to be saved.
    pub(crate) fn is_to_be_saved(&self) -> bool {
        self.dirty || self.turn.is_some()
    }

    /// Whether a clone is just writing what it has taken, which may be put back.
    pub(crate) fn is_being_written(&self) -> bool {
        self.saving + self.moving > 0
    }

    /// Whether, after a save, clones are still to save something, or have failed to.
    #[cfg(feature = "tower")]
    pub(crate) fn is_left_to_clones(&self) -> bool {
        self.is_being_written() || self.is_to_be_saved()
    }

    /// Whether something may still be set.
    ///
    /// # Errors
    /// `is_late`.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.late {
            return Err(Error::new(
                ErrorKind::Late,
                "the response has begun: what is set in its session now would not be saved; set it \
                 before the handler returns",
            ));
        }
        Ok(())
    }

    /// What the request did to the session it has just ended does not concern the next one.
    pub(crate) fn forget(&mut self) {
        self.live = None;
        self.delta = Delta::default();
        self.turn = None;
        self.new_id = None;
        self.tell = false;
        self.vanished = false;
        self.dirty = false;
        self.ends = self.ends.wrapping_add(1);
    }
}
