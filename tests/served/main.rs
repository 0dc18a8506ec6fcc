//! End to end: browsers with cookie jars, real sockets, and servers in processes of their own that
//! are killed under load.
//!
//! The servers speak plain HTTP on loopback. `jar` treats that as browsers treat `localhost`: as a
//! trustworthy origin, which may set and be sent `Secure` cookies. So the cookies here are the very
//! ones of production, and nothing stands in for TLS but that rule.
#![cfg(all(
    feature = "actix-session-0-11",
    feature = "axum",
    feature = "testing",
    any(feature = "bincode", feature = "postcard", feature = "json"),
    not(any(loom, shuttle))
))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;

mod actix_journey;
mod axum_journey;
mod browser;
mod client;
mod jar;
mod jar_rules;
mod killed_ends;
mod killed_logins;
mod killed_once;
mod killed_writes;
mod life;
mod server;
mod shop;
mod stopped;
