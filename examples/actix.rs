//! actix-session on this crate's store: a visit counter with login and logout, in actix-web.
//!
//! `cargo run --example actix --features actix-session-0-11 -- --listen 127.0.0.1:3000`
//!
//! The sessions are in `var/sessions` and outlive the process, and so does the key that encrypts
//! the cookies, in `var/actix.key`. Nothing else here differs from any other program on
//! actix-session.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use actix_session::config::PersistentSession;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Key, time::Duration};
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Form, Html};
use actix_web::{App, HttpResponse, HttpServer};
use serde::Deserialize;
use sessile::adapters::actix_session_0_11::SessileStore;
use sessile::session::Sessions;

const VISITS: &str = "visits";
const USER: &str = "user";

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn index(session: Session) -> actix_web::Result<Html> {
    let visits = session.get::<u64>(VISITS)?.unwrap_or(0) + 1;
    session.insert(VISITS, visits)?;
    let form = match session.get::<String>(USER)?.as_deref().map(escaped) {
        Some(user) => format!("<form method=post action=/logout>{user} <button>Log out</button>"),
        None => "<form method=post action=/login><input name=user> <button>Log in</button>".into(),
    };
    let page = format!("<!doctype html><title>Visits</title><p>Visits: {visits}<p>{form}</form>");
    Ok(Html::new(page))
}

async fn login(session: Session, login: Form<Login>) -> actix_web::Result<HttpResponse> {
    // A new id with every login: one that was known before is worth nothing afterwards.
    session.renew();
    session.insert(USER, &login.user)?;
    Ok(home())
}

async fn logout(session: Session) -> HttpResponse {
    session.purge();
    home()
}

fn home() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The key of the cookies: without it, every restart would log everybody out.
fn cookie_key(path: &Path) -> io::Result<Key> {
    match fs::read(path) {
        Ok(bytes) => Key::try_from(&*bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Key::generate();
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
            file.write_all(key.master())?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    actix_web::rt::System::new().block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().skip_while(|argument| argument != "--listen").nth(1);
    let listen = listen.unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    let store = Sessions::builder().open("var/sessions")?;
    let sessions = SessileStore::new(&store);
    let key = cookie_key(Path::new("var/actix.key"))?;
    let server = HttpServer::new(move || {
        let lifecycle = PersistentSession::default().session_ttl(Duration::days(14));
        let sessions = SessionMiddleware::builder(sessions.clone(), key.clone())
            .cookie_name("visits_sid".to_owned())
            // Plain HTTP, on this machine only.
            .cookie_secure(false)
            .session_lifecycle(lifecycle)
            .build();
        App::new()
            .wrap(sessions)
            .route("/", web::get().to(index))
            .route("/login", web::post().to(login))
            .route("/logout", web::post().to(logout))
    });
    let server = server.bind(&listen)?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    server.run().await?;
    store.close_async().await?;
    Ok(())
}
