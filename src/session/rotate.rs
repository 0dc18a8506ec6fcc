//! New ids: at a login and at every other change of privilege, with the response.
//!
//! The old id is dead from the moment at which the new one is good, and what other requests
//! had begun under it is dropped. One transaction changes the session, the list of its owner, and
//! that of the owner before.

use std::sync::Arc;

use crate::backend::Purpose;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Id, Key};
use crate::limits::SUBJECT_BYTES_MAX;
use crate::record::expiry::Expiry;
use crate::session::act::Taken;
use crate::session::delta::Delta;
use crate::session::end::has_next_of;
use crate::session::events::{End, EventKind, Refusal, Rotation};
use crate::session::handle::Session;
use crate::session::record::{Body, Kind, Login, Owned, Owner, Place, Record, owner_key};
use crate::session::resolve::Live;
use crate::session::shared::{WhenOwnerFull, contended};
use crate::session::state::{LoggingIn, Turn};
use crate::store::Slots;
use crate::sync::atomic::Ordering;

/// Transactions that are tried before it is said that others are always faster.
const TRIES: usize = 32;

/// The keys of a turn, and what was seen of them before.
struct Plan {
    keys: Vec<Key>,
    /// Where in the keys: the session as it was, its owner's list, that of its owner before, and
    /// further ids that are to end.
    old: Option<usize>,
    owner: Option<usize>,
    before: Option<usize>,
    extra: std::ops::Range<usize>,
    seen: Option<Owner>,
    /// Sessions in the list that are no longer there.
    dead: Vec<Place>,
    /// Those that have to make room.
    displaced: Vec<Place>,
    /// There was no session when the request began.
    fresh: bool,
}

/// What came of one try.
enum Outcome {
    Again,
    /// The session has been renewed meanwhile, and is there.
    Moved(Key),
    /// The session has ended, and there is nothing to give a new id.
    Gone,
    Refused(Error, Refusal),
    /// A clone has done it, or has asked for another one.
    Overtaken,
    Done {
        record: Arc<Record>,
        /// It is the session that there was.
        continued: bool,
        /// There was one, and its id is dead.
        ended: bool,
    },
    Failed(Error),
}

impl Session {
    /// Gives the session another id, with the response: the old one is dead then. For every change
    /// of what its holder may do; [`login`](Self::login) does it by itself.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); `is_late`.
    pub fn cycle_id(&self) -> Result<()> {
        let mut state = self.open()?;
        state.change();
        if state.turn.is_none() {
            state.turn = Some(Box::new(Turn::Cycle));
        }
        Ok(())
    }

    /// Makes this the session of `subject`: the application's name for whoever has logged in, at
    /// most 1024 bytes. It gets another id with the response, and what it holds stays; if somebody
    /// else was logged in, or somebody ended it, what it held is dropped. The absolute deadline
    /// stays where it is.
    ///
    /// # Errors
    /// `is_config` for a subject that is empty or too long; `is_full` if the owner has as many
    /// sessions as is allowed and the policy is to refuse. Those of [`load`](Self::load);
    /// `is_late`.
    pub fn login(&self, subject: impl AsRef<str>) -> Result<()> {
        let subject = subject.as_ref();
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return Err(Error::config(format!(
                "a subject of {} bytes; it must have between 1 and {SUBJECT_BYTES_MAX}",
                subject.len()
            )));
        }
        drop(self.open()?);
        let shared = self.shared();
        let clears = shared.clears.load(Ordering::SeqCst);
        let record = crate::backend::block_on(shared.list_of(subject))?;
        let list = record.as_ref().and_then(|record| record.owner());
        let generation = list.map_or(0, |owner| owner.generation);
        let mut state = self.open()?;
        let other = state.subject().is_some_and(|other| other != subject);
        let (mut before, mut anew) = (std::mem::take(&mut state.delta), other);
        // What was set for somebody who is not to see it.
        if other {
            before = Delta::default();
        } else if let Some(Turn::Login(earlier)) = state.turn.take().map(|turn| *turn) {
            before = earlier.before.then(before);
            anew = earlier.anew;
        }
        // What a page showed before the login is no proof of anything after it.
        state.delta.set(crate::session::CSRF_TOKEN, None);
        let subject = subject.into();
        let login = LoggingIn { subject, generation, clears, anew, before };
        state.turn = Some(Box::new(Turn::Login(login)));
        state.change();
        Ok(())
    }

    /// The session is given another id, and `subject` logs in if there is one. False if there is
    /// something else to be done.
    pub(crate) async fn turn(&self, subject: Option<&str>, live: Option<Live>) -> Result<bool> {
        self.check_barred()?;
        let shared = self.shared();
        let vanished = self.state().vanished;
        let known = live.as_ref().map(|live| live.key);
        let mut old = live.filter(|_| !vanished);
        let why = if subject.is_some() { Rotation::Login } else { Rotation::Cycle };
        for _ in 0..TRIES {
            let id = Id::new()?;
            let plan = self.plan_turn(&id, subject, old.as_ref()).await?;
            let plan = Plan { fresh: known.is_none(), ..plan };
            let (mut outcome, mut taken) = (Outcome::Again, Taken::new(self));
            // One that only changes its id needs no more room.
            let purpose = if old.is_some() { Purpose::Change } else { Purpose::Add(id.key()) };
            let done = shared.transact(purpose, &plan.keys, |slots| {
                slots.discard();
                let mut state = self.state();
                taken.take_back(&mut state);
                outcome = match state.turn.as_deref().filter(|turn| turn.subject() == subject) {
                    Some(turn) if state.live.as_ref().map(|live| live.key) == known => {
                        self.turn_in(slots, &plan, turn, &state.delta)
                    }
                    _ => Outcome::Overtaken,
                };
                match &outcome {
                    Outcome::Done { record, .. } => taken.put(state.move_to(id.key(), record)),
                    Outcome::Refused(..) => {
                        slots.discard();
                        state.refuse();
                    }
                    _ => slots.discard(),
                }
            });
            if let Err(error) = done.await {
                return Err(self.not_moved(error, taken));
            }
            match outcome {
                Outcome::Again => continue,
                Outcome::Moved(to) => old = shared.resolve(to).await?,
                Outcome::Overtaken => return Ok(false),
                Outcome::Gone => {
                    if let Some(key) = known {
                        self.vanished(key);
                    }
                    return Ok(false);
                }
                Outcome::Refused(error, why) => {
                    shared.refused(why);
                    return Err(error);
                }
                Outcome::Failed(error) => return Err(error),
                Outcome::Done { continued, ended, .. } => {
                    taken.keep();
                    let settings = &shared.settings;
                    let key = id.key();
                    let ends = ended || !plan.displaced.is_empty();
                    let level = if ends { settings.removal_level } else { settings.write_level };
                    self.state().arrive(id, level);
                    let kind = if continued { EventKind::Rotated(why) } else { EventKind::Created };
                    shared.tell(kind, Some(key));
                    for place in &plan.displaced {
                        shared.tell(EventKind::Ended(End::Displaced), Some(place.key()));
                    }
                    return Ok(true);
                }
            }
        }
        Err(contended())
    }

    async fn plan_turn(&self, id: &Id, subject: Option<&str>, old: Option<&Live>) -> Result<Plan> {
        let shared = self.shared();
        let mut plan = Plan {
            keys: vec![id.key()],
            old: None,
            owner: None,
            before: None,
            extra: 0..0,
            seen: None,
            dead: Vec::new(),
            displaced: Vec::new(),
            fresh: false,
        };
        let body = old.and_then(Live::body);
        let had = body.and_then(Body::subject);
        let owner = subject.or(had);
        plan.old = old.map(|old| plan.add(old.key));
        if let Some(subject) = owner {
            let record = shared.list_of(subject).await?;
            plan.seen = record.as_ref().and_then(|record| record.owner()).cloned();
            plan.owner = Some(plan.add(owner_key(subject)));
            self.look_through(&mut plan, old.map(|old| Place::from(old.key))).await?;
        }
        if let Some(had) = had.filter(|had| owner != Some(had)) {
            // So that it can be read.
            shared.list_of(had).await?;
            plan.before = Some(plan.add(owner_key(had)));
        }
        // As they are now: since the request began there may have been a renewal.
        let ending: Vec<Place> =
            old.map(|old| Place::from(old.key)).into_iter().chain(plan.displaced.clone()).collect();
        let next = shared.next_of(&ending).await?;
        for key in &next {
            shared.legible_or_end(key).await?;
        }
        let from = plan.keys.len();
        for key in ending.iter().map(|place| place.key()).chain(next) {
            if !plan.keys.contains(&key) {
                plan.keys.push(key);
            }
        }
        plan.extra = from..plan.keys.len();
        Ok(plan)
    }

    /// Which of the owner's sessions are no longer there, and which has to go.
    async fn look_through(&self, plan: &mut Plan, own: Option<Place>) -> Result<()> {
        let shared = self.shared();
        let list = plan.seen.iter().flat_map(|owner| &owner.sessions);
        let mut alive = Vec::new();
        for owned in list.filter(|owned| Some(owned.place) != own) {
            let record = shared.legible_or_end(&owned.place.key()).await?;
            if record.as_ref().is_some_and(|record| record.session().is_some()) {
                alive.push(owned.place);
            } else {
                plan.dead.push(owned.place);
            }
        }
        let surplus = (alive.len() + 1).saturating_sub(shared.settings.per_owner);
        plan.displaced = alive.into_iter().take(surplus).collect();
        Ok(())
    }

    /// One try: what is decided is done as a whole, or not at all.
    fn turn_in(
        &self,
        slots: &mut Slots<Record>,
        plan: &Plan,
        turn: &Turn,
        delta: &Delta,
    ) -> Outcome {
        let shared = self.shared();
        let (now, most) = (shared.now(), shared.settings.max_value_bytes);
        if slots.get(0).is_some() {
            return Outcome::Again;
        }
        let old = match plan.old.and_then(|at| slots.get(at)).map(|record| &record.0) {
            Some(Kind::Session(body)) => Some(body.clone()),
            Some(Kind::Moved(to)) => return Outcome::Moved(to.key()),
            _ => None,
        };
        let seen = plan.owner.and_then(|at| slots.get(at)).and_then(Record::owner);
        let same = |a: Option<&Owner>, b: Option<&Owner>| {
            a.map(|owner| (&owner.sessions, owner.generation))
                == b.map(|owner| (&owner.sessions, owner.generation))
        };
        let ending = plan.old.into_iter().chain(plan.extra.clone());
        if !same(seen, plan.seen.as_ref()) || !has_next_of(slots, &plan.keys, ending) {
            return Outcome::Again;
        }
        let mut list = seen.cloned().unwrap_or_default();
        let ended = old.is_some();
        let (mut body, continued) = match (turn, old) {
            (Turn::Cycle, None) => return Outcome::Gone,
            (Turn::Cycle, Some(body)) => (body, true),
            (Turn::Login(login), old) => {
                if shared.clears.load(Ordering::SeqCst) != login.clears
                    || list.generation != login.generation
                {
                    return Outcome::Refused(revoked(), Refusal::LoginRevoked);
                }
                let same = |had: &str| had == &*login.subject;
                let kept = old.filter(|body| !login.anew && body.subject().is_none_or(same));
                let continued = kept.is_some();
                let mut body = kept.unwrap_or_else(|| shared.blank(now));
                if (continued || plan.fresh || login.anew)
                    && let Err(error) = login.before.apply(&mut body, most)
                {
                    return Outcome::Failed(error);
                }
                body.owner = Some(Box::new(Login { subject: login.subject.clone(), at: now }));
                (body, continued)
            }
        };
        if let Err(error) = delta.apply(&mut body, most) {
            return Outcome::Failed(error);
        }
        (body.saved, body.renewed, body.told) = (now, now, now);
        body.next = Vec::new();
        if let Some(old) = plan.old.filter(|_| continued).and_then(|at| plan.keys.get(at)) {
            body.first.get_or_insert(Place::from(*old));
        }
        let refuse = shared.settings.when_owner_full == WhenOwnerFull::Refuse;
        if refuse && !plan.displaced.is_empty() {
            return Outcome::Refused(owner_full(list.sessions.len()), Refusal::OwnerFull);
        }
        for at in [plan.old].into_iter().flatten().chain(plan.extra.clone()) {
            slots.remove(at);
        }
        self.relist(slots, plan, turn, &mut list, &body);
        let terms = body.terms(shared.idle_of(&body));
        let record = Arc::new(Record(Kind::Session(body)));
        slots.set_shared(0, record.clone(), Some(terms));
        Outcome::Done { record, continued, ended }
    }

    /// Brings the lists of the owners up to date.
    fn relist(
        &self,
        slots: &mut Slots<Record>,
        plan: &Plan,
        turn: &Turn,
        list: &mut Owner,
        body: &Body,
    ) {
        let now = self.shared().now();
        let place = |at: usize| plan.keys.get(at).copied().map(Place::from);
        let old = plan.old.and_then(place);
        if let (Some(at), Some(new)) = (plan.owner, place(0)) {
            let owned = Owned { place: new, ends: body.ends };
            // Only a login is a reason to come last.
            let stays =
                |owned: &&mut Owned| matches!(turn, Turn::Cycle) && Some(owned.place) == old;
            let stayed = list.sessions.iter_mut().find(stays).map(|found| *found = owned).is_some();
            list.sessions.retain(|owned| {
                owned.ends > now
                    && Some(owned.place) != old
                    && !plan.displaced.contains(&owned.place)
                    && !plan.dead.contains(&owned.place)
            });
            if !stayed {
                list.sessions.push(owned);
            }
            let until = list.until(slots.deadline(at)).unwrap_or(body.ends);
            slots.insert(at, Record(Kind::Owner(list.clone())), Expiry::At(until));
        }
        if let (Some(at), Some(old)) = (plan.before, old) {
            super::owner::unlist(slots, at, &[old]);
        }
    }
}

impl Plan {
    fn add(&mut self, key: Key) -> usize {
        self.keys.push(key);
        self.keys.len() - 1
    }
}

fn revoked() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the subject's sessions were revoked while it logged in; log in again",
    )
}

fn owner_full(sessions: usize) -> Error {
    Error::new(
        ErrorKind::Full,
        format!("the subject has {sessions} sessions, as many as is allowed; let one end"),
    )
}
