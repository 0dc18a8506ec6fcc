//! HTTP: what web servers need of this crate. Knows no bytes on disk and no map.
//!
//! With the feature `tower`: the session [`Cookie`] and how its bytes are read, written and signed;
//! [`headers`] that keep answers out of shared caches; [`CrossSiteLayer`] against requests that
//! other sites make a browser send, and [`csrf`] tokens for those who want them too.
//!
//! With the feature `axum`, [`Error`](crate::Error) is a response: 503 where it passes by itself
//! or elsewhere, 500 for the rest, and never a body, since its message is for the operator.

#[cfg(feature = "axum")]
mod axum;
mod base64;
mod cookie;
mod cross_site;
pub mod csrf;
pub mod headers;
mod host;

pub use cookie::{Cookie, CookieBuilder, Found, SameSite, SigningKey, Value};
pub use cross_site::{CrossSite, CrossSiteFuture, CrossSiteLayer};
pub use host::is_loopback_request;
