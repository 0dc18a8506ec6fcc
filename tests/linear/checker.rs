//! Whether there is an order in which one thread could have got the same answers: Wing and Gong's
//! search, with Lowe's memory of what has been tried. Knows no store, only times and steps.

use std::collections::HashSet;
use std::hash::Hash;

/// A call that has returned: when it began and ended, by a counter that all threads share, and
/// what was called and answered.
#[derive(Clone, Debug)]
pub struct Event<C> {
    pub thread: usize,
    pub called: u64,
    pub returned: u64,
    pub call: C,
}

impl<C> Event<C> {
    /// The same event of another kind of call.
    pub fn with<D>(&self, call: D) -> Event<D> {
        Event { thread: self.thread, called: self.called, returned: self.returned, call }
    }
}

/// Most events of one history: a set of them is a word.
pub const EVENTS_MAX: usize = 64;

/// Looks for an order of all events, each at a moment between its call and its return, in which
/// every one answers as it did. `step` gives the state after a call, or `None` where a store in
/// this state would have answered something else.
pub fn is_linearizable<C, S: Clone + Eq + Hash>(
    start: S,
    events: &[Event<C>],
    step: impl Fn(&S, &C) -> Option<S>,
) -> bool {
    assert!(events.len() <= EVENTS_MAX, "a history of {} events", events.len());
    let all = u64::MAX.checked_shr(64 - events.len() as u32).unwrap_or(0);
    let mut tried = HashSet::new();
    let mut open = vec![(0, start)];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        let left = || events.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        // Whoever was called after another had returned comes after it.
        let first_return = left().map(|(_, event)| event.returned).min().unwrap_or(u64::MAX);
        for (at, event) in left().filter(|(_, event)| event.called < first_return) {
            let Some(next) = step(&state, &event.call) else { continue };
            let next = (done | 1 << at, next);
            if tried.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    false
}

/// The history for a person: one line for each event, by the time of its call.
pub fn describe<C: std::fmt::Debug>(events: &[Event<C>]) -> String {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|event| event.called);
    let line = |event: &&Event<C>| {
        let Event { thread, called, returned, call } = event;
        format!("  thread {thread}  {called:>5} ..{returned:>5}  {call:?}\n")
    };
    events.iter().map(line).collect()
}
