//! The middleware of tower-sessions 0.15 in an axum router, over the adapter.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, header};
use axum::routing::get;
use sessile::adapters::tower_sessions_0_15::SessileStore;
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_sessions::{Session, SessionManagerLayer};

use crate::{Bytes, cookie, in_memory};

/// Holds the slow handler between its read and its write.
#[derive(Clone, Default)]
struct Gate {
    reached: Arc<Notify>,
    open: Arc<Notify>,
}

async fn read(session: Session) -> String {
    session.get::<String>("user").await.unwrap().unwrap_or_else(|| "nobody".to_owned())
}

async fn login(session: Session) -> &'static str {
    session.cycle_id().await.unwrap();
    session.insert("user", "ada").await.unwrap();
    "in"
}

async fn logout(session: Session) -> &'static str {
    session.flush().await.unwrap();
    "out"
}

async fn clear_first(session: Session) -> &'static str {
    session.clear().await;
    session.insert("user", "mallory").await.unwrap();
    "cleared"
}

async fn slow(State(gate): State<Gate>, session: Session) -> &'static str {
    let user = session.get::<String>("user").await.unwrap();
    gate.reached.notify_one();
    gate.open.notified().await;
    session.insert("cart", ("tea", user)).await.unwrap();
    "bought"
}

struct App {
    router: Router,
    gate: Gate,
    below: Bytes,
    store: SessileStore,
}

/// The body, and the value of the session cookie if the response sets one.
async fn ask(router: Router, path: &str, id: Option<&str>) -> (String, Option<String>) {
    let mut request = Request::get(path);
    if let Some(id) = id {
        request = request.header(header::COOKIE, format!("id={id}"));
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let set: Vec<_> = set.map(|value| value.to_str().unwrap().to_owned()).collect();
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (String::from_utf8(body.to_vec()).unwrap(), cookie(&set))
}

fn app() -> App {
    let (gate, below) = (Gate::default(), in_memory());
    let store = SessileStore::new(&below);
    let router = Router::new()
        .route("/", get(read))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/clear-first", get(clear_first))
        .route("/slow", get(slow))
        .with_state(gate.clone())
        .layer(SessionManagerLayer::new(store.clone()));
    App { router, gate, below, store }
}

impl App {
    async fn ask(&self, path: &str, id: Option<&str>) -> (String, Option<String>) {
        ask(self.router.clone(), path, id).await
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await.unwrap() };
    runtime.block_on(limited);
}

#[test]
fn a_session_is_set_read_cycled_and_flushed() {
    run(async {
        let app = app();
        assert_eq!(app.ask("/", None).await, ("nobody".to_owned(), None));
        assert_eq!(app.below.stats().sessions, 0, "a visitor who does nothing costs nothing");

        let (_, first) = app.ask("/login", None).await;
        let first = first.unwrap();
        assert_eq!(app.ask("/", Some(&first)).await.0, "ada");

        let (_, second) = app.ask("/login", Some(&first)).await;
        let second = second.unwrap();
        assert_ne!(first, second);
        assert_eq!(app.ask("/", Some(&first)).await.0, "nobody", "the old id still works");
        assert_eq!(app.ask("/", Some(&second)).await.0, "ada");
        assert_eq!(app.below.stats().sessions, 1);

        assert_eq!(
            app.ask("/logout", Some(&second)).await,
            ("out".to_owned(), Some(String::new()))
        );
        assert_eq!(app.ask("/", Some(&second)).await.0, "nobody");
        assert_eq!((app.below.stats().sessions, app.store.dropped_saves()), (0, 0));
    });
}

#[test]
fn r01_clear_before_the_first_read_begins_no_session_under_a_planted_id() {
    run(async {
        let app = app();
        let planted = tower_sessions::session::Id::default().to_string();
        app.ask("/clear-first", Some(&planted)).await;
        assert_eq!(app.ask("/", Some(&planted)).await.0, "nobody");
        assert_eq!((app.below.stats().sessions, app.store.dropped_saves()), (0, 1));
    });
}

#[test]
fn r04_a_slow_request_does_not_undo_a_logout() {
    run(async {
        let app = app();
        let id = app.ask("/login", None).await.1.unwrap();
        let (router, cookie) = (app.router.clone(), id.clone());
        let slow = tokio::spawn(async move { ask(router, "/slow", Some(&cookie)).await });
        app.gate.reached.notified().await;
        app.ask("/logout", Some(&id)).await;
        app.gate.open.notify_one();
        assert_eq!(slow.await.unwrap().0, "bought", "a dropped save is no error");
        assert_eq!(app.ask("/", Some(&id)).await.0, "nobody");
        assert_eq!((app.below.stats().sessions, app.store.dropped_saves()), (0, 1));
    });
}
