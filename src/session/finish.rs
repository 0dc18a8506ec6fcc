//! The end of a request, as far as its session goes: what is saved, what is waited for, and what
//! the browser is to be told. Knows no HTTP; whoever serves requests turns this into headers.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::session::commit::Wish;
use crate::session::events::EventKind;
use crate::session::handle::Session;
use crate::session::record::SessionExpiry;
use crate::session::state::State;

/// What is to happen to the browser's cookie.
#[derive(Debug)]
pub(crate) enum CookieWish {
    /// Nothing: it is good, or the browser may have a better one by now.
    Keep,
    /// It is to be this id, for so long; `None`: until the browser is closed.
    Set(Id, Option<Duration>),
    /// It names nothing.
    Remove,
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

    /// The end of a request that has changed nothing and waits for nothing, which is most of them;
    /// `None` if there is more to do.
    pub(crate) fn finish_at_once(&self, save: bool, wish: Wish) -> Option<Finished> {
        let mut state = self.state();
        let idle = state.failed.is_none() && state.wait.is_none() && state.loaded;
        if !idle || (save && !self.is_settled(&state, wish)) {
            return None;
        }
        state.late = true;
        (state.turn, state.dirty) = (None, false);
        let now = self.shared().now();
        Some(self.finished(&mut state, now, None))
    }

    fn finished(&self, state: &mut State, now: Timestamp, error: Option<Error>) -> Finished {
        let cookie = self.cookie_wish(state, now, error.is_some());
        let State { accessed, vanished, ended, .. } = *state;
        Finished { accessed, cookie, vanished, ended, error }
    }

    /// Saves, if the response is one that saves, and waits for everything that was done.
    pub(crate) async fn finish(&self, save: bool, wish: Wish) -> Finished {
        let failed = {
            let mut state = self.state();
            state.late = true;
            state.failed.clone()
        };
        let done = match failed {
            Some(error) => Err(error),
            None => self.finish_well(save, wish).await,
        };
        // What has ended has ended, whatever else went wrong: that is waited for in any case.
        let waited = self.settle_wait().await;
        let error = done.and(waited).err();
        if error.is_some() && self.state().failed.is_none() {
            self.shared().tell(EventKind::Failed, None);
        }
        let now = self.shared().now();
        self.finished(&mut self.state(), now, error)
    }

    async fn finish_well(&self, save: bool, wish: Wish) -> Result<()> {
        if save {
            return self.commit(wish).await;
        }
        let mut state = self.state();
        (state.turn, state.dirty) = (None, false);
        state.delta = Default::default();
        Ok(())
    }

    fn cookie_wish(&self, state: &mut State, now: Timestamp, failed: bool) -> CookieWish {
        let told = std::mem::take(&mut state.tell) && !state.vanished;
        let own = || self.0.presented.clone();
        let new = state.new_id.take().map(|id| *id);
        let id = new.or_else(own).filter(|_| told && !failed);
        if let (Some(id), Some(body)) = (id, state.body()) {
            let left = body.deadline(now, self.shared().idle_of(body)).since(now);
            let lasts = body.expiry != SessionExpiry::BrowserClose;
            return CookieWish::Set(id, lasts.then_some(left));
        }
        if state.ended || (state.dead && state.live.is_none()) {
            return CookieWish::Remove;
        }
        CookieWish::Keep
    }
}
