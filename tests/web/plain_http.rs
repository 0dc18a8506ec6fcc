//! Cookies that a browser would not bring back: judged before anything is stored.

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use sessile::session::{Session, Sessions};
use sessile::testing::ManualClock;
use sessile::web::Cookie;

use crate::browser::App;

type Done = Result<&'static str, sessile::Error>;

fn routes() -> Router {
    Router::new()
        .route("/read", get(async |s: Session| -> Done { s.get::<u32>("n").map(|_| "read") }))
        .route("/flush", get(async |s: Session| -> Done { s.flush().map(|()| "ended") }))
        .route("/set", get(async |s: Session| -> Done { s.insert("n", 1).map(|()| "set") }))
        .route("/token", get(async |s: Session| -> Done { s.csrf_token().map(|_| "token") }))
        .route("/login", get(async |s: Session| -> Done { s.login("ada").map(|()| "in") }))
        .route(
            "/now",
            get(async |s: Session| -> Done {
                s.insert("n", 1)?;
                let error = s.save_now().expect_err("it is stored");
                assert!(error.is_config(), "{error}");
                Err(error)
            }),
        )
}

fn app(cookie: Cookie) -> App {
    App::with(routes(), |layer| layer.cookie(cookie))
}

/// Otherwise each request of such a visitor would leave a session that nobody finds again.
#[test]
fn a_cookie_for_development_stores_nothing_for_a_visitor_from_elsewhere() {
    let app = app(Cookie::local_dev());
    let mut refused = 0;
    for path in ["/set", "/token", "/login", "/now"] {
        for _ in 0..3 {
            let url = format!("http://shop.example{path}");
            let answer = app.ask(Method::GET, &url, Some(b"sid=whatever"));
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert!(answer.cookies().is_empty(), "{answer:?}");
        }
        let counts = app.sessions.counts();
        assert!(counts.refused > refused, "{path} is not told of");
        refused = counts.refused;
        assert_eq!((counts.created, counts.failed), (0, 0), "{path}");
        assert_eq!(app.sessions.stats().sessions, 0, "{path} has stored something");
    }
    for path in ["/read", "/flush"] {
        let url = format!("http://shop.example{path}");
        assert_eq!(app.ask(Method::GET, &url, None).status, StatusCode::OK, "{path}");
    }
    assert_eq!(app.sessions.counts().refused, refused, "what stores nothing is fine");
    let local = app.ask(Method::GET, "http://localhost:3000/set", None);
    assert!(local.status == StatusCode::OK && local.sets(), "{local:?}");
    assert_eq!(app.sessions.count().unwrap(), 1);
}

/// A proxy that ends TLS speaks plain HTTP to the server, under whatever name.
#[test]
fn a_secure_cookie_is_given_behind_a_proxy() {
    for host in ["http://shop.example", "http://10.0.0.7:8080", "http://localhost"] {
        let app = app(Cookie::default());
        for path in ["/set", "/token", "/login"] {
            let answer = app.ask(Method::GET, &format!("{host}{path}"), None);
            assert!(answer.status == StatusCode::OK && answer.sets(), "{host}{path}: {answer:?}");
        }
    }
    let sessions = Sessions::builder().in_memory().unwrap();
    let cookie = Cookie::builder().name("sid").secure(false).allow_plain_http().build().unwrap();
    let app = App::over(routes(), sessions, ManualClock::new(), |layer| layer.cookie(cookie));
    assert!(app.ask(Method::GET, "http://shop.example/set", None).sets());
}
