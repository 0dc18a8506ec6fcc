//! What happens to sessions, told to whoever wants to know: exact counters, and calls that are
//! rate-limited, so that a flood of bad cookies does not become a flood of log lines.
//!
//! No event carries an id; a fingerprint tells one session from another.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::Key;
use crate::metrics::{Counter, count};
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Calls of one kind in one second beyond which events are only counted.
const PER_SECOND: u64 = 10;

/// Something that happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The key it happened to, where there is one: `key.fingerprint()` goes into a log.
    pub key: Option<Key>,
    /// How many events of this kind were not told before this one, for there were too many.
    pub suppressed: u64,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum EventKind {
    /// A session began.
    Created,
    /// A session has a new id.
    Rotated(Rotation),
    /// A session ended before its time.
    Ended(End),
    /// Something was not done.
    Refused(Refusal),
    /// What a request had set was dropped: its session had ended meanwhile.
    Dropped,
    /// The store failed.
    Failed,
}

/// Why a session got a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Rotation {
    /// Somebody logged in.
    Login,
    /// `cycle_id` was called.
    Cycle,
    /// The id was due for renewal.
    Renewal,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum End {
    /// Its user logged out.
    Logout,
    /// `flush` was called.
    Flush,
    /// It was revoked.
    Revoked,
    /// Its owner logged in elsewhere once too often.
    Displaced,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Refusal {
    /// A cookie that is no id of ours: malformed, or its signature is wrong.
    MalformedCookie,
    /// Two cookies of the one name.
    DuplicateCookie,
    /// More cookies than are looked at.
    TooManyCookies,
    /// An id that nobody has: it was never given out, or its session has ended.
    UnknownId,
    /// A login while the subject's sessions were being revoked.
    LoginRevoked,
    /// A login of an owner who has as many sessions as is allowed.
    OwnerFull,
    /// A new session for which there is no room.
    StoreFull,
    /// A cookie for development over a connection that is not local.
    PlainHttp,
}

/// How often each kind of event has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionCounts {
    /// Sessions that began.
    pub created: u64,
    /// New ids of sessions.
    pub rotated: u64,
    /// Sessions that were ended before their time.
    pub ended: u64,
    /// Cookies, logins and new sessions that were refused.
    pub refused: u64,
    /// Requests whose changes were dropped, their session having ended meanwhile.
    pub dropped: u64,
    /// Failures of the store.
    pub failed: u64,
}

type Callback = Box<dyn Fn(&Event) + Send + Sync>;

#[derive(Default)]
struct Kind {
    total: Counter,
    /// The second that is being counted, and the calls made in it.
    second: AtomicI64,
    told: AtomicU64,
    suppressed: AtomicU64,
}

/// Counters, and who is told.
#[derive(Default)]
pub(crate) struct Events {
    kinds: [Kind; 6],
    callback: Option<Callback>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

impl Events {
    pub(crate) fn new(callback: Option<Callback>) -> Self {
        Events { callback, ..Events::default() }
    }

    /// Something has happened. Must not be called where a lock is held: the callback is a user's.
    pub(crate) fn tell(&self, kind: EventKind, key: Option<Key>, now: Timestamp) {
        let index = match kind {
            EventKind::Created => 0,
            EventKind::Rotated(_) => 1,
            EventKind::Ended(_) => 2,
            EventKind::Refused(_) => 3,
            EventKind::Dropped => 4,
            EventKind::Failed => 5,
        };
        let Some(counters) = self.kinds.get(index) else { return };
        count(&counters.total);
        if self.callback.is_none() && !cfg!(feature = "tracing") {
            return;
        }
        let second = now.as_millis().div_euclid(1000);
        if counters.second.swap(second, Ordering::Relaxed) != second {
            counters.told.store(0, Ordering::Relaxed);
        }
        if counters.told.fetch_add(1, Ordering::Relaxed) >= PER_SECOND {
            counters.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let suppressed = counters.suppressed.swap(0, Ordering::Relaxed);
        let event = Event { kind, key, suppressed };
        #[cfg(feature = "tracing")]
        trace(&event);
        if let Some(callback) = &self.callback {
            callback(&event);
        }
    }

    pub(crate) fn counts(&self) -> SessionCounts {
        let [created, rotated, ended, refused, dropped, failed] =
            self.kinds.each_ref().map(|kind| kind.total.load(Ordering::Relaxed));
        SessionCounts { created, rotated, ended, refused, dropped, failed }
    }
}

#[cfg(feature = "tracing")]
fn trace(event: &Event) {
    let key = event.key.map(|key| key.fingerprint()).unwrap_or_default();
    let (kind, suppressed) = (event.kind, event.suppressed);
    match event.kind {
        EventKind::Failed => tracing::error!(?kind, key, suppressed, "session"),
        EventKind::Refused(_) | EventKind::Dropped => {
            tracing::warn!(?kind, key, suppressed, "session");
        }
        _ => tracing::info!(?kind, key, suppressed, "session"),
    }
}
