//! The session cookie: how it is found, read, written and removed. Knows ids, and nothing of what
//! is stored under them.

mod builder;
mod read;
mod rules;
mod sign;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Uri};
use httpdate::HttpDate;

pub use builder::CookieBuilder;
pub use read::Found;
pub use rules::SameSite;
pub use sign::{SigningKey, Value};

use crate::clock::Timestamp;
use crate::id::Id;
use crate::limits::COOKIE_AGE_MAX;
use crate::web::host::is_loopback_request;
use sign::Keys;

/// What [`spell`] writes for the longest age.
const AGE_BYTES_MAX: usize = "; Max-Age=34560000; Expires=Sun, 06 Nov 1994 08:49:37 GMT".len();

/// Seconds since 1970: beyond that a date of HTTP cannot go.
const YEAR_9999_ENDS: u64 = 253_402_300_800;

const _: () = assert!(COOKIE_AGE_MAX.as_secs() == 34_560_000);

/// How the session cookie is called, and what browsers are told about it.
///
/// The default is `__Host-sid` with `Path=/`, `Secure`, `HttpOnly` and `SameSite=Lax`: a name that
/// neither another host nor plain HTTP can plant, on the whole site, out of reach of scripts, sent
/// along when somebody follows a link, and not with other sites' posts. `Strict` would break links
/// in mails and the way back from a login elsewhere. Everything else is [`builder`](Self::builder)'s.
///
/// It is built once, at the start, and never from what a request says: above all `Secure` is not
/// inferred from one. A clone costs a reference count.
///
/// ```
/// use sessile::web::{Cookie, SameSite, SigningKey};
///
/// # fn main() -> sessile::Result<()> {
/// # let [current, previous] = ["the secret of this year, 32 bytes", "the secret of last year, 32 bytes"];
/// let cookie = Cookie::builder()
///     .name("__Host-shop")
///     .same_site(SameSite::Strict)
///     .signed_with([SigningKey::new(current)?, SigningKey::new(previous)?])
///     .build()?;
/// # let _ = cookie;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Cookie(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: CookieBuilder,
    keys: Option<Keys>,
    /// What follows the value, and `Max-Age` if there is one.
    tail: String,
    removal: HeaderValue,
}

impl Default for Cookie {
    fn default() -> Self {
        Cookie::make(CookieBuilder::default(), None)
    }
}

impl Cookie {
    /// One that differs from the default.
    pub fn builder() -> CookieBuilder {
        CookieBuilder::default()
    }

    /// For plain HTTP on one's own machine: called `sid`, and without `Secure`, since not every
    /// browser takes a `Secure` cookie from `http://localhost`. It is
    /// [allowed](Self::is_allowed_for) only for requests to a loopback host.
    pub fn local_dev() -> Self {
        Cookie::make(CookieBuilder::default().name("sid").secure(false), None)
    }

    /// The options are valid.
    fn make(options: CookieBuilder, keys: Option<Keys>) -> Self {
        let tail = options.tail();
        let ended =
            format!("{}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{tail}", options.name);
        // What is valid fits into a header, so this cannot fail.
        let removal = HeaderValue::try_from(ended).unwrap_or_else(|_| HeaderValue::from_static(""));
        Cookie(Arc::new(Inner { options, keys, tail, removal }))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.options.name
    }

    /// Whether it has `Secure`.
    pub fn is_secure(&self) -> bool {
        self.0.options.secure
    }

    /// Looks for the cookie in all `Cookie` fields of a request: HTTP/2 may split them. Allocates
    /// nothing, and costs a few nanoseconds for each cookie.
    pub fn find<'a>(&self, headers: &'a HeaderMap) -> Found<'a> {
        self.find_in(headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes))
    }

    /// [`find`](Self::find) in the bytes of the fields.
    pub fn find_in<'a>(&self, fields: impl IntoIterator<Item = &'a [u8]>) -> Found<'a> {
        read::find(fields.into_iter(), self.name().as_bytes())
    }

    /// The id that a value carries; `None` if it carries none: malformed, or not signed by one of
    /// the keys. Allocates nothing; a signature costs about half a microsecond a key.
    pub fn decode(&self, value: impl AsRef<[u8]>) -> Option<Id> {
        sign::decode(value.as_ref(), self.0.keys.as_ref())
    }

    /// The value that carries an id. Allocates nothing.
    pub fn encode(&self, id: &Id) -> Value {
        Value::encode(id, self.0.keys.as_ref())
    }

    /// The `Set-Cookie` that gives a browser this id, to be kept for `max_age` from `now` on,
    /// rounded down to seconds and at most 400 days, or until the browser is closed. Says so as
    /// `Max-Age`, which counts wherever both are there, and as `Expires`, for what knows only that.
    /// Marked sensitive, so that `http` prints it nowhere. One allocation.
    pub fn set(&self, id: &Id, max_age: Option<Duration>, now: Timestamp) -> HeaderValue {
        let (name, value, tail) = (self.name(), self.encode(id), &self.0.tail);
        let mut buffer = [0; AGE_BYTES_MAX];
        let age = max_age.map_or(&[][..], |age| spell(age.min(COOKIE_AGE_MAX), now, &mut buffer));
        let parts = [name.as_bytes(), b"=", value.expose().as_bytes(), age, tail.as_bytes()];
        // Of the very size, so that it becomes the header's without a copy.
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        // What is valid fits into a header, so this cannot fail.
        let header = HeaderValue::try_from(bytes);
        let mut header = header.unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// The `Set-Cookie` that makes a browser forget the cookie. It repeats name, path, domain and
    /// `Secure`, without which browsers would keep it. Allocates nothing after the first time.
    pub fn removal(&self) -> HeaderValue {
        self.0.removal.clone()
    }

    /// Whether the cookie may go out in the answer to a request. One without `Secure` only to a
    /// loopback host, or where [`CookieBuilder::allow_plain_http`] was called. One with `Secure` always
    /// may: behind a proxy that ends TLS every request comes over plain HTTP. Where there is no TLS at
    /// all browsers drop it, and each request that sets something begins another session.
    pub fn is_allowed_for(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let options = &self.0.options;
        options.secure || options.plain_http || is_loopback_request(uri, headers)
    }
}

/// `Max-Age` and `Expires`, written into `to`.
fn spell(age: Duration, now: Timestamp, to: &mut [u8; AGE_BYTES_MAX]) -> &[u8] {
    let ends = now.after(age).as_millis().div_euclid(1000);
    let ends = u64::try_from(ends).unwrap_or(0).min(YEAR_9999_ENDS - 1);
    let expires = HttpDate::from(UNIX_EPOCH + Duration::from_secs(ends));
    let mut rest = &mut to[..];
    // It has room for the longest age, so this cannot fail.
    let _ = write!(rest, "; Max-Age={}; Expires={expires}", age.as_secs());
    let unused = rest.len();
    to.get(..AGE_BYTES_MAX - unused).unwrap_or_default()
}
