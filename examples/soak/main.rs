//! A soak: half an hour of mixed load with kills, full disks, wrong clocks, flushes and merges,
//! after which memory, file descriptors and disk are what they were.
//!
//! Two stores. One lives in this process, and is killed in place: the disk is cut off from it,
//! it is dropped, and the directory is opened again, so that whatever it leaks adds up. The other
//! lives in a child that is killed by SIGKILL. Prints one line of JSON a minute and a verdict;
//! ends with 1 if something was not flat, or an answer was wrong. Takes about half a core.
//!
//! `cargo run --release --example soak --features testing -- --minutes 30 --seed 1`

#![allow(clippy::unwrap_used, reason = "it says what went wrong by ending")]

mod child;
mod director;
mod measure;
mod rough;
mod work;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use measure::{BOUNDS, Sample, mean, trend};
use serde_json::{Map, Value, json};
use sessile::Clock;

use child::Child;
use director::Soak;

/// What was asked for.
#[derive(Clone)]
pub struct Options {
    minutes: f64,
    seed: u64,
}

impl Options {
    fn read() -> Option<Options> {
        let mut options = Options { minutes: 30.0, seed: 1 };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let value = args.next()?;
            match arg.as_str() {
                "--minutes" => options.minutes = value.parse().ok()?,
                "--seed" => options.seed = value.parse().ok()?,
                _ => return None,
            }
        }
        (options.minutes > 0.2).then_some(options)
    }

    /// How long a session lives unread: so short that they come and go many times in a run.
    fn idle(&self) -> Duration {
        Duration::from_secs_f64((self.minutes * 2.0).clamp(2.0, 40.0))
    }
}

/// A directory that goes when the run ends.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("sessile-soak-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--child") {
        return child::live();
    }
    let Some(options) = Options::read() else {
        eprintln!("usage: soak [--minutes 30] [--seed 1]");
        std::process::exit(2);
    };
    std::process::exit(if run(&options) { 0 } else { 1 });
}

/// Whether all was well.
fn run(options: &Options) -> bool {
    let (here, there) = (Place::new("here"), Place::new("there"));
    let soak = Soak::begin(options, &here.0).unwrap();
    let mut child = Child::new(options, &there.0);
    let (began, mut minute) = (Instant::now(), 0);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    while began.elapsed() < length {
        std::thread::sleep(Duration::from_secs(1));
        ours.extend(Sample::of(std::process::id(), &here.0));
        theirs.extend(child.turn());
        if began.elapsed().as_secs() / 60 > minute {
            minute += 1;
            println!("{}", report(minute, &soak, &child, &ours, &theirs));
        }
    }
    child.end();
    soak.end();
    let verdict = verdict(&soak, &child, &ours, &theirs);
    println!("{verdict}");
    verdict.get("flat") == Some(&json!(true)) && verdict.get("right") == Some(&json!(true))
}

fn report(minute: u64, soak: &Soak, child: &Child, ours: &[Sample], theirs: &[Sample]) -> Value {
    let lately = |samples: &[Sample]| {
        let from = samples.len().saturating_sub(60);
        let means = BOUNDS.map(|bound| {
            let values: Vec<f64> =
                samples.iter().skip(from).map(|sample| (bound.of)(sample) as f64).collect();
            (bound.name.to_owned(), json!(mean(&values).unwrap_or(0.0).round()))
        });
        Value::Object(Map::from_iter(means))
    };
    json!({
        "minute": minute, "here": lately(ours), "child": lately(theirs), "calls": soak.calls(),
        "child_kills": child.kills, "events": soak.events(), "sessions": soak.sessions(),
    })
}

fn verdict(soak: &Soak, child: &Child, ours: &[Sample], theirs: &[Sample]) -> Value {
    let mut flat = true;
    let mut judge = |samples: &[Sample]| {
        let trends = BOUNDS.map(|bound| {
            let judged = trend(samples, bound).map(|trend| {
                flat &= trend.flat;
                json!({
                    "first_third": trend.first.round(), "last_third": trend.last.round(),
                    "per_hour": trend.per_hour.round(), "flat": trend.flat,
                })
            });
            (bound.name.to_owned(), judged.unwrap_or_else(|| json!({ "flat": false })))
        });
        Value::Object(Map::from_iter(trends))
    };
    let (here, there) = (judge(ours), judge(theirs));
    let tally = soak.tally();
    let right = tally.failed == 0 && tally.wrong == 0 && child.failed == 0;
    json!({
        "verdict": if flat && right { "flat" } else { "not flat" }, "flat": flat, "right": right,
        "here": here, "child": there, "calls": tally.calls, "wrong": tally.wrong,
        "failed": tally.failed, "refused": tally.full, "disk_full": tally.disk_full,
        "child_kills": child.kills, "child_failed": child.failed, "events": soak.events(),
        "clock": soak.clock().wall().as_millis(), "stuck": soak.stuck.load(Ordering::Relaxed),
    })
}
