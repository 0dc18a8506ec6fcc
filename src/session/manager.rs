//! All sessions: making, finding, counting, listing and revoking them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Records, block_on};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{Id, Key};
use crate::log::Durability;
use crate::metrics::Stats;
use crate::session::builder::SessionsBuilder;
use crate::session::commit::Wish;
use crate::session::events::{End, EventKind, SessionCounts};
use crate::session::handle::Session;
use crate::session::record::{Body, Record, SessionExpiry};
use crate::session::shared::Shared;
use crate::sync::atomic::Ordering;

/// All sessions of an application, in one store. A clone is another handle on the same.
///
/// Calls that wait block the thread; each has a twin whose name ends in `_async`.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Shared>);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("events", &self.0.events).finish_non_exhaustive()
    }
}

/// What is known of a session without opening it to anybody: no id, no values. Its `Debug` does not
/// show who has logged in.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What it is filed under, until it is given another id. `key.fingerprint()` is for people;
    /// the key itself for [`Sessions::revoke`].
    pub key: Key,
    /// What it is called whatever ids it is given: for [`Sessions::revoke_of`], in a page that is
    /// looked at for longer than an id is good.
    pub handle: Key,
    /// Who has logged in.
    pub subject: Option<String>,
    /// When it began.
    pub created: Timestamp,
    /// When it was last accessed, to about a sixteenth of its idle time.
    pub last_seen: Timestamp,
    /// When its user logged in.
    pub authenticated_at: Option<Timestamp>,
    /// When it ends if it is not accessed again.
    pub expires: Timestamp,
    /// When it ends in any case.
    pub ends: Timestamp,
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("key", &self.key)
            .field("handle", &self.handle)
            .field("subject", &self.subject.as_ref().map(|_| "…"))
            .field("created", &self.created)
            .field("last_seen", &self.last_seen)
            .field("authenticated_at", &self.authenticated_at)
            .field("expires", &self.expires)
            .field("ends", &self.ends)
            .finish()
    }
}

impl Sessions {
    /// The options of a new store of sessions.
    pub fn builder() -> SessionsBuilder {
        SessionsBuilder::new()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// A session for a visitor who has none. Nothing is stored until something is set in it and
    /// it is saved.
    pub fn create(&self) -> Session {
        Session::new(self.0.clone(), None, false)
    }

    /// The session of an id that a cookie carried; `None` if there is none, or no longer. Counts
    /// as an access.
    ///
    /// # Errors
    /// Those of the store.
    pub fn load(&self, id: &Id) -> Result<Option<Session>> {
        let session = Session::new(self.0.clone(), Some(id.clone()), true);
        let there = session.loaded()?.live.is_some();
        Ok(there.then_some(session))
    }

    /// See [`load`](Self::load).
    ///
    /// # Errors
    /// As `load`.
    pub async fn load_async(&self, id: &Id) -> Result<Option<Session>> {
        let session = Session::new(self.0.clone(), Some(id.clone()), true);
        session.load().await?;
        let there = session.state().live.is_some();
        Ok(there.then_some(session))
    }

    /// Counts the sessions that live, by looking at every record, one after the other: of those
    /// that begin or end meanwhile any may be counted. What is damaged is not among them, and
    /// counts as a [failure](SessionCounts::failed); [`list`](Self::list) tells of it.
    ///
    /// # Errors
    /// `is_closed`; those of the file system.
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        for session in self.list() {
            match session {
                Ok(_) => count += 1,
                Err(error) if error.is_damage() => self.0.tell(EventKind::Failed, None),
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Goes through all sessions, in no order that means anything: each that lives throughout is
    /// met once. Accesses none and holds nothing up. Where a session or a block of several is
    /// damaged there is an error, `is_corrupt` or `is_decode`, and the others come after it; any
    /// other error is the last.
    pub fn list(&self) -> SessionList {
        SessionList { sessions: self.clone(), records: self.0.backend.records() }
    }

    /// The sessions in which this subject has logged in, in the order of the logins. One that is
    /// damaged is not among them. Costs by the number of its sessions; if the list of them is
    /// damaged, it is made anew once, by looking at every record.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list_of(&self, subject: impl AsRef<str>) -> Result<Vec<SessionInfo>> {
        block_on(self.list_of_async(subject))
    }

    /// See [`list_of`](Self::list_of).
    ///
    /// # Errors
    /// As `list_of`.
    pub async fn list_of_async(&self, subject: impl AsRef<str>) -> Result<Vec<SessionInfo>> {
        let list = self.0.list_of(subject.as_ref()).await?;
        let places = list.as_ref().and_then(|record| record.owner());
        let mut found = Vec::new();
        for owned in places.into_iter().flat_map(|owner| &owner.sessions) {
            let key = owned.place.key();
            let record = self.0.legible(&key).await?;
            if let Some(body) = record.as_ref().and_then(|record| record.session()) {
                found.extend(self.0.info(key, body).await?);
            }
        }
        Ok(found)
    }

    /// Ends one session, damaged or not. False if there is none: also if the session has been given
    /// another id, by a login or longer ago than the grace of renewals;
    /// [`revoke_of`](Self::revoke_of) finds it all the same. On disk when it returns.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revoke(&self, key: &Key) -> Result<bool> {
        block_on(self.revoke_async(key))
    }

    /// See [`revoke`](Self::revoke).
    ///
    /// # Errors
    /// As `revoke`.
    pub async fn revoke_async(&self, key: &Key) -> Result<bool> {
        let ended = self.0.end(*key).await?;
        if ended {
            self.0.tell(EventKind::Ended(End::Revoked), Some(*key));
        }
        self.0.reach_removal().await?;
        Ok(ended)
    }

    /// Ends the session of a subject that had this [`handle`](SessionInfo::handle), under whatever id
    /// it is by now. False if the subject has no such session, though somebody else may. Costs by
    /// the number of its sessions; on disk when it returns.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revoke_of(&self, subject: impl AsRef<str>, handle: &Key) -> Result<bool> {
        block_on(self.revoke_of_async(subject, handle))
    }

    /// See [`revoke_of`](Self::revoke_of).
    ///
    /// # Errors
    /// As `revoke_of`.
    pub async fn revoke_of_async(&self, subject: impl AsRef<str>, handle: &Key) -> Result<bool> {
        let list = self.0.list_of(subject.as_ref()).await?;
        let owner = list.as_ref().and_then(|record| record.owner());
        for owned in owner.into_iter().flat_map(|owner| &owner.sessions) {
            // Since the list was read it may have moved.
            let key = self.0.follow(owned.place.key()).await?;
            let record = self.0.legible(&key).await?;
            let called = record.as_ref().and_then(|record| record.session()).map(|b| b.handle(key));
            if called.unwrap_or(key) == *handle {
                return self.revoke_async(&key).await;
            }
        }
        self.0.reach_removal().await?;
        Ok(false)
    }

    /// Ends all sessions of a subject, and refuses its logins that are under way. Returns how many
    /// have ended: those that are damaged end too, uncounted. Costs by the number of its sessions,
    /// not of all, unless the list of them is damaged: it is made anew then, by looking at every
    /// record. On disk when it returns.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revoke_owner(&self, subject: impl AsRef<str>) -> Result<usize> {
        block_on(self.revoke_owner_async(subject))
    }

    /// See [`revoke_owner`](Self::revoke_owner).
    ///
    /// # Errors
    /// As `revoke_owner`.
    pub async fn revoke_owner_async(&self, subject: impl AsRef<str>) -> Result<usize> {
        let (count, _) = self.0.revoke_owner(subject.as_ref(), None).await?;
        self.0.reach_removal().await?;
        Ok(count)
    }

    /// The same for all but one of a subject's sessions.
    ///
    /// # Errors
    /// As [`revoke_owner`](Self::revoke_owner).
    pub fn revoke_others(&self, subject: impl AsRef<str>, keep: &Key) -> Result<usize> {
        block_on(self.revoke_others_async(subject, keep))
    }

    /// See [`revoke_others`](Self::revoke_others).
    ///
    /// # Errors
    /// As `revoke_owner`.
    pub async fn revoke_others_async(&self, subject: impl AsRef<str>, keep: &Key) -> Result<usize> {
        let (count, _) = self.0.revoke_owner(subject.as_ref(), Some(*keep)).await?;
        self.0.reach_removal().await?;
        Ok(count)
    }

    /// Ends everything: all sessions, one-shot values, and sessions of other frameworks; and
    /// refuses logins that are under way. Takes the same time however many there are.
    ///
    /// # Errors
    /// Those of the store.
    pub fn revoke_all(&self) -> Result<()> {
        block_on(self.revoke_all_async())
    }

    /// See [`revoke_all`](Self::revoke_all).
    ///
    /// # Errors
    /// As `revoke_all`.
    pub async fn revoke_all_async(&self) -> Result<()> {
        // First, so that a login that does not know of it is one that `clear` ends.
        self.0.clears.fetch_add(1, Ordering::SeqCst);
        self.0.backend.clear().await?;
        self.0.tell(EventKind::Ended(End::Revoked), None);
        self.0.reach_removal().await
    }

    /// Frees the memory of what has expired at once. It happens by itself as well, a little later.
    ///
    /// # Errors
    /// Those of the store.
    pub fn clear_expired(&self) -> Result<()> {
        block_on(self.0.backend.purge())
    }

    /// How often what has happened.
    pub fn counts(&self) -> SessionCounts {
        self.0.events.counts()
    }

    /// The figures of the store underneath: its records are sessions and a few others.
    pub fn stats(&self) -> Stats {
        self.0.backend.stats()
    }

    /// The time as the store sees it.
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// Returns when everything that happened before is on disk.
    ///
    /// # Errors
    /// As [`Store::sync`](crate::Store::sync).
    pub fn sync(&self) -> Result<()> {
        block_on(self.0.backend.reach(Durability::Power))
    }

    /// Writes what is in memory, and lets the directory go. What is called afterwards
    /// `is_closed`.
    ///
    /// # Errors
    /// As [`Store::close`](crate::Store::close).
    pub fn close(&self) -> Result<()> {
        block_on(self.0.backend.close())
    }

    /// See [`close`](Self::close).
    ///
    /// # Errors
    /// As `close`.
    pub async fn close_async(&self) -> Result<()> {
        self.0.backend.close().await
    }
}

impl Shared {
    pub(crate) async fn reach_removal(&self) -> Result<()> {
        self.backend.reach(self.settings.removal_level).await
    }

    /// `None`: it has just ended.
    async fn info(&self, key: Key, body: &Body) -> Result<Option<SessionInfo>> {
        let Some(expires) = self.backend.deadline(&key).await? else { return Ok(None) };
        let idle: Option<Duration> = match body.expiry {
            SessionExpiry::At(_) => None,
            SessionExpiry::Idle(idle) => Some(idle),
            _ => self.idle_of(body),
        };
        // Accesses move the deadline; where it is the absolute one they can no longer be told.
        let seen = idle.filter(|_| expires < body.ends).map(|idle| {
            let idle = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(expires.as_millis().saturating_sub(idle))
        });
        let last_seen = seen.map_or(body.saved, |seen| seen.max(body.saved)).min(self.now());
        Ok(Some(SessionInfo {
            key,
            handle: body.handle(key),
            subject: body.subject().map(str::to_owned),
            created: body.created,
            last_seen,
            authenticated_at: body.owner.as_ref().map(|login| login.at),
            expires,
            ends: body.ends,
        }))
    }
}

/// All sessions of a store; see [`Sessions::list`].
pub struct SessionList {
    sessions: Sessions,
    records: Records<Record>,
}

impl Iterator for SessionList {
    type Item = Result<SessionInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, record) = match self.records.next()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let Some(body) = record.session() else { continue };
            match block_on(self.sessions.0.info(key, body)) {
                Ok(Some(info)) => return Some(Ok(info)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Session {
    /// Saves what has been set, and waits until that, and what acted at once, lasts. For those who
    /// serve sessions in their own way; the web layer does it by itself, and gives the visitor his
    /// cookie though a handler has called this before. Returns the id to give to the visitor, if
    /// there is a new one.
    ///
    /// # Errors
    /// `is_too_large`, `is_full`, `is_disk_full`, `is_poisoned`, `is_closed`: what was set is not
    /// saved. With `is_unknown` it is, but may not last. `is_interrupted` for a login that was
    /// revoked.
    pub fn save(&self) -> Result<Option<Id>> {
        block_on(self.save_async())
    }

    /// See [`save`](Self::save).
    ///
    /// # Errors
    /// As `save`.
    pub async fn save_async(&self) -> Result<Option<Id>> {
        self.load().await?;
        self.commit(Wish::default()).await?;
        self.settle_wait().await?;
        let mut state = self.state();
        let unsaid = std::mem::take(&mut state.unsaid);
        Ok(state.new_id.as_deref().filter(|_| unsaid).cloned())
    }

    /// What was done at once: the response waits until it lasts or, where its head has gone, this.
    pub(crate) async fn wait_if_late(&self) -> Result<()> {
        let level = {
            let state = self.state();
            state.wait.filter(|_| state.late)
        };
        match level {
            Some(level) => self.shared().backend.reach(level).await,
            None => Ok(()),
        }
    }

    /// Waits until everything that was done for this request lasts as it should.
    pub(crate) async fn settle_wait(&self) -> Result<()> {
        loop {
            let (level, waits) = {
                let state = self.state();
                (state.wait, state.waits)
            };
            let Some(level) = level else { return Ok(()) };
            self.shared().backend.reach(level).await?;
            let mut state = self.state();
            // Only now: whoever gives up waiting, or asks once more, is not to be told that all is
            // well. A clone may have done something since.
            if state.waits == waits {
                state.wait = None;
            }
        }
    }
}
