//! Fakes and models, for this crate's tests and for its users'.

mod clock;
mod life;
mod model;
mod ops;
mod random;
mod sim;

pub use clock::ManualClock;
pub use model::{ColdReads, Decision, Model, Seen};
pub use ops::{Level, OP_BYTES, Op, Step, Value, Wish};
pub use random::Random;
pub use sim::{Call, Failure, Fault, Keep, Moment, ReadFault, SimFs, SyncFailure};
