//! What was measured, as a table and as JSON.

use serde::Serialize;

use super::Measuring;
use super::disk::Allows;
use super::open::Opened;
use super::works::Done;
use crate::command::output::Output;
use crate::command::text::{bytes, count};
use crate::error::Result;

#[derive(Serialize)]
pub(super) struct Report {
    version: &'static str,
    sessions: u64,
    threads: usize,
    seconds: f64,
    disk: Allows,
    works: Vec<Work>,
    open: Vec<Opened>,
}

#[derive(Serialize)]
struct Work {
    work: &'static str,
    threads: usize,
    ops_per_s: f64,
    p50_ns: u64,
    p99_ns: u64,
    #[serde(rename = "p99.9_ns")]
    p999_ns: u64,
    /// What the disk allows at most, where every call waits for it: one call of each thread in
    /// each sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_ops_per_s: Option<f64>,
}

impl Work {
    fn of(done: Done, disk: Allows) -> Work {
        let Done { work, threads, measured, synced } = done;
        let bound = synced.then_some(disk.allocated_per_s * threads as f64);
        let quantile = |share: f64| measured.latencies.value_at_quantile(share);
        Work {
            work,
            threads,
            ops_per_s: measured.ops_per_s.round(),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            bound_ops_per_s: bound.map(f64::round),
        }
    }
}

impl Report {
    pub(super) fn new(
        measuring: &Measuring,
        disk: Allows,
        works: Vec<Done>,
        open: Vec<Opened>,
    ) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION"),
            sessions: measuring.sessions,
            threads: measuring.threads,
            seconds: measuring.seconds,
            disk: Allows {
                appended_per_s: disk.appended_per_s.round(),
                allocated_per_s: disk.allocated_per_s.round(),
            },
            works: works.into_iter().map(|done| Work::of(done, disk)).collect(),
            open,
        }
    }

    pub(super) fn print(&self, output: &mut Output) -> Result<()> {
        let sessions = count(self.sessions);
        output.line(&format!("{sessions} sessions, {} s for each work", self.seconds))?;
        let (appended, allocated) = (self.disk.appended_per_s, self.disk.allocated_per_s);
        output.line(&format!(
            "the disk: {} syncs/s after an append, {} into allocated space",
            rate(appended),
            rate(allocated)
        ))?;
        let head = ["work", "threads", "calls/s", "p50", "p99", "p99.9", "the disk allows"];
        self.row(output, head.map(str::to_owned))?;
        for work in &self.works {
            let bound = work.bound_ops_per_s.map(|bound| {
                format!("{} ({:.0} % reached)", rate(bound), 100.0 * work.ops_per_s / bound)
            });
            let [p50, p99, p999] = [work.p50_ns, work.p99_ns, work.p999_ns].map(latency);
            let (name, threads) = (work.work.to_owned(), work.threads.to_string());
            let calls = rate(work.ops_per_s);
            self.row(output, [name, threads, calls, p50, p99, p999, bound.unwrap_or_default()])?;
        }
        for Opened { after, seconds, replayed_frames, replayed_bytes } in &self.open {
            output.line(&format!(
                "opening after {after}: {:.1} ms to the first correct read, {} frames ({}) replayed",
                seconds * 1e3,
                count(*replayed_frames),
                bytes(*replayed_bytes)
            ))?;
        }
        Ok(())
    }

    fn row(&self, output: &mut Output, cells: [String; 7]) -> Result<()> {
        let [work, threads, calls, p50, p99, p999, bound] = cells;
        let row =
            format!("{work:<15} {threads:>7} {calls:>11} {p50:>9} {p99:>9} {p999:>9}  {bound}");
        output.line(row.trim_end())
    }
}

fn rate(per_s: f64) -> String {
    count(per_s.round().max(0.0) as u64)
}

/// 350 ns, 12.3 µs, 4.5 ms.
fn latency(nanos: u64) -> String {
    let value = nanos as f64;
    match nanos {
        0..1000 => format!("{nanos} ns"),
        1000..1_000_000 => format!("{:.1} µs", value / 1e3),
        _ => format!("{:.1} ms", value / 1e6),
    }
}
