//! What a store must answer: a register for each key, and all of them at once. Knows no threads.

/// Keys that calls are made with.
pub const KEYS: usize = 3;

/// A call on one key and its answer. Values are numbers that occur once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum One {
    Create(u32, bool),
    Insert(u32),
    /// The new value, and the one that was there.
    Update(u32, Option<u32>),
    Take(Option<u32>),
    Remove(bool),
    Get(Option<u32>),
    Peek(Option<u32>),
}

/// The state of a key after `call`, if it could answer so.
pub fn one(state: Option<u32>, call: One) -> Option<Option<u32>> {
    match call {
        One::Create(_, false) => state.is_some().then_some(state),
        One::Create(value, true) => state.is_none().then_some(Some(value)),
        One::Insert(value) => Some(Some(value)),
        One::Update(value, was) => (state == was).then_some(was.map(|_| value)),
        One::Take(was) => (state == was).then_some(None),
        One::Remove(was) => (state.is_some() == was).then_some(None),
        One::Get(was) | One::Peek(was) => (state == was).then_some(state),
    }
}

/// A call on any keys and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Any {
    One(usize, One),
    /// From, to, and whether there was one.
    Rename(usize, usize, bool),
    Clear,
    /// Exchanges two keys' values, in one transaction: what was there before.
    Swap([usize; 2], [Option<u32>; 2]),
    /// Reads all keys in one transaction.
    Look([Option<u32>; KEYS]),
}

/// The state of all keys after `call`, if they could answer so.
pub fn any(state: &[Option<u32>; KEYS], call: Any) -> Option<[Option<u32>; KEYS]> {
    let mut next = *state;
    match call {
        Any::One(key, call) => next[key] = one(state[key], call)?,
        Any::Rename(_, _, false) | Any::Swap(..) | Any::Look(_) | Any::Clear
            if !fits(state, call) =>
        {
            return None;
        }
        Any::Rename(_, _, false) | Any::Look(_) => {}
        Any::Rename(from, to, true) => next[to] = Some(next[from].take()?),
        Any::Clear => next = [None; KEYS],
        Any::Swap([a, b], _) => next.swap(a, b),
    }
    Some(next)
}

fn fits(state: &[Option<u32>; KEYS], call: Any) -> bool {
    match call {
        Any::Rename(from, _, there) => state[from].is_some() == there,
        Any::Swap([a, b], was) => [state[a], state[b]] == was,
        Any::Look(was) => *state == was,
        Any::One(..) | Any::Clear => true,
    }
}
