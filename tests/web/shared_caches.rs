//! What depends on a session is not shared: every call that looks at one, over HTTP, and the header
//! fields that its response must have. Knows nothing of what the calls return.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use sessile::session::{Session, SessionExpiry};

use crate::browser::{Answer, App, wait};

/// What becomes of the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cookie {
    Kept,
    Set,
    Removed,
}
use Cookie::{Kept, Removed, Set};

type Call = fn(&Session);

/// A call of a session, what becomes of the cookie of a visitor who has none, and of one who is
/// logged in.
type Access = (&'static str, Call, Cookie, Cookie);

/// Every call that looks at the session. What some of them return is an error, which counts as
/// well.
const PATHS: &[Access] = &[
    ("authenticated_at", |s| drop(s.authenticated_at()), Kept, Kept),
    ("clear", |s| s.clear().unwrap(), Kept, Kept),
    ("contains", |s| drop(s.contains("n")), Kept, Kept),
    ("csrf_token", |s| drop(s.csrf_token()), Set, Kept),
    ("cycle_id", |s| s.cycle_id().unwrap(), Set, Set),
    ("delete_test_cookie", |s| s.delete_test_cookie().unwrap(), Kept, Kept),
    ("expires_at_browser_close", |s| drop(s.expires_at_browser_close()), Kept, Kept),
    ("expiry_age", |s| drop(s.expiry_age()), Kept, Kept),
    ("expiry_date", |s| drop(s.expiry_date()), Kept, Kept),
    ("flash", |s| s.flash("info", "hello").unwrap(), Set, Kept),
    ("flush", |s| s.flush().unwrap(), Kept, Removed),
    ("get", |s| drop(s.get::<u32>("n")), Kept, Kept),
    ("get_or_insert_with", |s| drop(s.get_or_insert_with("n", || 1)), Set, Kept),
    ("insert", |s| s.insert("n", 2).unwrap(), Set, Kept),
    ("is_empty", |s| drop(s.is_empty()), Kept, Kept),
    ("is_new", |s| drop(s.is_new()), Kept, Kept),
    ("iter", |s| drop(s.iter().map(Iterator::count)), Kept, Kept),
    ("key", |s| drop(s.key()), Kept, Kept),
    ("keys", |s| drop(s.keys()), Kept, Kept),
    ("len", |s| drop(s.len()), Kept, Kept),
    ("load", |s| wait(s.load()).unwrap(), Kept, Kept),
    ("login", |s| s.login("ada").unwrap(), Set, Set),
    ("logout", |s| s.logout().unwrap(), Kept, Removed),
    ("pop", |s| drop(s.pop::<u32>("n")), Kept, Kept),
    ("remove", |s| drop(s.remove("n")), Kept, Kept),
    ("require_fresh", |s| drop(s.require_fresh(Duration::ZERO)), Kept, Kept),
    ("revoke_others", |s| drop(s.revoke_others()), Kept, Kept),
    ("save", |s| drop(s.save()), Kept, Kept),
    ("save_async", |s| drop(wait(s.save_async())), Kept, Kept),
    ("save_now", |s| s.save_now().unwrap(), Kept, Kept),
    ("set_expiry", |s| s.set_expiry(SessionExpiry::BrowserClose).unwrap(), Kept, Set),
    ("set_test_cookie", |s| s.set_test_cookie().unwrap(), Set, Kept),
    ("subject", |s| drop(s.subject()), Kept, Kept),
    ("take_flashes", |s| drop(s.take_flashes()), Kept, Kept),
    ("test_cookie_worked", |s| drop(s.test_cookie_worked()), Kept, Kept),
    ("update", |s| drop(s.update("n", |n: &mut u32| *n += 1)), Set, Kept),
    ("verify_csrf", |s| drop(s.verify_csrf("not a token")), Kept, Kept),
];

/// Calls that do not look at it: asking what the request has done, and nothing at all.
const UNTOUCHED: &[(&str, Call)] = &[
    ("nothing", |_| {}),
    ("clone", |s| drop(s.clone())),
    ("debug", |s| drop(format!("{s:?}"))),
    ("is_accessed", |s| assert!(!s.is_accessed())),
    ("is_modified", |s| assert!(!s.is_modified())),
];

/// What the handlers say themselves: all that a shared cache needs to keep a page and to give it to
/// everybody.
const OF_HANDLER: [(&str, &str); 2] = [("vary", "Accept"), ("cache-control", "public, max-age=60")];

fn app(call: Call, status: StatusCode) -> App {
    let handler = get(async move |session: Session| {
        call(&session);
        (status, OF_HANDLER)
    });
    App::new(Router::new().route("/", handler))
}

/// The cookie of somebody who is logged in, with a value, a message, and other sessions.
fn logged_in(app: &App) -> String {
    drop(sessile::testing::cookie_for(&app.sessions, "ada").unwrap());
    let session = app.sessions.create();
    session.login("ada").unwrap();
    session.insert("n", 1).unwrap();
    session.flash("info", "welcome").unwrap();
    format!("__Host-sid={}", session.save().unwrap().unwrap().expose())
}

fn ask(app: &App, cookie: Option<&str>) -> Answer {
    app.ask(Method::GET, "/", cookie.map(str::as_bytes))
}

/// A page that was made for one visitor must say so.
#[track_caller]
fn not_shared(answer: &Answer, cookie: Cookie, case: &str) {
    let found = match answer {
        answer if answer.removes() => Removed,
        answer if answer.sets() => Set,
        _ => Kept,
    };
    assert_eq!(found, cookie, "{case}: {answer:?}");
    assert_eq!(answer.headers.get_all("vary").iter().count(), 1, "{case}");
    assert_eq!(answer.header("vary"), Some("Accept, Cookie"), "{case}");
    let control = if found == Kept { "public, max-age=60" } else { "no-store" };
    assert_eq!(answer.headers.get_all("cache-control").iter().count(), 1, "{case}");
    assert_eq!(answer.header("cache-control"), Some(control), "{case}");
}

#[track_caller]
fn shared(answer: &Answer, case: &str) {
    assert!(answer.cookies().is_empty(), "{case}: {answer:?}");
    for (name, value) in OF_HANDLER {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{case}");
        assert_eq!(answer.header(name), Some(value), "{case}");
    }
}

/// Looking for a key is looking at the session, as reading its value is.
#[test]
fn r13_cve_2026_27205_every_call_that_looks_at_a_session_varies() {
    for (name, call, bare, live) in PATHS {
        let app = app(*call, StatusCode::OK);
        not_shared(&ask(&app, None), *bare, &format!("{name}, no cookie"));
        let cookie = logged_in(&app);
        not_shared(&ask(&app, Some(&cookie)), *live, &format!("{name}, logged in"));
    }
}

#[test]
fn r13_a_cookie_that_is_taken_away_varies_and_is_not_stored() {
    for (name, call, bare, _) in PATHS {
        let app = app(*call, StatusCode::OK);
        let becomes = if *bare == Set { Set } else { Removed };
        let dead = format!("__Host-sid={}", "A".repeat(32));
        for dead in [&*dead, "__Host-sid=short"] {
            not_shared(&ask(&app, Some(dead)), becomes, &format!("{name}, {dead}"));
        }
        // Of two, one may be good.
        let two = "__Host-sid=a; __Host-sid=b";
        not_shared(&ask(&app, Some(two)), *bare, &format!("{name}, {two}"));
    }
}

/// The cookie goes out again because time has passed, while the handler has changed nothing.
#[test]
fn r13_cve_2026_35192_cve_2023_30861_a_cookie_that_is_prolonged_varies_and_is_not_stored() {
    for (name, call, _, live) in PATHS {
        let app = app(*call, StatusCode::OK);
        let cookie = logged_in(&app);
        app.clock.advance(Duration::from_secs(1_209_600 / 8 + 60));
        let becomes = if *live == Removed { Removed } else { Set };
        not_shared(&ask(&app, Some(&cookie)), becomes, &format!("{name}, prolonged"));
    }
}

#[test]
fn r13_cve_2023_30861_a_request_that_leaves_the_session_alone_is_as_it_was() {
    for (name, call) in UNTOUCHED {
        for minutes in [0, 3 * 24 * 60] {
            let app = app(*call, StatusCode::OK);
            let cookie = logged_in(&app);
            app.clock.advance(Duration::from_secs(minutes * 60));
            for cookie in [None, Some(&*cookie), Some("__Host-sid=short")] {
                shared(&ask(&app, cookie), &format!("{name}, {cookie:?}, {minutes} minutes"));
            }
        }
    }
}

/// A page that names what was not found tells of the session no less.
#[test]
fn r13_pages_that_are_errors_vary_too() {
    for (name, call, _, _) in PATHS {
        for status in [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
            let app = app(*call, status);
            let cookie = logged_in(&app);
            let answer = ask(&app, Some(&cookie));
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("vary"), Some("Accept, Cookie"), "{name}, {status}");
            let stored = answer.header("cache-control") != Some("no-store");
            assert_eq!(answer.cookies().is_empty(), stored, "{name}, {status}: {answer:?}");
        }
    }
}

/// A call that is added to `Session` without a line above is missed here.
#[test]
fn r13_no_call_is_missing() {
    let mut called = BTreeSet::new();
    for folder in ["src/session", "src/web"] {
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let Ok(text) = std::fs::read_to_string(file.unwrap().path()) else { continue };
            for block in text.split("\nimpl Session {").skip(1) {
                let block = block.split("\n}").next().unwrap();
                let functions = block.split("\n    pub ").skip(1);
                let functions = functions
                    .filter_map(|text| text.trim_start_matches("async ").strip_prefix("fn "));
                let name = |text: &str| text.split(['(', '<']).next().unwrap().to_owned();
                called.extend(functions.map(name));
            }
        }
    }
    let listed = PATHS.iter().map(|path| path.0).chain(["is_accessed", "is_modified"]);
    assert_eq!(called, listed.map(str::to_owned).collect());
}
