//! Sessions over HTTP, as axum's users have them: the layer, the cookie, the headers.
#![cfg(all(feature = "axum", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod browser;
mod plain_http;
mod secrets;
mod shared_caches;
mod statements;
mod streams;
mod tokens;
