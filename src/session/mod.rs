//! Sessions as web developers know them, without any HTTP: a dictionary for each visitor, that
//! expires, can be ended, and belongs to whoever has logged in.
//!
//! [`Sessions`] is all of them, [`Session`] one, as a request has it. `record` says what is kept
//! and under which keys, `state` what a request knows, `commit`, `renew` and `rotate` what happens with
//! its response, `immediate` and `end` what happens at once, `act` how that goes with what clones do.
//!
//! ```
//! use sessile::session::{SessionKey, Sessions};
//!
//! const VISITS: SessionKey<u32> = SessionKey::new("visits");
//!
//! # fn main() -> sessile::Result<()> {
//! let sessions = Sessions::builder().in_memory()?; // or .open("var/sessions")
//! let session = sessions.create();
//! session.insert(VISITS, 1)?;
//! let id = session.save()?.expect("a new session has a new id"); // into the cookie
//!
//! let session = sessions.load(&id)?.expect("it is there");
//! session.update(VISITS, |visits| *visits += 1)?; // at once, exact beside other requests
//! session.login("ada")?; // another id, with the response
//! let id = session.save()?.expect("a login has a new id");
//!
//! assert_eq!(sessions.list_of("ada")?.len(), 1);
//! assert_eq!(sessions.revoke_owner("ada")?, 1);
//! assert!(sessions.load(&id)?.is_none());
//! # Ok(())
//! # }
//! ```

mod act;
mod builder;
pub(crate) mod commit;
pub(crate) mod delta;
#[cfg(feature = "cli")]
mod describe;
mod dict;
mod end;
mod events;
#[cfg(feature = "tower")]
pub(crate) mod finish;
mod handle;
mod immediate;
mod key;
mod manager;
#[cfg(test)]
mod meddler;
mod once;
mod owner;
pub(crate) mod record;
mod renew;
mod resolve;
mod rotate;
mod shared;
mod state;
mod value;

/// Where the web layer keeps its token against cross-site requests.
pub(crate) const CSRF_TOKEN: &str = "_csrf";

pub use builder::SessionsBuilder;
#[cfg(feature = "cli")]
pub(crate) use describe::describe;
pub use events::{End, Event, EventKind, Refusal, Rotation, SessionCounts};
pub use handle::Session;
pub use key::{Name, SessionKey};
pub use manager::{SessionInfo, SessionList, Sessions};
pub use once::Redeemed;
pub use record::{Flash, Record, SessionExpiry};
pub use shared::WhenOwnerFull;
