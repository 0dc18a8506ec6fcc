//! Clones of one request's session where it is given another id, begun or ended: what one of them
//! sets or ends meanwhile stays set or ended.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use sessile::session::{Session, Sessions, SessionsBuilder, WhenOwnerFull};
use sessile::{Durability, Id};

use crate::support::faulty::{Call, Faults, FaultyFs};
use crate::support::{Temp, block_on, within};
use crate::{LONG, get, in_memory, logged_in, threads};

const ROUNDS: usize = 300;

fn stored(sessions: &Sessions) -> Session {
    let session = sessions.create();
    session.insert("k", 0).unwrap();
    session.save().unwrap();
    session
}

/// The only session that there is, as the next request finds it.
fn next_request(sessions: &Sessions, session: &Session, id: Option<Id>) -> Session {
    assert_eq!(sessions.count().unwrap(), 1);
    let id = session.save().unwrap().or(id).expect("an id was given");
    sessions.load(&id).unwrap().expect("the id is good")
}

#[test]
fn what_is_saved_while_a_clone_gives_it_another_id_is_kept() {
    within(LONG, || {
        for _ in 0..ROUNDS {
            let sessions = in_memory();
            let session = stored(&sessions);
            threads(2, |thread| {
                let clone = session.clone();
                for key in ["a", "b", "c", "d"] {
                    if thread == 0 {
                        clone.cycle_id().unwrap();
                    } else {
                        clone.insert(key, 1).unwrap();
                    }
                    clone.save_now().unwrap();
                }
            });
            let next = next_request(&sessions, &session, None);
            assert_eq!(next.keys().unwrap(), ["a", "b", "c", "d", "k"]);
        }
    });
}

#[test]
fn updates_while_a_clone_gives_it_another_id_count_each_once() {
    within(LONG, || {
        for _ in 0..ROUNDS {
            let sessions = in_memory();
            let session = stored(&sessions);
            threads(3, |thread| {
                let clone = session.clone();
                for _ in 0..4 {
                    if thread == 0 {
                        clone.cycle_id().unwrap();
                        clone.save_now().unwrap();
                    } else {
                        clone.update("k", |n: &mut i64| *n += 1).unwrap();
                    }
                }
            });
            assert_eq!(get(&next_request(&sessions, &session, None), "k"), Some(8));
        }
    });
}

#[test]
fn two_clones_that_each_give_it_another_id_lose_nothing() {
    within(LONG, || {
        for round in 0..ROUNDS {
            let sessions = in_memory();
            let session = stored(&sessions);
            threads(2, |thread| {
                let clone = session.clone();
                clone.insert(["a", "b"][thread], 1).unwrap();
                match (round + thread) % 3 {
                    0 => clone.login("ada").unwrap(),
                    _ => clone.cycle_id().unwrap(),
                }
                clone.save_now().unwrap();
            });
            let next = next_request(&sessions, &session, None);
            assert_eq!(next.keys().unwrap(), ["a", "b", "k"], "round {round}");
            let logins = sessions.list_of("ada").unwrap().len();
            assert_eq!(logins, usize::from(next.subject().unwrap().is_some()));
        }
    });
}

/// A value that takes a moment to be no good.
struct Slow;

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        (0..20_000).for_each(|_| std::hint::spin_loop());
        Err(D::Error::custom("never"))
    }
}

/// Whichever comes first: a session that is to be gone when `logout` returns does not live on under
/// another id.
#[test]
fn a_logout_beside_a_save_that_gives_another_id_ends_the_session() {
    within(LONG, || {
        for round in 0..ROUNDS {
            let sessions = in_memory();
            let session = if round % 3 == 0 { sessions.create() } else { stored(&sessions) };
            session.insert("a", 1).unwrap();
            match round % 3 {
                1 => session.login("ada").unwrap(),
                2 => session.cycle_id().unwrap(),
                _ => {}
            }
            // The third holds the record, so that the others meet there.
            threads(3, |thread| {
                let clone = session.clone();
                match thread {
                    0 => clone.logout().unwrap(),
                    1 => clone.save_now().unwrap(),
                    _ if round % 3 == 0 => {}
                    _ => drop(clone.pop::<Slow>("k")),
                }
            });
            assert_eq!(sessions.count().unwrap(), 0, "round {round}");
            assert_eq!(sessions.list_of("ada").unwrap(), []);
        }
    });
}

#[test]
fn a_message_is_shown_once_though_a_clone_begins_the_session() {
    within(LONG, || {
        for _ in 0..ROUNDS {
            let sessions = in_memory();
            let session = sessions.create();
            session.insert("k", 1).unwrap();
            session.flash("info", "hello").unwrap();
            let shown = threads(2, |thread| {
                let clone = session.clone();
                if thread == 0 {
                    clone.save_now().unwrap();
                    return 0;
                }
                clone.take_flashes().unwrap().len()
            });
            let next = next_request(&sessions, &session, None);
            assert_eq!(shown[1] + next.take_flashes().unwrap().len(), 1);
        }
    });
}

/// Sessions on a disk that stands still until the sender is dropped, so that every save waits.
fn standing_still(sessions: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Stalled {
    let (temp, faults) = (Temp::new(), Faults::new());
    let builder = sessions(Sessions::builder().durability(Durability::Memory));
    let sessions = builder.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
    Stalled { sessions, faults, _temp: temp }
}

struct Stalled {
    sessions: Sessions,
    faults: Arc<Faults>,
    _temp: Temp,
}

impl Stalled {
    /// From now on; until what is returned is dropped.
    fn stall(&self) -> Sender<()> {
        let (open, gate) = channel::<()>();
        self.faults.fail(move |call, name| {
            if call == Call::Write && name.starts_with("log.") {
                let _ = gate.recv();
            }
            false
        });
        let filler = self.sessions.create();
        loop {
            filler.insert("k", "y".repeat(60_000)).unwrap();
            if poll(&mut pin!(filler.save_async())).is_pending() {
                return open;
            }
        }
    }
}

fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn whoever_gives_up_waiting_for_a_save_can_save_again() {
    within(LONG, || {
        let world = standing_still(|builder| builder);
        let sessions = &world.sessions;
        let work: [fn(&Session); 4] = [
            |session| session.insert("l", 1).unwrap(),
            |session| session.cycle_id().unwrap(),
            |session| session.login("ada").unwrap(),
            |session| {
                session.login("ada").unwrap();
                session.insert("l", 1).unwrap();
            },
        ];
        for stored in [true, false] {
            let requests: Vec<_> = work
                .iter()
                .map(|work| {
                    let session = sessions.create();
                    session.insert("k", 1).unwrap();
                    let id = stored.then(|| session.save().unwrap().unwrap());
                    (session, id, work)
                })
                .collect();
            let open = world.stall();
            for (session, _, work) in &requests {
                work(session);
                assert!(poll(&mut pin!(session.save_async())).is_pending());
            }
            drop(open);
            for (index, (session, id, _)) in requests.into_iter().enumerate() {
                let new = session.save().unwrap();
                assert_eq!(new.is_some(), index > 0 || !stored);
                let next = sessions.load(&new.or(id).unwrap()).unwrap().unwrap();
                assert_eq!(get(&next, "k"), Some(1));
                assert_eq!(get(&next, "l"), [0, 3].contains(&index).then_some(1));
                assert_eq!(next.subject().unwrap().is_some(), index >= 2);
            }
            sessions.revoke_owner("ada").unwrap();
        }
    });
}

/// Not even where the save was to begin before the login, and goes on after it.
#[test]
fn what_is_set_after_a_login_is_not_saved_under_the_old_id() {
    within(LONG, || {
        let world = standing_still(|builder| builder.max_per_owner(1, WhenOwnerFull::Refuse));
        let sessions = &world.sessions;
        logged_in(sessions, "ada");
        for stored in [true, false] {
            let session = sessions.create();
            session.insert("k", 0).unwrap();
            let id = stored.then(|| session.save().unwrap().unwrap());
            session.insert("k", 1).unwrap();
            let open = world.stall();
            let mut saving = pin!(session.save_async());
            assert!(poll(&mut saving).is_pending());
            session.login("ada").unwrap();
            session.insert("secret", 1).unwrap();
            drop(open);
            let error = block_on(saving).unwrap_err();
            assert!(error.is_full(), "{error:?}");
            let id = session.save().unwrap().or(id).unwrap();
            let next = sessions.load(&id).unwrap().unwrap();
            assert_eq!(next.keys().unwrap(), ["k"], "stored: {stored}");
            assert_eq!(get(&next, "k"), Some(1));
        }
    });
}
