//! What the shop answers: paths, forms, checks of what came in, and what it keeps in a session.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Path, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::http::header::{HeaderMap, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use sessile::session::{Redeemed, Session, SessionKey, Sessions};
use sessile::web::{Cookie, CrossSiteLayer, SessionLayer};
use sessile::{Error, Id, Key};

use crate::captcha::{self, CAPTCHA_LIFETIME, Captcha};
use crate::page::{self, CART_COUNT_MAX, Notice, Own, Visitor};

/// Bytes of a request's body; every form here is far smaller.
const BODY_BYTES_MAX: usize = 4096;
/// Bytes of a user's name, or of a thing in the cart.
const TEXT_BYTES_MAX: usize = 64;
/// How long a request may take: a body that does not come, a store that makes writers wait.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// The page needs nothing that is not here, and nothing that is typed into it runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub fn router(sessions: &Sessions) -> Result<Router, Error> {
    // The example speaks plain HTTP, and says so; a server on the network does without this line.
    let cookie = Cookie::builder().name("shop_sid").secure(false).allow_plain_http().build()?;
    let router = Router::new()
        .route("/", get(index))
        .route("/shop.css", get(|| file("text/css", page::STYLE)))
        .route("/shop.js", get(|| file("text/javascript", page::SCRIPT)))
        .route("/visits", get(visits))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/sessions", get(list_sessions))
        .route("/sessions/revoke", post(revoke))
        .route("/sessions/revoke-others", post(revoke_others))
        .route("/cart", post(add_to_cart))
        .route("/cart/empty", post(empty_cart))
        .route("/captcha", get(new_captcha).post(answer_captcha))
        .route("/captcha/{file}", get(captcha_picture))
        .route("/stats", get(stats))
        .route("/healthz", get(healthz))
        .fallback(async || {
            Failure::Client(StatusCode::NOT_FOUND, "there is nothing here".to_owned())
        })
        .method_not_allowed_fallback(async || {
            Failure::Client(StatusCode::METHOD_NOT_ALLOWED, "not with this method".to_owned())
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(around))
        // Outside: a session is saved when everything else is done.
        .layer(SessionLayer::new(sessions.clone()).cookie(cookie))
        .layer(CrossSiteLayer::new())
        .with_state(sessions.clone());
    Ok(router)
}

/// Why a request is not answered as it wishes.
enum Failure {
    /// The request is at fault; the text says how.
    Client(StatusCode, String),
    /// The store is; the log says how, and the client only that.
    Store(Error),
}

type Answer = Result<Response, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Store(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::Client(status, text) => {
                (status, Json(json!({ "error": text }))).into_response()
            }
            Failure::Store(error) => {
                tracing::error!("{error}");
                error.into_response()
            }
        }
    }
}

fn bad(text: impl Into<String>) -> Failure {
    Failure::Client(StatusCode::BAD_REQUEST, text.into())
}

/// What holds for every request: its time, its caches, its line in the log.
async fn around(request: Request, next: Next) -> Response {
    let (method, uri, begun) = (request.method().clone(), request.uri().clone(), Instant::now());
    let mut response = match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    tracing::debug!(%method, path = ?uri.path(), status = response.status().as_u16(), took = ?begun.elapsed());
    response
}

/// What the session keeps of a visitor.
const VISITS: SessionKey<u64> = SessionKey::new("visits");
const CART: SessionKey<Vec<String>> = SessionKey::new("cart");
const HUMAN: SessionKey<bool> = SessionKey::new("human");

/// The page. Seen by a person, it is a visit; fetched by a program, it is not.
async fn index(
    State(sessions): State<Sessions>,
    session: Session,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    if wants_page(&headers) {
        session.update(VISITS, |visits| *visits += 1)?;
    }
    let visitor = Visitor {
        user: session.subject()?,
        visits: session.get(VISITS)?.unwrap_or(0),
        cart: session.get(CART)?.unwrap_or_default(),
        human: session.get(HUMAN)?.unwrap_or(false),
        sessions: own_sessions(&sessions, &session).await?,
    };
    let captcha = if visitor.human { None } else { Some(draw_captcha(&sessions).await?) };
    let page = page::render(&visitor, captcha.as_ref(), Notice::of(uri.query()));
    Ok(Html(page).into_response())
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")];
    (headers, text).into_response()
}

async fn visits(session: Session) -> Answer {
    let visits = session.update(VISITS, |visits| {
        *visits += 1;
        *visits
    })?;
    Ok(Json(json!({ "visits": visits })).into_response())
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

/// Another id, the same cart; somebody else's cart goes.
async fn login(session: Session, form: Result<Form<Login>, FormRejection>) -> Answer {
    let user = text("user", &read_form(form)?.user)?;
    session.login(user)?;
    Ok(Redirect::to("/").into_response())
}

/// On disk when the answer goes out.
async fn logout(session: Session) -> Answer {
    session.logout()?;
    Ok(Redirect::to("/").into_response())
}

async fn me(session: Session) -> Answer {
    let (user, visits) = (session.subject()?, session.get(VISITS)?.unwrap_or(0));
    Ok(Json(json!({ "user": user, "visits": visits })).into_response())
}

/// The sessions of whoever has logged in; of anybody else only this one.
async fn own_sessions(sessions: &Sessions, session: &Session) -> Result<Vec<Own>, Error> {
    let Some(key) = session.key()? else { return Ok(Vec::new()) };
    let listed = match session.subject()? {
        Some(subject) => sessions.list_of_async(subject).await?,
        None => Vec::new(),
    };
    let own = listed.into_iter().map(|info| Own {
        handle: spell(&info.handle),
        fingerprint: info.key.fingerprint(),
        created: info.created.as_millis(),
        last_seen: info.last_seen.as_millis(),
        current: info.key == key,
    });
    Ok(own.collect())
}

async fn list_sessions(State(sessions): State<Sessions>, session: Session) -> Answer {
    Ok(Json(own_sessions(&sessions, &session).await?).into_response())
}

#[derive(Deserialize)]
struct Revoke {
    handle: String,
}

/// One of the visitor's own: the handle of anybody else's finds nothing. It is good for as long as the
/// session is, whatever id that has by the time somebody presses the button.
async fn revoke(
    State(sessions): State<Sessions>,
    session: Session,
    headers: HeaderMap,
    form: Result<Form<Revoke>, FormRejection>,
) -> Answer {
    let handle = read_handle(&read_form(form)?.handle).ok_or_else(|| bad("`handle` is none"))?;
    let Some(subject) = session.subject()? else {
        return Err(Failure::Client(StatusCode::UNAUTHORIZED, "nobody is logged in".to_owned()));
    };
    let revoked = sessions.revoke_of_async(subject, &handle).await?;
    Ok(page_or(&headers, "/#sessions", json!({ "revoked": u8::from(revoked) })))
}

/// As 32 hexadecimal digits.
fn spell(handle: &Key) -> String {
    format!("{:032x}", u128::from_be_bytes(handle.to_bytes()))
}

fn read_handle(text: &str) -> Option<Key> {
    let is_handle = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_handle)?;
    Some(Key::from_bytes(number.to_be_bytes()))
}

async fn revoke_others(session: Session, headers: HeaderMap) -> Answer {
    let revoked = session.revoke_others()?;
    Ok(page_or(&headers, "/#sessions", json!({ "revoked": revoked })))
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

async fn add_to_cart(
    session: Session,
    headers: HeaderMap,
    form: Result<Form<Item>, FormRejection>,
) -> Answer {
    let item = text("item", &read_form(form)?.item)?;
    let cart = session.update(CART, |cart| {
        let fits = cart.len() < CART_COUNT_MAX;
        if fits {
            cart.push(item.clone());
        }
        fits.then(|| cart.clone())
    })?;
    Ok(match cart {
        cart if wants_page(&headers) => {
            Redirect::to(if cart.is_none() { Notice::Full.path() } else { "/#cart" })
                .into_response()
        }
        Some(cart) => Json(json!({ "cart": cart })).into_response(),
        None => {
            let text = format!("the cart is full: it takes {CART_COUNT_MAX} items");
            Failure::Client(StatusCode::CONFLICT, text).into_response()
        }
    })
}

async fn empty_cart(session: Session, headers: HeaderMap) -> Answer {
    // Nothing there, nothing to empty: no session is made for that.
    if session.contains(CART)? {
        session.update(CART, Vec::clear)?;
    }
    Ok(page_or(&headers, "/#cart", json!({ "cart": [] })))
}

/// Captchas belong to no session: a visitor who only looks costs none.
async fn draw_captcha(sessions: &Sessions) -> Result<Id, Error> {
    let (id, captcha) = (Id::new()?, Captcha::draw()?);
    let name = captcha_name(&id);
    sessions
        .issue_visible_async(name, captcha.to_text(), CAPTCHA_LIFETIME, captcha::ATTEMPTS)
        .await?;
    Ok(id)
}

fn captcha_name(id: &Id) -> String {
    ["captcha/", id.expose()].concat()
}

async fn new_captcha(State(sessions): State<Sessions>) -> Answer {
    let id = draw_captcha(&sessions).await?;
    Ok(Json(json!({ "id": id.expose() })).into_response())
}

async fn captcha_picture(State(sessions): State<Sessions>, Path(file): Path<String>) -> Answer {
    let id = file.strip_suffix(".svg").and_then(Id::parse);
    let captcha = match id {
        Some(id) => sessions.peek(captcha_name(&id))?,
        None => None,
    };
    match captcha.as_deref().and_then(Captcha::from_text) {
        Some(captcha) => Ok(([(CONTENT_TYPE, "image/svg+xml")], captcha.svg()).into_response()),
        None => {
            Err(Failure::Client(StatusCode::NOT_FOUND, "no such captcha, or no longer".to_owned()))
        }
    }
}

#[derive(Deserialize)]
struct Code {
    id: String,
    code: String,
}

/// Right for one caller, once. A wrong code uses up an attempt.
async fn answer_captcha(
    State(sessions): State<Sessions>,
    session: Session,
    headers: HeaderMap,
    form: Result<Form<Code>, FormRejection>,
) -> Answer {
    let Code { id, code } = read_form(form)?;
    let name = Id::parse(&id).map(|id| captcha_name(&id)).unwrap_or_default();
    let captcha = sessions.peek(&name)?;
    let ok = match captcha.as_deref().and_then(Captcha::from_text) {
        Some(captcha) => {
            let candidate = captcha.candidate(&code);
            sessions.redeem_async(&name, candidate).await? == Redeemed::Right
        }
        None => false,
    };
    if ok && !session.is_new()? {
        session.insert(HUMAN, true)?;
    }
    let notice = if ok { Notice::Right } else { Notice::Wrong };
    Ok(page_or(&headers, notice.path(), json!({ "ok": ok })))
}

async fn stats(State(sessions): State<Sessions>) -> Response {
    Json(sessions.stats()).into_response()
}

async fn healthz(State(sessions): State<Sessions>) -> Response {
    let disk = sessions.stats().disk.unwrap_or_default();
    let (status, health) = match (disk.poisoned, disk.disk_full) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "poisoned"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "disk full"),
        _ => (StatusCode::OK, "ok"),
    };
    (status, health).into_response()
}

/// Whether a person asks, by the browser's own word.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// Back to the page for a person, JSON for a program.
fn page_or(headers: &HeaderMap, path: &str, json: Value) -> Response {
    if wants_page(headers) {
        Redirect::to(path).into_response()
    } else {
        Json(json).into_response()
    }
}

fn read_form<T>(form: Result<Form<T>, FormRejection>) -> Result<T, Failure> {
    match form {
        Ok(Form(form)) => Ok(form),
        Err(rejection) => Err(Failure::Client(rejection.status(), rejection.body_text())),
    }
}

/// A line of text as a person types it: not empty, not too long, nothing invisible.
fn text(field: &str, given: &str) -> Result<String, Failure> {
    let given = given.trim();
    if given.is_empty() {
        return Err(bad(format!("`{field}` is empty")));
    }
    if given.len() > TEXT_BYTES_MAX {
        return Err(bad(format!(
            "`{field}` has {} bytes; at most {TEXT_BYTES_MAX} are taken",
            given.len()
        )));
    }
    if given.chars().any(char::is_control) {
        return Err(bad(format!("`{field}` has a control character in it")));
    }
    Ok(given.to_owned())
}
