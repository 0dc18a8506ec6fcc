//! Django's statements about its middleware, as far as they are adopted, over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use sessile::session::{Session, SessionExpiry, Sessions, WhenOwnerFull};
use sessile::testing::{Keep, ManualClock, SimFs};
use sessile::web::{Cookie, OnVanished};
use sessile::{Background, Id};

use crate::browser::{App, Browser};

type Done = Result<String, sessile::Error>;

fn routes() -> Router {
    Router::new()
        .route("/bare", get(async || "bare"))
        .route("/untouched", get(async |_: Session| "untouched"))
        .route("/read", get(async |s: Session| -> Done { Ok(format!("{:?}", s.get::<u32>("n")?)) }))
        .route("/contains", get(async |s: Session| -> Done { Ok(s.contains("n")?.to_string()) }))
        .route("/len", get(async |s: Session| -> Done { Ok(s.len()?.to_string()) }))
        .route(
            "/set",
            get(async |s: Session| -> Done {
                s.insert("n", 1)?;
                Ok("set".into())
            }),
        )
        .route("/unset", get(async |s: Session| -> Done { Ok(s.remove("n")?.to_string()) }))
        .route(
            "/count",
            get(async |s: Session| -> Done {
                Ok(s.update("count", |n: &mut u32| {
                    *n += 1;
                    *n
                })?
                .to_string())
            }),
        )
        .route(
            "/flush",
            get(async |s: Session| -> Done {
                s.flush()?;
                Ok("flushed".into())
            }),
        )
        .route(
            "/renew",
            get(async |s: Session| -> Done {
                s.flush()?;
                s.insert("n", 2)?;
                Ok("new".into())
            }),
        )
        .route(
            "/who",
            get(async |s: Session| -> Done {
                Ok(s.subject()?.unwrap_or_else(|| "nobody".to_owned()))
            }),
        )
        .route(
            "/login",
            get(async |s: Session| -> Done {
                s.login("ada")?;
                Ok("in".into())
            }),
        )
        .route(
            "/logout",
            get(async |s: Session| -> Done {
                s.logout()?;
                Ok("out".into())
            }),
        )
        .route(
            "/cycle",
            get(async |s: Session| -> Done {
                s.cycle_id()?;
                Ok("cycled".into())
            }),
        )
        .route(
            "/close",
            get(async |s: Session| -> Done {
                s.set_expiry(SessionExpiry::BrowserClose)?;
                Ok("close".into())
            }),
        )
        .route(
            "/set-500",
            get(async |s: Session| {
                s.insert("n", 9).unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route(
            "/set-404",
            get(async |s: Session| {
                s.insert("n", 4).unwrap();
                StatusCode::NOT_FOUND
            }),
        )
        .route(
            "/login-500",
            get(async |s: Session| {
                s.login("eve").unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route(
            "/logout-500",
            get(async |s: Session| {
                s.logout().unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route(
            "/vary",
            get(async |s: Session| {
                s.get::<u32>("n").unwrap();
                [("vary", "Accept")]
            }),
        )
}

#[test]
fn s09_a_visitor_without_anything_costs_nothing() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    for path in ["/bare", "/untouched", "/read", "/contains", "/flush", "/logout"] {
        let answer = browser.get(&app, path);
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.cookies().is_empty(), "{path}: {answer:?}");
    }
    assert_eq!(app.sessions.stats().sessions, 0);
}

#[test]
fn s62_s63_s64_a_dead_cookie_is_removed_when_it_is_looked_at() {
    let app = App::new(routes());
    for dead in ["A".repeat(32), "short".to_owned(), "x".repeat(1200), String::new()] {
        let header = format!("__Host-sid={dead}");
        let ask = |path| app.ask(Method::GET, path, Some(header.as_bytes()));
        assert!(ask("/bare").cookies().is_empty() && ask("/untouched").cookies().is_empty());
        let answer = ask("/read");
        assert!(answer.removes(), "{dead}: {answer:?}");
        assert_eq!(answer.header("vary"), Some("Cookie"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.body, "None");
    }
    assert_eq!(app.sessions.stats().sessions, 0);
}

#[test]
fn s65_flush_without_a_cookie_sends_none_but_varies() {
    let app = App::new(routes());
    let answer = Browser::default().get(&app, "/flush");
    assert!(answer.cookies().is_empty());
    assert_eq!(answer.header("vary"), Some("Cookie"));
}

#[test]
fn s66_s71_access_varies_and_a_cookie_does_too() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    assert_eq!(browser.get(&app, "/bare").header("vary"), None);
    assert_eq!(browser.get(&app, "/untouched").header("vary"), None);
    for path in ["/read", "/contains", "/len", "/set", "/unset", "/count", "/cycle", "/flush"] {
        assert_eq!(browser.get(&app, path).header("vary"), Some("Cookie"), "{path}");
    }
}

#[test]
fn s67_s68_what_is_set_is_saved_but_not_after_a_server_error() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    assert!(!browser.get(&app, "/set-500").sets());
    assert_eq!(app.sessions.stats().sessions, 0);
    assert!(browser.get(&app, "/set-404").sets());
    assert_eq!(browser.get(&app, "/read").body, "Some(4)");
    assert!(browser.get(&app, "/set-500").cookies().is_empty());
    assert_eq!(browser.get(&app, "/read").body, "Some(4)");
    let app = App::with(routes(), |layer| layer.save_on_server_error(true));
    assert!(browser.get(&app, "/set-500").sets());
}

#[test]
fn s69_a_vanished_session_is_dropped_or_a_400() {
    for (policy, status) in [(OnVanished::Drop, 200), (OnVanished::BadRequest, 400)] {
        let (begun, go) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let (began, going) = (begun.0, std::sync::Arc::new(std::sync::Mutex::new(go.1)));
        let slow = get(async move |s: Session| {
            s.insert("n", 7).unwrap();
            began.send(()).unwrap();
            going.lock().unwrap().recv().unwrap();
            "slow"
        });
        let app = App::with(routes().route("/slow", slow), |layer| layer.on_vanished(policy));
        let mut browser = Browser::default();
        browser.get(&app, "/set");
        let mut other = browser.clone();
        let answer = std::thread::scope(|scope| {
            let slow = scope.spawn(|| other.get(&app, "/slow"));
            begun.1.recv().unwrap();
            assert!(browser.get(&app, "/logout").removes());
            go.0.send(()).unwrap();
            slow.join().unwrap()
        });
        assert_eq!(answer.status.as_u16(), status);
        assert!(answer.cookies().is_empty(), "{answer:?}");
        assert_eq!(app.sessions.counts().dropped, 1);
        assert_eq!(app.sessions.stats().sessions, 0);
    }
}

#[test]
fn s70_save_every_request_renews_what_is_there_and_makes_nothing() {
    let minute = Duration::from_secs(60);
    let app = App::with(routes(), |layer| layer.save_every_request(minute));
    let mut browser = Browser::default();
    assert!(browser.get(&app, "/read").cookies().is_empty());
    let unknown = format!("__Host-sid={}", "A".repeat(32));
    assert!(app.ask(Method::GET, "/read", Some(unknown.as_bytes())).removes());
    assert_eq!(app.sessions.stats().sessions, 0);
    browser.get(&app, "/set");
    assert!(browser.get(&app, "/read").cookies().is_empty(), "too soon");
    app.clock.advance(minute);
    let answer = browser.get(&app, "/read");
    assert!(answer.sets() && answer.header("vary").is_some(), "{answer:?}");
    assert!(browser.get(&app, "/read").cookies().is_empty(), "too soon again");
}

#[test]
fn s72_a_browser_session_has_no_age_and_others_what_is_left() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    let cookie = browser.get(&app, "/set").cookies().remove(0);
    assert!(cookie.contains("Max-Age=1209600"), "{cookie}");
    let cookie = browser.get(&app, "/close").cookies().remove(0);
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    // Remembered with the session.
    let cookie = browser.get(&app, "/cycle").cookies().remove(0);
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
}

#[test]
fn s73_the_cookie_is_the_safe_one() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    let answer = browser.get(&app, "/set");
    let id = browser.id().unwrap();
    assert_eq!(
        answer.cookies(),
        [format!(
            "__Host-sid={id}; Max-Age=1209600; Expires=Mon, 05 Oct 2026 14:13:20 GMT; Path=/; \
             Secure; HttpOnly; SameSite=Lax"
        )]
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn s75_vary_is_merged() {
    let app = App::new(routes());
    assert_eq!(Browser::default().get(&app, "/vary").header("vary"), Some("Accept, Cookie"));
}

#[test]
fn the_cookie_is_sent_again_once_an_eighth_of_it_has_passed() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    browser.get(&app, "/set");
    app.clock.advance(Duration::from_secs(1_209_600 / 8 - 60));
    assert!(browser.get(&app, "/read").cookies().is_empty());
    app.clock.advance(Duration::from_secs(120));
    let cookie = browser.get(&app, "/read").cookies().remove(0);
    assert!(cookie.contains("Max-Age=1209600"), "{cookie}");
    assert!(browser.get(&app, "/read").cookies().is_empty());
}

#[test]
fn r03_a_login_has_a_new_id_and_the_old_one_is_dead() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    browser.get(&app, "/set");
    let mut planted = browser.clone();
    let before = browser.id().unwrap().to_owned();
    assert!(browser.get(&app, "/login").sets());
    assert_ne!(browser.id().unwrap(), before);
    assert_eq!(browser.get(&app, "/read").body, "Some(1)");
    assert!(planted.get(&app, "/read").removes());
}

#[test]
fn a_server_error_takes_back_a_login_and_not_a_logout() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    browser.get(&app, "/login");
    let id = browser.id().unwrap().to_owned();
    assert!(browser.get(&app, "/login-500").cookies().is_empty());
    assert_eq!(browser.id().unwrap(), id);
    assert_eq!(app.sessions.list_of("eve").unwrap().len(), 0);
    assert_eq!(app.sessions.list_of("ada").unwrap().len(), 1);
    let answer = browser.get(&app, "/logout-500");
    assert!(answer.removes() && answer.status.is_server_error(), "{answer:?}");
    assert_eq!(app.sessions.list_of("ada").unwrap().len(), 0);
}

#[test]
fn flush_and_then_insert_is_a_new_session() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    browser.get(&app, "/set");
    let before = browser.id().unwrap().to_owned();
    let answer = browser.get(&app, "/renew");
    assert_eq!(answer.cookies().len(), 1);
    assert_ne!(browser.id().unwrap(), before);
    assert_eq!(browser.get(&app, "/read").body, "Some(2)");
    assert_eq!(app.sessions.count().unwrap(), 1);
}

/// The browser has a newer id by then, which the older one would overwrite.
#[test]
fn a_session_renewed_elsewhere_while_it_is_saved_gets_no_cookie() {
    let clock = ManualClock::new();
    let of_store = clock.clone();
    let builder = Sessions::builder().renew_every(Duration::from_secs(3600));
    let sessions = builder.store(|store| store.clock(of_store)).in_memory().unwrap();
    let newer: Arc<Mutex<Option<Id>>> = Arc::default();
    let (others, presented) = (sessions.clone(), newer.clone());
    let late = get(async move |s: Session| -> Done {
        s.get::<u32>("n")?;
        if let Some(id) = presented.lock().unwrap().take() {
            drop(others.load(&id)?);
        }
        s.set_expiry(SessionExpiry::BrowserClose)?;
        Ok("late".into())
    });
    let app = App::over(routes().route("/late", late), sessions, clock, |layer| layer);
    let mut browser = Browser::default();
    browser.get(&app, "/set");
    let mut tab = browser.clone();
    app.clock.advance(Duration::from_secs(3600));
    assert!(browser.get(&app, "/read").sets(), "a renewal");
    assert!(tab.get(&app, "/late").sets());
    *newer.lock().unwrap() = Id::parse(browser.id().unwrap());
    let answer = tab.get(&app, "/late");
    assert_eq!((answer.body.as_str(), answer.cookies()), ("late", Vec::new()));
}

#[test]
fn a_test_of_an_application_can_begin_logged_in() {
    let app = App::new(routes());
    let cookie = sessile::testing::cookie_for(&app.sessions, "ada").unwrap();
    let me = |cookie: &str| app.ask(Method::GET, "/who", Some(cookie.as_bytes())).body;
    assert_eq!(me(&cookie), "ada");
    assert_eq!(me("a=b"), "nobody");
}

/// Whatever the handler makes of it: a visitor whose session cannot be read is not an anonymous one.
#[test]
fn a_failing_store_is_an_empty_error_though_the_handler_says_all_is_well() {
    let swallows = get(async |s: Session| {
        assert!(s.get::<u32>("n").is_err());
        "welcome, stranger"
    });
    let app = App::new(routes().route("/swallows", swallows));
    let mut browser = Browser::default();
    browser.get(&app, "/set");
    app.sessions.close().unwrap();
    let answer = browser.get(&app, "/swallows");
    assert_eq!((answer.status, &*answer.body), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert!(answer.cookies().is_empty());
    assert_eq!(answer.header("vary"), Some("Cookie"));
    // What does not look at its session is served all the same.
    assert_eq!(browser.get(&app, "/untouched").status, StatusCode::OK);
    assert!(app.sessions.counts().failed > 0);
}

/// When the response is there, what it says outlasts what its level promises: the end of a session
/// a loss of power, everything else the end of the process.
#[test]
fn a_response_waits_until_what_it_says_lasts() {
    let fs = SimFs::new(5);
    let open = |fs: &SimFs| {
        let callers = |store: sessile::Builder<_>| store.background(Background::Callers);
        Sessions::builder().store(callers).open_fs(Arc::new(fs.clone())).unwrap()
    };
    let app = App::over(routes(), open(&fs), ManualClock::new(), |layer| layer);
    let reopened = |fs: SimFs| App::over(routes(), open(&fs), ManualClock::new(), |layer| layer);
    let mut browser = Browser::default();
    for (path, seen) in [("/set", "Some(1)"), ("/set-404", "Some(4)")] {
        browser.get(&app, path);
        assert_eq!(browser.get(&reopened(fs.kill()), "/read").body, seen, "after {path}");
    }
    browser.get(&app, "/login");
    app.sessions.sync().unwrap();
    let old = browser.clone();
    for path in ["/login", "/logout-500"] {
        let before = browser.clone();
        browser.get(&app, path);
        for mut dead in [old.clone(), before] {
            let app = reopened(fs.power_cut(Keep::Nothing));
            assert_eq!(dead.get(&app, "/who").body, "nobody", "after {path}");
        }
    }
}

/// A handler may save by itself: the visitor gets his cookie all the same, and the right one.
#[test]
fn a_handler_that_saves_leaves_the_cookie_to_the_layer() {
    let saving = Router::new()
        .route(
            "/set-and-save",
            get(async |s: Session| -> Done {
                s.insert("n", 5)?;
                Ok(s.save_async().await?.is_some().to_string())
            }),
        )
        .route(
            "/login-and-save",
            get(async |s: Session| -> Done {
                s.login("ada")?;
                Ok(s.save_async().await?.is_some().to_string())
            }),
        );
    let app = App::new(routes().merge(saving));
    let mut browser = Browser::default();
    assert_eq!(browser.get(&app, "/set-and-save").body, "true");
    assert_eq!(browser.get(&app, "/read").body, "Some(5)");
    let before = browser.clone();
    assert_eq!(browser.get(&app, "/login-and-save").body, "true");
    assert_ne!(browser.id(), before.id());
    assert_eq!(browser.get(&app, "/who").body, "ada");
    assert_eq!(app.sessions.count().unwrap(), 1);
}

#[test]
fn a_refused_login_can_be_answered_by_the_handler() {
    let page = get(async |s: Session| -> Done {
        s.login("ada")?;
        match s.save_now() {
            Err(error) if error.is_full() => Ok("let one of your sessions end".into()),
            done => done.map(|()| "in".into()),
        }
    });
    let builder = Sessions::builder().max_per_owner(1, WhenOwnerFull::Refuse);
    let sessions = builder.in_memory().unwrap();
    let other = sessions.create();
    other.login("ada").unwrap();
    other.save().unwrap();
    let app = App::over(routes().route("/page", page), sessions, ManualClock::new(), |layer| layer);
    let mut browser = Browser::default();
    let answer = browser.get(&app, "/page");
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "let one of your sessions end"));
    assert_eq!(browser.get(&app, "/who").body, "nobody");
    assert_eq!(app.sessions.counts().failed, 0, "a rule is no failure");
}

/// A page on another path has planted a second cookie of the same name: the good one stays.
#[test]
fn of_two_cookies_none_is_taken_away() {
    let plain = || Cookie::builder().name("sid").build().unwrap();
    let app = App::with(routes(), |layer| layer.cookie(plain()));
    let (mut victim, mut attacker) = (Browser::default(), Browser::default());
    victim.get(&app, "/set");
    attacker.get(&app, "/set");
    let both = format!("sid={}; sid={}", attacker.jar["sid"], victim.jar["sid"]);
    let answer = app.ask(Method::GET, "/read", Some(both.as_bytes()));
    assert_eq!(answer.body, "None");
    assert!(answer.cookies().is_empty(), "{answer:?}");
}

/// An id counts in the cookie of our name and nowhere else, and is sent nowhere else.
#[test]
fn r14_no_other_place_for_an_id() {
    let app = App::new(routes());
    let mut browser = Browser::default();
    let answer = browser.get(&app, "/login");
    let id = browser.id().unwrap().to_owned();
    let with_id = |text: &str| text.contains(&id);
    assert!(!with_id(&answer.body));
    for (name, value) in &answer.headers {
        assert_eq!(with_id(value.to_str().unwrap()), name == "set-cookie", "{name}");
    }
    assert_eq!(browser.get(&app, "/who").body, "ada");
    for query in ["sid", "__Host-sid", "session", "PHPSESSID"] {
        let path = format!("/who?{query}={id}");
        assert_eq!(app.ask(Method::GET, &path, None).body, "nobody", "{path}");
    }
    let others = [format!("sid={id}"), format!("__Secure-sid={id}"), format!("session={id}"), id];
    for cookie in others {
        assert_eq!(app.ask(Method::GET, "/who", Some(cookie.as_bytes())).body, "nobody");
    }
}
