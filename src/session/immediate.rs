//! What acts on the live session inside the call: exact beside other requests, and done whatever
//! becomes of the response.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Purpose, block_on};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Key;
use crate::session::commit::Wish;
use crate::session::delta::{Known, check_count, check_growth};
use crate::session::handle::Session;
use crate::session::key::{Name, check};
use crate::session::record::{Body, Flash};
use crate::session::shared::{Changed, Verdict};
use crate::session::state::{State, Turn};
use crate::session::value;
use crate::store::Inside;

/// What the request itself has set under a key and not saved yet.
enum Unsaved {
    Set(Box<str>),
    Gone,
    Nothing,
}

impl Unsaved {
    fn of(state: &State, name: &str) -> Self {
        let before = match state.turn.as_deref() {
            Some(Turn::Login(login)) => login.before.known(name),
            _ => Known::Unknown,
        };
        match (state.delta.known(name), before) {
            (Known::Set(text), _) | (Known::Unknown, Known::Set(text)) => Unsaved::Set(text.into()),
            (Known::Gone, _) | (_, Known::Gone) => Unsaved::Gone,
            _ => Unsaved::Nothing,
        }
    }

    /// What the request sees, given what the session has.
    fn or<'a>(&'a self, saved: Option<&'a str>) -> Option<&'a str> {
        match self {
            Unsaved::Set(text) => Some(text),
            Unsaved::Gone => None,
            Unsaved::Nothing => saved,
        }
    }
}

impl Session {
    /// Changes a value in the session itself, at once: of any number of parallel requests each sees
    /// the one before. What is not there begins as the type's default. Not undone by a response
    /// that is an error. In a session that is not stored yet, and where somebody has just logged
    /// in, it is saved with the response.
    ///
    /// `change` may be called more than once, and runs while others wait for the session: keep it
    /// short. A method of a session or a store that it calls does nothing and has the error
    /// `is_reentrant`; what it needs beside the value is to be read before.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`insert`](Self::insert): nothing has happened then.
    pub fn update<T, R>(
        &self,
        key: impl Name<T>,
        mut change: impl FnMut(&mut T) -> R + Send,
    ) -> Result<R>
    where
        T: Serialize + DeserializeOwned + Default,
        R: Send,
    {
        let name = check(key.name())?;
        self.update_text(name, |text| {
            // The same rule whether the session is stored or not.
            let _inside = Inside::enter();
            let mut value: T =
                text.map(|text| value::decode(name, text)).transpose()?.unwrap_or_default();
            let result = change(&mut value);
            Ok((result, value::encode(name, &value)?))
        })
    }

    /// The same, as it is stored, and for a reserved key too.
    pub(crate) fn update_text<R: Send>(
        &self,
        name: &str,
        mut run: impl FnMut(Option<&str>) -> Result<(R, Box<str>)> + Send,
    ) -> Result<R> {
        let (target, unsaved, seen) = {
            let state = self.loaded()?;
            let seen: Option<Box<str>> = state.see(name).map(Into::into);
            (state.target_to_set(), Unsaved::of(&state, name), seen)
        };
        let most = self.shared().settings.max_value_bytes;
        if let Some(target) = target {
            let changed = self.change_at(target, |body| {
                let before = body.size();
                let (result, text) = run(unsaved.or(body.data.get(name)))?;
                body.data = body.data.with(name, Some(&text));
                check_count(body.data.len())?;
                check_growth("the session", before, body.size(), most)?;
                Ok(Verdict::Save(result))
            })?;
            if let Some(result) = changed {
                self.saved(name);
                return Ok(result);
            }
        }
        // There is nothing to act upon at once: it goes the way of what is set.
        let (result, text) = run(seen.as_deref())?;
        self.set(name, Some(text))?;
        Ok(result)
    }

    /// Takes a value out of the session itself, at once, and returns it: to one request only,
    /// however many ask. Not undone by a response that is an error.
    ///
    /// # Errors
    /// As [`get`](Self::get); a value of another type stays where it is.
    pub fn pop<T: DeserializeOwned + Send>(&self, key: impl Name<T>) -> Result<Option<T>> {
        let name = check(key.name())?;
        let text = self.pop_text(name, &|text| value::decode::<T>(name, text).map(drop))?;
        text.map(|text| value::decode(name, &text)).transpose()
    }

    /// The same, as it is stored. Stays if `judge` has an error.
    fn pop_text(
        &self,
        name: &str,
        judge: &(dyn Fn(&str) -> Result<()> + Sync),
    ) -> Result<Option<Box<str>>> {
        let (target, unsaved, seen) = {
            let state = self.loaded()?;
            let seen: Option<Box<str>> = state.see(name).map(Into::into);
            (state.target(), Unsaved::of(&state, name), seen)
        };
        if let Some(target) = target {
            let changed = self.change_at(target, |body| {
                let found: Option<Box<str>> = unsaved.or(body.data.get(name)).map(Into::into);
                found.as_deref().map(judge).transpose()?;
                if found.is_none() || body.data.get(name).is_none() {
                    return Ok(Verdict::Keep(found));
                }
                body.data = body.data.with(name, None);
                Ok(Verdict::Save(found))
            })?;
            if changed.as_ref().is_some_and(Option::is_some) {
                self.saved(name);
            }
            // Of a session that has ended meanwhile nobody gets anything.
            return Ok(changed.flatten());
        }
        if let Some(text) = &seen {
            judge(text)?;
            self.take_out(name)?;
        }
        Ok(seen)
    }

    /// All messages that were left for this visitor, oldest first: to one request only.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn take_flashes(&self) -> Result<Vec<Flash>> {
        let (target, waiting) = {
            let state = self.loaded()?;
            let none = state.body().is_none_or(|body| body.flashes.is_empty());
            (state.target(), !none)
        };
        let mut flashes = Vec::new();
        // What nobody had left when the session was loaded is left for the next request.
        if let Some(target) = target.filter(|_| waiting) {
            let changed = self.change_at(target, |body| {
                let taken = std::mem::take(&mut body.flashes);
                Ok(if taken.is_empty() { Verdict::Keep(taken) } else { Verdict::Save(taken) })
            })?;
            flashes = changed.unwrap_or_default();
        }
        let mut state = self.state();
        let cleared = state.delta.cleared;
        if let Some(Turn::Login(login)) = state.turn.as_deref_mut() {
            let left = std::mem::take(&mut login.before.flashes);
            flashes.extend(left.into_iter().filter(|_| !cleared));
        }
        flashes.append(&mut state.delta.flashes);
        state.modified |= !flashes.is_empty();
        Ok(flashes)
    }

    /// Saves what has been set so far, and gives the browser its cookie, whatever the response
    /// becomes. Other requests see it when this returns; the response waits until it lasts.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_now(&self) -> Result<()> {
        drop(self.loaded()?);
        block_on(async {
            self.commit(Wish::default()).await?;
            self.wait_if_late().await
        })
    }

    /// Changes the live session. `None`: it has ended meanwhile.
    fn change_at<R: Send>(
        &self,
        target: Key,
        change: impl FnMut(&mut Body) -> Result<Verdict<R>> + Send,
    ) -> Result<Option<R>> {
        let shared = self.shared();
        match block_on(shared.change(Purpose::Change, target, change))? {
            Changed::Done(result, key, record) => {
                {
                    let mut state = self.state();
                    state.wait_for(shared.settings.write_level);
                    // A clone may have ended it meanwhile, or begun another.
                    if let Some(live) = state.live.as_mut().filter(|live| live.key == target) {
                        live.moved |= live.key != key;
                        (live.key, live.record) = (key, record);
                    }
                }
                block_on(self.wait_if_late())?;
                Ok(Some(result))
            }
            Changed::Gone => {
                self.vanished(target);
                Ok(None)
            }
        }
    }

    /// What was set under this key is in the session already.
    fn saved(&self, name: &str) {
        let mut state = self.state();
        state.modified = true;
        state.delta.forget(name);
        if let Some(Turn::Login(login)) = state.turn.as_deref_mut() {
            login.before.forget(name);
        }
    }

    /// When this visitor last logged in; `None` if nobody has.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn authenticated_at(&self) -> Result<Option<crate::clock::Timestamp>> {
        let state = self.loaded()?;
        if matches!(state.turn.as_deref(), Some(Turn::Login(_))) {
            return Ok(Some(self.shared().now()));
        }
        Ok(state.body().and_then(|body| body.owner.as_ref()).map(|login| login.at))
    }

    /// Whether the visitor has logged in at most so long ago: for what a stolen or forgotten
    /// session is not enough for.
    ///
    /// # Errors
    /// `is_login_required` if not, which the web layer answers with 401. Those of
    /// [`load`](Self::load).
    pub fn require_fresh(&self, at_most: std::time::Duration) -> Result<()> {
        let now = self.shared().now();
        match self.authenticated_at()? {
            Some(at) if now.since(at) <= at_most => Ok(()),
            _ => Err(Error::new(
                ErrorKind::LoginRequired,
                "this needs a login, or a more recent one; call `login` again",
            )),
        }
    }

    /// Sets a value that the next request can look for, to see whether the browser takes cookies.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn set_test_cookie(&self) -> Result<()> {
        self.set(TEST_COOKIE, Some("\"worked\"".into()))
    }

    /// Whether the browser has sent the test cookie back.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn test_cookie_worked(&self) -> Result<bool> {
        Ok(self.loaded()?.see(TEST_COOKIE) == Some("\"worked\""))
    }

    /// Takes the test cookie's value out.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn delete_test_cookie(&self) -> Result<()> {
        self.take_out(TEST_COOKIE).map(drop)
    }
}

const TEST_COOKIE: &str = "_test_cookie";
