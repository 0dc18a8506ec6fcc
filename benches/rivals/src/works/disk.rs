//! `disk`: bytes that a session occupies on the disk when the side has compacted its files as far
//! as it can and is closed. A session's key and encoded record are 127 bytes.

use super::{Bench, fill};
use crate::Result;
use crate::keys::Key;
use crate::record::ENCODED;
use crate::report::{Line, Unit};
use crate::rivals::{Level, Rival, Sessile};
use crate::scratch;

const PAYLOAD: usize = size_of::<Key>() + ENCODED;

pub fn disk<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let (ours, theirs) = (bytes::<Sessile>(bench)?, bytes::<R>(bench)?);
    let more = vec![
        ("over_key_and_record", ours / PAYLOAD as f64),
        ("rival_over_key_and_record", theirs / PAYLOAD as f64),
    ];
    Ok(vec![Line {
        work: "disk",
        rival: R::NAME,
        threads: 1,
        unit: Unit::BytesPerSession,
        ours,
        theirs,
        spread: None,
        more,
    }])
}

fn bytes<R: Rival>(bench: &Bench) -> Result<f64> {
    let dir = bench.scratch.fresh();
    let mut store = R::open(&dir, Level::Process)?;
    fill(&store, &bench.keys.filed)?;
    store.compact()?;
    store.close()?;
    let occupied = scratch::occupied(&dir)?;
    scratch::remove(&dir)?;
    Ok(occupied as f64 / bench.size.sessions as f64)
}
