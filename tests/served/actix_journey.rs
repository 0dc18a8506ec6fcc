//! The same journey through an application on actix-web, with actix-session's own middleware over
//! this crate's store.
//!
//! Its cookie, its reader and its saves are actix-session's; where they differ from the layer's the
//! test says what is seen.

use std::time::Duration;

use actix_session::config::{CookieContentSecurity, PersistentSession};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, HttpServer, web};
use sessile::adapters::actix_session_0_11::SessileStore;
use sessile::session::SessionsBuilder;

use crate::browser::Browser;
use crate::client::Answer;
use crate::jar::Site;
use crate::server::Server;
use crate::shop::Gates;
use crate::support::block_on;

const NAME: &str = "__Host-id";
const HOUR: Duration = Duration::from_secs(3600);

fn who(session: &Session) -> String {
    session.get::<String>("user").unwrap().unwrap_or_else(|| "nobody".to_owned())
}

async fn me(session: Session) -> String {
    who(&session)
}

async fn all(session: Session) -> String {
    let mut keys: Vec<String> =
        session.entries().iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    keys.sort();
    keys.concat()
}

async fn set(session: Session, path: web::Path<(String, u64)>) -> &'static str {
    session.insert(&path.0, path.1).unwrap();
    "set"
}

async fn login(session: Session, path: web::Path<String>) -> &'static str {
    session.renew();
    session.insert("user", path.into_inner()).unwrap();
    "in"
}

async fn logout(session: Session) -> &'static str {
    session.purge();
    "out"
}

/// Reads the session, waits at the gate, and then does what it is there for.
async fn slow(
    session: Session,
    gates: web::Data<Gates>,
    path: web::Path<(String, String)>,
) -> &'static str {
    let (gate, action) = path.into_inner();
    who(&session);
    gates.pass(&gate).await;
    match action.as_str() {
        "write" => session.insert("slow", 1).unwrap(),
        "logout" => session.purge(),
        _ => session.renew(),
    }
    "at last"
}

async fn reached(gates: web::Data<Gates>, gate: web::Path<String>) -> &'static str {
    gates.reached(&gate).await;
    "reached"
}

async fn open(gates: web::Data<Gates>, gate: web::Path<String>) -> &'static str {
    gates.open(&gate);
    "open"
}

fn actix(change: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Server {
    Server::start(change, |sessions, ready| {
        let store = SessileStore::new(&sessions);
        let (key, gates) = (Key::generate(), web::Data::new(Gates::default()));
        let app = move || {
            let ttl = actix_web::cookie::time::Duration::hours(2);
            let sessions = SessionMiddleware::builder(store.clone(), key.clone())
                .cookie_name(NAME.to_owned())
                // Not encrypted, so that an id can be told from another.
                .cookie_content_security(CookieContentSecurity::Signed)
                .session_lifecycle(PersistentSession::default().session_ttl(ttl))
                .build();
            App::new()
                .app_data(gates.clone())
                .wrap(sessions)
                .route("/", web::get().to(async || "welcome"))
                .route("/me", web::get().to(me))
                .route("/all", web::get().to(all))
                .route("/set/{key}/{value}", web::post().to(set))
                .route("/login/{who}", web::post().to(login))
                .route("/logout", web::post().to(logout))
                .route("/slow/{gate}/{action}", web::post().to(slow))
                .route("/reached/{gate}", web::get().to(reached))
                .route("/open/{gate}", web::post().to(open))
        };
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(app).workers(2).disable_signals();
            let server = server.bind("127.0.0.1:0").unwrap();
            let address = server.addrs()[0];
            let server = server.run();
            let handle = server.handle();
            // Without waiting for connections that browsers keep open.
            let end = Box::new(move || block_on(handle.stop(false)));
            ready.send((address, end)).unwrap();
            server.await.unwrap();
        });
    })
}

fn id(browser: &Browser) -> String {
    browser.jar.get(NAME).expect("one cookie").value.clone()
}

fn pair(id: &str) -> String {
    format!("{NAME}={id}")
}

#[test]
fn an_anonymous_visit_stores_nothing_and_sets_no_cookie() {
    let server = actix(|builder| builder);
    let mut ada = server.browser();
    for path in ["/", "/me", "/all"] {
        let answer = ada.get(path);
        assert_eq!((answer.status, answer.cookies().len()), (200, 0), "{path}");
    }
    assert_eq!(server.sessions.stats().sessions, 0);
    assert_eq!(ada.connections(), 1, "it is kept open");
}

#[test]
fn from_the_cart_to_the_logout_with_two_browsers() {
    let server = actix(|builder| builder);
    let (mut ada, mut phone) = (server.browser(), server.browser());
    assert!(ada.post("/set/tea/2").sets());
    let kept = ada.jar.get(NAME).unwrap();
    assert!(kept.secure && kept.http_only && kept.host_only && kept.path == "/", "{kept:?}");
    assert_eq!(kept.until, Some(ada.now() + 2 * 3600));
    assert_eq!(ada.get("/all").body, "tea=2\n");

    let mut before = ada.clone();
    ada.post("/login/ada");
    assert_ne!(id(&ada), id(&before));
    assert_eq!(ada.get("/all").body, "tea=2\nuser=\"ada\"\n");
    assert_eq!((before.get("/me").body.as_str(), before.get("/all").body.as_str()), ("nobody", ""));
    // A write under the dead id is of a new session.
    let planted = id(&before);
    assert!(before.post("/set/n/1").sets());
    assert_ne!(id(&before), planted);
    assert_eq!(before.get("/all").body, "n=1\n");

    phone.post("/login/ada");
    assert_eq!(
        (phone.get("/me").body.as_str(), phone.get("/all").body.as_str()),
        ("ada", "user=\"ada\"\n")
    );
    assert_eq!(server.sessions.stats().sessions, 3);
    let (kept, answer) = (id(&ada), ada.post("/logout"));
    assert!(answer.removes() && ada.jar.get(NAME).is_none(), "{answer:?}");
    assert_eq!(phone.send("GET", "/me", &pair(&kept)).body, "nobody");
    assert_eq!((ada.get("/me").body.as_str(), phone.get("/me").body.as_str()), ("nobody", "ada"));
    assert_eq!(server.sessions.stats().sessions, 2);
}

#[test]
fn an_id_that_was_planted_before_a_login_gains_nothing() {
    let server = actix(|builder| builder);
    let (mut eve, mut ada) = (server.browser(), server.browser());
    eve.post("/set/bait/1");
    let planted = id(&eve);
    let field = format!("{}; Path=/; Secure", pair(&planted));
    assert!(ada.jar.keep(&Site::new("http", "127.0.0.1"), "/", &field, ada.now()));
    ada.post("/login/ada");
    assert_ne!(id(&ada), planted);
    assert_eq!((ada.get("/me").body.as_str(), eve.get("/me").body.as_str()), ("ada", "nobody"));
    assert_eq!(eve.get("/all").body, "", "the old id is dead");
    eve.post("/set/bait/2");
    assert_eq!(ada.get("/all").body, "bait=1\nuser=\"ada\"\n");
}

#[test]
fn an_expired_session_is_gone_and_a_later_write_has_a_new_id() {
    let server = actix(|builder| builder);
    let mut ada = server.browser();
    ada.post("/login/ada");
    let first = id(&ada);
    server.clock.advance(HOUR);
    assert!(ada.post("/set/n/1").sets(), "a change lets it go on");
    assert_eq!(id(&ada), first);
    server.clock.advance(HOUR + HOUR / 2);
    assert_eq!(ada.get("/me").body, "ada");
    server.clock.advance(HOUR / 2);
    assert_eq!(ada.get("/me").body, "nobody");
    assert!(ada.jar.get(NAME).is_none(), "the browser has dropped it");
    assert_eq!(ada.send("GET", "/all", &pair(&first)).body, "");
    assert_eq!(server.sessions.stats().sessions, 0);
    assert!(ada.post("/set/n/2").sets());
    assert_ne!(id(&ada), first);
    assert_eq!(ada.get("/all").body, "n=2\n");
}

#[test]
fn cookies_that_no_server_of_ours_gave_are_anonymous() {
    let server = actix(|builder| builder);
    let (mut ada, mut eve) = (server.browser(), server.browser());
    ada.post("/login/ada");
    let good = id(&ada);
    let last = if good.ends_with('A') { "B" } else { "A" };
    let first = if good.starts_with('A') { "B" } else { "A" };
    let short = &good[..good.len() - 1];
    let bad = [
        pair(&format!("{short}{last}")),
        pair(&format!("{first}{}", &good[1..])),
        pair(short),
        pair(&format!("{good}A")),
        pair(""),
        pair(&"A".repeat(6000)),
        // Of two it takes the first.
        format!("{}; {}", pair("planted"), pair(&good)),
        format!("id={good}"),
    ];
    for cookies in &bad {
        let answer = eve.send("GET", "/me", cookies);
        assert_eq!((answer.status, answer.body.as_str()), (200, "nobody"), "{cookies}");
        assert_eq!((answer.sets(), server.sessions.stats().sessions), (false, 1), "{cookies}");
    }
    for (made, cookies) in bad.iter().enumerate() {
        let answer = eve.send("POST", "/set/n/1", cookies);
        assert!(answer.status == 200 && answer.sets(), "{cookies}: {answer:?}");
        let given = answer.cookies()[0].split(';').next().unwrap();
        assert_eq!(eve.send("GET", "/all", given).body, "n=1\n", "{cookies}");
        assert_eq!(server.sessions.stats().sessions, 2 + made as u64, "{cookies}");
    }
    assert_eq!(ada.get("/all").body, "user=\"ada\"\n");
}

/// Two slow requests on one session, finished in this order: their answers, and what the session
/// under the old id is then.
fn two(server: &Server, ada: &Browser, actions: [&str; 2]) -> ([Answer; 2], String) {
    let mut keeper = server.browser();
    let answers = std::thread::scope(|scope| {
        let threads = [0, 1].map(|at| {
            let (mut browser, path) = (ada.clone(), format!("/slow/{at}/{}", actions[at]));
            let thread = scope.spawn(move || browser.post(&path));
            keeper.get(&format!("/reached/{at}"));
            thread
        });
        let mut at = 0;
        threads.map(|thread| {
            keeper.post(&format!("/open/{at}"));
            at += 1;
            thread.join().unwrap()
        })
    });
    let old = keeper.send("GET", "/all", &pair(&id(ada))).body;
    (answers, old)
}

#[test]
fn a_logout_and_a_slow_write_in_both_orders() {
    let server = actix(|builder| builder);
    for actions in [["logout", "write"], ["write", "logout"]] {
        let mut ada = server.browser();
        ada.post("/login/ada");
        let (answers, old) = two(&server, &ada, actions);
        assert!(answers.iter().all(|answer| answer.status == 200), "{actions:?}: {answers:?}");
        assert_eq!((old.as_str(), server.sessions.stats().sessions), ("", 0), "{actions:?}");
    }
}

#[test]
fn two_requests_on_an_id_that_is_renewed() {
    let server = actix(|builder| builder);
    for actions in [["renew", "renew"], ["renew", "write"], ["write", "renew"]] {
        let mut ada = server.browser();
        ada.post("/login/ada");
        let before = server.sessions.stats().sessions;
        let (answers, old) = two(&server, &ada, actions);
        assert_eq!(old, "", "{actions:?}");
        let mut good = Vec::new();
        for answer in &answers {
            let given = answer.cookies()[0].split(';').next().unwrap();
            let user = ada.send("GET", "/me", given).body;
            good.push(user == "ada" && given != pair(&id(&ada)));
        }
        // Each renewal makes a session of its own, as actix-session has it; a write under the old
        // id makes none, and the cookie that comes with it is of the session that is gone.
        assert_eq!(good, actions.map(|action| action == "renew"), "{actions:?}");
        let made = good.iter().filter(|good| **good).count() as u64;
        assert_eq!(server.sessions.stats().sessions, before - 1 + made, "{actions:?}");
    }
}
