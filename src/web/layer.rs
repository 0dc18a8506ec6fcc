//! Sessions for every request: reads the cookie before the handler, saves and sends it after.
//!
//! Knows no framework; what axum needs beside this is in `axum`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::session::commit::Wish;
use crate::session::finish::{CookieWish, Finished, Rest};
use crate::session::{Refusal, Session, Sessions};
use crate::web::cookie::{Cookie, Found};
use crate::web::headers::{self, SiteData};
use crate::web::status::status_of;

/// What to do about a request whose session ended while it was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnVanished {
    /// What it had set is dropped, and counted; the response goes out.
    #[default]
    Drop,
    /// The response is 400 instead, without a body, as in Django.
    BadRequest,
}

/// Gives every request its [`Session`], as a layer of tower: `Router::layer(SessionLayer::new(…))`.
///
/// A request that leaves its session alone costs a look at its cookies. What a handler has set is
/// saved when it has returned, unless its response is a server error; what acts at once stays.
#[derive(Clone, Debug)]
pub struct SessionLayer(Arc<Config>);

#[derive(Clone, Debug)]
struct Config {
    sessions: Sessions,
    cookie: Cookie,
    save_after: Option<Duration>,
    save_on_server_error: bool,
    on_vanished: OnVanished,
    clear_site_data: Vec<SiteData>,
}

impl SessionLayer {
    /// A layer with the safe cookie: `__Host-sid`, Secure, HttpOnly, SameSite=Lax.
    pub fn new(sessions: Sessions) -> Self {
        SessionLayer(Arc::new(Config {
            sessions,
            cookie: Cookie::default(),
            save_after: None,
            save_on_server_error: false,
            on_vanished: OnVanished::default(),
            clear_site_data: Vec::new(),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Another cookie; see [`Cookie::builder`]. Where it [may not go](Cookie::is_allowed_for), no
    /// session begins: what would begin one is an error, `is_config`, and nothing is stored.
    pub fn cookie(self, cookie: Cookie) -> Self {
        self.with(|config| config.cookie = cookie)
    }

    /// Saves a session at every access, changed or not, and sends its cookie again, if the last
    /// time was at least `interval` ago. Makes no session.
    pub fn save_every_request(self, interval: Duration) -> Self {
        self.with(|config| config.save_after = Some(interval))
    }

    /// Saves after server errors (status 500 and above) too.
    pub fn save_on_server_error(self, save: bool) -> Self {
        self.with(|config| config.save_on_server_error = save)
    }

    /// What to do about a request whose session ended while it was under way.
    pub fn on_vanished(self, on_vanished: OnVanished) -> Self {
        self.with(|config| config.on_vanished = on_vanished)
    }

    /// Asks the browser, with the response of a logout, to drop what it has kept of the site.
    pub fn clear_site_data(self, kinds: impl IntoIterator<Item = SiteData>) -> Self {
        self.with(|config| config.clear_site_data = kinds.into_iter().collect())
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, config: self.0.clone() }
    }
}

/// The service that [`SessionLayer`] makes.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = self.config.clone();
        let allowed = config.cookie.is_allowed_for(request.uri(), request.headers());
        let session = config.session(request.headers(), allowed);
        request.extensions_mut().insert(session.clone());
        let inner = self.inner.call(request);
        ResponseFuture { inner, session: Some((session, config)), finishing: None }
    }
}

impl Config {
    /// The session that a request's cookies name, not looked at yet.
    fn session(&self, headers: &HeaderMap, allowed: bool) -> Session {
        let sessions = &self.sessions;
        if !allowed {
            return Session::barred(sessions.0.clone());
        }
        let (id, has_cookie, refused) = match self.cookie.find(headers) {
            Found::None => (None, false, None),
            Found::One(value) => match self.cookie.decode(value) {
                Some(id) => (Some(id), true, None),
                None => (None, true, Some(Refusal::MalformedCookie)),
            },
            // Which of them is good cannot be said, and a removal might hit that one.
            Found::Duplicate => (None, false, Some(Refusal::DuplicateCookie)),
            Found::TooMany => (None, false, Some(Refusal::TooManyCookies)),
        };
        if let Some(why) = refused {
            sessions.shared().refused(why);
        }
        Session::new(sessions.0.clone(), id, has_cookie)
    }

    fn saves<R>(&self, response: &Response<R>) -> bool {
        self.save_on_server_error || !response.status().is_server_error()
    }

    fn wish(&self) -> Wish {
        Wish { save_after: self.save_after }
    }

    async fn finish<R: Default>(
        self: Arc<Self>,
        session: Session,
        rest: Rest,
        response: Response<R>,
    ) -> Response<R> {
        let finished = session.finish(rest).await;
        self.answer(finished, response)
    }

    fn answer<R: Default>(&self, finished: Finished, mut response: Response<R>) -> Response<R> {
        if let Some(error) = &finished.error {
            response = empty(status_of(error));
        } else if finished.vanished && self.on_vanished == OnVanished::BadRequest {
            response = empty(StatusCode::BAD_REQUEST);
        }
        self.write(response.headers_mut(), finished);
        response
    }

    fn write(&self, headers: &mut HeaderMap, finished: Finished) {
        let cookie = match finished.cookie {
            CookieWish::Keep => None,
            CookieWish::Set(id, lasts, now) => Some(self.cookie.set(&id, lasts, now)),
            CookieWish::Remove => Some(self.cookie.removal()),
        };
        if finished.accessed || cookie.is_some() {
            headers::vary_cookie(headers);
        }
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
            headers::no_store(headers);
        }
        if finished.ended {
            headers::clear_site_data(headers, &self.clear_site_data);
        }
    }
}

fn empty<R: Default>(status: StatusCode) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    response
}

type Finishing<R> = Pin<Box<dyn Future<Output = Response<R>> + Send>>;

pin_project! {
    /// The response of a [`SessionService`].
    pub struct ResponseFuture<F, R> {
        #[pin]
        inner: F,
        // Taken when the handler has returned.
        session: Option<(Session, Arc<Config>)>,
        finishing: Option<Finishing<R>>,
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default + Send + 'static,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.finishing.is_none() {
            let response = ready!(this.inner.poll(context))?;
            let Some((session, config)) = this.session.take() else {
                return Poll::Ready(Ok(response));
            };
            if session.is_untouched() {
                return Poll::Ready(Ok(response));
            }
            match session.finish_at_once(config.saves(&response), config.wish()) {
                Ok(finished) => return Poll::Ready(Ok(config.answer(finished, response))),
                Err(rest) => {
                    *this.finishing = Some(Box::pin(config.finish(session, rest, response)));
                }
            }
        }
        match this.finishing {
            Some(finishing) => finishing.as_mut().poll(context).map(Ok),
            None => Poll::Pending,
        }
    }
}
