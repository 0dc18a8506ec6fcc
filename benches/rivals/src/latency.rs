//! Latency under calls that come at a fixed rate, whether or not the ones before have returned.
//!
//! A call's latency counts from the moment it was due. A stall is thus seen by every call that it
//! keeps waiting, as by visitors of a web site, and not only by the one that happened to be under
//! way: nothing is left out because a slow side is asked less.

use std::num::NonZeroU64;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::thread::set_current_timer_slack;

use crate::Result;

/// The longest latency that is told from longer ones, in ns.
const LONGEST: u64 = 60_000_000_000;
/// How long before a call is due its thread wakes up, where it sleeps at all.
const SHORT: Duration = Duration::from_micros(10);
/// A side that needs so many times as long as the schedule has lost.
const PATIENCE: u32 = 5;

/// What is said of the latencies of a run.
pub const POINTS: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Latencies in nanoseconds, to three digits.
pub struct Latency(Histogram<u64>);

impl Latency {
    pub fn new() -> Result<Self> {
        Ok(Latency(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos);
    }

    /// Microseconds that this share of the calls did not exceed; for 1.0 the longest.
    pub fn at(&self, share: f64) -> f64 {
        let nanos = if share >= 1.0 { self.0.max() } else { self.0.value_at_quantile(share) };
        nanos as f64 / 1000.0
    }

    /// Microseconds at each of [`POINTS`].
    pub fn points(&self) -> [f64; POINTS.len()] {
        POINTS.map(|(_, share)| self.at(share))
    }
}

/// Calls per second, of all threads together, and for how long.
#[derive(Clone, Copy)]
pub struct Load {
    pub per_second: u32,
    pub length: Duration,
}

impl Load {
    /// As many calls as there are keys.
    pub fn of_calls(per_second: u32, calls: usize) -> Self {
        Load { per_second, length: Duration::from_secs_f64(calls as f64 / f64::from(per_second)) }
    }

    fn calls(self) -> usize {
        (self.length.as_secs_f64() * f64::from(self.per_second)).round() as usize
    }
}

/// Has the `clients`, each on a thread of its own, make the calls of `load` when they are due, in
/// turn. `call` takes its client and its number, from 0.
///
/// While there is a processor left for those that are measured, threads spin until a call is due:
/// an idle processor of a virtual machine may take a millisecond to come back. Otherwise they
/// sleep.
///
/// # Errors
/// What `call` says; that the calls took five times as long as the schedule.
pub fn open_loop<C: Send>(
    load: Load,
    clients: &mut [C],
    call: impl Fn(&mut C, usize) -> Result<()> + Sync,
) -> Result<Latency> {
    let gate = Barrier::new(clients.len());
    let threads = clients.len();
    let wake = match threads < thread::available_parallelism()?.get() {
        true => Duration::MAX,
        false => SHORT,
    };
    let run = |thread: usize, client: &mut C| -> Result<Latency> {
        // The kernel may else be 50 µs late with every wake-up.
        set_current_timer_slack(NonZeroU64::new(1))?;
        let mut latency = Latency::new()?;
        gate.wait();
        let begun = Instant::now();
        for number in (thread..load.calls()).step_by(threads) {
            let due = begun + Duration::from_secs_f64(number as f64 / f64::from(load.per_second));
            wait_until(due, wake);
            call(client, number)?;
            latency.record(due.elapsed());
            if begun.elapsed() > load.length * PATIENCE {
                return Err("the calls take five times as long as the schedule".into());
            }
        }
        Ok(latency)
    };
    let mut all = Latency::new()?;
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(index, client)| scope.spawn(move || run(index, client)))
            .collect();
        for thread in threads {
            all.0.add(thread.join().unwrap_or_else(|panic| resume_unwind(panic))?.0)?;
        }
        Ok(all)
    })
}

/// Returns when `due` has come; sleeps until `wake` before it.
fn wait_until(due: Instant, wake: Duration) {
    loop {
        let pause = due.saturating_duration_since(Instant::now());
        if pause.is_zero() {
            return;
        }
        if pause > wake {
            thread::sleep(pause - wake);
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_by_every_call_that_it_keeps_waiting() {
        let load = Load { per_second: 1000, length: Duration::from_millis(200) };
        let stall = |(): &mut (), number| {
            if number == 50 {
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        };
        let latency = open_loop(load, &mut [()], stall).unwrap();
        // Half of the calls were due while one of them slept.
        assert!(latency.at(1.0) >= 100_000.0, "{}", latency.at(1.0));
        assert!(latency.at(0.75) >= 40_000.0, "{}", latency.at(0.75));
    }

    #[test]
    fn threads_divide_the_calls_and_every_one_is_made_once() {
        let load = Load::of_calls(10_000, 101);
        let made = std::sync::Mutex::new(Vec::new());
        let call = |(): &mut (), number| {
            made.lock().unwrap().push(number);
            Ok(())
        };
        open_loop(load, &mut [(), (), ()], call).unwrap();
        let mut made = made.into_inner().unwrap();
        made.sort_unstable();
        assert_eq!(made, (0..101).collect::<Vec<_>>());
    }
}
