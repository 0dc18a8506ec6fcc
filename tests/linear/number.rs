//! A value that lets other threads run while the store copies, encodes or decodes it: there they
//! would interrupt a store only rarely, and there it matters. Knows nothing else.

use std::cell::Cell;
use std::thread;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug)]
pub struct Number(pub u32);

/// Every third time, more or less.
pub fn perhaps_yield() {
    thread_local! {
        static TURN: Cell<u32> = const { Cell::new(1) };
    }
    let turn = TURN.get().wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    TURN.set(turn);
    if turn >> 16 & 3 == 0 {
        thread::yield_now();
    }
}

impl Clone for Number {
    fn clone(&self) -> Self {
        perhaps_yield();
        Number(self.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        perhaps_yield();
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        perhaps_yield();
        u32::deserialize(deserializer).map(Number)
    }
}
