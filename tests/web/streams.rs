//! A body that is still being written when the head of its response has gone, and looks at the
//! session, or changes it. Knows no framework: a body here is whatever holds the session.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Request, Response};
use sessile::session::{Session, SessionExpiry, Sessions};
use sessile::testing::{Keep, ManualClock, SimFs};
use sessile::web::SessionLayer;
use sessile::{Background, Error, Id, Result};
use tower_layer::Layer;
use tower_service::Service;

use crate::browser::wait;

/// The body: nothing of it has been written when the layer has done its part.
#[derive(Default)]
struct Body(Option<Session>);

struct World {
    clock: ManualClock,
    fs: SimFs,
    sessions: Sessions,
}

impl World {
    fn new() -> World {
        World::over(ManualClock::new(), SimFs::new(1))
    }

    fn over(clock: ManualClock, fs: SimFs) -> World {
        let of_store = clock.clone();
        let sessions = Sessions::builder()
            .store(|store| store.clock(of_store).background(Background::Callers))
            .open_fs(Arc::new(fs.clone()))
            .unwrap();
        World { clock, fs, sessions }
    }

    /// Somebody who is logged in, twice.
    fn logged_in(&self) -> (Id, Id) {
        let [one, two] = [1, 2].map(|value| {
            let session = self.sessions.create();
            session.login("ada").unwrap();
            session.insert("k", value).unwrap();
            session.flash("info", "welcome").unwrap();
            session.save().unwrap().unwrap()
        });
        (one, two)
    }

    /// The head of a response, and the session as its body has it.
    fn begun(&self, id: Option<&Id>, handler: fn(&Session)) -> (HeaderMap, Session) {
        let mut request = Request::builder();
        if let Some(id) = id {
            request = request.header(COOKIE, format!("__Host-sid={}", id.expose()));
        }
        let service = tower::service_fn(move |request: Request<()>| async move {
            let session = request.extensions().get::<Session>().unwrap().clone();
            handler(&session);
            Ok::<_, Infallible>(Response::new(Body(Some(session))))
        });
        let mut service = SessionLayer::new(self.sessions.clone()).layer(service);
        let Ok(response) = wait(service.call(request.body(()).unwrap()));
        let (head, body) = response.into_parts();
        (head.headers, body.0.unwrap())
    }

    /// Everything that is stored, and until when.
    fn stored(&self) -> String {
        let mut found: Vec<_> = self.sessions.list().map(Result::unwrap).collect();
        found.sort_by_key(|info| info.key);
        let subjects: Vec<_> = found.iter().map(|info| &info.subject).collect();
        format!("{found:?} {subjects:?} {}", self.sessions.stats().sessions)
    }
}

type Call = fn(&Session) -> Result<()>;

/// What would go out with the head, or be saved with it.
const TOO_LATE: &[(&str, Call)] = &[
    ("insert", |s| s.insert("late", 1)),
    ("insert again", |s| s.insert("k", 9)),
    ("remove", |s| s.remove("k").map(drop)),
    ("clear", |s| s.clear()),
    ("flash", |s| s.flash("info", "late")),
    ("set_expiry", |s| s.set_expiry(SessionExpiry::BrowserClose)),
    ("login", |s| s.login("ada")),
    ("login as another", |s| s.login("eve")),
    ("cycle_id", |s| s.cycle_id()),
    ("get_or_insert_with", |s| s.get_or_insert_with("late", || 1).map(drop)),
    ("set_test_cookie", |s| s.set_test_cookie()),
    ("delete_test_cookie", |s| s.delete_test_cookie()),
    ("csrf_token", |s| s.csrf_token().map(drop)),
];

/// What acts on a live session at once, and needs no head.
const AT_ONCE: &[(&str, Call)] = &[
    ("update", |s| s.update("k", |k: &mut i64| *k += 10)),
    ("pop", |s| s.pop::<i64>("k").map(drop)),
    ("take_flashes", |s| s.take_flashes().map(|taken| assert_eq!(taken.len(), 1))),
];

const LEAVES_IT: fn(&Session) = |_| {};
const READS: fn(&Session) = |session| drop(session.get::<i64>("k"));
const SAVES: fn(&Session) = |session| session.save_now().unwrap();

#[track_caller]
fn is_late(result: Result<()>, case: &str) {
    let error: Error = result.expect_err(case);
    assert!(error.is_late(), "{case}: {error}");
}

#[test]
fn r23_what_a_body_sets_is_an_error_and_nothing_is_saved() {
    for (name, call) in TOO_LATE {
        for handler in [LEAVES_IT, READS, SAVES] {
            let world = World::new();
            let (id, _) = world.logged_in();
            let before = world.stored();
            let (headers, session) = world.begun(Some(&id), handler);
            assert!(!headers.contains_key("set-cookie"), "{name}");
            is_late(call(&session), name);
            is_late(call(&session.clone()), name);
            // Nor is it left for somebody to save.
            session.save_now().unwrap();
            assert_eq!(session.save().unwrap(), None, "{name}");
            assert_eq!(session.get::<i64>("k").unwrap(), Some(1), "{name}");
            assert_eq!(session.get::<i64>("late").unwrap(), None, "{name}");
            assert_eq!(world.stored(), before, "{name}");
            let found = world.sessions.load(&id).unwrap().unwrap();
            assert_eq!(found.keys().unwrap(), ["k"], "{name}");
            assert_eq!(found.get::<i64>("k").unwrap(), Some(1), "{name}");
        }
    }
}

#[test]
fn r23_a_body_begins_no_session() {
    let set: Call = |s| s.update("k", |k: &mut i64| *k += 1);
    for (name, call) in TOO_LATE.iter().chain(&[("update", set)]) {
        for handler in [LEAVES_IT, READS] {
            let world = World::new();
            let planted = Id::new().unwrap();
            for cookie in [None, Some(&planted)] {
                let (_, session) = world.begun(cookie, handler);
                is_late(call(&session), name);
                assert_eq!(session.save().unwrap(), None, "{name}");
                assert!(session.is_new().unwrap() && session.is_empty().unwrap(), "{name}");
                assert_eq!(world.sessions.stats().sessions, 0, "{name}");
            }
        }
    }
}

#[test]
fn r23_a_body_may_read() {
    let world = World::new();
    let (id, _) = world.logged_in();
    for (handler, varies) in [(LEAVES_IT, false), (READS, true)] {
        let (headers, session) = world.begun(Some(&id), handler);
        // What is looked at first when the head has gone cannot be said in it any more.
        assert_eq!(headers.contains_key("vary"), varies);
        assert_eq!(session.get::<i64>("k").unwrap(), Some(1));
        assert_eq!(session.keys().unwrap(), ["k"]);
        assert_eq!((session.len().unwrap(), session.contains("late").unwrap()), (1, false));
        assert_eq!(session.subject().unwrap().as_deref(), Some("ada"));
        assert!(!session.verify_csrf("none").unwrap() && !session.is_modified());
    }
}

/// There is no response any more that could wait for the disk: the call does.
#[test]
fn r23_what_acts_at_once_does_so_late_and_lasts_when_it_returns() {
    for (name, call) in AT_ONCE {
        for handler in [LEAVES_IT, READS, SAVES] {
            let world = World::new();
            let (id, _) = world.logged_in();
            let (_, session) = world.begun(Some(&id), handler);
            call(&session).unwrap();
            for world in [&world, &World::over(world.clock.clone(), world.fs.kill())] {
                let found = world.sessions.load(&id).unwrap().unwrap();
                let taken = found.take_flashes().unwrap().is_empty();
                let value = found.get::<i64>("k").unwrap();
                let expected = match *name {
                    "update" => (Some(11), false),
                    "pop" => (None, false),
                    _ => (Some(1), true),
                };
                assert_eq!((value, taken), expected, "{name}");
            }
        }
    }
}

#[test]
fn r23_r04_a_late_logout_is_on_disk_when_it_returns() {
    let ends: [(Call, [bool; 2]); 3] = [
        (|s| s.logout(), [false, true]),
        (|s| s.flush(), [false, true]),
        (|s| s.revoke_others().map(drop), [true, false]),
    ];
    for (end, left) in ends {
        for handler in [LEAVES_IT, READS, SAVES] {
            let world = World::new();
            let (id, other) = world.logged_in();
            world.sessions.sync().unwrap();
            let (_, session) = world.begun(Some(&id), handler);
            end(&session).unwrap();
            let found = world.fs.power_cut(Keep::Nothing);
            for world in [&world, &World::over(world.clock.clone(), found)] {
                let lives = |id| world.sessions.load(id).unwrap().is_some();
                assert_eq!([lives(&id), lives(&other)], left);
            }
            if !left[0] {
                is_late(session.insert("k", 3), "what is set begins no other");
                assert!(session.is_new().unwrap());
            }
        }
    }
}
