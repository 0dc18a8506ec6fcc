//! `update`: one field of a session is changed, so that no update is lost, at the level at which
//! the rival is at home: in memory, or surviving the end of the process.

use super::Bench;
use super::get::slice;
use crate::Result;
use crate::heap;
use crate::keys::Key;
use crate::record::Record;
use crate::report::{Line, Unit};
use crate::rivals::{Change, Level, Rival, Sessile};

const THREADS: [usize; 2] = [1, 2];

pub fn memory<R: Rival>(bench: &Bench) -> Result<Vec<Line>>
where
    R::Client: Change,
{
    update::<R>(bench, Level::Memory)
}

pub fn process<R: Rival>(bench: &Bench) -> Result<Vec<Line>>
where
    R::Client: Change,
{
    update::<R>(bench, Level::Process)
}

fn update<R: Rival>(bench: &Bench, level: Level) -> Result<Vec<Line>>
where
    R::Client: Change,
{
    let ours = bench.filled::<Sessile>(level)?;
    let theirs = bench.filled::<R>(level)?;
    let keys = &bench.keys.asked;
    let mut lines = Vec::new();
    for threads in THREADS {
        let (mut our_clients, mut their_clients) =
            (ours.clients(threads)?, theirs.clients(threads)?);
        let pair = bench.measure(
            |round| slice(bench, &mut our_clients, keys, round, change),
            |round| slice(bench, &mut their_clients, keys, round, change),
        )?;
        lines.push(Line::of_pair("update", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    ours.close()?;
    theirs.close()?;
    heap::tidy();
    Ok(lines)
}

fn change<C: Change>(client: &mut C, key: &Key) -> Result<()> {
    match client.update(key, Record::see)? {
        true => Ok(()),
        false => Err("a session to be updated is gone".into()),
    }
}
