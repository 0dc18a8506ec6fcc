//! The token against cross-site requests, over requests of browsers.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use sessile::session::{Session, Sessions};

use crate::browser::{App, Browser};

type Done = Result<String, sessile::Error>;

fn app() -> App {
    let routes = Router::new()
        .route("/form", get(async |s: Session| -> Done { s.csrf_token() }))
        .route(
            "/form-500",
            get(async |s: Session| {
                s.csrf_token().unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route("/post/{token}", get(post))
        .route(
            "/login/{subject}",
            get(async |axum::extract::Path(subject): axum::extract::Path<String>, s: Session| {
                s.login(subject).map(|()| "in")
            }),
        )
        .route("/cycle", get(async |s: Session| s.cycle_id().map(|()| "cycled")))
        .route("/logout", get(async |s: Session| s.logout().map(|()| "out")));
    App::new(routes)
}

async fn post(axum::extract::Path(token): axum::extract::Path<String>, s: Session) -> Done {
    Ok(s.verify_csrf(token)?.to_string())
}

fn counts(browser: &mut Browser, app: &App, token: &str) -> bool {
    browser.get(app, &format!("/post/{token}")).body == "true"
}

#[test]
fn a_token_counts_for_its_session_until_a_login() {
    let app = app();
    let (mut ada, mut eve) = (Browser::default(), Browser::default());
    let first = ada.get(&app, "/form").body;
    let again = ada.get(&app, "/form").body;
    assert_ne!(first, again, "spelt anew");
    assert!(counts(&mut ada, &app, &first) && counts(&mut ada, &app, &again));

    let hers = eve.get(&app, "/form").body;
    assert!(!counts(&mut ada, &app, &hers) && !counts(&mut eve, &app, &first));
    assert!(!counts(&mut Browser::default(), &app, &first), "nobody's");
    for wrong in ["x", &first[1..], &format!("{first}A"), &first.to_lowercase()] {
        assert!(!counts(&mut ada, &app, wrong), "{wrong}");
    }

    ada.get(&app, "/cycle");
    assert!(counts(&mut ada, &app, &first), "it is the same visitor");
    // What a page showed before a login is no proof of anything after it, each time.
    for _ in 0..2 {
        let before = ada.get(&app, "/form").body;
        ada.get(&app, "/login/ada");
        assert!(!counts(&mut ada, &app, &before));
        let token = ada.get(&app, "/form").body;
        assert!(counts(&mut ada, &app, &token));
    }
    let token = ada.get(&app, "/form").body;
    ada.get(&app, "/logout");
    assert!(!counts(&mut ada, &app, &token));
}

#[test]
fn a_token_drawn_in_parallel_is_one_and_stays_after_an_error() {
    let app = app();
    for round in 0..40 {
        let mut browser = Browser::default();
        browser.get(&app, "/login/ada");
        if round % 2 == 0 {
            assert_eq!(browser.get(&app, "/form-500").status, StatusCode::INTERNAL_SERVER_ERROR);
        }
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let tabs: Vec<_> = (0..4)
                .map(|_| {
                    let (mut tab, app) = (browser.clone(), &app);
                    scope.spawn(move || tab.get(app, "/form").body)
                })
                .collect();
            tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
        });
        for token in tokens {
            assert!(counts(&mut browser, &app, &token), "each tab's form counts");
        }
    }
}

#[test]
fn a_token_is_the_layers_own() {
    let sessions = Sessions::builder().in_memory().unwrap();
    let session = sessions.create();
    session.csrf_token().unwrap();
    assert!(session.keys().unwrap().is_empty() && session.iter().unwrap().next().is_none());
    assert!(session.get::<String>("_csrf").unwrap_err().is_config());
    assert!(session.remove("_csrf").unwrap_err().is_config());
    assert!(session.insert("_csrf", "mine").unwrap_err().is_config());
}
