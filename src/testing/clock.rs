//! A clock that stands still until it is moved.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Listener, Timestamp};

/// A clock that is moved by hand. Clones are the same clock. Moving it does, inside the call, all
/// that the stores on it have to do then.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    wall_ms: i64,
    boot_ms: u64,
    listeners: Vec<Weak<dyn Listener>>,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(time: Timestamp) -> Self {
        let (wall_ms, boot_ms) = (time.as_millis(), 0);
        ManualClock(Arc::new(Mutex::new(State { wall_ms, boot_ms, listeners: Vec::new() })))
    }

    /// A clock that shows some day in 2026.
    pub fn new() -> Self {
        Self::at(Timestamp::from_millis(1_790_000_000_000))
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let mut state = self.0.lock();
        state.wall_ms = state.wall_ms.saturating_add_unsigned(time.as_millis() as u64);
        state.boot_ms = state.boot_ms.saturating_add(time.as_millis() as u64);
        state.listeners.retain(|listener| listener.strong_count() > 0);
        let listeners = state.listeners.clone();
        drop(state);
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.moved();
        }
    }

    /// Sets the wall clock, as an operator or a time server would: no time passes.
    pub fn set_wall(&self, time: Timestamp) {
        self.0.lock().wall_ms = time.as_millis();
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.lock().wall_ms)
    }

    fn boot_ms(&self) -> u64 {
        self.0.lock().boot_ms
    }

    fn subscribe(&self, listener: Weak<dyn Listener>) -> bool {
        self.0.lock().listeners.push(listener);
        true
    }
}
