//! `web`: what a site's requests do, by 2 threads: of 100 calls 94 visit a session, 4 update one,
//! 1 creates and 1 removes; what is written survives the end of the process.

use super::Bench;
use super::traffic::{Mix, Traffic, round};
use crate::Result;
use crate::heap;
use crate::report::{Line, Unit};
use crate::rivals::{Change, Level, Rival, Sessile};

const MIX: Mix = Mix { visits: 94, updates: 4 };
const THREADS: usize = 2;

pub fn web<R: Rival>(bench: &Bench) -> Result<Vec<Line>>
where
    R::Client: Change,
{
    let line = pair::<R>(bench, "web", MIX, Level::Process, THREADS)?;
    heap::tidy();
    Ok(vec![line])
}

/// Both sides under the same traffic, each at its own pace.
pub(super) fn pair<R: Rival>(
    bench: &Bench,
    work: &'static str,
    mix: Mix,
    level: Level,
    threads: usize,
) -> Result<Line>
where
    R::Client: Change,
{
    let ours = bench.filled::<Sessile>(level)?;
    let theirs = bench.filled::<R>(level)?;
    let (mut our_clients, mut their_clients) = (ours.clients(threads)?, theirs.clients(threads)?);
    let (mut our_traffic, mut their_traffic) =
        (Traffic::of(bench, threads, mix), Traffic::of(bench, threads, mix));
    let pair = bench.measure(
        |_| round(bench, &mut our_clients, &mut our_traffic),
        |_| round(bench, &mut their_clients, &mut their_traffic),
    )?;
    drop((our_clients, their_clients));
    ours.close()?;
    theirs.close()?;
    Ok(Line::of_pair(work, R::NAME, threads, Unit::OpsPerS, &pair))
}
