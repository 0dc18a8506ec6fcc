//! Ending sessions: one's own, and those of others. Takes effect inside the call.

use std::ops::Range;

use crate::backend::{Purpose, block_on};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Key;
use crate::limits::RENEWALS_FOLLOWED_MAX;
use crate::session::events::{End, EventKind};
use crate::session::handle::Session;
use crate::session::owner::{remember, unlist};
use crate::session::record::{Kind, Owned, Owner, Place, Record, owner_key};
use crate::session::shared::{Shared, contended};
use crate::session::state::Turn;
use crate::store::Slots;
use crate::sync::thread;

/// Transactions that are tried before it is said that others are always faster.
const TRIES: usize = 32;

impl Session {
    /// Ends the session: what it held is gone, its id is dead at once, whatever becomes of the
    /// response, which waits until this is on disk; after the response has begun the call does.
    /// What is set afterwards begins a new session. Does nothing for a visitor who has none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn flush(&self) -> Result<()> {
        block_on(self.end(End::Flush))
    }

    /// Ends the session because its user has logged out; otherwise [`flush`](Self::flush).
    ///
    /// # Errors
    /// As `flush`.
    pub fn logout(&self) -> Result<()> {
        block_on(self.end(End::Logout))
    }

    async fn end(&self, why: End) -> Result<()> {
        let shared = self.shared();
        if let Err(error) = self.load().await {
            return self.end_unread(why, error).await;
        }
        let mut key = self.state().key();
        loop {
            let mut ended = false;
            if let Some(key) = key {
                ended = shared.end(key).await?;
                if ended {
                    shared.tell(EventKind::Ended(why), Some(key));
                }
            }
            let mut state = self.state();
            state.ended |= ended;
            // A clone may have given it another id meanwhile, or begun one.
            let (now, moving) = (state.key(), state.moving > 0 && !ended);
            if now.is_some() && (now != key || moving) {
                key = now;
                drop(state);
                if moving {
                    thread::yield_now();
                }
                continue;
            }
            if state.live.is_some() {
                // Whoever has ended it: that it has is to last when the response says so.
                state.wait_for(shared.settings.removal_level);
            }
            state.forget();
            state.modified = true;
            break;
        }
        self.wait_if_late().await
    }

    /// One that cannot be read can be ended all the same.
    async fn end_unread(&self, why: End, error: Error) -> Result<()> {
        let Some(id) = self.0.presented.as_ref().filter(|_| error.is_damage()) else {
            return Err(error);
        };
        let key = id.key();
        let ended = self.shared().backend.remove(&key).await?;
        {
            let mut state = self.state();
            state.forget();
            (state.failed, state.loaded, state.modified) = (None, true, true);
            state.ended |= ended;
            state.wait_for(self.shared().settings.removal_level);
        }
        self.shared().tell(EventKind::Ended(why), Some(key));
        self.wait_if_late().await
    }

    /// Ends all sessions of this session's owner but this one, and refuses logins that are under
    /// way: after a change of password, say. Returns how many have ended.
    ///
    /// # Errors
    /// `is_login_required` if nobody has logged in. Those of the store.
    pub fn revoke_others(&self) -> Result<usize> {
        let (subject, keep) = {
            let state = self.loaded()?;
            let Some(subject) = state.subject() else {
                return Err(Error::new(
                    ErrorKind::LoginRequired,
                    "nobody has logged in, so there is nobody whose sessions could be ended",
                ));
            };
            (subject.to_owned(), state.live.as_ref().map(|live| live.key))
        };
        let shared = self.shared();
        let (count, generation) = block_on(shared.revoke_owner(&subject, keep))?;
        {
            let mut state = self.state();
            state.wait_for(shared.settings.removal_level);
            if let Some(Turn::Login(login)) = state.turn.as_deref_mut() {
                // This one is not meant.
                login.generation = generation;
            }
        }
        block_on(self.wait_if_late())?;
        Ok(count)
    }
}

impl Shared {
    /// Ends the session under `key`, or where a renewal has moved it to. False if there is none.
    pub(crate) async fn end(&self, mut key: Key) -> Result<bool> {
        for _ in 0..TRIES {
            let record = match self.backend.peek(&key).await {
                // Neither its list nor the ids that follow it are known; they lead nowhere then.
                Err(error) if error.is_damage() => return self.backend.remove(&key).await,
                found => found?,
            };
            let Some(record) = record else { return Ok(false) };
            let body = match &record.0 {
                Kind::Session(body) => body,
                Kind::Moved(to) | Kind::Next(to) => {
                    key = to.key();
                    continue;
                }
                _ => return Ok(false),
            };
            let mut keys = vec![key];
            keys.extend(body.next.iter().map(|place| place.key()));
            let nexts = keys.len();
            keys.extend(body.subject().map(owner_key));
            let mut ended = Some(false);
            self.transact(Purpose::End, &keys, |slots| {
                slots.discard();
                ended = match slots.get(0).map(|record| &record.0) {
                    Some(Kind::Session(now)) => {
                        (now.subject() == body.subject() && now.next == body.next).then_some(true)
                    }
                    Some(Kind::Moved(_)) => None,
                    _ => Some(false),
                };
                if ended == Some(true) {
                    (0..nexts).for_each(|index| slots.remove(index));
                    if keys.len() > nexts {
                        unlist(slots, nexts, &[Place::from(key)]);
                    }
                }
            })
            .await?;
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Err(contended())
    }

    /// Ends all sessions of a subject but the one to keep. Returns how many, and the list's new
    /// generation.
    pub(crate) async fn revoke_owner(
        &self,
        subject: &str,
        keep: Option<Key>,
    ) -> Result<(usize, u64)> {
        let list = owner_key(subject);
        for _ in 0..TRIES {
            let record = self.list_of(subject).await?;
            // After the list: a session that is moved from now on changes it.
            let keep = match keep {
                Some(key) => Some(Place::from(self.follow(key).await?)),
                None => None,
            };
            let seen = record.as_ref().and_then(|record| record.owner());
            let places: Vec<Place> = seen
                .into_iter()
                .flat_map(|owner| &owner.sessions)
                .map(|owned| owned.place)
                .filter(|place| Some(*place) != keep)
                .collect();
            let mut keys: Vec<Key> =
                [list].into_iter().chain(places.iter().map(|place| place.key())).collect();
            let sessions = 1..keys.len();
            keys.extend(self.next_of(&places).await?);
            let mut done = None;
            self.transact(Purpose::End, &keys, |slots| {
                slots.discard();
                done = revoke_in(slots, seen, keep, &keys, sessions.clone(), self.now());
            })
            .await?;
            if let Some((count, generation)) = done {
                for _ in 0..count {
                    self.tell(EventKind::Ended(End::Revoked), None);
                }
                return Ok((count, generation));
            }
        }
        Err(contended())
    }

    /// The ids that were given out for these sessions and not yet presented.
    pub(crate) async fn next_of(&self, places: &[Place]) -> Result<Vec<Key>> {
        let mut next = Vec::new();
        for place in places {
            let record = self.legible(&place.key()).await?;
            let body = record.as_ref().and_then(|record| record.session());
            next.extend(body.into_iter().flat_map(|body| &body.next).map(|place| place.key()));
        }
        Ok(next)
    }

    /// Where renewals have moved the session that was under `key`.
    pub(crate) async fn follow(&self, mut key: Key) -> Result<Key> {
        for _ in 0..RENEWALS_FOLLOWED_MAX {
            let record = self.legible(&key).await?;
            match record.as_ref().map(|record| &record.0) {
                Some(Kind::Moved(to) | Kind::Next(to)) => key = to.key(),
                _ => break,
            }
        }
        Ok(key)
    }
}

/// Whether the transaction on `keys` has all ids that were given out for the sessions in these
/// slots: one that was renewed since they were looked at has more.
pub(crate) fn has_next_of(
    slots: &Slots<Record>,
    keys: &[Key],
    mut sessions: impl Iterator<Item = usize>,
) -> bool {
    sessions.all(|at| {
        let body = slots.get(at).and_then(Record::session);
        body.is_none_or(|body| body.next.iter().all(|place| keys.contains(&place.key())))
    })
}

/// One try: `keys` are the list, the sessions and the ids that were given out for them. `None`:
/// they are no longer what was seen of them.
fn revoke_in(
    slots: &mut Slots<Record>,
    seen: Option<&Owner>,
    keep: Option<Place>,
    keys: &[Key],
    sessions: Range<usize>,
    now: Timestamp,
) -> Option<(usize, u64)> {
    let list = slots.get(0).and_then(Record::owner);
    let parts = |owner: &Owner| (owner.generation, owner.sessions.clone());
    if list.map(parts) != seen.map(parts) || !has_next_of(slots, keys, sessions.clone()) {
        return None;
    }
    let kept: Vec<Owned> = list
        .into_iter()
        .flat_map(|owner| &owner.sessions)
        .filter(|owned| Some(owned.place) == keep)
        .copied()
        .collect();
    let generation = list.map_or(0, |owner| owner.generation) + 1;
    let ended = sessions.filter(|index| slots.get(*index).is_some()).count();
    (1..keys.len()).for_each(|index| slots.remove(index));
    let owner = Owner { generation, sessions: kept };
    remember(slots, 0, owner, now);
    Some((ended, generation))
}
