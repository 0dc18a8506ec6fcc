//! How time is measured: threads that start together, two sides in turn, medians.
//!
//! Knows neither stores nor works; a side is a closure that runs one round and gives its rate.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Fewer rounds than this say nothing, however long they take.
const ROUNDS_MIN: usize = 3;

/// How long a thread goes on within a round.
#[derive(Clone, Copy)]
pub struct Stop {
    pub after: Duration,
    /// Calls between two looks at the clock, which costs about 25 ns.
    pub every: usize,
}

/// Runs `call` on one key after the other until they end or `stop` says so; the calls made.
pub fn until<'a, K: 'a>(
    begun: Instant,
    stop: Stop,
    keys: impl Iterator<Item = &'a K>,
    mut call: impl FnMut(&'a K) -> Result<()>,
) -> Result<usize> {
    let mut calls = 0;
    for key in keys {
        call(key)?;
        calls += 1;
        if calls % stop.every == 0 && begun.elapsed() >= stop.after {
            break;
        }
    }
    Ok(calls)
}

/// Runs `body` once for each client, on a thread of its own, all starting together. `body` takes
/// the thread's number, its client and its start, and returns the calls it made.
///
/// Returns calls per second, from the first start to the last end.
pub fn crew<C: Send>(
    clients: &mut [C],
    body: impl Fn(usize, &mut C, Instant) -> Result<usize> + Sync,
) -> Result<f64> {
    let gate = Barrier::new(clients.len());
    let run = |index: usize, client: &mut C| -> Result<_> {
        gate.wait();
        let begun = Instant::now();
        let calls = body(index, client, begun)?;
        Ok((begun, Instant::now(), calls))
    };
    let spans = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(index, client)| scope.spawn(move || run(index, client)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    let begun = spans.iter().map(|span| span.0).min().ok_or("no threads")?;
    let ended = spans.iter().map(|span| span.1).max().ok_or("no threads")?;
    let calls: usize = spans.iter().map(|span| span.2).sum();
    Ok(calls as f64 / (ended - begun).as_secs_f64())
}

/// What two sides reached, round by round, in the same unit.
pub struct Pair {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Pair {
    /// Runs both sides in turn, after one round each that does not count. Who goes first changes
    /// with every round, so that neither always finds what the other left. Ends early, though
    /// not before three rounds, when `budget` is used up.
    pub fn measure(
        rounds: usize,
        budget: Duration,
        mut ours: impl FnMut(usize) -> Result<f64>,
        mut theirs: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Self> {
        let begun = Instant::now();
        ours(0)?;
        theirs(0)?;
        let mut pair = Pair { ours: Vec::new(), theirs: Vec::new() };
        for round in 1..=rounds {
            if round % 2 == 0 {
                pair.ours.push(ours(round)?);
                pair.theirs.push(theirs(round)?);
            } else {
                pair.theirs.push(theirs(round)?);
                pair.ours.push(ours(round)?);
            }
            if round >= ROUNDS_MIN && begun.elapsed() >= budget {
                break;
            }
        }
        Ok(pair)
    }

    /// The medians of the two sides.
    pub fn medians(&self) -> (f64, f64) {
        (quantile(&self.ours, 0.5), quantile(&self.theirs, 0.5))
    }

    /// The quartiles of the rounds' own ratios.
    pub fn spread(&self) -> (f64, f64) {
        let ratios: Vec<f64> =
            self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect();
        (quantile(&ratios, 0.25), quantile(&ratios, 0.75))
    }

    pub fn rounds(&self) -> usize {
        self.ours.len()
    }
}

/// The value below which `share` of `values` lie, between two of them if need be.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = share * values.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_crew_counts_the_calls_of_all() {
        let rate = crew(&mut [(), ()], |_, (), _| {
            thread::sleep(Duration::from_millis(50));
            Ok(100)
        });
        assert!((1000.0..=4000.0).contains(&rate.unwrap()));
    }
}
