//! `memory`: heap bytes for each warm session beyond the value itself; the key, the header of
//! its `Arc` and whatever the side keeps are counted. Each side fills up in a child of its own.
//! Beside it, for the same session with its value, what the process's anonymous memory grew by.

use std::path::Path;

use super::Bench;
use crate::Result;
use crate::child;
use crate::heap;
use crate::keys::Keys;
use crate::record::Record;
use crate::report::{Line, Unit};
use crate::rivals::{Client, Level, Rival, Sessile};

pub fn memory<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let measure = |name| -> Result<[f64; 3]> {
        let figures = child::run("memory", name, &bench.scratch.fresh(), bench.size.sessions)?;
        Ok(figures.try_into().map_err(|_| "the child printed other figures")?)
    };
    let ([ours, before_settling, resident], [theirs, _, rival_resident]) =
        (measure(Sessile::NAME)?, measure(R::NAME)?);
    let more = vec![
        ("bytes_per_session_before_flush", before_settling),
        ("resident_bytes_with_value", resident),
        ("rival_resident_bytes_with_value", rival_resident),
    ];
    let unit = Unit::BytesPerSession;
    Ok(vec![Line {
        work: "memory",
        rival: R::NAME,
        threads: 1,
        unit,
        ours,
        theirs,
        spread: None,
        more,
    }])
}

/// In a child: inserts every session and prints the bytes for each, when the side has come to
/// rest and as it was before that, and what is then resident.
pub fn fill<R: Rival>(dir: &Path, sessions: usize) -> Result<()> {
    let keys = Keys::new(sessions).filed;
    heap::start();
    let value = value_bytes(&keys);
    heap::tidy();
    let (before, resident) = (heap::live(), heap::anonymous()?);
    let store = R::open(dir, Level::Memory)?;
    let mut client = store.client()?;
    for key in &keys {
        client.insert(key, Record::of(key))?;
    }
    let each = || (heap::live() - before) / keys.len() as f64 - value;
    let unsettled = each();
    store.settle()?;
    let settled = each();
    heap::tidy();
    let resident = (heap::anonymous()? - resident) / keys.len() as f64;
    println!("{settled} {unsettled} {resident}");
    drop(client);
    store.close()
}

/// Bytes of one record: the struct and what it points to.
fn value_bytes(keys: &[crate::keys::Key]) -> f64 {
    let before = heap::live();
    let records: Vec<Box<Record>> =
        keys.iter().take(1000).map(|key| Box::new(Record::of(key))).collect();
    let pointers = records.capacity() * size_of::<Box<Record>>();
    (heap::live() - before - pointers as f64) / records.len() as f64
}
