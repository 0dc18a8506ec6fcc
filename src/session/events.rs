//! What happens to sessions, told to whoever wants to know: exact counters, and calls that are
//! rate-limited, so that a flood of bad cookies does not become a flood of log lines.
//!
//! No event carries an id; a fingerprint tells one session from another.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::Key;
use crate::metrics::{Counter, count};
use crate::sync::atomic::{AtomicU64, Ordering};

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
    /// A new session whose cookie, one for development, would go over a connection that is not local.
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
    window: Window,
}

/// Which of the events of a kind are told: the first few of every second. In one word, so that
/// whoever changes a part of it has seen the whole: from the left the second, how many were told in
/// it, and how many were not since one was.
#[derive(Default)]
struct Window(AtomicU64);

const SUPPRESSED_BITS: u32 = 27;
const TOLD_BITS: u32 = 4;
const SECOND_MAX: u64 = u64::MAX >> (SUPPRESSED_BITS + TOLD_BITS);
const SUPPRESSED_MAX: u64 = (1 << SUPPRESSED_BITS) - 1;

const _: () = assert!(PER_SECOND < 1 << TOLD_BITS);

impl Window {
    /// An event in this second: if it is told, how many before it were not. Whoever comes late with
    /// a second that has passed counts in the one that is running.
    fn admit(&self, second: u64) -> Option<u64> {
        let mut admitted = None;
        // It always has a next state, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let running = word >> (SUPPRESSED_BITS + TOLD_BITS);
            let mut told = (word >> SUPPRESSED_BITS) & ((1 << TOLD_BITS) - 1);
            let mut suppressed = word & SUPPRESSED_MAX;
            let second = second.min(SECOND_MAX);
            if second > running {
                told = 0;
            }
            admitted = (told < PER_SECOND).then_some(suppressed);
            match admitted {
                Some(_) => (told, suppressed) = (told + 1, 0),
                None => suppressed = (suppressed + 1).min(SUPPRESSED_MAX),
            }
            let second = second.max(running);
            Some((second << TOLD_BITS | told) << SUPPRESSED_BITS | suppressed)
        });
        admitted
    }
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
        let second = u64::try_from(now.as_millis() / 1000).unwrap_or_default();
        let Some(suppressed) = counters.window.admit(second) else { return };
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};

    use super::*;

    type Told = Arc<Mutex<Vec<u64>>>;

    /// What is told is kept: how many were not told before it.
    fn events() -> (Events, Told) {
        let told = Told::default();
        let seen = told.clone();
        let keep = move |event: &Event| seen.lock().unwrap().push(event.suppressed);
        (Events::new(Some(Box::new(keep))), told)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000 + 999)
    }

    #[test]
    fn ten_in_each_second_are_told_and_no_other() {
        let (events, told) = events();
        for second in [7, 8, 10] {
            for _ in 0..12 {
                events.tell(EventKind::Created, None, at(second));
            }
        }
        // Too late for its second: it counts in the one that is running.
        events.tell(EventKind::Created, None, at(9));
        events.tell(EventKind::Failed, None, at(10));
        let mut expected = vec![0; 31];
        (expected[10], expected[20]) = (2, 2);
        assert_eq!(*told.lock().unwrap(), expected);
        events.tell(EventKind::Created, None, at(11));
        assert_eq!(told.lock().unwrap().last(), Some(&3));
    }

    /// Threads that all come into a new second at once.
    #[test]
    fn however_threads_come_in_between_each_second_has_its_ten() {
        const THREADS: usize = 4;
        const EACH: u64 = 8;
        const SECONDS: i64 = 4000;
        let (events, told) = events();
        let barrier = Barrier::new(THREADS);
        let mut per_second = Vec::new();
        let counts = Mutex::new(&mut per_second);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (events, told, barrier, counts) = (&events, &told, &barrier, &counts);
                scope.spawn(move || {
                    for second in 1..=SECONDS {
                        barrier.wait();
                        for _ in 0..EACH {
                            events.tell(EventKind::Created, None, at(second));
                        }
                        if barrier.wait().is_leader() {
                            counts.lock().unwrap().push(told.lock().unwrap().len());
                        }
                    }
                });
            }
        });
        let expected: Vec<usize> = (1..=SECONDS as usize).map(|second| second * 10).collect();
        assert_eq!(per_second, expected);
        let all = THREADS as u64 * EACH;
        let told = told.lock().unwrap();
        let suppressed: u64 = told.iter().sum();
        assert_eq!(suppressed, (SECONDS as u64 - 1) * (all - 10), "but those of the last second");
        assert_eq!(events.counts().created, SECONDS as u64 * all);
    }

    /// Threads of which one half is a second ahead: nobody is told twice, nothing is lost.
    #[test]
    fn at_the_edge_of_a_second_neither_is_lost() {
        let (events, told) = events();
        let barrier = Barrier::new(4);
        for round in 0..2000 {
            std::thread::scope(|scope| {
                for ahead in [0, 1, 0, 1] {
                    let (events, barrier) = (&events, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        for _ in 0..12 {
                            events.tell(EventKind::Created, None, at(3 * round + ahead));
                        }
                    });
                }
            });
            let told = std::mem::take(&mut *told.lock().unwrap()).len();
            assert!((10..=20).contains(&told), "{told} were told in round {round}");
        }
    }
}
