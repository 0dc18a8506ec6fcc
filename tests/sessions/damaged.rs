//! Records that cannot be read: they keep nobody in, and nobody out.

use std::fs;
use std::pin::pin;
use std::task::{Context, Waker};

use sessile::session::{Sessions, SessionsBuilder};
use sessile::testing::ManualClock;
use sessile::{Error, Id};

use crate::futures::by_hand as wait;
use crate::support::Temp;
use crate::{MINUTE, logged_in};

const MARK: &str = "what is written here can no longer be read";

/// A store on disk with some sessions of "ada", of which something was damaged while it was closed.
/// What lies in the same block as that is damaged too, so the sessions are sorted by what has
/// become of them.
struct Damaged {
    _temp: Temp,
    clock: ManualClock,
    sessions: Sessions,
    good: Vec<Id>,
    bad: Vec<Id>,
}

impl Damaged {
    /// `damage` finds what is to be damaged in the bytes of a base.
    fn new(count: usize, damage: impl Fn(&[u8], &[Id]) -> Vec<usize>) -> Damaged {
        Damaged::after(count, |_, _, _| None, damage)
    }

    /// The same after something else was done with them; an id that it has given out is the last of
    /// those that `damage` is told.
    fn after(
        count: usize,
        act: impl FnOnce(&Sessions, &ManualClock, &[Id]) -> Option<Id>,
        damage: impl Fn(&[u8], &[Id]) -> Vec<usize>,
    ) -> Damaged {
        let (temp, clock) = (Temp::new(), ManualClock::new());
        let open = |temp: &Temp| {
            let clock = clock.clone();
            let builder: SessionsBuilder = Sessions::builder().store(|store| store.clock(clock));
            builder.renew_every(MINUTE).open(temp.path()).unwrap()
        };
        let sessions = open(&temp);
        // So that there are many blocks.
        for number in 0..2000 {
            let session = sessions.create();
            session.insert("filler", format!("{number}{}", "y".repeat(200))).unwrap();
            session.save().unwrap();
        }
        let ids: Vec<Id> = (0..count).map(|_| logged_in(&sessions, "ada")).collect();
        let marked = sessions.load(&ids[0]).unwrap().unwrap();
        marked.insert("mark", MARK).unwrap();
        marked.save().unwrap();
        drop(marked);
        let given = act(&sessions, &clock, &ids);
        sessions.close().unwrap();
        drop(sessions);
        let mut hits = 0;
        for name in temp.names("base.") {
            let path = temp.path().join(&name);
            let mut bytes = fs::read(&path).unwrap();
            let ids: Vec<Id> = ids.iter().chain(&given).cloned().collect();
            for at in damage(&bytes, &ids) {
                bytes[at] ^= 1;
                hits += 1;
            }
            fs::write(&path, bytes).unwrap();
        }
        assert!(hits > 0, "nothing was damaged");
        let sessions = open(&temp);
        let (good, bad) = ids.into_iter().partition(|id| sessions.load(id).is_ok());
        Damaged { _temp: temp, clock, sessions, good, bad }
    }

    /// The first session is damaged.
    fn session() -> Damaged {
        let damaged = Damaged::new(8, |bytes, _| all(bytes, MARK.as_bytes()));
        assert!(!damaged.bad.is_empty() && !damaged.good.is_empty());
        damaged
    }

    /// The list of the sessions is damaged.
    fn list() -> Damaged {
        let damaged = Damaged::new(60, |bytes, ids| {
            // Only there do two keys lie so close to each other.
            let next = all(bytes, &ids[31].key().to_bytes());
            let near = |at: &usize| next.iter().any(|next| next > at && next - at < 64);
            all(bytes, &ids[30].key().to_bytes()).into_iter().filter(near).collect()
        });
        assert!(!damaged.good.is_empty());
        damaged
    }

    fn lives(&self, id: &Id) -> bool {
        self.sessions.load(id).unwrap().is_some()
    }
}

/// Where `part` begins in `bytes`.
fn all(bytes: &[u8], part: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(part.len()).enumerate();
    windows.filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

#[test]
fn a_damaged_session_keeps_its_owner_neither_from_a_list_nor_from_a_login() {
    let damaged = Damaged::session();
    let listed = damaged.sessions.list_of("ada").unwrap();
    let listed: Vec<_> = listed.into_iter().map(|info| info.key).collect();
    assert_eq!(listed, damaged.good.iter().map(Id::key).collect::<Vec<_>>());
    assert!(damaged.sessions.load(&damaged.bad[0]).is_err_and(|error| error.is_corrupt()));
    let new = logged_in(&damaged.sessions, "ada");
    assert!(damaged.lives(&new) && damaged.good.iter().all(|id| damaged.lives(id)));
    assert_eq!(damaged.sessions.list_of("ada").unwrap().len(), damaged.good.len() + 1);
    assert!(!damaged.lives(&damaged.bad[0]), "what nobody can read has ended with the login");
}

#[test]
fn a_walk_goes_on_behind_what_is_damaged_and_tells_of_it() {
    let damaged = Damaged::session();
    let (good, bad): (Vec<_>, Vec<_>) = damaged.sessions.list().partition(Result::is_ok);
    assert!(!bad.is_empty() && bad.len() <= 1 + damaged.bad.len(), "{} errors", bad.len());
    let mut met: Vec<_> = good.into_iter().map(|info| info.unwrap().key).collect();
    let count = met.len();
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), count, "one is met twice");
    assert!(damaged.good.iter().all(|id| met.contains(&id.key())));
    // A block has some dozen records, and there are 2000.
    assert!((1900..2008).contains(&count), "{count}");
    let failed = damaged.sessions.counts().failed;
    assert_eq!(damaged.sessions.count().unwrap(), count as u64);
    assert_eq!(damaged.sessions.counts().failed - failed, bad.len() as u64);
    damaged.sessions.close().unwrap();
    let closed: Vec<_> = damaged.sessions.list().take(2).collect();
    assert!(closed.len() == 1 && closed[0].as_ref().is_err_and(Error::is_closed));
}

/// A future that looked through all records itself would be ready at once, every time.
#[test]
fn a_damaged_list_is_made_anew_beside_the_thread_that_waits() {
    let waited = (0..3).any(|_| {
        let damaged = Damaged::list();
        let mut listing = pin!(damaged.sessions.list_of_async("ada"));
        let polled = listing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let waits = polled.is_pending();
        if waits {
            assert_eq!(wait(listing).unwrap().len(), damaged.good.len());
        }
        waits
    });
    assert!(waited);
}

#[test]
fn a_revocation_ends_a_damaged_session_and_the_others() {
    let damaged = Damaged::session();
    assert_eq!(damaged.sessions.revoke_owner("ada").unwrap(), damaged.good.len());
    assert!(damaged.good.iter().chain(&damaged.bad).all(|id| !damaged.lives(id)));
}

#[test]
fn a_damaged_session_is_revoked_by_its_key() {
    let damaged = Damaged::session();
    assert!(damaged.sessions.revoke(&damaged.bad[0].key()).unwrap());
    assert!(!damaged.lives(&damaged.bad[0]) && damaged.lives(&damaged.good[0]));
    assert!(!damaged.sessions.revoke(&damaged.bad[0].key()).unwrap(), "ended twice");
}

#[test]
fn whose_list_is_damaged_can_log_out() {
    let damaged = Damaged::list();
    for id in &damaged.good {
        let session = damaged.sessions.load(id).unwrap().unwrap();
        session.logout().unwrap();
        session.save().unwrap();
        assert!(!damaged.lives(id));
    }
    assert_eq!(damaged.sessions.list_of("ada").unwrap(), []);
}

#[test]
fn a_revocation_finds_the_sessions_of_a_list_that_is_damaged() {
    let damaged = Damaged::list();
    assert_eq!(damaged.sessions.revoke_owner("ada").unwrap(), damaged.good.len());
    assert!(damaged.good.iter().all(|id| !damaged.lives(id)));
    assert_eq!(damaged.sessions.list_of("ada").unwrap(), []);
    assert!(damaged.lives(&logged_in(&damaged.sessions, "ada")));
}

#[test]
fn a_login_makes_a_damaged_list_anew() {
    let damaged = Damaged::list();
    let new = logged_in(&damaged.sessions, "ada");
    let listed = damaged.sessions.list_of("ada").unwrap();
    let mut listed: Vec<_> = listed.into_iter().map(|info| info.key).collect();
    assert_eq!(listed.pop(), Some(new.key()));
    // They logged in at one instant, so their order is any.
    listed.sort_unstable();
    let mut good: Vec<_> = damaged.good.iter().map(Id::key).collect();
    good.sort_unstable();
    assert_eq!(listed, good);
    assert_eq!(damaged.sessions.revoke_owner("ada").unwrap(), good.len() + 1);
    assert!(!damaged.lives(&new) && damaged.good.iter().all(|id| !damaged.lives(id)));
}

#[test]
fn a_login_that_is_under_way_is_refused_after_a_damaged_list_was_revoked() {
    let damaged = Damaged::list();
    let session = damaged.sessions.create();
    session.login("ada").unwrap();
    damaged.sessions.revoke_owner("ada").unwrap();
    assert!(session.save().is_err_and(|error: Error| error.is_interrupted()));
}

#[test]
fn the_id_of_a_renewal_is_good_though_the_list_is_damaged() {
    let damaged = Damaged::list();
    damaged.clock.advance(MINUTE);
    let new = damaged.sessions.load(&damaged.good[0]).unwrap().unwrap().save().unwrap().unwrap();
    assert!(damaged.lives(&new));
    let listed = damaged.sessions.list_of("ada").unwrap();
    assert!(listed.iter().any(|info| info.key == new.key()));
    assert_eq!(listed.len(), damaged.good.len());
    damaged.sessions.revoke_owner("ada").unwrap();
    assert!(!damaged.lives(&new));
}

/// A session whose oldest id that waits to be presented is damaged, with that and the later one.
fn waiting() -> (Damaged, Id, Id) {
    // Now and then the session itself lies in the same block.
    for _ in 0..10 {
        let mut oldest = None;
        let damaged = Damaged::after(
            1,
            |sessions, clock, ids| {
                clock.advance(MINUTE);
                let session = sessions.load(&ids[0]).unwrap().unwrap();
                oldest = session.save().unwrap();
                oldest.clone()
            },
            |bytes, ids| {
                // What the session is under follows the id only in the id's own record.
                let session = all(bytes, &ids[0].key().to_bytes());
                let near = |at: &usize| session.iter().any(|next| next > at && next - at < 64);
                let at = all(bytes, &ids[1].key().to_bytes());
                at.into_iter().filter(near).collect()
            },
        );
        let oldest = oldest.unwrap();
        if damaged.sessions.load(&oldest).is_err() && damaged.good.len() == 1 {
            let id = damaged.good[0].clone();
            return (damaged, id, oldest);
        }
    }
    panic!("ten times in one block");
}

#[test]
fn a_renewal_drops_the_oldest_id_though_it_is_damaged() {
    let (damaged, id, oldest) = waiting();
    let mut given = Vec::new();
    for round in 0..6 {
        damaged.clock.advance(MINUTE);
        let session = damaged.sessions.load(&id).unwrap().unwrap();
        session.insert("round", round).unwrap();
        given.extend(session.save().unwrap());
        assert_eq!(damaged.sessions.load(&id).unwrap().unwrap().get("round").unwrap(), Some(round));
    }
    assert_eq!(given.len(), 6, "each time there is a new id");
    assert!(!damaged.lives(&oldest), "it has made room, for good");
    assert!(damaged.lives(given.last().unwrap()));
}
