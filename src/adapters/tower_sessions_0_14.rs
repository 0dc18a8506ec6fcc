//! The session store of tower-sessions 0.14 (its crate `tower-sessions-core`), over this crate's.
//!
//! ```
//! use sessile::Store;
//! use sessile::adapters::tower_sessions_0_14::SessileStore;
//!
//! # fn main() -> sessile::Result<()> {
//! let store = Store::builder().in_memory()?; // or `.open("var/sessions")`
//! let sessions = SessileStore::new(&store);
//! // SessionManagerLayer::new(sessions) from here on, as with any other store.
//! # let _ = sessions;
//! # Ok(())
//! # }
//! ```

super::tower_sessions::adapter!(tower_sessions_core_0_14);
