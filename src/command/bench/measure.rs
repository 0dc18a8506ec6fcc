//! How time is measured: threads that start together, a rate, and latencies of a sample.
//!
//! Knows no store: a work is a closure that does one call.

use std::sync::Barrier;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::visit::Random;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::sync::thread;

/// The longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(60);

/// What one thread has.
pub(super) struct Worker {
    pub(super) random: Random,
    pub(super) thread: usize,
    /// Calls it has made.
    pub(super) calls: u64,
}

/// A rate and latencies.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) ops_per_s: f64,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
}

impl Measured {
    /// What was measured before, if anything, and one of several equal turns.
    pub(super) fn plus(before: Option<Measured>, share: f64, turn: Measured) -> Result<Measured> {
        let mut sum = match before {
            Some(before) => before,
            None => Measured { ops_per_s: 0.0, latencies: histogram()? },
        };
        sum.ops_per_s += share * turn.ops_per_s;
        sum.latencies.add(turn.latencies).map_err(|error| trouble().caused_by(error))?;
        Ok(sum)
    }
}

/// Calls `work` again and again, on so many threads, for so long. Of `every` calls one is timed
/// by itself: reading the clock costs some 25 ns, a good part of a quick call.
pub(super) fn measure(
    threads: usize,
    seconds: f64,
    every: u64,
    work: impl Fn(&mut Worker) -> Result<()> + Sync,
) -> Result<Measured> {
    let gate = Barrier::new(threads);
    let run = |number: usize| -> Result<(f64, u64, Histogram<u64>)> {
        let mut worker = Worker { random: Random(number as u64), thread: number, calls: 0 };
        let mut latencies = histogram()?;
        gate.wait();
        let begun = Stopwatch::start();
        loop {
            for _ in 1..every {
                work(&mut worker)?;
                worker.calls += 1;
            }
            let call = Stopwatch::start();
            work(&mut worker)?;
            worker.calls += 1;
            latencies.saturating_record(nanos(call.elapsed()));
            let passed = begun.elapsed().as_secs_f64();
            if passed >= seconds {
                return Ok((passed, worker.calls, latencies));
            }
        }
    };
    let runs = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || run(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut measured = Measured { ops_per_s: 0.0, latencies: histogram()? };
    for (passed, calls, latencies) in runs {
        measured.ops_per_s += calls as f64 / passed;
        measured.latencies.add(latencies).map_err(|error| trouble().caused_by(error))?;
    }
    Ok(measured)
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, nanos(LONGEST), 3).map_err(|error| trouble().caused_by(error))
}

fn trouble() -> Error {
    Error::config("the latencies cannot be counted")
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
