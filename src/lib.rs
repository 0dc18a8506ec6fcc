//! An embedded, in-process session store with persistence.
//!
//! A web server links it in and keeps its sessions in it: reads cost about as much as a look into
//! a hash map, what was acknowledged survives a crash, opening again takes milliseconds however
//! many sessions there are, and a session that has ended stays ended. There is no second process.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use sessile::{Id, Store};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Cart {
//!     items: Vec<String>,
//! }
//!
//! # fn main() -> sessile::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("sessile-doc-lib-{}", std::process::id()));
//! # let path = dir.as_path();
//! let store: Store<Cart> = Store::builder().idle(Duration::from_secs(14 * 24 * 3600)).open(path)?;
//!
//! let id = Id::new()?; // the secret: into the cookie, and nowhere else
//! let key = id.key(); // its digest: all that the store ever sees
//! store.create(key, Cart { items: Vec::new() })?;
//! store.update(&key, |cart| cart.items.push("tea".to_owned()))?;
//! assert_eq!(store.get(&key)?.map(|cart| cart.items.len()), Some(1));
//! store.remove(&key)?; // on disk when this returns
//! store.close()
//! # .map(|()| std::fs::remove_dir_all(&dir).unwrap_or_default())
//! # }
//! ```
//!
//! Begin with [`Store`] and [`Builder`]; [`Durability`] says what a call waits for, [`Expiry`] how
//! long a session lives, [`Error`] what can go wrong. The README has the promises in a table, what
//! to do about damage, and how to change a stored type. [`format`](mod@format) has every byte on disk.
//!
//! # The tree
//!
//! Imports point down only; `tests/tidy.rs` sees to it.
//!
//! | folder or file | what it is |
//! |---|---|
//! | `store/` | memory: the map, the timer wheels, the order of a write, flush and merge; generic over the value |
//! | `log/` | the append-only log, its recovery, the manifest; knows no values |
//! | `base/` | immutable snapshot files; knows no values either |
//! | `record/` | how a value becomes bytes, and how long it lives |
//! | `fs/` | the file-system port; the only place that touches files, and the only `unsafe` |
//! | `web/` | HTTP, behind the features `tower` and `axum`: cookies, headers, requests of other sites |
//! | `adapters/` | the session stores of other crates, over ours; behind a feature each |
//! | `inspect/` | reads a directory that is in use or damaged, and changes nothing; behind the feature `cli` |
//! | `command/` | the command `sessile`, behind the same feature; `src/bin/` starts it |
//! | `error` `limits` `clock` `id` `hash` `metrics` `sync` | what everybody uses |
//! | `testing/` | a clock moved by hand and other fakes, behind the feature `testing` |
//!
//! A write is admitted (there is room, and nothing is held), encoded, takes the lock of its key's
//! stripe, is appended to the log's buffer, changes the map, unlocks, and waits for the durability
//! that was asked for. A read looks into the map; what is not there is looked for in the bases,
//! newest first. From time to time what has changed becomes a small base (a flush), and small bases
//! become one (a merge). Nothing stops meanwhile.

#![warn(unreachable_pub)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used))]

#[cfg(not(target_os = "linux"))]
compile_error!("sessile supports Linux only: it relies on CLOCK_BOOTTIME, flock and fallocate");

#[cfg(any(
    feature = "actix-session-0-11",
    feature = "tower-sessions-0-14",
    feature = "tower-sessions-0-15"
))]
pub mod adapters;
#[cfg(feature = "session")]
mod backend;
mod base;
mod clock;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod command;
mod entropy;
mod error;
pub mod format;
pub mod fs;
mod hash;
mod id;
#[cfg(feature = "cli")]
mod inspect;
mod limits;
mod log;
mod metrics;
mod record;
#[cfg(feature = "session")]
pub mod session;
mod store;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(any(test, feature = "session", feature = "testing"))]
mod wait;
#[cfg(feature = "tower")]
pub mod web;

pub use clock::{Clock, Listener, SystemClock, Timestamp};
pub use error::{Error, Result};
pub use fs::Permissions;
pub use id::{Id, Key};
pub use log::Durability;
pub use metrics::{BaseStats, DiskStats, RecoveryStats, Stats};
#[cfg(feature = "bincode")]
pub use record::codec::Bincode;
#[cfg(feature = "json")]
pub use record::codec::Json;
#[cfg(feature = "postcard")]
pub use record::codec::Postcard;
pub use record::codec::{Codec, CodecError, Sink};
pub use record::expiry::Expiry;
pub use store::{
    Background, Builder, Iter, Read, Recovery, Salvage, Slots, Store, SuspectClock, WhenFull,
    Written,
};

/// The examples in the README, compiled and run as tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples in the page on switching, compiled and run as tests.
#[cfg(all(
    doctest,
    feature = "actix-session-0-11",
    feature = "bincode",
    feature = "testing",
    feature = "tower-sessions-0-15"
))]
#[doc = include_str!("../docs/switching.md")]
struct Switching;
