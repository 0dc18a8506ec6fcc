//! `miss`: gets of sessions that are not there, as those of forged and of old cookies. The store
//! is full and at rest, so that what it keeps on disk has to be asked too.

use std::hint::black_box;

use super::Bench;
use super::get::slice;
use crate::Result;
use crate::heap;
use crate::keys::{Key, Keys};
use crate::report::{Line, Unit};
use crate::rivals::{Client, Level, Rival, Sessile};

const THREADS: [usize; 2] = [1, 2];

pub fn miss<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let ours = bench.filled::<Sessile>(Level::Memory)?;
    let theirs = bench.filled::<R>(Level::Memory)?;
    let keys = Keys::others(bench.size.sessions);
    let mut lines = Vec::new();
    for threads in THREADS {
        let (mut our_clients, mut their_clients) =
            (ours.clients(threads)?, theirs.clients(threads)?);
        let pair = bench.measure(
            |round| slice(bench, &mut our_clients, &keys, round, absent),
            |round| slice(bench, &mut their_clients, &keys, round, absent),
        )?;
        lines.push(Line::of_pair("miss", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    ours.close()?;
    theirs.close()?;
    heap::tidy();
    Ok(lines)
}

fn absent<C: Client>(client: &mut C, key: &Key) -> Result<()> {
    match black_box(client.get(key)?) {
        None => Ok(()),
        Some(_) => Err("a session that was never inserted is there".into()),
    }
}
