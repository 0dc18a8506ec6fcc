//! The options of the session cookie, and what follows the value in `Set-Cookie`. Knows no
//! request.

use super::Cookie;
use super::rules::{self, SameSite};
use super::sign::{Keys, SigningKey};
use crate::error::Result;

/// Options for a [`Cookie`]; nothing is judged before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct CookieBuilder {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: SameSite,
    pub(super) partitioned: bool,
    pub(super) plain_http: bool,
    keys: Option<Vec<SigningKey>>,
}

impl Default for CookieBuilder {
    fn default() -> Self {
        CookieBuilder {
            name: "__Host-sid".to_owned(),
            path: "/".to_owned(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            plain_http: false,
            keys: None,
        }
    }
}

impl CookieBuilder {
    /// The name, `__Host-sid` by default. Browsers hold a cookie whose name begins with `__Host-`,
    /// `__Secure-`, `__Http-` or `__Host-Http-` to what the prefix promises, and so does
    /// [`build`](Self::build). Cookies are not kept apart by port: two servers on one host need
    /// two names.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The path below which it is sent, `/` by default. No protection: pages on other paths of the
    /// same host can get at it.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sent to this domain and to all hosts below it, each of which can then also plant or replace
    /// it. Without, which is the default, to the very host only. Needs a name without `__Host-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether it is sent over HTTPS only, as by default. Without, a cookie is refused for all
    /// hosts but loopback ones: see [`allow_plain_http`](Self::allow_plain_http).
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether it is out of reach of scripts, as by default.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// With which requests of other sites it is sent: [`SameSite::Lax`] by default. Always written
    /// out, because browsers differ in what they do without. Not a protection against cross-site
    /// requests by itself: see [`CrossSiteLayer`](crate::web::CrossSiteLayer).
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Kept apart for each site that embeds this one. Needs `Secure`, and makes sense with
    /// [`SameSite::None`] only.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Says that a cookie without `Secure` may go to any host: everybody between the browser and
    /// the server can then read it and take the session over.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Signs the value with the first of these keys, and refuses what none of them has signed. To
    /// change the key, put the new one first and drop the old one when its cookies have ended.
    ///
    /// An id cannot be guessed with or without a signature. What this buys is that made-up ids are
    /// turned away before anything is looked up; it costs a microsecond or so a request, and every
    /// session that was there before.
    pub fn signed_with(mut self, keys: impl IntoIterator<Item = SigningKey>) -> Self {
        self.keys = Some(keys.into_iter().collect());
        self
    }

    /// Judges the options.
    ///
    /// # Errors
    /// `is_config` for what a browser would refuse or misread: a name that is no token, a prefix
    /// whose promise is not kept, `SameSite=None` or `Partitioned` without `Secure`, a path or
    /// domain with bytes that do not belong there, anything too long, no key or more than eight.
    pub fn build(mut self) -> Result<Cookie> {
        rules::check(&self)?;
        let keys = self.keys.take();
        let keys = keys.map(|keys| Keys::new(&keys, &self.name)).transpose()?;
        Ok(Cookie::make(self, keys))
    }

    /// What follows the value, and `Max-Age` if there is one.
    pub(super) fn tail(&self) -> String {
        let mut tail = format!("; Path={}", self.path);
        if let Some(domain) = &self.domain {
            tail.push_str("; Domain=");
            tail.push_str(domain);
        }
        for (is_set, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (true, self.same_site.attribute()),
            (self.partitioned, "; Partitioned"),
        ] {
            tail.push_str(if is_set { attribute } else { "" });
        }
        tail
    }
}
