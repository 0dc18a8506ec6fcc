//! Saving what a request has done: with its response, or when it asks for it.
//!
//! A session that is there is changed in one transaction, key by key; one that has ended meanwhile
//! stays ended, and what was to be saved is dropped and counted. Nothing here waits for a disk.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Purpose;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Id, Key};
use crate::log::Durability;
use crate::session::act::Taken;
use crate::session::delta::Delta;
use crate::session::events::{EventKind, Refusal};
use crate::session::handle::Session;
use crate::session::record::{Body, Kind, Record, SessionExpiry};
use crate::session::resolve::Live;
use crate::session::shared::{Changed, Decided, Settings, Shared, Verdict};
use crate::session::state::{State, Turn};
use crate::sync::thread;

/// What is to be done beside what the request changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// Sessions that were not saved for so long are saved, and their cookie sent, at every access.
    pub(crate) save_after: Option<Duration>,
}

/// What is to be done. What is to be saved stays where it is until it is, so that clones see it, and
/// whoever gives up waiting loses nothing.
pub(crate) enum Plan {
    Nothing,
    Create,
    Save(Live, Asked),
    Renew(Live, Asked),
    /// Another id, and who logs in.
    Turn(Option<Box<str>>, Option<Live>),
}

/// Whether the request wants something to be saved, or only the passing of time does: then reading
/// goes on if that fails, and nothing is dropped if the session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Yes,
    No,
}

/// What is due for a session that is accessed, changed or not.
struct Due {
    /// Another id.
    renewed: bool,
    /// To be saved.
    saved: bool,
    /// The browser is to be told how long to keep the cookie.
    tell: bool,
}

impl Shared {
    /// When the session of `state` ends if it is accessed now and then left alone.
    pub(crate) fn deadline_of(&self, state: &State, now: Timestamp) -> Timestamp {
        let idle = match (state.subject(), self.settings.anonymous_idle) {
            (None, Some(idle)) => Some(idle),
            _ => self.settings.idle,
        };
        let body = state.body().filter(|_| !state.starts_anew());
        let ends = body.map_or_else(|| now.after(self.settings.absolute), |body| body.ends);
        state.expiry().deadline(now, idle, ends)
    }

    pub(crate) fn blank(&self, now: Timestamp) -> Body {
        Body {
            created: now,
            ends: now.after(self.settings.absolute),
            saved: now,
            renewed: now,
            told: now,
            expiry: SessionExpiry::Default,
            owner: None,
            data: Default::default(),
            flashes: Vec::new(),
            next: Vec::new(),
            first: None,
        }
    }

    /// What the response to a save waits for: as long as for an end, if it ends sooner by it.
    pub(crate) fn level_of(&self, delta: &Delta) -> Durability {
        let Settings { write_level, removal_level, .. } = self.settings;
        if delta.expires() { write_level.max(removal_level) } else { write_level }
    }

    /// What the passing of time asks for.
    fn due(&self, body: &Body, wish: Wish, now: Timestamp) -> Due {
        let renew = self.settings.renew_every;
        Due {
            renewed: renew.is_some_and(|every| now.since(body.renewed) >= every),
            saved: wish.save_after.is_some_and(|after| now.since(body.saved) >= after),
            tell: self.is_stale(body, now),
        }
    }

    /// Whether the browser keeps its cookie for much shorter than the session lives by now.
    fn is_stale(&self, body: &Body, now: Timestamp) -> bool {
        if body.expiry == SessionExpiry::BrowserClose {
            return false;
        }
        let idle = self.idle_of(body);
        let told = body.deadline(body.told, idle);
        let moved = body.deadline(now, idle).since(told);
        !moved.is_zero() && moved >= told.since(body.told) / 8
    }
}

impl Session {
    /// Does everything that was asked for. What fails stays to be done, and is tried again by the
    /// next commit.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn commit(&self, wish: Wish) -> Result<()> {
        loop {
            let put_back = self.state().put_back;
            let plan = self.plan(wish);
            self.carry_out(plan).await?;
            let state = self.state();
            let waits = state.is_being_written();
            // What a clone had taken, and could not save, is for this one to save. Where that is
            // nothing, what was put back is what only time had asked to be saved.
            if !waits && (state.put_back == put_back || !state.is_to_be_saved()) {
                return Ok(());
            }
            drop(state);
            if waits {
                thread::yield_now();
            }
        }
    }

    pub(crate) async fn carry_out(&self, mut plan: Plan) -> Result<()> {
        // Where a clone has done something that changes the plan, there is another one.
        while !self.try_out(plan).await? {
            plan = self.plan(Wish::default());
        }
        Ok(())
    }

    async fn try_out(&self, plan: Plan) -> Result<bool> {
        match plan {
            Plan::Nothing => Ok(true),
            Plan::Save(live, asked) => {
                let saved = self.save_live(live, asked).await;
                self.or_go_on(saved, asked)
            }
            // What is rare lies elsewhere, so that the future of a common save is small.
            Plan::Create => Box::pin(self.create()).await,
            Plan::Renew(live, asked) => {
                let renewed = Box::pin(self.renew(live, asked)).await;
                self.or_go_on(renewed, asked)
            }
            Plan::Turn(subject, live) => Box::pin(self.turn(subject.as_deref(), live)).await,
        }
    }

    /// Reading goes on where only the passing of time asks for a save that fails.
    fn or_go_on(&self, done: Result<bool>, asked: Asked) -> Result<bool> {
        match done {
            Err(error) if asked == Asked::No => {
                self.state().tell = false;
                self.shared().failed(&error);
                Ok(true)
            }
            done => done,
        }
    }

    /// Does it now, if it is what nearly every request wants: a session that is there and stays
    /// where it is, in a store that answers at once. Gives the plan back otherwise, and nothing
    /// has happened then.
    #[cfg(feature = "tower")]
    pub(crate) fn carry_out_at_once(&self, plan: Plan) -> Result<Result<()>, Plan> {
        match plan {
            Plan::Nothing => Ok(Ok(())),
            Plan::Save(live, asked) => {
                let mut taken = Taken::new(self);
                let change = self.changing(&live, &mut taken);
                let Some(changed) = self.shared().change_at_once(Purpose::Change, live.key, change)
                else {
                    return Err(Plan::Save(live, asked));
                };
                let saved = self.saved_live(&live, taken, asked, changed);
                match self.or_go_on(saved, asked) {
                    Ok(true) => Ok(Ok(())),
                    Ok(false) => Err(self.plan(Wish::default())),
                    Err(error) => Ok(Err(error)),
                }
            }
            plan => Err(plan),
        }
    }

    pub(crate) fn plan(&self, wish: Wish) -> Plan {
        let shared = self.shared();
        let mut state = self.state();
        let state = &mut *state;
        if !state.loaded {
            return Plan::Nothing;
        }
        let turn = state.turn.as_deref();
        let subject = turn.and_then(Turn::subject).map(Into::into);
        let live = state.live.clone();
        let Some(found) = live.as_ref().filter(|_| !state.vanished) else {
            if subject.is_some() {
                return Plan::Turn(subject, live);
            }
            // What is set on a session that has vanished is dropped.
            if state.vanished {
                (state.turn, state.delta, state.dirty) = (None, Delta::default(), false);
            }
            return if state.begins() { Plan::Create } else { Plan::Nothing };
        };
        let Some(body) = found.body() else { return Plan::Nothing };
        let due = shared.due(body, wish, shared.now());
        let own = !found.moved;
        state.tell |= own && (due.saved || due.tell || state.delta.expiry.is_some());
        if turn.is_some() {
            return Plan::Turn(subject, live);
        }
        let found = found.clone();
        let asked = if state.dirty { Asked::Yes } else { Asked::No };
        if due.renewed && own {
            return Plan::Renew(found, asked);
        }
        if state.dirty || due.saved || (own && due.tell) {
            return Plan::Save(found, asked);
        }
        Plan::Nothing
    }

    /// A new session for a visitor who has none.
    async fn create(&self) -> Result<bool> {
        self.check_barred()?;
        let shared = self.shared();
        let full = shared.settings.anonymous_max;
        let crowded = full.is_some_and(|most| shared.backend.len() >= most);
        if crowded || shared.backend.is_nearly_full() {
            shared.refused(Refusal::StoreFull);
            return Err(Error::new(
                ErrorKind::Full,
                "the share of the store that is for visitors who have not logged in is full",
            ));
        }
        let id = Id::new()?;
        let (keys, most) = ([id.key()], shared.settings.max_value_bytes);
        let [key] = keys;
        let (mut begun, mut taken) = (Ok(false), Taken::new(self));
        let done = shared.transact(Purpose::Add(key), &keys, |slots| {
            slots.discard();
            begun = Ok(false);
            let mut state = self.state();
            taken.take_back(&mut state);
            // A clone may have begun one, and one of two would have an id that nobody learns.
            if slots.get(0).is_some() || !state.begins() {
                return;
            }
            let mut body = shared.blank(shared.now());
            begun = state.delta.apply(&mut body, most).map(|()| true);
            if begun.is_ok() {
                let terms = body.terms(shared.idle_of(&body));
                let record = Arc::new(Record(Kind::Session(body)));
                taken.put(state.move_to(key, &record));
                slots.set_shared(0, record, Some(terms));
            }
        });
        if let Err(error) = done.await {
            let error = self.not_moved(error, taken);
            if error.is_full() {
                shared.refused(Refusal::StoreFull);
            }
            return Err(error);
        }
        if !begun? {
            return Ok(false);
        }
        taken.keep();
        self.state().arrive(id, shared.settings.write_level);
        shared.tell(EventKind::Created, Some(key));
        Ok(true)
    }

    /// A session could not be begun, or given another id.
    pub(crate) fn not_moved(&self, error: Error, taken: Taken<'_>) -> Error {
        if error.is_unknown() {
            // It is there, though perhaps not for ever.
            taken.keep();
            self.state().moving -= 1;
        }
        error
    }

    /// # Errors
    /// `is_config`, before anything is stored, where the browser could not bring its id back.
    pub(crate) fn check_barred(&self) -> Result<()> {
        if !self.0.barred {
            return Ok(());
        }
        self.shared().refused(Refusal::PlainHttp);
        Err(Error::config(
            "a cookie for development, over a connection that is not local: serve over HTTPS with \
             the default cookie, or acknowledge it with `allow_plain_http`",
        ))
    }

    /// False if there is something else to be done: it is not saved then.
    pub(crate) async fn save_live(&self, live: Live, asked: Asked) -> Result<bool> {
        let mut taken = Taken::new(self);
        let change = self.changing(&live, &mut taken);
        let changed = self.shared().change(Purpose::Change, live.key, change).await;
        self.saved_live(&live, taken, asked, changed)
    }

    /// What a save does to the session.
    fn changing<'a>(
        &'a self,
        live: &'a Live,
        taken: &'a mut Taken<'_>,
    ) -> impl FnMut(Key, Body) -> Decided<bool> + Send {
        let (now, most) = (self.shared().now(), self.shared().settings.max_value_bytes);
        move |key, mut body| {
            let mut state = self.state();
            taken.take_back(&mut state);
            // What is set after a login is not for whoever knows the old id.
            if state.turn.is_some() {
                return Ok((Verdict::Keep(false), Arc::new(Record(Kind::Session(body)))));
            }
            state.delta.apply(&mut body, most)?;
            let expires = state.delta.expires();
            body.saved = now;
            if state.tell && !live.moved {
                body.told = now;
            }
            let record = Arc::new(Record(Kind::Session(body)));
            taken.put(state.save(live.key, key, &record));
            Ok((if expires { Verdict::SaveWith(true) } else { Verdict::Save(true) }, record))
        }
    }

    fn saved_live(
        &self,
        live: &Live,
        taken: Taken<'_>,
        asked: Asked,
        changed: Result<Changed<bool>>,
    ) -> Result<bool> {
        match changed {
            Ok(Changed::Done(saved, key)) => {
                let shown = taken.keep();
                let level = self.shared().level_of(&shown.delta);
                let mut state = self.state();
                state.saved(&shown);
                let moved = live.moved || key != live.key;
                state.tell &= !moved;
                state.wait_for(level);
                Ok(saved)
            }
            Ok(Changed::Gone) if asked == Asked::No => {
                drop(taken);
                self.state().tell = false;
                Ok(true)
            }
            Ok(Changed::Gone) => {
                drop(taken);
                self.vanished(live.key);
                Ok(false)
            }
            Err(error) => {
                // Of what is unknown the change is visible.
                if error.is_unknown() {
                    let shown = taken.keep();
                    self.state().saved(&shown);
                }
                Err(error)
            }
        }
    }

    /// There is no session under `key` any more. True if it has ended: what was to be saved is
    /// dropped. Otherwise a clone has given it another id, or begun another session.
    pub(crate) fn vanished(&self, key: Key) -> bool {
        let mut state = self.state();
        let moving = state.moving > 0;
        if moving || state.live.as_ref().is_some_and(|live| live.key != key) {
            drop(state);
            if moving {
                thread::yield_now();
            }
            return false;
        }
        if state.live.is_some() {
            (state.vanished, state.tell) = (true, false);
        }
        drop(state);
        self.shared().tell(EventKind::Dropped, Some(key));
        true
    }
}

#[cfg(test)]
mod tests;
