//! tower-sessions on this crate's store: a visit counter with login and logout, in axum.
//!
//! `cargo run --example tower_sessions --features tower-sessions-0-15 -- --listen 127.0.0.1:3000`
//!
//! The sessions are in `var/sessions` and outlive the process. Nothing here but the two lines that
//! make the store differs from any other program on tower-sessions.

use axum::extract::Form;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use serde::Deserialize;
use sessile::adapters::tower_sessions_0_15::SessileStore;
use sessile::session::Sessions;
use time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer, session};

const VISITS: &str = "visits";
const USER: &str = "user";

#[derive(Deserialize)]
struct Login {
    user: String,
}

/// What a handler answers: an error of the store is a 500 that says nothing.
type Answer<T> = Result<T, StatusCode>;

fn broken(error: session::Error) -> StatusCode {
    eprintln!("session: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn index(session: Session) -> Answer<Html<String>> {
    let visits = session.get::<u64>(VISITS).await.map_err(broken)?.unwrap_or(0) + 1;
    session.insert(VISITS, visits).await.map_err(broken)?;
    let user = session.get::<String>(USER).await.map_err(broken)?;
    let form = match user.as_deref().map(escaped) {
        Some(user) => format!("<form method=post action=/logout>{user} <button>Log out</button>"),
        None => "<form method=post action=/login><input name=user> <button>Log in</button>".into(),
    };
    Ok(Html(format!("<!doctype html><title>Visits</title><p>Visits: {visits}<p>{form}</form>")))
}

async fn login(session: Session, Form(login): Form<Login>) -> Answer<Redirect> {
    // A new id with every login: one that was known before is worth nothing afterwards.
    session.cycle_id().await.map_err(broken)?;
    session.insert(USER, login.user).await.map_err(broken)?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Answer<Redirect> {
    session.flush().await.map_err(broken)?;
    Ok(Redirect::to("/"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().skip_while(|argument| argument != "--listen").nth(1);
    let listen = listen.unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    let store = Sessions::builder().open("var/sessions")?;
    let sessions = SessionManagerLayer::new(SessileStore::new(&store))
        .with_name("visits_sid")
        // Plain HTTP, on this machine only.
        .with_secure(false)
        .with_same_site(tower_sessions::cookie::SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::days(14)));
    let router = Router::new()
        .route("/", get(index))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(sessions);

    let listener = tokio::net::TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let end = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, router).with_graceful_shutdown(end).await?;
    store.close_async().await?;
    Ok(())
}
