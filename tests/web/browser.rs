//! A browser in a few lines: keeps the cookies that it is given and sends them back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use sessile::session::Sessions;
use sessile::testing::ManualClock;
use sessile::web::SessionLayer;
use tower_service::Service;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// All `Set-Cookie` fields.
    pub fn cookies(&self) -> Vec<String> {
        let fields = self.headers.get_all(SET_COOKIE).iter();
        fields.map(|field| field.to_str().unwrap().to_owned()).collect()
    }

    /// Whether the cookie is taken away.
    pub fn removes(&self) -> bool {
        self.cookies().iter().any(|cookie| cookie.contains("Max-Age=0"))
    }

    /// Whether a cookie is given.
    pub fn sets(&self) -> bool {
        !self.cookies().is_empty() && !self.removes()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// An application with sessions in memory and a clock of its own.
pub struct App {
    pub sessions: Sessions,
    pub clock: ManualClock,
    router: Router,
}

impl App {
    pub fn new(router: Router) -> App {
        App::with(router, |layer| layer)
    }

    pub fn with(router: Router, change: impl FnOnce(SessionLayer) -> SessionLayer) -> App {
        let clock = ManualClock::new();
        let of_store = clock.clone();
        let sessions =
            Sessions::builder().store(|store| store.clock(of_store)).in_memory().unwrap();
        App::over(router, sessions, clock, change)
    }

    pub fn over(
        router: Router,
        sessions: Sessions,
        clock: ManualClock,
        change: impl FnOnce(SessionLayer) -> SessionLayer,
    ) -> App {
        let layer = change(SessionLayer::new(sessions.clone()));
        App { sessions, clock, router: router.layer(layer) }
    }

    /// A request with these cookies in its header, as they are.
    pub fn ask(&self, method: Method, path: &str, cookies: Option<&[u8]>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookies) = cookies {
            request = request.header(COOKIE, cookies);
        }
        let request = request.body(Body::empty()).unwrap();
        let mut router = self.router.clone();
        answer(wait(router.call(request)))
    }
}

fn answer(response: Result<Response<Body>, Infallible>) -> Answer {
    let Ok(response) = response;
    let (parts, body) = response.into_parts();
    let bytes = wait(axum::body::to_bytes(body, 1 << 20)).unwrap();
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Polls until it is ready: nothing in these tests waits for a timer or a socket.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(value) = polled {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Somebody who visits an application and keeps its cookies.
#[derive(Clone, Default)]
pub struct Browser {
    pub jar: BTreeMap<String, String>,
}

impl Browser {
    pub fn get(&mut self, app: &App, path: &str) -> Answer {
        self.ask(app, Method::GET, path)
    }

    pub fn ask(&mut self, app: &App, method: Method, path: &str) -> Answer {
        let header: Vec<String> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = header.join("; ");
        let sent = (!header.is_empty()).then_some(header.as_bytes());
        let answer = app.ask(method, path, sent);
        self.keep(&answer);
        answer
    }

    /// Does with cookies what a browser does.
    pub fn keep(&mut self, answer: &Answer) {
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub fn id(&self) -> Option<&str> {
        self.jar.get("__Host-sid").map(String::as_str)
    }
}
