//! What acts on the live session inside the call: exact beside other requests, and done whatever
//! becomes of the response.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::block_on;
use crate::error::{Error, ErrorKind, Result};
use crate::session::act::Acted;
use crate::session::commit::Wish;
use crate::session::delta::{check_count, check_growth};
use crate::session::handle::Session;
use crate::session::key::{Name, check};
use crate::session::record::Flash;
use crate::session::shared::Verdict;
use crate::session::state::{State, Turn};
use crate::session::value;
use crate::store::Inside;

impl Session {
    /// Changes a value in the session itself, at once: of any number of parallel requests each sees
    /// the one before. What this request has set under the key and not saved yet is the value that is
    /// changed, and saved with it. What is not there begins as the type's default. Not undone by a
    /// response that is an error. In a session that is not stored yet, and where somebody has just
    /// logged in, it is saved with the response.
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
        let most = self.shared().settings.max_value_bytes;
        loop {
            let target = self.loaded()?.target_to_set();
            if let Some(target) = target {
                let acted = self.act(target, name, State::target_to_set, |body, unsaved| {
                    let before = body.size();
                    let (result, text) = run(unsaved.or(body.data.get(name)))?;
                    body.data = body.data.with(name, Some(&text));
                    check_count(body.data.len())?;
                    check_growth("the session", before, body.size(), most)?;
                    Ok((Verdict::Save(result), true))
                })?;
                if let Acted::Done(result) = acted {
                    return Ok(result);
                }
            }
            // There is nothing to act upon at once: it goes the way of what is set.
            let seen: Option<Box<str>> = self.loaded()?.see(name).map(Into::into);
            let (result, text) = run(seen.as_deref())?;
            let mut state = self.open()?;
            // Otherwise a clone was faster.
            if state.target_to_set().is_none() && state.see(name) == seen.as_deref() {
                self.set_in(&mut state, name, Some(text))?;
                return Ok(result);
            }
        }
    }

    /// Takes a value out of the session itself, at once, and returns it: to one request only,
    /// however many ask, and to one clone if it was set and not saved yet. Not undone by a response that is an error.
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
        loop {
            let target = self.loaded()?.target();
            if let Some(target) = target {
                let acted = self.act(target, name, State::target, |body, unsaved| {
                    let found: Option<Box<str>> = unsaved.or(body.data.get(name)).map(Into::into);
                    found.as_deref().map(judge).transpose()?;
                    if found.is_none() || body.data.get(name).is_none() {
                        let uses_up = found.is_some();
                        return Ok((Verdict::Keep(found), uses_up));
                    }
                    body.data = body.data.with(name, None);
                    Ok((Verdict::Save(found), true))
                })?;
                match acted {
                    Acted::Done(found) => return Ok(found),
                    // Of a session that has ended meanwhile nobody gets anything.
                    Acted::Gone => return Ok(None),
                    Acted::Aimless => {}
                }
            }
            let seen: Option<Box<str>> = self.loaded()?.see(name).map(Into::into);
            let Some(text) = seen else { return Ok(None) };
            judge(&text)?;
            let mut state = self.open()?;
            // Otherwise a clone was faster.
            if state.target().is_none() && state.see(name) == Some(&*text) {
                self.set_in(&mut state, name, None)?;
                return Ok(Some(text));
            }
        }
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
            // They have no key that a request could have set.
            let acted = self.act(target, "", State::target, |body, _| {
                let taken = std::mem::take(&mut body.flashes);
                let keeps = taken.is_empty();
                Ok((if keeps { Verdict::Keep(taken) } else { Verdict::Save(taken) }, false))
            })?;
            if let Acted::Done(taken) = acted {
                flashes = taken;
            }
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
