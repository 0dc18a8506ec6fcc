//! Stores for the session crates of others: their traits over ours, so that an application
//! changes stores in one line. Knows those traits, and of the store only what `backend` says.
//!
//! | feature | module | trait |
//! |---|---|---|
//! | `tower-sessions-0-14` | `tower_sessions_0_14` | `tower_sessions_core::SessionStore` 0.14 |
//! | `tower-sessions-0-15` | `tower_sessions_0_15` | `tower_sessions_core::SessionStore` 0.15 |
//! | `actix-session-0-11` | `actix_session_0_11` | `actix_session::storage::SessionStore` 0.11 |
//!
//! What all three promise: a session that was deleted, or has expired, is never brought back: a
//! save of it is dropped and counted, and is no error. A new session never takes the place of
//! another. A deletion is on disk when it returns. No id reaches the store, a log or a `Debug` of
//! this crate: records are filed under a digest. What those crates do with ids above their
//! stores is theirs; `docs/switching.md` says what stays as it is.

#[cfg(feature = "actix-session-0-11")]
pub mod actix_session_0_11;
mod backend;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
mod tower_sessions;
#[cfg(feature = "tower-sessions-0-14")]
pub mod tower_sessions_0_14;
#[cfg(feature = "tower-sessions-0-15")]
pub mod tower_sessions_0_15;
