//! The session as a handler has it: a dictionary, loaded when it is first looked at.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Work, block_on};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{Id, Key};
use crate::limits::SESSION_KEYS_MAX;
use crate::record::expiry::check as check_duration;
use crate::session::delta::Delta;
use crate::session::dict::Dict;
use crate::session::key::{Name, check};
use crate::session::record::{Flash, SessionExpiry};
use crate::session::resolve::Live;
use crate::session::shared::Shared;
use crate::session::state::State;
use crate::session::value;
use crate::store::Inside;
use crate::sync::{Mutex, MutexGuard};

/// A visitor's session: a dictionary of typed values that lasts from request to request.
///
/// Nothing is read until it is first looked at, and nothing is stored for a visitor of whom nothing
/// is to be remembered. What is set is saved as a whole when the handler has returned (or by
/// [`save_now`](Self::save_now)): each key that was set is merged into the session as it is then, so
/// parallel requests do not lose each other's keys. For one key the last writer wins; where that is
/// not enough, [`update`](Self::update), [`pop`](Self::pop) and
/// [`take_flashes`](Self::take_flashes) act on the session at once, one request after the other.
///
/// A session that has ended is never brought back: what a request sets after somebody else has
/// ended it is dropped, and counted.
///
/// A clone is the same session, for parts of a request that run in parallel: what one sets all see.
/// [`update`](Self::update) and [`pop`](Self::pop) act upon what any of them has set and nobody has
/// saved yet, exactly once, whoever saves at the same time; what is set under the key while they run
/// comes after, also while the session is given another id.
///
/// From inside the closure of [`update`](Self::update) no method of a
/// session may be called: that is an error, `is_reentrant`, and does nothing.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    /// What the browser sent, if it can be an id.
    pub(crate) presented: Option<Id>,
    /// The browser has a cookie of ours, good or not.
    pub(crate) has_cookie: bool,
    /// The browser may not be given a cookie, so that a session that began would be lost at once.
    pub(crate) barred: bool,
    pub(crate) state: Mutex<State>,
}

impl fmt::Debug for Session {
    /// Shows no value and no id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("key", &state.live.as_ref().map(|live| live.key))
            .field("accessed", &state.accessed)
            .field("modified", &state.modified)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, presented: Option<Id>, has_cookie: bool) -> Self {
        let state = Mutex::new(State::default());
        Session(Arc::new(Inner { shared, presented, has_cookie, barred: false, state }))
    }

    /// That of a visitor who may not be given a cookie: it is never stored.
    #[cfg(feature = "tower")]
    pub(crate) fn barred(shared: Arc<Shared>) -> Self {
        let (presented, state) = (None, Mutex::new(State::default()));
        Session(Arc::new(Inner { shared, presented, has_cookie: false, barred: true, state }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Reads the session, if that has not happened yet. Everything else does it by itself; with a
    /// store in another process this is how not to block a thread for it.
    ///
    /// # Errors
    /// Those of the store. The response is an error then, whatever the handler makes of it: a
    /// visitor whose session cannot be read is not an anonymous one.
    pub async fn load(&self) -> Result<()> {
        Inside::check()?;
        {
            let mut state = self.state();
            state.accessed = true;
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.loaded {
                return Ok(());
            }
        }
        let found = match &self.0.presented {
            Some(id) => self.shared().resolve(id.key()).await,
            None => Ok(None),
        };
        self.settle(found)
    }

    fn settle(&self, found: Result<Option<Live>>) -> Result<()> {
        let mut state = self.state();
        if state.loaded {
            return Ok(());
        }
        match found {
            Ok(live) => {
                state.loaded = true;
                state.dead = live.is_none() && self.0.has_cookie;
                if live.as_ref().is_some_and(|live| live.promoted) {
                    state.wait_for(self.shared().settings.write_level);
                }
                let unknown = live.is_none() && self.0.presented.is_some();
                state.live = live;
                drop(state);
                if unknown {
                    self.shared().refused(crate::session::Refusal::UnknownId);
                }
                Ok(())
            }
            Err(error) => {
                state.failed = Some(error.clone());
                drop(state);
                self.shared().tell(crate::session::EventKind::Failed, None);
                Err(error)
            }
        }
    }

    /// Loads a session that is where it is looked for, in a store that answers at once: nearly
    /// every one. `None` if that is not so, and nothing has happened.
    fn load_at_once(&self) -> Option<MutexGuard<'_, State>> {
        let key = self.0.presented.as_ref()?.key();
        let Work::Done(Some(Ok(Some(record)))) = self.shared().backend.get(&key) else {
            return None;
        };
        record.session()?;
        let mut state = self.state();
        if !state.loaded {
            state.loaded = true;
            state.live = Some(Live { key, record, moved: false, promoted: false });
        }
        Some(state)
    }

    /// The state, the session being loaded.
    pub(crate) fn loaded(&self) -> Result<MutexGuard<'_, State>> {
        Inside::check()?;
        let failed = {
            let mut state = self.state();
            state.accessed = true;
            if state.loaded {
                return Ok(state);
            }
            state.failed.is_some()
        };
        if !failed && let Some(state) = self.load_at_once() {
            return Ok(state);
        }
        block_on(self.load())?;
        Ok(self.state())
    }

    /// The same, for a change.
    pub(crate) fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.loaded()?;
        state.check_open()?;
        Ok(state)
    }

    /// The value under a key; `None` if there is none.
    ///
    /// # Errors
    /// `is_decode` if it is not a `T`, naming the key, what was expected and what was found; it
    /// stays where it is. `is_config` for a key that begins with an underscore. Those of
    /// [`load`](Self::load).
    pub fn get<T: DeserializeOwned>(&self, key: impl Name<T>) -> Result<Option<T>> {
        let name = check(key.name())?;
        // What decodes it is the application's, and may look at the session in its turn.
        let text: Option<Box<str>> = self.loaded()?.see(name).map(Into::into);
        text.map(|text| value::decode(name, &text)).transpose()
    }

    /// Sets a value; the last request to set a key wins. Costs its encoding.
    ///
    /// # Errors
    /// `is_too_large` if the session would be larger than its limit or have more than 256 keys,
    /// `is_decode` if the value cannot be JSON, `is_config` for a reserved key, `is_late` after
    /// the response has begun: nothing has changed then. Those of [`load`](Self::load).
    pub fn insert<T: Serialize>(&self, key: impl Name<T>, value: T) -> Result<()> {
        let name = check(key.name())?;
        let text = value::encode(name, &value)?;
        self.set(name, Some(text))
    }

    /// Sets a key that may be a reserved one, or takes it out.
    pub(crate) fn set(&self, name: &str, text: Option<Box<str>>) -> Result<()> {
        let mut state = self.open()?;
        self.set_in(&mut state, name, text)
    }

    pub(crate) fn set_in(
        &self,
        state: &mut State,
        name: &str,
        text: Option<Box<str>>,
    ) -> Result<()> {
        if let Some(text) = &text {
            let bytes = Dict::cost(name, text);
            self.check_room(state, (1, bytes), |delta| delta.set(name, Some(text.clone())))?;
        }
        state.delta.set(name, text);
        state.change();
        Ok(())
    }

    /// Whether there is room for so many more keys and bytes, which `change` adds.
    fn check_room(
        &self,
        state: &State,
        more: (usize, usize),
        change: impl FnOnce(&mut Delta),
    ) -> Result<()> {
        let shared = self.shared();
        let most = shared.settings.max_value_bytes;
        // An upper bound, which is as good as always enough.
        let (keys, bytes) = state.at_most();
        if bytes + more.1 <= most && keys + more.0 <= SESSION_KEYS_MAX {
            return Ok(());
        }
        let mut delta = state.delta.clone();
        change(&mut delta);
        state.with(&delta, shared.blank(shared.now()), most).map(drop)
    }

    /// Takes a key out; false if it was not there.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn remove(&self, key: impl AsRef<str>) -> Result<bool> {
        let name = check(key.as_ref())?;
        self.take_out(name)
    }

    pub(crate) fn take_out(&self, name: &str) -> Result<bool> {
        let mut state = self.open()?;
        let there = state.see(name).is_some();
        if there {
            state.delta.set(name, None);
            state.change();
        }
        Ok(there)
    }

    /// The value under a key, or what `make` makes, which is set then.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    pub fn get_or_insert_with<T: Serialize + DeserializeOwned>(
        &self,
        key: impl Name<T>,
        make: impl FnOnce() -> T,
    ) -> Result<T> {
        let name = check(key.name())?;
        let text: Option<Box<str>> = self.loaded()?.see(name).map(Into::into);
        if let Some(text) = text {
            return value::decode(name, &text);
        }
        let made = make();
        let text = value::encode(name, &made)?;
        self.set(name, Some(text))?;
        Ok(made)
    }

    /// Whether there is a value under a key.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); `is_config` for a reserved key.
    pub fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        let name = check(key.as_ref())?;
        Ok(self.loaded()?.see(name).is_some())
    }

    /// All keys, sorted.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn keys(&self) -> Result<Vec<String>> {
        let view = self.loaded()?.view();
        Ok(view.iter().map(|(key, _)| key).filter(is_public).map(str::to_owned).collect())
    }

    /// All keys with their values, sorted by key, as they are now.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn iter(&self) -> Result<impl Iterator<Item = (String, serde_json::Value)> + use<>> {
        let view = self.loaded()?.view();
        let mut entries = Vec::with_capacity(view.len());
        for (key, text) in view.iter().filter(|(key, _)| is_public(key)) {
            entries.push((key.to_owned(), value::decode(key, text)?));
        }
        Ok(entries.into_iter())
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn len(&self) -> Result<usize> {
        let view = self.loaded()?.view();
        Ok(view.iter().filter(|(key, _)| is_public(key)).count())
    }

    /// Whether there is nothing at all: no session, and nothing set for one. A session that is
    /// there is not empty, even without keys.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn is_empty(&self) -> Result<bool> {
        let state = self.loaded()?;
        Ok(state.live.is_none() && state.turn.is_none() && state.delta.is_vacant())
    }

    /// Empties the dictionary and drops flash messages and an expiry of the session's own. Its id,
    /// its owner and its deadlines stay. Takes effect with the response: whatever is in the session
    /// then goes, but for what is set after this call.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); `is_late`.
    pub fn clear(&self) -> Result<()> {
        let mut state = self.open()?;
        state.delta.clear();
        state.change();
        Ok(())
    }

    /// Adds a message that is shown once, by the next request that asks for it. At most 64 wait;
    /// the oldest go first.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn flash(&self, level: impl Into<String>, message: impl Into<String>) -> Result<()> {
        let flash = Flash { level: level.into(), message: message.into() };
        let mut state = self.open()?;
        let size = flash.size();
        self.check_room(&state, (0, size), |delta| delta.flashes.push(flash.clone()))?;
        state.delta.flashes.push(flash);
        state.change();
        Ok(())
    }

    /// Gives the session another lifetime, from when it is saved on; it is remembered with it.
    ///
    /// # Errors
    /// `is_config` for a duration of zero or more than five years; `is_late`. Those of
    /// [`load`](Self::load).
    pub fn set_expiry(&self, expiry: SessionExpiry) -> Result<()> {
        if let SessionExpiry::Idle(idle) = expiry {
            check_duration("SessionExpiry::Idle", idle)?;
        }
        let mut state = self.open()?;
        if expiry != SessionExpiry::Default || state.expiry() != SessionExpiry::Default {
            state.delta.expiry = Some(expiry);
            state.change();
        }
        Ok(())
    }

    /// When the session ends if it is not accessed again.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn expiry_date(&self) -> Result<Timestamp> {
        let state = self.loaded()?;
        let now = self.shared().now();
        Ok(self.shared().deadline_of(&state, now))
    }

    /// How long it is until then.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn expiry_age(&self) -> Result<Duration> {
        Ok(self.expiry_date()?.since(self.shared().now()))
    }

    /// Whether the browser forgets the session's cookie when it is closed.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn expires_at_browser_close(&self) -> Result<bool> {
        Ok(self.loaded()?.expiry() == SessionExpiry::BrowserClose)
    }

    /// Whether there is no session yet: the visitor has none, or none that lives.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn is_new(&self) -> Result<bool> {
        Ok(self.loaded()?.live.is_none())
    }

    /// Whether this request has looked at the session. Asking does not count.
    pub fn is_accessed(&self) -> bool {
        self.state().accessed
    }

    /// Whether this request has changed the session. Asking does not count as an access.
    pub fn is_modified(&self) -> bool {
        self.state().modified
    }

    /// Who has logged in.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn subject(&self) -> Result<Option<String>> {
        Ok(self.loaded()?.subject().map(str::to_owned))
    }

    /// What the session is filed under: for [`Sessions::revoke`](super::Sessions::revoke), and to
    /// find it in a list. `None` if there is none.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn key(&self) -> Result<Option<Key>> {
        Ok(self.loaded()?.live.as_ref().map(|live| live.key))
    }
}

/// Whether the application knows of a key.
fn is_public(key: &&str) -> bool {
    !key.starts_with('_')
}
