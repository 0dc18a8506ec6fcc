//! The suite of a store's behaviours, over stores that conform and over stores that do not: every
//! check passes on the first and fails on one of the second.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[cfg(all(
    any(
        feature = "actix-session-0-11",
        feature = "tower-sessions-0-14",
        feature = "tower-sessions-0-15"
    ),
    any(feature = "bincode", feature = "postcard", feature = "json"),
    not(any(loom, shuttle))
))]
mod adapters;
#[cfg(not(any(loom, shuttle)))]
mod memory_store;
mod naive;
#[cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
mod store;
