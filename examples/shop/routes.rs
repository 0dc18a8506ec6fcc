//! What the shop answers: paths, forms, checks of what came in. Knows HTTP; what is kept and how
//! is `state`'s business.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Path, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE, VARY,
};
use axum::http::header::{HeaderMap, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use sessile::{Error, Id};

use crate::cookie;
use crate::page::{self, Notice};
use crate::state::{CART_COUNT_MAX, Shop};

/// Bytes of a request's body; every form here is far smaller.
const BODY_BYTES_MAX: usize = 4096;
/// Bytes of a user's name, or of a thing in the cart.
const TEXT_BYTES_MAX: usize = 64;
/// How long a request may take: a body that does not come, a store that makes writers wait.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// The page needs nothing that is not here, and nothing that is typed into it runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub fn router(shop: Shop) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/shop.css", get(|| file("text/css", page::STYLE)))
        .route("/shop.js", get(|| file("text/javascript", page::SCRIPT)))
        .route("/visits", get(visits))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
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
        .with_state(shop)
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

/// What holds for every request: its time, its origin, its caches, its line in the log.
async fn around(request: Request, next: Next) -> Response {
    let (method, uri, begun) = (request.method().clone(), request.uri().clone(), Instant::now());
    // SameSite keeps the cookie from other sites' forms, but not their forms from us: a visitor
    // must not be logged in under a name of somebody else's choice.
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let mut response = if method == Method::POST && site == Some(b"cross-site") {
        Failure::Client(StatusCode::FORBIDDEN, "not from another site".to_owned()).into_response()
    } else {
        match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Cookie, Accept"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    tracing::debug!(%method, path = ?uri.path(), status = response.status().as_u16(), took = ?begun.elapsed());
    response
}

/// The page. Seen by a person, it is a visit; fetched by a program, it is not.
async fn index(State(shop): State<Shop>, uri: Uri, headers: HeaderMap) -> Answer {
    let id = cookie::read(&headers);
    let (visitor, new_id) = if wants_page(&headers) {
        let done = shop.change(id.as_ref(), |visitor| {
            visitor.visits = visitor.visits.saturating_add(1);
            visitor.clone()
        });
        let done = done.await?;
        (done.result, done.new_id)
    } else {
        (shop.visitor(id.as_ref())?.unwrap_or_default(), None)
    };
    let captcha = if visitor.human { None } else { Some(shop.new_captcha().await?) };
    let page = page::render(&visitor, captcha.as_ref(), Notice::of(uri.query()));
    Ok(with_cookie(Html(page), new_id.as_ref()))
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")];
    (headers, text).into_response()
}

async fn visits(State(shop): State<Shop>, headers: HeaderMap) -> Answer {
    let id = cookie::read(&headers);
    let done = shop.change(id.as_ref(), |visitor| {
        visitor.visits = visitor.visits.saturating_add(1);
        visitor.visits
    });
    let done = done.await?;
    Ok(with_cookie(Json(json!({ "visits": done.result })), done.new_id.as_ref()))
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn login(
    State(shop): State<Shop>,
    headers: HeaderMap,
    form: Result<Form<Login>, FormRejection>,
) -> Answer {
    let user = text("user", &read_form(form)?.user)?;
    let new_id = shop.login(cookie::read(&headers).as_ref(), &user).await?;
    Ok(with_cookie(Redirect::to("/"), Some(&new_id)))
}

async fn logout(State(shop): State<Shop>, headers: HeaderMap) -> Answer {
    if let Some(id) = cookie::read(&headers) {
        shop.logout(&id).await?;
    }
    let mut response = Redirect::to("/").into_response();
    response.headers_mut().extend(cookie::remove().map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

async fn me(State(shop): State<Shop>, headers: HeaderMap) -> Answer {
    let visitor = shop.visitor(cookie::read(&headers).as_ref())?.unwrap_or_default();
    Ok(Json(json!({ "user": visitor.user, "visits": visitor.visits })).into_response())
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

async fn add_to_cart(
    State(shop): State<Shop>,
    headers: HeaderMap,
    form: Result<Form<Item>, FormRejection>,
) -> Answer {
    let item = text("item", &read_form(form)?.item)?;
    let id = cookie::read(&headers);
    let done = shop.change(id.as_ref(), |visitor| {
        if visitor.cart.len() >= CART_COUNT_MAX {
            return None;
        }
        visitor.cart.push(item.clone());
        Some(visitor.cart.clone())
    });
    let done = done.await?;
    let answer = match done.result {
        _ if wants_page(&headers) => {
            let full = done.result.is_none();
            Redirect::to(if full { Notice::Full.path() } else { "/#cart" }).into_response()
        }
        Some(cart) => Json(json!({ "cart": cart })).into_response(),
        None => {
            let text = format!("the cart is full: it takes {CART_COUNT_MAX} items");
            Failure::Client(StatusCode::CONFLICT, text).into_response()
        }
    };
    Ok(with_cookie(answer, done.new_id.as_ref()))
}

async fn empty_cart(State(shop): State<Shop>, headers: HeaderMap) -> Answer {
    // Nobody there, nothing to empty: no session is made for that.
    if let Some(id) = cookie::read(&headers) {
        shop.change_known(&id, |visitor| visitor.cart.clear()).await?;
    }
    Ok(page_or(&headers, "/#cart", json!({ "cart": [] })))
}

async fn new_captcha(State(shop): State<Shop>) -> Answer {
    let id = shop.new_captcha().await?;
    Ok(Json(json!({ "id": id.expose() })).into_response())
}

async fn captcha_picture(State(shop): State<Shop>, Path(file): Path<String>) -> Answer {
    let id = file.strip_suffix(".svg").and_then(Id::parse);
    let captcha = match id {
        Some(id) => shop.captcha(&id)?,
        None => None,
    };
    match captcha {
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

async fn answer_captcha(
    State(shop): State<Shop>,
    headers: HeaderMap,
    form: Result<Form<Code>, FormRejection>,
) -> Answer {
    let Code { id, code } = read_form(form)?;
    let ok = match Id::parse(&id) {
        Some(id) => shop.answer(cookie::read(&headers).as_ref(), &id, &code).await?,
        None => false,
    };
    let notice = if ok { Notice::Right } else { Notice::Wrong };
    Ok(page_or(&headers, notice.path(), json!({ "ok": ok })))
}

async fn stats(State(shop): State<Shop>) -> Response {
    Json(shop.stats()).into_response()
}

async fn healthz(State(shop): State<Shop>) -> Response {
    let disk = shop.stats().disk.unwrap_or_default();
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

fn with_cookie(response: impl IntoResponse, new_id: Option<&Id>) -> Response {
    let mut response = response.into_response();
    let cookie = new_id.and_then(cookie::issue);
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
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
