//! `insert-grow`: inserting at a steady rate while the table grows from nothing to a million. The
//! mean is good everywhere; what a table does when it is full shows in the few calls that wait.

use std::path::Path;

use sessile::{Durability, Store};

use super::builder;
use crate::Result;
use crate::finding::{Finding, latencies};
use crate::heap;
use crate::keys::{Key, Keys};
use crate::latency::{Load, POINTS, open_loop};
use crate::record::Record;
use crate::rivals::{Client, Level, Rival, Sessile};
use crate::scratch;
use crate::works::Bench;

const SESSIONS: usize = 1_000_000;
/// A quarter of what one thread can, at most: nobody is to wait for the one before, but for stalls.
const PER_SECOND: u32 = 200_000;

pub fn grow<R: Rival>(bench: &Bench) -> Result<Vec<Finding>> {
    let keys = Keys::others(SESSIONS);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..super::rounds(bench) {
        ours.push(growing::<Sessile>(bench, &keys)?);
        theirs.push(growing::<R>(bench, &keys)?);
    }
    Ok(latencies("insert-grow", 1, R::NAME, &ours, &theirs, None))
}

fn growing<R: Rival>(bench: &Bench, keys: &[Key]) -> Result<[f64; POINTS.len()]> {
    let dir = bench.scratch.fresh();
    let store = R::open(&dir, Level::Memory)?;
    let load = Load::of_calls(PER_SECOND, keys.len());
    let latency = open_loop(load, &mut store.clients(1)?, |client, number| {
        let key = &keys[number];
        client.insert(key, Record::of(key))
    })?;
    store.close()?;
    scratch::remove(&dir)?;
    heap::tidy();
    Ok(latency.points())
}

/// Sessile, told how many sessions will come.
pub struct Expecting(Store<Record>);

impl Rival for Expecting {
    type Client = Store<Record>;

    const NAME: &'static str = "sessile-expecting";

    fn open(dir: &Path, _: Level) -> Result<Self> {
        let builder = builder().durability(Durability::Memory).expected_sessions(SESSIONS);
        Ok(Expecting(builder.open(dir)?))
    }

    fn client(&self) -> Result<Self::Client> {
        Ok(self.0.clone())
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}
