//! What no test from outside can bring about: a log in a process that has forked, and a segment
//! that is closed and let go while what is in it is not durable.

use std::sync::Arc;

use super::frame::{Group, Op};
use super::segment::{Encoding, Identity, Position};
use super::{Durability, Log, Setup};
use crate::entropy::Entropy;
use crate::fs::layout::Numbers;
use crate::testing::{Keep, SimFs};

fn log(fs: &SimFs) -> Log {
    let encoding = Encoding { codec: 1, schema: 0 };
    Log::new(Setup {
        fs: Arc::new(fs.clone()),
        numbers: Arc::new(Numbers::after(0)),
        entropy: Arc::new(Entropy::System),
        identity: Identity { uuid: [7; 16], encoding },
        segment_bytes: 1 << 16,
        position: Position::default(),
        carry: Vec::new(),
        last_lsn: 0,
        segments: Vec::new(),
        threadless: true,
    })
}

fn mark(log: &Log) -> u64 {
    let mut group = Group::default();
    group.add(&Op::Mark(1));
    log.append(&group).unwrap()
}

#[test]
fn a_fork_writes_nothing() {
    let fs = SimFs::new(1);
    let mut log = log(&fs);
    let lsn = mark(&log);
    log.wait(lsn, Durability::Power).unwrap();
    let before: Vec<_> = fs.names().iter().map(|name| fs.bytes(name)).collect();
    // What a child finds: the same log, and another number of its own.
    log.pid = log.pid.wrapping_add(1);
    let lsn = mark(&log);
    for level in [Durability::Process, Durability::Power] {
        assert!(log.wait(lsn, level).unwrap_err().is_poisoned());
    }
    let after: Vec<_> = fs.names().iter().map(|name| fs.bytes(name)).collect();
    assert!(before == after && !before.is_empty());
}

/// A flush closes the segment with what was written since it looked; a merge that ends now lets go
/// what an older base covers. What is neither synced nor covered is synced all the same, before
/// anybody is told that it is.
#[test]
fn what_a_closed_segment_holds_after_the_cut_is_synced() {
    let fs = SimFs::new(1);
    let log = log(&fs);
    let covered = mark(&log);
    log.wait(covered, Durability::Power).unwrap();
    let lsn = mark(&log);
    log.wait(lsn, Durability::Process).unwrap();
    log.seal_segment();
    log.release(covered);
    log.wait(lsn, Durability::Power).unwrap();
    let cut = fs.power_cut(Keep::Nothing);
    assert!(fs.names().iter().all(|name| cut.bytes(name) == fs.bytes(name)), "it is not on disk");
}
