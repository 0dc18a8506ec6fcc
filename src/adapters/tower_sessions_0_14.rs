//! The session store of tower-sessions 0.14 (its crate `tower-sessions-core`), over this crate's.
//!
//! ```
//! use sessile::session::Sessions;
//! use sessile::adapters::tower_sessions_0_14::SessileStore;
//!
//! # fn main() -> sessile::Result<()> {
//! let sessions = Sessions::builder().in_memory()?; // or `.open("var/sessions")`
//! let store = SessileStore::new(&sessions);
//! // SessionManagerLayer::new(store) from here on, as with any other store.
//! # let _ = store;
//! # Ok(())
//! # }
//! ```

super::tower_sessions::adapter!(tower_sessions_core_0_14);
