//! Fakes and models, for this crate's tests and for its users'.

mod clock;
pub mod conformance;
#[cfg(feature = "__inside")]
#[doc(hidden)]
pub mod inside;
mod life;
mod lives;
mod model;
mod ops;
mod random;
mod sim;
#[cfg(any(loom, shuttle))]
mod slow;
mod trial;
mod wait;
#[cfg(feature = "tower")]
mod web;

pub use clock::ManualClock;
pub use model::{ColdReads, Decision, Model, Seen};
pub use ops::{Level, OP_BYTES, Op, Step, Value, Wish};
pub use random::Random;
pub use sim::{Call, Failure, Fault, Keep, Moment, ReadFault, SimFs, SyncFailure};
#[cfg(any(loom, shuttle))]
pub use slow::SlowFs;
pub use trial::{End, Point, Setup, Trial};
pub use wait::block_on;
#[cfg(feature = "tower")]
pub use web::{cookie_for, cookie_in};
