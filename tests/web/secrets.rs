//! What a log could hold: events for `tracing`, messages of panics, `Debug` of whatever the crate
//! gives out, errors. None has an id, a cookie, a token, who somebody is, or what is stored.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::get;
use sessile::session::{Record, Session, SessionExpiry, SessionKey, Sessions};
use sessile::testing::ManualClock;
use sessile::web::{Cookie, CrossSiteLayer, SessionLayer, SigningKey, csrf};
use sessile::{Error, Id};
use tower_layer::Layer;

use crate::browser::{App, Browser};

const MINUTE: Duration = Duration::from_secs(60);
const SUBJECT: &str = "ada.lovelace@example.org";
const OTHER: &str = "charles.babbage@example.org";
const STORED: &str = "stored-5f3a91";
const MESSAGE: &str = "message-77aa05";
const CODE: &str = "code-904412";
const SHOWN: &str = "shown-1c22e8";
const GUESS: &str = "guess-60b1d4";
const SIGNING: &str = "signing-1f0b7f3e9f0d6a2b5c8e41d7a9";
const SHORT: &str = "signing-too-short";

thread_local! {
    /// What panics on this thread have said.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What `work` says when it panics.
fn panics(work: impl FnOnce()) -> Vec<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let kept = PANICS.with_borrow_mut(|panics| {
                panics.as_mut().map(|panics| panics.push(info.to_string())).is_some()
            });
            if !kept {
                before(info);
            }
        }));
    });
    PANICS.set(Some(Vec::new()));
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    PANICS.take().unwrap()
}

/// Everything that was said, and what must not have been.
#[derive(Default)]
struct Said {
    texts: Vec<String>,
    secrets: Vec<String>,
}

impl Said {
    fn shows(&mut self, shown: &dyn Debug) {
        self.texts.push(format!("{shown:?} {shown:#?}"));
    }

    fn error(&mut self, error: &Error) {
        let mut text = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            write!(text, " {cause} {cause:?}").unwrap();
            source = cause.source();
        }
        self.texts.push(text);
    }

    /// All that is in a cookie is a secret, and the parts of it.
    fn keep(&mut self, browser: &Browser) {
        let values = browser.jar.values();
        let parts = values.flat_map(|value| value.split('.').chain([&**value]));
        self.secrets.extend(parts.map(str::to_owned));
    }

    #[track_caller]
    fn check(&self, texts: &[String]) {
        let known = [SUBJECT, OTHER, STORED, MESSAGE, CODE, SHOWN, GUESS, SIGNING, SHORT];
        let secrets: Vec<_> = self.secrets.iter().map(|secret| &**secret).chain(known).collect();
        for text in texts {
            let found: Vec<_> = secrets.iter().filter(|secret| text.contains(**secret)).collect();
            assert!(found.is_empty(), "{found:?} in: {text}");
        }
    }
}

fn said(session: &Session, said: &Arc<Mutex<Said>>) {
    said.lock().unwrap().shows(session);
}

/// An application that does everything that there is to do with a session, and shows it.
fn app(of: &Arc<Mutex<Said>>) -> App {
    let step = |work: fn(&Session) -> Option<String>| {
        let of = of.clone();
        get(async move |session: Session| {
            said(&session, &of);
            let text = work(&session).unwrap_or_default();
            said(&session, &of);
            text
        })
    };
    let router = Router::new()
        .route(
            "/set",
            step(|s| {
                s.insert("k", STORED).unwrap();
                s.flash("info", MESSAGE).unwrap();
                None
            }),
        )
        .route("/read", step(|s| s.get("k").unwrap()))
        .route("/token", step(|s| s.csrf_token().ok()))
        .route("/login", step(|s| s.login(SUBJECT).err().map(|error| error.to_string())))
        .route("/other", step(|s| s.login(OTHER).err().map(|error| error.to_string())))
        .route("/cycle", step(|s| s.cycle_id().err().map(|error| error.to_string())))
        .route("/logout", step(|s| s.logout().err().map(|error| error.to_string())));
    let clock = ManualClock::new();
    let (of_store, of_events) = (clock.clone(), of.clone());
    let sessions = Sessions::builder()
        .store(|store| store.clock(of_store))
        .idle(60 * MINUTE)
        .renew_every(5 * MINUTE)
        .on_event(move |event| of_events.lock().unwrap().shows(event))
        .in_memory()
        .unwrap();
    let key = SigningKey::new(SIGNING).unwrap();
    let cookie = Cookie::builder().signed_with([key]).build().unwrap();
    App::over(router, sessions, clock, |layer| layer.cookie(cookie))
}

/// Create, read, log in, renew, change the user, revoke, tamper, expire.
fn live(app: &App, of: &Arc<Mutex<Said>>) {
    let mut browser = Browser::default();
    let mut visit = |path: &str| {
        app.clock.advance(Duration::from_secs(1));
        let answer = browser.get(app, path);
        let mut said = of.lock().unwrap();
        said.keep(&browser);
        said.shows(&answer.headers);
        said.shows(&app.sessions.list_of(SUBJECT).unwrap());
        said.shows(&app.sessions.list().collect::<Vec<_>>());
        answer.body
    };
    visit("/set");
    assert_eq!(visit("/read"), STORED);
    let token = visit("/token");
    visit("/login");
    app.clock.advance(5 * MINUTE);
    visit("/read");
    visit("/cycle");
    visit("/other");
    visit("/set");
    assert_eq!(visit("/read"), STORED);
    of.lock().unwrap().secrets.push(token);
    let good = browser.jar.values().next().unwrap().clone();
    let mut tampered = good.clone();
    let last = if tampered.pop() == Some('A') { 'B' } else { 'A' };
    tampered.push(last);
    let wrong = [
        format!("__Host-sid={tampered}"),
        format!("__Host-sid={good}; __Host-sid={tampered}"),
        format!("__Host-sid={good}{}", "; a=b".repeat(100)),
        "__Host-sid=".to_owned(),
    ];
    for header in wrong {
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(app.ask(Method::GET, "/read", Some(header.as_bytes())).body, "");
    }
    app.sessions.revoke_owner(OTHER).unwrap();
    assert_eq!(browser.get(app, "/read").body, "");
    browser.get(app, "/set");
    of.lock().unwrap().keep(&browser);
    app.clock.advance(61 * MINUTE);
    assert_eq!(browser.get(app, "/read").body, "");
    browser.get(app, "/login");
    of.lock().unwrap().keep(&browser);
    browser.get(app, "/logout");
}

#[test]
fn r15_cve_2023_20866_a_life_over_http_tells_no_secret() {
    let of: Arc<Mutex<Said>> = Arc::default();
    let traced = traced::begin();
    let app = app(&of);
    live(&app, &of);
    let said = of.lock().unwrap();
    assert!(said.secrets.len() > 12, "ids, signatures, a token: {}", said.secrets.len());
    said.check(&said.texts);
    let lines = traced::since(traced);
    said.check(&lines);
    if cfg!(feature = "tracing") {
        for kind in ["Created", "Rotated(Login)", "Renewal", "Revoked", "MalformedCookie"] {
            assert!(lines.iter().any(|line| line.contains(kind)), "{kind} was not traced");
        }
    }
}

#[test]
fn r15_no_debug_text_shows_a_secret() {
    let mut said = Said::default();
    let id = Id::new().unwrap();
    let (token, key) = (csrf::Token::new().unwrap(), SigningKey::new(SIGNING).unwrap());
    let (exposed, masked) = (token.expose().to_owned(), token.masked().unwrap());
    let builder = Cookie::builder().signed_with([key.clone()]);
    let cookie = Cookie::builder().signed_with([key.clone()]).build().unwrap();
    let value = cookie.encode(&id);
    let header = cookie.set(&id, Some(MINUTE), sessile::Timestamp::from_millis(0));
    let field = format!("__Host-sid={}", value.expose());
    said.secrets.extend([id.expose(), &exposed, &masked, value.expose()].map(str::to_owned));
    said.secrets.extend(value.expose().split('.').map(str::to_owned));
    said.shows(&(&id, id.key(), &token, &key, builder, &cookie, &value, &header));
    said.shows(&cookie.find_in([field.as_bytes()]));

    // What is stored is handed to those who weigh it.
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let weighed = seen.clone();
    let sessions = Sessions::builder()
        .store(|store| {
            store.weigher(move |record: &Record| {
                weighed.lock().unwrap().push(format!("{record:?} {record:#?}"));
                100
            })
        })
        .in_memory()
        .unwrap();
    let session = sessions.create();
    session.insert("k", STORED).unwrap();
    session.flash("info", MESSAGE).unwrap();
    session.login(SUBJECT).unwrap();
    let id = session.save().unwrap().unwrap();
    said.secrets.push(id.expose().to_owned());
    sessions.issue("mail", CODE, 60 * MINUTE, 3).unwrap();
    sessions.issue_visible("captcha", SHOWN, 60 * MINUTE, 3).unwrap();
    said.shows(&[sessions.redeem("mail", GUESS).unwrap(), sessions.redeem("mail", CODE).unwrap()]);
    let layer = SessionLayer::new(sessions.clone()).cookie(cookie);
    said.shows(&(&layer, layer.layer(()), CrossSiteLayer::new()));
    said.shows(&(&session, &sessions, sessions.stats(), sessions.counts()));
    said.shows(&sessions.list_of(SUBJECT).unwrap());
    said.shows(&(SessionExpiry::Default, SessionKey::<String>::new("k")));
    let session = sessions.load(&id).unwrap().unwrap();
    session.csrf_token().unwrap();
    session.save().unwrap();
    said.shows(&session.take_flashes().unwrap());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.len() >= 4, "a session, its owner, two values: {seen:?}");
    said.check(&seen);
    said.check(&said.texts);
}

#[test]
fn r15_no_error_and_no_panic_tells_a_secret() {
    let mut said = Said::default();
    let sessions =
        Sessions::builder().store(|store| store.max_value_bytes(4096)).in_memory().unwrap();
    let session = sessions.create();
    session.insert("k", STORED).unwrap();
    session.login(SUBJECT).unwrap();
    let id = session.save().unwrap().unwrap();
    said.secrets.push(id.expose().to_owned());
    let session = sessions.load(&id).unwrap().unwrap();
    let long = |text: &str| text.repeat(500);
    let errors: [Error; 9] = [
        session.get::<u64>("k").unwrap_err(),
        session.get::<Vec<String>>("k").unwrap_err(),
        session.update("k", |k: &mut u64| *k += 1).unwrap_err(),
        session.pop::<bool>("k").unwrap_err(),
        session.insert("l", long(STORED)).unwrap_err(),
        session.flash("info", long(MESSAGE)).unwrap_err(),
        session.login(long(SUBJECT)).unwrap_err(),
        sessions.issue("mail", long(CODE), Duration::ZERO, 1).unwrap_err(),
        SigningKey::new(SHORT).unwrap_err(),
    ];
    errors.iter().for_each(|error| said.error(error));
    let mut texts = Vec::new();
    let other = Id::new().unwrap();
    said.secrets.push(other.expose().to_owned());
    let works: [&dyn Fn(); 8] = [
        &|| assert_eq!(session.get::<u64>("k").unwrap(), None),
        &|| session.insert("l", long(STORED)).unwrap(),
        &|| session.login(long(SUBJECT)).unwrap(),
        &|| assert_eq!(id, other),
        &|| assert_eq!(id.key(), other.key()),
        &|| panic!("{session:?} {sessions:?}"),
        &|| assert!(sessions.load(&id).unwrap().is_none(), "{:?}", sessions.load(&id)),
        &|| session.update("k", |_: &mut String| panic!("the application's")).unwrap(),
    ];
    for work in works {
        texts.extend(panics(work));
    }
    assert_eq!(texts.len(), 8);
    said.check(&texts);
    said.check(&said.texts);
    // Whoever panicked, the session is as it was.
    assert_eq!(session.get::<String>("k").unwrap().as_deref(), Some(STORED));
}

/// A subscriber that takes everything, whatever its level, from all threads.
mod traced {
    use std::fmt::{Debug, Write};
    use std::sync::{Mutex, Once};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Record};
    use tracing::{Event, Id, Metadata, Subscriber};

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    struct Capture;

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }

    fn keep(metadata: &Metadata<'_>, fill: impl FnOnce(&mut Line)) {
        let mut line = Line(format!("{metadata:?}"));
        fill(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    impl Subscriber for Capture {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            keep(span.metadata(), |line| span.record(line));
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, values: &Record<'_>) {
            let mut line = Line(String::new());
            values.record(&mut line);
            LINES.lock().unwrap().push(line.0);
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            keep(event.metadata(), |line| event.record(line));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Where the lines of whoever calls this begin.
    pub fn begin() -> usize {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
        LINES.lock().unwrap().len()
    }

    /// What was traced since, by other tests too: their secrets are others.
    pub fn since(begin: usize) -> Vec<String> {
        LINES.lock().unwrap()[begin..].to_vec()
    }
}
