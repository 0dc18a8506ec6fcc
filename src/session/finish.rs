//! The end of a request, as far as its session goes: what is saved, what is waited for, and what
//! the browser is to be told. Knows no HTTP; whoever serves requests turns this into headers.

use std::time::Duration;

use crate::backend::Work;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::log::Durability;
use crate::session::commit::{Plan, Wish};
use crate::session::handle::Session;
use crate::session::record::SessionExpiry;
use crate::session::state::State;

/// What is to happen to the browser's cookie.
#[derive(Debug)]
pub(crate) enum CookieWish {
    /// Nothing: it is good, or the browser may have a better one by now.
    Keep,
    /// It is to be this id, for so long from this instant on; `None`: until the browser is closed.
    Set(Id, Option<Duration>, Timestamp),
    /// It names nothing.
    Remove,
}

/// What is left of a request's end.
pub(crate) enum Rest {
    Plan(Plan),
    /// What clones are just saving, or could not save.
    Clones,
    /// It is done, or has failed; what it did is still to be waited for.
    Done(Result<()>),
}

/// How a request came out.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The response depends on the session.
    pub(crate) accessed: bool,
    pub(crate) cookie: CookieWish,
    /// Somebody else has ended the session, and what was set in it was dropped.
    pub(crate) vanished: bool,
    /// This request has ended the session that it came with.
    pub(crate) ended: bool,
    /// Why the response must be an error.
    pub(crate) error: Option<Error>,
}

impl Session {
    /// Whether the request has left the session alone altogether.
    pub(crate) fn is_untouched(&self) -> bool {
        let mut state = self.state();
        state.late |= !state.accessed;
        !state.accessed
    }

    /// The end of a request that has nothing to wait for, which is most of them; or what is left
    /// to do.
    pub(crate) fn finish_at_once(&self, save: bool, wish: Wish) -> Result<Finished, Rest> {
        let plan = {
            let mut state = self.state();
            state.late = true;
            if let Some(error) = &state.failed {
                return Err(Rest::Done(Err(error.clone())));
            }
            if !save {
                (state.turn, state.dirty) = (None, false);
                state.delta = Default::default();
            }
            drop(state);
            if save { self.plan(wish) } else { Plan::Nothing }
        };
        self.carry_out_at_once(plan)
            .map_err(Rest::Plan)?
            .map_err(|error| Rest::Done(Err(error)))?;
        let (wait, waits) = {
            let state = self.state();
            if save && state.is_left_to_clones() {
                return Err(Rest::Clones);
            }
            (state.wait, state.waits)
        };
        match wait {
            None => {}
            // What is to be on disk is waited for by a future that can be woken.
            Some(level) if level > Durability::Process => return Err(Rest::Done(Ok(()))),
            Some(level) => match self.shared().backend.reach(level) {
                Work::Done(Some(Ok(()))) => {}
                _ => return Err(Rest::Done(Ok(()))),
            },
        }
        let mut state = self.state();
        if state.waits != waits {
            // A clone has done something since.
            return Err(Rest::Done(Ok(())));
        }
        state.wait = None;
        let now = self.shared().now();
        Ok(self.finished(&mut state, now, None))
    }

    fn finished(&self, state: &mut State, now: Timestamp, error: Option<Error>) -> Finished {
        let cookie = self.cookie_wish(state, now, error.is_some());
        let State { accessed, vanished, ended, .. } = *state;
        Finished { accessed, cookie, vanished, ended, error }
    }

    /// Does the rest, and waits for everything that was done.
    pub(crate) async fn finish(&self, rest: Rest) -> Finished {
        let done = match rest {
            Rest::Plan(plan) => match self.carry_out(plan).await {
                Ok(()) if self.state().is_left_to_clones() => self.commit(Wish::default()).await,
                done => done,
            },
            Rest::Clones => self.commit(Wish::default()).await,
            Rest::Done(done) => done,
        };
        // What has ended has ended, whatever else went wrong: that is waited for in any case.
        let waited = self.settle_wait().await;
        let error = done.and(waited).err();
        if let Some(error) = error.as_ref().filter(|_| self.state().failed.is_none()) {
            self.shared().failed(error);
        }
        let now = self.shared().now();
        self.finished(&mut self.state(), now, error)
    }

    fn cookie_wish(&self, state: &mut State, now: Timestamp, failed: bool) -> CookieWish {
        let told = std::mem::take(&mut state.tell) && !state.vanished;
        let own = || self.0.presented.clone();
        let new = state.new_id.take().map(|id| *id);
        let id = new.or_else(own).filter(|_| told && !failed);
        if let (Some(id), Some(body)) = (id, state.body()) {
            let left = body.deadline(now, self.shared().idle_of(body)).since(now);
            let lasts = body.expiry != SessionExpiry::BrowserClose;
            return CookieWish::Set(id, lasts.then_some(left), now);
        }
        if state.ended || (state.dead && state.live.is_none()) {
            return CookieWish::Remove;
        }
        CookieWish::Keep
    }
}
