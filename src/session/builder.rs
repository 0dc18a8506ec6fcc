//! The options of a store of sessions, with their defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Embedded;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::limits::{
    PER_OWNER_DEFAULT, PER_OWNER_MAX, RENEW_EVERY_MIN, RENEWAL_GRACE_DEFAULT, RENEWAL_GRACE_MAX,
    VALUE_BYTES_DEFAULT, VALUE_BYTES_MAX,
};
use crate::log::Durability;
use crate::record::expiry::check;
use crate::session::events::{Event, Events};
use crate::session::manager::Sessions;
use crate::session::record::Record;
use crate::session::shared::{Settings, Shared, WhenOwnerFull};
use crate::store::{Builder, Store};

/// Which form of [`Record`] this crate writes.
pub(super) const SCHEMA_TAG: u64 = u64::from_be_bytes(*b"session1");

/// Builds [`Sessions`]. Every option has a default that suits a web server on one machine: two
/// weeks idle, 30 days at most, what is set survives a crash of the process, what is ended a loss
/// of power.
pub struct SessionsBuilder {
    store: Builder<Record>,
    anonymous_idle: Option<Duration>,
    renew_every: Option<Duration>,
    grace: Duration,
    per_owner: usize,
    when_owner_full: WhenOwnerFull,
    events: Events,
}

impl SessionsBuilder {
    pub(crate) fn new() -> Self {
        SessionsBuilder {
            store: Store::builder().schema_tag(SCHEMA_TAG),
            anonymous_idle: None,
            renew_every: None,
            grace: RENEWAL_GRACE_DEFAULT,
            per_owner: PER_OWNER_DEFAULT,
            when_owner_full: WhenOwnerFull::default(),
            events: Events::default(),
        }
    }

    /// One hour idle, a day at most: for an application that people work with.
    pub fn standard(self) -> Self {
        self.idle(Duration::from_secs(3600)).absolute(Duration::from_secs(24 * 3600))
    }

    /// A quarter of an hour idle, twelve hours at most: where much can be done in a session.
    pub fn high(self) -> Self {
        self.idle(Duration::from_secs(15 * 60)).absolute(Duration::from_secs(12 * 3600))
    }

    /// How long a session lives after its last access. Default: 14 days.
    pub fn idle(self, idle: Duration) -> Self {
        self.store(|store| store.idle(idle))
    }

    /// The same for sessions in which nobody has logged in. Default: no other time than theirs.
    pub fn anonymous_idle(mut self, idle: Duration) -> Self {
        self.anonymous_idle = Some(idle);
        self
    }

    /// How long a session lives at most, renewals of its id and logins included. Default: 30 days.
    pub fn absolute(self, absolute: Duration) -> Self {
        self.store(|store| store.absolute(absolute))
    }

    /// What a response with something saved waits for. Default: [`Durability::Process`].
    pub fn durability(self, durability: Durability) -> Self {
        self.store(|store| store.durability(durability))
    }

    /// What logouts, revocations, and logins that end an earlier id wait for. Default:
    /// [`Durability::Power`]. A new session and an id that [renews](Self::renew_every) one end
    /// nothing, and wait as what is saved does.
    pub fn removal_durability(self, durability: Durability) -> Self {
        self.store(|store| store.removal_durability(durability))
    }

    /// Records there may be: sessions, and a few more for logins. The last quarter is for those who
    /// log in, so that a flood of others keeps nobody out. Default: no limit but the disk's, or in
    /// memory that of `max_memory`; set one where anybody may come.
    pub fn max_sessions(self, sessions: u64) -> Self {
        self.store(|store| store.max_sessions(sessions))
    }

    /// Options of the store underneath: memory, files, clock. `max_value_bytes` is the limit of one
    /// session, flash messages and subject included: in memory and on disk the same, whatever the
    /// codec makes of it. In memory what `max_memory` counts is the size of the sessions, and
    /// `when_full` must stay as it is: the lists of owners may not be evicted.
    ///
    /// ```
    /// let sessions = sessile::session::Sessions::builder()
    ///     .store(|store| store.max_memory(64 << 20))
    ///     .in_memory()?;
    /// # Ok::<(), sessile::Error>(())
    /// ```
    pub fn store(mut self, configure: impl FnOnce(Builder<Record>) -> Builder<Record>) -> Self {
        self.store = configure(self.store);
        self
    }

    /// Gives a session another id when its own is so old; at least a minute. The old one stays good
    /// until the new one is first presented, and for a grace after that. Default: never. The new one
    /// lasts as what is saved does: a loss of power just after may leave a browser with an id that
    /// is not known, and its user logs in again.
    pub fn renew_every(mut self, age: Duration) -> Self {
        self.renew_every = Some(age);
        self
    }

    /// How long an id stays good after its successor was presented: requests that were on their
    /// way. Default: one minute; at most ten.
    pub fn renewal_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many sessions one subject may have, and what happens to more. Default: 100, the
    /// session that logged in first ends. At most 200.
    pub fn max_per_owner(mut self, sessions: usize, when_full: WhenOwnerFull) -> Self {
        (self.per_owner, self.when_owner_full) = (sessions, when_full);
        self
    }

    /// Called for what happens to sessions: at most ten times a second for each kind of event. The
    /// rest is counted only. Must not call the sessions in its turn, and be quick.
    pub fn on_event(mut self, callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events = Events::new(Some(Box::new(callback)));
        self
    }

    /// Opens the sessions in a directory, making it if it is missing.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sessions> {
        self.finish(|store| store.open(path))
    }

    /// Opens them on a file system of one's own: a simulated one, in tests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_fs(self, fs: Arc<dyn Fs>) -> Result<Sessions> {
        self.finish(|store| store.open_fs(fs))
    }

    /// Sessions that do not outlive the process.
    ///
    /// # Errors
    /// A config error naming the option.
    pub fn in_memory(self) -> Result<Sessions> {
        // Nothing is encoded there that would have a size.
        self.finish(|store| store.weigher_or(Record::weight).in_memory())
    }

    fn finish(
        self,
        open: impl FnOnce(Builder<Record>) -> Result<Store<Record>>,
    ) -> Result<Sessions> {
        self.validate()?;
        let max_value_bytes = self.store.value_limit();
        let store = match store_limit(max_value_bytes) {
            Some(limit) => self.store.max_value_bytes(limit),
            // The store says what is wrong with it.
            None => self.store,
        };
        let store = open(store)?;
        let of_store = &store.engine().settings;
        let settings = Settings {
            idle: of_store.policy.idle,
            anonymous_idle: self.anonymous_idle,
            absolute: of_store.policy.absolute,
            renew_every: self.renew_every,
            grace: self.grace,
            per_owner: self.per_owner,
            when_owner_full: self.when_owner_full,
            anonymous_max: of_store.max_sessions.map(|most| most - most / 4),
            max_value_bytes,
            write_level: of_store.write_level,
            removal_level: of_store.removal_level,
        };
        let backend = Arc::new(Embedded::new(store));
        Ok(Sessions(Arc::new(Shared::new(backend, settings, self.events))))
    }

    fn validate(&self) -> Result<()> {
        if self.store.ends_what_lives() {
            return Err(Error::config(
                "`when_full` of the store is `EvictNearestDeadline`, which would end the lists of \
                 owners too, and nobody could revoke their sessions; leave it at `Refuse` and set \
                 `anonymous_idle` or `max_sessions`, so that visitors do not fill the store",
            ));
        }
        if let Some(idle) = self.anonymous_idle {
            check("anonymous_idle", idle)?;
        }
        if let Some(every) = self.renew_every {
            check("renew_every", every)?;
            if every < RENEW_EVERY_MIN {
                let message = format!("`renew_every` is {every:?}; at least {RENEW_EVERY_MIN:?}");
                return Err(Error::config(message));
            }
        }
        if self.grace > RENEWAL_GRACE_MAX || self.grace.is_zero() {
            return Err(Error::config(format!(
                "`renewal_grace` is {:?}; it must be more than zero and at most \
                 {RENEWAL_GRACE_MAX:?}",
                self.grace
            )));
        }
        if self.per_owner == 0 || self.per_owner > PER_OWNER_MAX {
            return Err(Error::config(format!(
                "`max_per_owner` is {}; it must be between 1 and {PER_OWNER_MAX}",
                self.per_owner
            )));
        }
        Ok(())
    }
}

/// What the store underneath lets through, so that sessions have one limit and it none of its own:
/// an encoding may be longer than what it encodes, and lists of owners are no sessions. `None` for a
/// limit that makes no sense.
fn store_limit(max_value_bytes: usize) -> Option<usize> {
    (1..=VALUE_BYTES_MAX)
        .contains(&max_value_bytes)
        .then(|| (max_value_bytes * 6 + VALUE_BYTES_DEFAULT).min(VALUE_BYTES_MAX))
}
