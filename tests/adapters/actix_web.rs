//! The middleware of actix-session 0.11 in an actix-web application, over the adapter.

use std::sync::Arc;

use actix_session::config::{PersistentSession, TtlExtensionPolicy};
use actix_session::{Session, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::Key;
use actix_web::dev::ServiceResponse;
use actix_web::http::header;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use sessile::adapters::actix_session_0_11::SessileStore;
use tokio::sync::Notify;

use crate::{cookie, in_memory};

/// Holds the slow handler between its read and its write.
#[derive(Clone, Default)]
struct Gate {
    reached: Arc<Notify>,
    open: Arc<Notify>,
}

async fn read(session: Session) -> String {
    session.get::<String>("user").unwrap().unwrap_or_else(|| "nobody".to_owned())
}

async fn login(session: Session) -> &'static str {
    session.renew();
    session.insert("user", "ada").unwrap();
    "in"
}

async fn logout(session: Session) -> &'static str {
    session.purge();
    "out"
}

async fn slow(gate: web::Data<Gate>, session: Session) -> &'static str {
    gate.reached.notify_one();
    gate.open.notified().await;
    session.insert("cart", "tea").unwrap();
    "bought"
}

fn request(path: &str, id: Option<&str>) -> TestRequest {
    let request = TestRequest::get().uri(path);
    match id {
        Some(id) => request.insert_header((header::COOKIE, format!("id={id}"))),
        None => request,
    }
}

/// The body, and the value of the session cookie if the response sets one.
async fn answer<B: MessageBody>(response: ServiceResponse<B>) -> (String, Option<String>) {
    assert_eq!(response.status(), 200);
    let set = response.headers().get_all(header::SET_COOKIE);
    let set: Vec<_> = set.map(|value| value.to_str().unwrap().to_owned()).collect();
    let body = read_body(response).await;
    (String::from_utf8(body.to_vec()).unwrap(), cookie(&set))
}

macro_rules! ask {
    ($app:expr, $path:expr, $id:expr) => {
        answer(call_service(&$app, request($path, $id).to_request()).await).await
    };
}

/// The application, as a service.
macro_rules! app {
    ($store:expr, $gate:expr) => {{
        let lifecycle = PersistentSession::default()
            .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        let sessions = SessionMiddleware::builder($store.clone(), Key::generate())
            .session_lifecycle(lifecycle)
            .build();
        let app = App::new()
            .app_data(web::Data::new($gate.clone()))
            .wrap(sessions)
            .route("/", web::get().to(read))
            .route("/login", web::get().to(login))
            .route("/logout", web::get().to(logout))
            .route("/slow", web::get().to(slow));
        init_service(app).await
    }};
}

#[test]
fn a_session_is_set_read_renewed_and_purged() {
    actix_web::rt::System::new().block_on(async {
        let below = in_memory();
        let store = SessileStore::new(&below);
        let app = app!(store, Gate::default());
        assert_eq!(ask!(app, "/", None), ("nobody".to_owned(), None));
        assert_eq!(below.stats().sessions, 0, "a visitor who does nothing costs nothing");

        let first = ask!(app, "/login", None).1.unwrap();
        assert_eq!(ask!(app, "/", Some(&first)).0, "ada");

        let second = ask!(app, "/login", Some(&first)).1.unwrap();
        assert_eq!(ask!(app, "/", Some(&first)).0, "nobody", "the old id still works");
        assert_eq!(ask!(app, "/", Some(&second)).0, "ada");
        assert_eq!(below.stats().sessions, 1);

        let out = ask!(app, "/logout", Some(&second));
        assert_eq!(out, ("out".to_owned(), Some(String::new())));
        assert_eq!(ask!(app, "/", Some(&second)).0, "nobody");
        assert_eq!((below.stats().sessions, store.dropped_saves()), (0, 0));
    });
}

#[test]
fn r08_a_slow_request_does_not_undo_a_logout() {
    actix_web::rt::System::new().block_on(async {
        let (below, gate) = (in_memory(), Gate::default());
        let store = SessileStore::new(&below);
        let app = app!(store, gate);
        let id = ask!(app, "/login", None).1.unwrap();
        let logout = async {
            gate.reached.notified().await;
            ask!(app, "/logout", Some(&id));
            gate.open.notify_one();
        };
        let (slow, ()) = tokio::join!(async { ask!(app, "/slow", Some(&id)) }, logout);
        assert_eq!(slow.0, "bought", "a dropped update is no error");
        // The cookie that it sent again is of the session that is gone.
        for id in [Some(id), slow.1].iter().flatten() {
            assert_eq!(ask!(app, "/", Some(id)).0, "nobody");
        }
        assert_eq!((below.stats().sessions, store.dropped_saves()), (0, 1));
    });
}
