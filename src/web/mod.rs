//! HTTP: sessions for web servers. Knows no bytes on disk and no map.
//!
//! With the feature `tower`, [`SessionLayer`] gives every request its [`Session`], by the
//! [`Cookie`] that it carries, and sends what the browser needs to know; [`CrossSiteLayer`] refuses
//! requests that other sites make a browser send. With the feature `axum`, [`Session`] is an
//! extractor, and [`Error`](crate::Error) a response: 503 where it passes by itself or elsewhere,
//! 401 where a login is required, 500 for the rest, and never with a body, since its message is for
//! the operator.
//!
//! [`Session`]: crate::session::Session

#[cfg(feature = "axum")]
mod axum;
mod base64;
mod cookie;
mod cross_site;
pub mod csrf;
pub mod headers;
mod host;
mod layer;
mod status;
mod token;

#[cfg(feature = "axum")]
pub use axum::NoSessionLayer;
pub use cookie::{Cookie, CookieBuilder, Found, SameSite, SigningKey, Value};
pub use cross_site::{CrossSite, CrossSiteFuture, CrossSiteLayer};
pub use host::is_loopback_request;
pub use layer::{OnVanished, ResponseFuture, SessionLayer, SessionService};
