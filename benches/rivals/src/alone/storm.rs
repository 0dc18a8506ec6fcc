//! `expire-storm`: a million sessions end within one second, beside readers of others who are not
//! to notice. The clock is the system's and the store's own threads do the work.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use sessile::{Expiry, Store, Timestamp};

use super::{builder, end, fill, ours};
use crate::Result;
use crate::finding::{Finding, Goal, latencies};
use crate::heap;
use crate::keys::{Key, Keys};
use crate::latency::{Latency, Load, POINTS, open_loop};
use crate::record::Record;
use crate::works::Bench;

const SESSIONS: usize = 1_000_000;
/// Sessions that stay, and are read.
const STAYING: usize = 100_000;
const READS_PER_SECOND: u32 = 50_000;
/// From before the first deadline until after the last entry has gone.
const READING: Duration = Duration::from_secs(5);
/// How long before the first deadline the reading begins.
const AHEAD: Duration = Duration::from_millis(500);
/// From the first deadline until all must have gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// The sessions that end have deadlines spread over so many milliseconds.
const SPREAD_MS: u64 = 1000;

/// The store's threads.
const THREADS: [&str; 5] =
    ["sessile-time", "sessile-flush", "sessile-merge", "sessile-write", "sessile-sync"];

/// What one storm was like.
struct Storm {
    reads: [f64; POINTS.len()],
    /// From the first deadline until all had gone.
    seconds: f64,
    /// Processor time over those seconds, in percent of one core: of the thread that turns the
    /// wheels, and of all of the store's.
    wheel: f64,
    all: f64,
}

pub fn storm(bench: &Bench) -> Result<Vec<Finding>> {
    let keys = Keys::new(STAYING).asked;
    let ending = Keys::others(SESSIONS);
    let (mut storms, mut calm, mut waits, mut calm_waits) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..super::rounds(bench) {
        let begun = Instant::now();
        let quiet = Scene::new(bench, &keys, &ending, None)?;
        let prepared = begun.elapsed();
        calm.push(quiet.read(&keys)?.points());
        calm_waits.push(writing(&quiet.store, &keys, Duration::from_secs(1))?.points());
        quiet.end()?;
        let due = wall_ms()? + (prepared * 3 / 2 + Duration::from_secs(2)).as_millis() as u64;
        let scene = Scene::new(bench, &keys, &ending, Some(due))?;
        storms.push(scene.storm(&keys, due)?);
        scene.end()?;
        let due = wall_ms()? + (prepared * 3 / 2 + Duration::from_secs(2)).as_millis() as u64;
        let scene = Scene::new(bench, &keys, &ending, Some(due))?;
        sleep_until(due)?;
        waits.push(writing(&scene.store, &keys, Duration::from_secs(2))?.points());
        scene.end()?;
    }
    let column = |figure: fn(&Storm) -> f64| -> Vec<f64> { storms.iter().map(figure).collect() };
    let reads: Vec<_> = storms.iter().map(|storm| storm.reads).collect();
    let work = "expire-storm";
    let mut found = latencies(work, 1, "no-storm", &reads, &calm, Some(Goal::AtMost(2.0)));
    let alone = |what, unit, figure| Finding::new(work, what, 1, unit, &column(figure));
    found.push(alone("all-gone", "s", |storm| storm.seconds).goal(Goal::AtMost(3.0)));
    found.push(alone("core-of-the-wheel", "%", |storm| storm.wheel).goal(Goal::AtMost(25.0)));
    found.push(alone("core-of-all-threads", "%", |storm| storm.all));
    for mut line in latencies(work, 1, "no-storm", &waits, &calm_waits, None) {
        line.what = match line.what {
            "p99.9" => "stripe-taken-p99.9",
            "max" => "stripe-taken-max",
            _ => continue,
        };
        found.push(line);
    }
    Ok(found)
}

struct Scene {
    store: Store<Record>,
    dir: std::path::PathBuf,
}

impl Scene {
    /// A store at rest, with what stays and what ends: from `due` on, or not at all.
    fn new(bench: &Bench, keys: &[Key], ending: &[Key], due: Option<u64>) -> Result<Self> {
        let dir = bench.scratch.fresh();
        let store = builder().open(&dir)?;
        fill(&store, keys, |_| Expiry::Default)?;
        fill(&store, ending, |number| match due {
            Some(due) => Expiry::At(instant(due + number as u64 * SPREAD_MS / SESSIONS as u64)),
            None => Expiry::Default,
        })?;
        store.flush()?;
        store.merge()?;
        Ok(Scene { store, dir })
    }

    fn read(&self, keys: &[Key]) -> Result<Latency> {
        let load = Load { per_second: READS_PER_SECOND, length: READING };
        open_loop(load, &mut [()], |(), number| {
            let value = self.store.get(&ours(&keys[number % keys.len()]))?;
            black_box(value.ok_or("a session is gone that was to stay")?.user);
            Ok(())
        })
    }

    fn storm(&self, keys: &[Key], due: u64) -> Result<Storm> {
        if wall_ms()? + AHEAD.as_millis() as u64 > due {
            return Err("filling the store took longer than the sessions live".into());
        }
        sleep_until(due - AHEAD.as_millis() as u64)?;
        thread::scope(|scope| {
            let reader = scope.spawn(|| self.read(keys));
            sleep_until(due)?;
            let (begun, before) = (Instant::now(), Busy::now()?);
            while self.store.stats().expired < SESSIONS as u64 {
                if begun.elapsed() > PATIENCE {
                    return Err("sessions that have expired are still there".into());
                }
                thread::sleep(Duration::from_millis(20));
            }
            let (seconds, after) = (begun.elapsed().as_secs_f64(), Busy::now()?);
            let reads = reader.join().map_err(|_| "the reader has panicked")??.points();
            let share = |nanos: u64| nanos as f64 / 1e7 / seconds;
            let (wheel, all) = (share(after.wheel - before.wheel), share(after.all - before.all));
            Ok(Storm { reads, seconds, wheel, all })
        })
    }

    fn end(self) -> Result<()> {
        end(&self.store, &self.dir)?;
        drop(self.store);
        heap::tidy();
        Ok(())
    }
}

/// One call after the other that takes the key's stripe, as a writer does, and writes nothing: how
/// long they took. Includes what the machine takes the processor away for.
fn writing(store: &Store<Record>, keys: &[Key], length: Duration) -> Result<Latency> {
    let mut latency = Latency::new()?;
    let begun = Instant::now();
    for key in keys.iter().cycle() {
        let call = Instant::now();
        black_box(store.deadline(&ours(key))?);
        latency.record(call.elapsed());
        if begun.elapsed() > length {
            break;
        }
    }
    Ok(latency)
}

/// Processor time that the store's threads have used, in ns.
struct Busy {
    wheel: u64,
    all: u64,
}

impl Busy {
    fn now() -> Result<Self> {
        let mut busy = Busy { wheel: 0, all: 0 };
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            let name = std::fs::read_to_string(task.join("comm"))?;
            // Not the bench's own, whose name begins alike.
            if !THREADS.contains(&name.trim_end()) {
                continue;
            }
            let figures = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos: u64 =
                figures.split_whitespace().next().ok_or("an empty schedstat")?.parse()?;
            busy.all += nanos;
            if name.trim_end() == "sessile-time" {
                busy.wheel += nanos;
            }
        }
        Ok(busy)
    }
}

fn instant(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

fn wall_ms() -> Result<u64> {
    Ok(std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64)
}

fn sleep_until(ms: u64) -> Result<()> {
    thread::sleep(Duration::from_millis(ms.saturating_sub(wall_ms()?)));
    Ok(())
}
