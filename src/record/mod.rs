//! What is stored: how a value becomes bytes, and how long it lives. Pure values; no disk, no
//! threads, no clock.

pub(crate) mod codec;
pub(crate) mod expiry;
