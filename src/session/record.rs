//! What the session layer keeps in a store, under which keys.
//!
//! | kind | under the key of | ends |
//! |---|---|---|
//! | `Session` | an id | by its expiry, at the latest when `ends` says |
//! | `Next` | an id that was given out and not yet presented | with the session it speaks of |
//! | `Moved` | an id that was renewed | after a short grace |
//! | `Owner` | a subject | with the longest of its sessions |
//! | `OneShot` | a name of the application's | after its time, its attempts, or its use |
//! | `Foreign` | another framework's id | as that framework says |
//!
//! Each kind of name has a prefix of its own before it is hashed, so that none can be taken for
//! another. Knows no store and no HTTP.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::Key;
use crate::record::expiry::Expiry;
use crate::session::dict::Dict;

/// What a store of sessions holds. Opaque: it is named where a store is configured, and its `Debug`
/// shows of what kind it is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record(pub(crate) Kind);

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Session(_) => "Session(…)",
            Kind::Next(_) => "Next(…)",
            Kind::Moved(_) => "Moved(…)",
            Kind::Owner(_) => "Owner(…)",
            Kind::OneShot(_) => "OneShot(…)",
            Kind::Foreign(_) => "Foreign(…)",
        })
    }
}

/// See the module's text.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Kind {
    Session(Body),
    Next(Place),
    Moved(Place),
    Owner(Owner),
    OneShot(OneShot),
    Foreign(Box<[u8]>),
}

/// A session's content and times.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) created: Timestamp,
    /// The absolute deadline: no expiry and no renewal goes beyond it.
    pub(crate) ends: Timestamp,
    /// When it was last saved.
    pub(crate) saved: Timestamp,
    /// When its id was drawn, or the one that is to follow it.
    pub(crate) renewed: Timestamp,
    /// When the browser was last told how long to keep the cookie.
    pub(crate) told: Timestamp,
    pub(crate) expiry: SessionExpiry,
    pub(crate) owner: Option<Box<Login>>,
    pub(crate) data: Dict,
    pub(crate) flashes: Vec<Flash>,
    /// Ids that were given out for this session and not yet presented.
    pub(crate) next: Vec<Place>,
    /// Where it was before it had another id for the first time.
    pub(crate) first: Option<Place>,
}

/// Who has logged in, and when.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) subject: Box<str>,
    pub(crate) at: Timestamp,
}

/// A message that is shown once. Its `Debug` shows the level only: the text may be about anybody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// Of what kind it is, in the application's words: `info`, `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flash").field("level", &self.level).finish_non_exhaustive()
    }
}

/// How long a session lives beside what all sessions have; remembered with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SessionExpiry {
    /// As all sessions of these [`Sessions`](super::Sessions).
    #[default]
    Default,
    /// This long after the last access. The browser keeps the cookie as long.
    Idle(Duration),
    /// At this instant, accessed or not. What is past ends the session; what lies beyond the
    /// absolute deadline is cut to it.
    At(Timestamp),
    /// As the default, in a cookie that the browser forgets when it is closed.
    BrowserClose,
}

/// The sessions of one subject.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// Raised by every revocation of all of them: a login that began before it is refused.
    pub(crate) generation: u64,
    /// In the order of their logins.
    pub(crate) sessions: Vec<Owned>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owned {
    pub(crate) place: Place,
    pub(crate) ends: Timestamp,
}

/// A secret that counts once, as its digest or, where the server must show it, as it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OneShot {
    pub(crate) salt: [u8; 16],
    pub(crate) digest: [u8; 32],
    pub(crate) visible: Option<Box<str>>,
    /// How many wrong candidates are still borne.
    pub(crate) attempts: u32,
}

/// A key inside a record.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place([u8; 16]);

impl Place {
    pub(crate) fn key(self) -> Key {
        Key::from_bytes(self.0)
    }
}

impl From<Key> for Place {
    fn from(key: Key) -> Self {
        Place(key.to_bytes())
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key().fmt(f)
    }
}

impl Record {
    pub(crate) fn session(&self) -> Option<&Body> {
        match &self.0 {
            Kind::Session(body) => Some(body),
            _ => None,
        }
    }

    pub(crate) fn owner(&self) -> Option<&Owner> {
        match &self.0 {
            Kind::Owner(owner) => Some(owner),
            _ => None,
        }
    }
}

impl Record {
    /// Bytes of memory that it takes.
    pub(crate) fn weight(&self) -> u64 {
        let beside = match &self.0 {
            Kind::Session(body) => body.size() - BODY_BYTES,
            Kind::Next(_) | Kind::Moved(_) => 0,
            Kind::Owner(owner) => size_of_val(&*owner.sessions),
            Kind::OneShot(one) => one.visible.as_ref().map_or(0, |text| text.len()),
            Kind::Foreign(bytes) => bytes.len(),
        };
        (size_of::<Record>() + beside) as u64
    }
}

impl Owner {
    /// When the longest of the sessions ends at the latest.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        self.sessions.iter().map(|owned| owned.ends).max()
    }

    /// Until when the list is kept, having been kept until `kept`: that there was a revocation is
    /// still to be remembered when the sessions have ended. `None`: it can go.
    pub(crate) fn until(&self, kept: Option<Timestamp>) -> Option<Timestamp> {
        self.ends().max(kept.filter(|_| self.generation > 0))
    }
}

/// What a session counts beside its subject, dictionary and flashes: times, and ids that wait.
pub(crate) const BODY_BYTES: usize = 160;

/// What a flash counts beside its texts.
pub(crate) const FLASH_BYTES: usize = 16;

impl Flash {
    /// Bytes that it counts in the limit of one session.
    pub(crate) fn size(&self) -> usize {
        FLASH_BYTES + self.level.len() + self.message.len()
    }
}

impl Body {
    /// Bytes that it counts in the limit of one session, wherever and however it is stored: about
    /// what the default codec makes of it, and never less.
    pub(crate) fn size(&self) -> usize {
        let flashes: usize = self.flashes.iter().map(Flash::size).sum();
        BODY_BYTES + self.subject().map_or(0, str::len) + self.data.size() + flashes
    }

    /// What it is called whatever ids it is given, now that it is under `key`.
    pub(crate) fn handle(&self, key: Key) -> Key {
        self.first.map_or(key, Place::key)
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.owner.as_deref().map(|login| &*login.subject)
    }

    /// When it ends if it is accessed now and then left alone. `idle` is that of sessions with no
    /// expiry of their own; `None`: they have none.
    pub(crate) fn deadline(&self, now: Timestamp, idle: Option<Duration>) -> Timestamp {
        self.expiry.deadline(now, idle, self.ends)
    }

    /// The same as the store is told it.
    pub(crate) fn terms(&self, idle: Option<Duration>) -> Expiry {
        let until = self.ends;
        match (self.expiry, idle) {
            (SessionExpiry::At(at), _) => Expiry::At(at.min(until)),
            (SessionExpiry::Idle(idle), _) | (_, Some(idle)) => Expiry::IdleUntil { idle, until },
            (_, None) => Expiry::At(until),
        }
    }
}

impl SessionExpiry {
    pub(crate) fn deadline(
        self,
        now: Timestamp,
        idle: Option<Duration>,
        ends: Timestamp,
    ) -> Timestamp {
        let idle = match self {
            SessionExpiry::At(at) => return at.min(ends),
            SessionExpiry::Idle(idle) => Some(idle),
            SessionExpiry::Default | SessionExpiry::BrowserClose => idle,
        };
        idle.map_or(ends, |idle| now.after(idle).min(ends))
    }
}

/// The key of a subject's list.
pub(crate) fn owner_key(subject: &str) -> Key {
    Key::of([b"sessile/owner/v1\0", subject.as_bytes()].concat())
}

/// The key of a one-shot value.
pub(crate) fn one_shot_key(name: &str) -> Key {
    Key::of([b"sessile/once/v1\0".as_slice(), name.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
