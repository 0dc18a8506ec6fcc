//! A whole server over loopback: a counter in the session, for 64 visitors at once. Server and
//! visitors are processes of their own.

pub mod load;
mod redis;
pub mod serve;

use std::io::{BufRead, BufReader};
use std::process::Child;

use self::redis::Redis;
use super::Bench;
use crate::Result;
use crate::child;
use crate::measure::{Spread, rounds};
use crate::report::{Goal, Line, Rival};

/// A server that is ended, by its own process id, with this value.
struct Server {
    process: Child,
    port: usize,
    /// What it asks in its turn, if it does.
    redis: Option<Redis>,
    /// Of each round: requests a second, median and 99th percentile of the latency in µs, µs of
    /// processor time for a request.
    rounds: Vec<[f64; 4]>,
}

pub fn run(bench: &Bench, print: &mut dyn FnMut(Line)) -> Result<()> {
    let count = bench.size.visits;
    let mut ours = Server::start(bench, "sessile", None)?;
    let mut memory = Server::start(bench, "memory-store", None)?;
    if let Some(reason) = Redis::missing() {
        eprintln!("visits beside Redis: skipped: {reason}");
        rounds(
            count,
            [&mut |round| ours.load(bench, round), &mut |round| memory.load(bench, round)],
        )?;
    } else {
        let redis = Redis::start(&bench.scratch.fresh())?;
        let mut redis = Server::start(bench, "redis", Some(redis))?;
        rounds(
            count,
            [
                &mut |round| ours.load(bench, round),
                &mut |round| redis.load(bench, round),
                &mut |round| memory.load(bench, round),
            ],
        )?;
        let name = "tower-sessions + Redis";
        report(&ours, &redis, "GET /visits at Process", name, Some(Goal::AtLeast(2.0)), print);
    }
    report(&ours, &memory, "GET /visits at Process", "tower-sessions in memory", None, print);
    Ok(())
}

fn report(
    ours: &Server,
    theirs: &Server,
    what: &'static str,
    name: &'static str,
    goal: Option<Goal>,
    print: &mut dyn FnMut(Line),
) {
    let unit = ["req/s", "p50 µs", "p99 µs", "cpu µs"];
    for (index, unit) in unit.into_iter().enumerate() {
        let column = |server: &Server| -> Vec<f64> {
            server.rounds.iter().map(|figures| figures[index]).collect()
        };
        let (ours, theirs) = (column(ours), column(theirs));
        let mut line = Line::new("visits", what, unit, Spread::of(ours.iter().copied()));
        line.rival = Some(Rival {
            name,
            figure: Spread::of(theirs.iter().copied()).median,
            ratio: Spread::of_ratio(&ours, &theirs),
            goal: goal.filter(|_| index == 0),
        });
        print(line);
    }
}

impl Server {
    fn start(bench: &Bench, name: &str, redis: Option<Redis>) -> Result<Self> {
        let dir = redis.as_ref().map_or_else(|| bench.scratch.fresh(), |redis| redis.dir.clone());
        let process = child::spawn("serve", name, &dir, 0)?;
        let mut server = Server { process, port: 0, redis, rounds: Vec::new() };
        let output = server.process.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        server.port = line.trim().parse().map_err(|_| format!("{name} does not serve"))?;
        Ok(server)
    }

    /// Has 64 visitors call for a second. Requests a second.
    fn load(&mut self, bench: &Bench, round: usize) -> Result<f64> {
        let before = self.processor_time()?;
        let figures = child::run("load", "http", bench.scratch.path(), self.port)?;
        let after = self.processor_time()?;
        let [all, per_second, median, late] = figures[..] else {
            return Err("the visitors do not report".into());
        };
        if round > 0 {
            self.rounds.push([per_second, median, late, (after - before) * 1e6 / all]);
        }
        Ok(per_second)
    }

    /// Seconds that the server, and the Redis behind it, have used of a processor.
    fn processor_time(&self) -> Result<f64> {
        let redis = self.redis.as_ref().map(|redis| redis.process.id());
        [Some(self.process.id()), redis].into_iter().flatten().map(processor_time).sum()
    }
}

/// User and system time of a process, in seconds.
fn processor_time(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may have spaces; the times are the 12th and 13th word after it.
    let (_, words) = text.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
    let words: Vec<&str> = words.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(words.get(index).ok_or("/proc/PID/stat is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
