//! What requests do to the sessions of one thread, call by call, at a constant population: the
//! oldest session ends when a new one comes.
//!
//! Calls are laid out before the clock runs. How many of them are made is known only afterwards:
//! [`Traffic::made`] takes those over, and the rest is forgotten.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hint::black_box;

use super::{Bench, share};
use crate::Result;
use crate::keys::{Key, Random};
use crate::measure::{Stop, crew, until};
use crate::record::Record;
use crate::rivals::Change;

/// Calls of a thread in one round, at most.
const CALLS: usize = 200_000;
/// Calls between two looks at the clock.
const EVERY: usize = 16;

/// How many of 100 calls are visits and updates; the others create and remove in turn.
#[derive(Clone, Copy)]
pub struct Mix {
    pub visits: u64,
    pub updates: u64,
}

enum Call {
    Visit(Key),
    Update(Key),
    Create(Key),
    Remove(Key),
}

/// The sessions that are one thread's, the oldest first.
pub struct Traffic {
    live: VecDeque<Key>,
    random: Random,
    mix: Mix,
}

impl Traffic {
    /// One for each of `threads` threads, which share the sessions of the bench among them.
    pub fn of(bench: &Bench, threads: usize, mix: Mix) -> Vec<Traffic> {
        let of = |thread: usize| Traffic {
            live: share(&bench.keys.filed, thread, threads).iter().copied().collect(),
            random: Random::new(thread as u64),
            mix,
        };
        (0..threads).map(of).collect()
    }

    /// The next calls, which change nothing here.
    fn calls(&mut self, count: usize) -> Vec<Call> {
        let (mut fresh, mut ended) = (Vec::new(), 0);
        let mut calls = Vec::with_capacity(count);
        for _ in 0..count {
            let draw = self.random.next() % 100;
            if draw >= self.mix.visits + self.mix.updates {
                if fresh.len() == ended {
                    let key = self.random.key();
                    fresh.push(key);
                    calls.push(Call::Create(key));
                } else {
                    calls.push(Call::Remove(self.at(ended, &fresh)));
                    ended += 1;
                }
                continue;
            }
            let alive = self.live.len() + fresh.len() - ended;
            let place = ended + (self.random.next() % alive as u64) as usize;
            let key = self.at(place, &fresh);
            calls.push(if draw < self.mix.visits { Call::Visit(key) } else { Call::Update(key) });
        }
        calls
    }

    /// The session at `place`, the oldest being at 0 and `fresh` behind those that there are.
    fn at(&self, place: usize, fresh: &[Key]) -> Key {
        match self.live.get(place) {
            Some(key) => *key,
            None => fresh[place - self.live.len()],
        }
    }

    /// Takes over what `calls` did. Called with the first of those laid out, so it starts and ends
    /// where they did.
    fn made(&mut self, calls: &[Call]) {
        for call in calls {
            match call {
                Call::Create(key) => self.live.push_back(*key),
                Call::Remove(_) => drop(self.live.pop_front()),
                Call::Visit(_) | Call::Update(_) => (),
            }
        }
    }
}

/// One round: every thread makes its calls until they or the time end; calls per second.
pub fn round<C: Change>(bench: &Bench, clients: &mut [C], traffic: &mut [Traffic]) -> Result<f64> {
    let mut lanes: Vec<_> = clients
        .iter_mut()
        .zip(traffic.iter_mut().map(|traffic| traffic.calls(CALLS)))
        .map(|(client, calls)| (client, calls, 0))
        .collect();
    let stop = Stop { after: bench.size.slice, every: EVERY };
    let rate = crew(&mut lanes, |_, (client, calls, made), begun| {
        *made = until(begun, stop, calls.iter(), |call| make(*client, call))?;
        Ok(*made)
    })?;
    for (traffic, (_, calls, made)) in traffic.iter_mut().zip(&lanes) {
        traffic.made(&calls[..*made]);
    }
    Ok(rate)
}

fn make<C: Change>(client: &mut C, call: &Call) -> Result<()> {
    match call {
        Call::Visit(key) => {
            let value = client.visit(key)?.ok_or("a session is gone")?;
            black_box(value.borrow().user);
        }
        Call::Update(key) if !client.update(key, Record::see)? => {
            return Err("a session to be updated is gone".into());
        }
        Call::Create(key) => client.insert(key, Record::of(key))?,
        Call::Remove(key) if !client.remove(key)? => {
            return Err("a session to be removed is gone".into());
        }
        Call::Update(_) | Call::Remove(_) => (),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn what_is_visited_and_removed_is_there_wherever_the_rounds_end() {
        let mut live = Keys::new(50).filed;
        let mut traffic = Traffic {
            live: live.iter().copied().collect(),
            random: Random::new(1),
            mix: Mix { visits: 30, updates: 10 },
        };
        for round in 1..200 {
            let calls = traffic.calls(300);
            for call in &calls[..round] {
                match call {
                    Call::Visit(key) | Call::Update(key) => assert!(live.contains(key)),
                    Call::Create(key) => live.push(*key),
                    Call::Remove(key) => assert_eq!(live.remove(0), *key),
                }
            }
            traffic.made(&calls[..round]);
            assert!((50..300).contains(&live.len()), "{}", live.len());
        }
    }
}
