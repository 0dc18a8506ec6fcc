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
use crate::record::expiry::Expiry;
use crate::session::act::Shown;
use crate::session::delta::Delta;
use crate::session::events::{EventKind, Refusal, Rotation};
use crate::session::handle::Session;
use crate::session::record::{Body, Kind, Place, Record, SessionExpiry};
use crate::session::resolve::Live;
use crate::session::rotate::Turned;
use crate::session::shared::{Changed, Decided, Settings, Shared, Verdict};
use crate::session::state::{State, Turn};

/// What is to be done beside what the request changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// Sessions that were not saved for so long are saved, and their cookie sent, at every access.
    pub(crate) save_after: Option<Duration>,
}

/// What is to be done. What is to be saved stays where it is until it is, so that clones see it; but
/// for a turn, which takes it along.
pub(crate) enum Plan {
    Nothing,
    Create,
    Save(Live, Asked),
    Renew(Live, Asked),
    Turn(Box<Turn>, Option<Live>, Delta),
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
    fn level_of(&self, delta: &Delta) -> Durability {
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
        let plan = self.plan(wish);
        self.carry_out(plan).await
    }

    pub(crate) async fn carry_out(&self, plan: Plan) -> Result<()> {
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Save(live, asked) => {
                let saved = self.save_live(live, asked).await;
                self.or_keep(saved, asked, None, Delta::default())
            }
            // What is rare lies elsewhere, so that the future of a common save is small.
            Plan::Create => {
                let created = Box::pin(self.create()).await;
                self.or_keep(created, Asked::Yes, None, Delta::default())
            }
            Plan::Renew(live, asked) => {
                let renewed = Box::pin(self.renew(live, asked)).await;
                self.or_keep(renewed, asked, None, Delta::default())
            }
            Plan::Turn(turn, live, delta) => match Box::pin(self.turn(&turn, live, &delta)).await {
                Ok(Turned::Refused(error)) => {
                    // Only what had been set before it has nothing to do with it.
                    let before = match *turn {
                        Turn::Login(login) if !login.anew => login.before,
                        _ => Delta::default(),
                    };
                    self.or_keep(Err(error), Asked::Yes, None, before)
                }
                turned => self.or_keep(turned.map(drop), Asked::Yes, Some(turn), delta),
            },
        }
    }

    /// What failed, and certainly did not happen, is still to be done: before what has been set
    /// since.
    fn or_keep(
        &self,
        done: Result<()>,
        asked: Asked,
        turn: Option<Box<Turn>>,
        delta: Delta,
    ) -> Result<()> {
        let Err(error) = done else { return Ok(()) };
        let mut state = self.state();
        if asked == Asked::No {
            state.tell = false;
            drop(state);
            self.shared().failed(&error);
            return Ok(());
        }
        if error.is_unknown() {
            return Err(error);
        }
        let later = std::mem::take(&mut state.delta);
        state.delta = delta.then(later);
        state.turn = state.turn.take().or(turn);
        state.dirty = true;
        Err(error)
    }

    /// Does it now, if it is what nearly every request wants: a session that is there and stays
    /// where it is, in a store that answers at once. Gives the plan back otherwise, and nothing
    /// has happened then.
    #[cfg(feature = "tower")]
    pub(crate) fn carry_out_at_once(&self, plan: Plan) -> Result<Result<()>, Plan> {
        match plan {
            Plan::Nothing => Ok(Ok(())),
            Plan::Save(live, asked) => {
                let mut shown = Shown::default();
                let change = self.changing(&live, &mut shown);
                let Some(changed) = self.shared().change_at_once(Purpose::Change, live.key, change)
                else {
                    return Err(Plan::Save(live, asked));
                };
                let saved = self.saved_live(&live, shown, asked, changed);
                Ok(self.or_keep(saved, asked, None, Delta::default()))
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
        let modified = std::mem::take(&mut state.dirty);
        let turn = state.turn.take();
        let live = state.live.clone();
        let Some(found) = live.as_ref().filter(|_| !state.vanished) else {
            // What holds no value begins no session, and waits for one that does.
            if turn.is_none() && !state.vanished && state.delta.is_vacant() {
                return Plan::Nothing;
            }
            let delta = std::mem::take(&mut state.delta);
            return match turn {
                Some(turn) if matches!(*turn, Turn::Login(_)) => Plan::Turn(turn, live, delta),
                // What is set on a session that has vanished is dropped.
                _ if state.vanished => Plan::Nothing,
                _ => {
                    state.delta = delta;
                    Plan::Create
                }
            };
        };
        let Some(body) = found.body() else { return Plan::Nothing };
        let due = shared.due(body, wish, shared.now());
        let own = !found.moved;
        state.tell |= own && (due.saved || due.tell || state.delta.expiry.is_some());
        if let Some(turn) = turn {
            return Plan::Turn(turn, live.clone(), std::mem::take(&mut state.delta));
        }
        let found = found.clone();
        let asked = if modified { Asked::Yes } else { Asked::No };
        if due.renewed && own {
            return Plan::Renew(found, asked);
        }
        if modified || due.saved || (own && due.tell) {
            return Plan::Save(found, asked);
        }
        Plan::Nothing
    }

    /// A new session for a visitor who has none.
    async fn create(&self) -> Result<()> {
        self.check_barred()?;
        let shared = self.shared();
        let delta = self.state().delta.clone();
        let full = shared.settings.anonymous_max;
        let crowded = full.is_some_and(|most| shared.backend.len() >= most);
        if crowded || shared.backend.is_nearly_full() {
            shared.refused(Refusal::StoreFull);
            return Err(Error::new(
                ErrorKind::Full,
                "the share of the store that is for visitors who have not logged in is full",
            ));
        }
        let mut body = shared.blank(shared.now());
        delta.apply(&mut body, shared.settings.max_value_bytes)?;
        let terms = body.terms(shared.idle_of(&body));
        let record = Record(Kind::Session(body));
        let id = loop {
            let id = Id::new()?;
            let keys = [id.key()];
            let mut made = false;
            let done = shared.transact(Purpose::Add(id.key()), &keys, |slots| {
                made = slots.get(0).is_none();
                if made {
                    slots.insert(0, record.clone(), terms);
                }
            });
            if let Err(error) = done.await {
                if error.is_full() {
                    shared.refused(Refusal::StoreFull);
                }
                return Err(error);
            }
            if made {
                break id;
            }
        };
        if let Some(live) = self.begin(&id, record, &delta) {
            // A clone was faster: one of two sessions would have an id that nobody learns.
            shared.transact(Purpose::End, &[id.key()], |slots| slots.remove(0)).await?;
            return self.save_live(live, Asked::Yes).await;
        }
        shared.tell(EventKind::Created, Some(id.key()));
        Ok(())
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

    /// There is a new session with `saved` in it, and the browser is to learn its id; unless a clone
    /// has begun one meanwhile, which is returned then.
    fn begin(&self, id: &Id, record: Record, saved: &Delta) -> Option<Live> {
        let mut state = self.state();
        if let Some(live) = state.live.as_ref().filter(|_| !state.vanished) {
            return Some(live.clone());
        }
        state.enter(id.clone(), record, self.shared().settings.write_level);
        state.delta.settle(saved);
        None
    }

    async fn save_live(&self, live: Live, asked: Asked) -> Result<()> {
        let mut shown = Shown::default();
        let change = self.changing(&live, &mut shown);
        let changed = self.shared().change(Purpose::Change, live.key, change).await;
        self.saved_live(&live, shown, asked, changed)
    }

    /// What a save does to the session.
    fn changing<'a>(
        &'a self,
        live: &'a Live,
        shown: &'a mut Shown,
    ) -> impl FnMut(Key, Body) -> Decided<()> + Send + use<'a> {
        let (now, most) = (self.shared().now(), self.shared().settings.max_value_bytes);
        move |key, mut body| {
            let mut state = self.state();
            state.withdraw(std::mem::take(shown));
            state.delta.apply(&mut body, most)?;
            let expires = state.delta.expires();
            body.saved = now;
            if state.tell && !live.moved {
                body.told = now;
            }
            let record = Arc::new(Record(Kind::Session(body)));
            *shown = state.save(live.key, key, &record);
            Ok((if expires { Verdict::SaveWith(()) } else { Verdict::Save(()) }, record))
        }
    }

    fn saved_live(
        &self,
        live: &Live,
        shown: Shown,
        asked: Asked,
        changed: Result<Changed<()>>,
    ) -> Result<()> {
        match changed {
            Ok(Changed::Done((), key)) => {
                let level = self.shared().level_of(&shown.delta);
                let mut state = self.state();
                let moved = live.moved || key != live.key;
                state.tell &= !moved;
                state.wait_for(level);
            }
            Ok(Changed::Gone) if asked == Asked::No => self.state().tell = false,
            Ok(Changed::Gone) => {
                self.vanished(live.key);
                let mut state = self.state();
                if state.vanished {
                    state.delta = Delta::default();
                } else {
                    // A clone has given it another id: that is where it is to be saved.
                    state.dirty = true;
                }
            }
            Err(error) => {
                // Of what is unknown the change is visible.
                if !error.is_unknown() {
                    self.state().withdraw(shown);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The session has ended since it was looked at: what was to be saved is dropped.
    pub(crate) fn vanished(&self, key: Key) {
        let mut state = self.state();
        // A clone may have given it another id, or begun another session, in the meantime.
        if state.live.as_ref().is_some_and(|live| live.key == key) {
            (state.vanished, state.tell) = (true, false);
        }
        drop(state);
        self.shared().tell(EventKind::Dropped, Some(key));
    }

    /// Saves, and gives out an id that is to follow this one when it is first presented.
    async fn renew(&self, live: Live, asked: Asked) -> Result<()> {
        let shared = self.shared();
        let now = shared.now();
        let Some(seen) = live.body() else { return Ok(()) };
        let id = Id::new()?;
        // An id that was given out long ago and never presented makes room.
        let surplus = seen.next.len() + 1 > crate::limits::NEXT_IDS_MAX;
        let oldest = seen.next.first().filter(|_| surplus).map(|place| place.key());
        if let Some(key) = &oldest {
            // It goes in any case, read or unread.
            shared.legible_or_end(key).await?;
        }
        let keys: Vec<Key> = [live.key, id.key()].into_iter().chain(oldest).collect();
        let (mut result, mut shown) = (Ok(false), Shown::default());
        let done = shared.transact(Purpose::Add(id.key()), &keys, |slots| {
            slots.discard();
            result = Ok(false);
            let Some(Kind::Session(body)) = slots.get(0).map(|record| &record.0) else { return };
            // Somebody else has renewed it meanwhile.
            if body.renewed != seen.renewed || body.next != seen.next || slots.get(1).is_some() {
                return;
            }
            let mut body = body.clone();
            let mut state = self.state();
            state.withdraw(std::mem::take(&mut shown));
            if let Err(error) = state.delta.apply(&mut body, shared.settings.max_value_bytes) {
                result = Err(error);
                return;
            }
            (body.saved, body.renewed, body.told) = (now, now, now);
            if oldest.is_some() {
                body.next.remove(0);
                slots.remove(2);
            }
            body.next.push(Place::from(id.key()));
            let (terms, ends) = (body.terms(shared.idle_of(&body)), body.ends);
            let record = Arc::new(Record(Kind::Session(body)));
            shown = state.save(live.key, live.key, &record);
            slots.set_shared(0, record, shown.delta.expires().then_some(terms));
            let next = Record(Kind::Next(Place::from(live.key)));
            slots.insert(1, next, Expiry::At(ends));
            result = Ok(true);
        });
        if let Err(error) = done.await {
            if error.is_unknown() {
                return Err(error);
            }
            self.state().withdraw(shown);
            // There is no room for another id; what is there can be saved all the same.
            return if error.is_full() { self.save_live(live, asked).await } else { Err(error) };
        }
        if !result? {
            return self.save_live(live, asked).await;
        }
        let mut state = self.state();
        state.give(id);
        state.wait_for(shared.level_of(&shown.delta));
        drop(state);
        shared.tell(EventKind::Rotated(Rotation::Renewal), Some(live.key));
        Ok(())
    }
}
