//! The promise of `Durability::Process`, tried: writers are killed at random moments, twenty times
//! on one directory, and the judge of `examples/torture` says whether what is found may be there.
//!
//! The judge is tried as well: it has to condemn what a store that loses, revives or invents
//! would show. The same with more kills, and with disks that fail, is that example.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(feature = "testing")]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;
#[path = "../examples/torture/main.rs"]
mod torture;

use std::path::PathBuf;

use sessile::Durability::{self, Memory, Power, Process};
use support::{Temp, seed};
use torture::judge::Launch;
use torture::kills::Kills;
use torture::oracle::Oracle;
use torture::plan::Op;
use torture::state::Cell;
use torture::verdict::{Found, Wrong};
use torture::wire::Code;

/// The writer of the test below, in a process of its own.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn writer() {
    if let Some(job) = torture::child::Job::of_this_process() {
        torture::child::run(&job);
    }
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let temp = Temp::new();
    let program = std::env::current_exe().unwrap();
    let arguments = ["writer", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    let command = [program].into_iter().chain(arguments.map(PathBuf::from)).collect();
    let launch = Launch { command };
    let mut kills = Kills::new(&launch, temp.path(), seed());
    let result = kills.run(20);
    let report = &kills.report;
    assert!(report.wrong.is_nothing(), "{}", report.wrong.notes);
    result.unwrap();
    println!("{} kills, {} acknowledged", report.kills, report.acknowledged);
    assert!(report.kills == 20 && report.acknowledged > 100);
}

/// A slot's part of a history: what it does, at which level, and whether that has returned.
fn history(oracle: &mut Oracle, slot: usize, steps: &[(Op, Durability, bool)]) {
    for (op, level, returned) in steps {
        oracle.announce(slot, id(slot, 1000), op, *level, 0);
        if *returned {
            oracle.acknowledge(slot, Code::Yes, 0).unwrap();
        }
    }
}

fn id(slot: usize, number: u64) -> u64 {
    1 << 32 | (slot as u64) << 28 | number
}

fn found(cells: &[(usize, usize, u64)]) -> Found {
    let mut found = Found::nothing();
    for (slot, cell, number) in cells {
        found.slots[*slot][*cell] = Cell { id: id(*slot, *number), end: 0 };
    }
    found
}

/// Lost, revived, phantom.
fn counts(wrong: &Wrong) -> [u64; 3] {
    [wrong.lost, wrong.revived, wrong.phantom]
}

#[track_caller]
fn judge(steps: &[(Op, Durability, bool)], cells: &[(usize, usize, u64)], expected: [u64; 3]) {
    let mut oracle = Oracle::new();
    history(&mut oracle, 0, steps);
    let wrong = oracle.check(&found(cells), Process);
    assert_eq!(counts(&wrong), expected, "{}", wrong.notes);
}

#[test]
fn the_judge_knows_what_is_lost_revived_and_invented() {
    let write = |number| Op::Insert(0, id(0, number));
    judge(&[(write(1), Process, true)], &[(0, 0, 1)], [0, 0, 0]);
    judge(&[(write(1), Process, true)], &[], [1, 0, 0]);
    judge(&[(write(1), Memory, true)], &[], [0, 0, 0]);
    judge(&[(write(1), Process, false)], &[], [0, 0, 0]);
    judge(&[(write(1), Process, false)], &[(0, 0, 1)], [0, 0, 0]);
    judge(&[(write(1), Process, true), (write(2), Process, true)], &[(0, 0, 1)], [1, 0, 0]);
    judge(&[(write(1), Process, true)], &[(0, 0, 1), (0, 1, 2000)], [0, 0, 1]);
    judge(&[(write(1), Process, true)], &[(0, 0, 1), (0, 1, 1)], [0, 1, 0]);
    let ended = [(write(1), Process, true), (Op::Remove(0), Power, true)];
    judge(&ended, &[], [0, 0, 0]);
    judge(&ended, &[(0, 0, 1)], [0, 1, 0]);
    let cleared = [(write(1), Process, true), (Op::Clear, Process, true)];
    judge(&cleared, &[(0, 0, 1)], [0, 1, 0]);
}

#[test]
fn the_judge_tells_half_a_group_from_a_whole_one() {
    let steps = [
        (Op::Insert(0, id(0, 1)), Process, true),
        (Op::Rename(0, 1), Memory, true),
        (Op::Rotate(vec![1, 2], id(0, 3)), Memory, true),
    ];
    for whole in [&[(0, 0, 1)][..], &[(0, 1, 1)], &[(0, 1, 3), (0, 2, 1)]] {
        judge(&steps, whole, [0, 0, 0]);
    }
    for half in [&[(0, 0, 1), (0, 1, 1)][..], &[], &[(0, 1, 3)], &[(0, 2, 1)]] {
        let mut oracle = Oracle::new();
        history(&mut oracle, 0, &steps);
        assert!(!oracle.check(&found(half), Process).is_nothing(), "{half:?}");
    }
}

#[test]
fn the_judge_wants_what_ended_before_something_that_is_there() {
    let mut oracle = Oracle::new();
    history(&mut oracle, 0, &[(Op::Insert(0, id(0, 1)), Memory, true)]);
    history(&mut oracle, 1, &[(Op::Insert(0, id(1, 1)), Memory, true)]);
    for cells in [&[][..], &[(0, 0, 1)], &[(0, 0, 1), (1, 0, 1)]] {
        assert!(oracle.check(&found(cells), Process).is_nothing(), "{cells:?}");
    }
    let wrong = oracle.check(&found(&[(1, 0, 1)]), Process);
    assert_eq!(counts(&wrong), [1, 0, 0], "{}", wrong.notes);
    // And what was promised of the second promises the first.
    history(&mut oracle, 1, &[(Op::Insert(1, id(1, 2)), Process, true)]);
    let wrong = oracle.check(&found(&[(1, 0, 1), (1, 1, 2)]), Process);
    assert!(wrong.lost > 0, "{}", wrong.notes);
}

#[test]
fn the_judge_excuses_a_failing_disk_for_as_long_as_it_fails() {
    let write = |number| Op::Insert(0, id(0, number));
    let failing = || {
        let mut oracle = Oracle::new();
        history(&mut oracle, 0, &[(write(1), Power, true)]);
        oracle.disk_fails();
        oracle
    };
    // A sync that had ended before keeps its word; what one that overlapped it covered may be gone.
    let mut oracle = failing();
    history(&mut oracle, 0, &[(write(2), Power, true)]);
    assert_eq!(counts(&oracle.check(&found(&[]), Power)), [1, 0, 0]);
    for number in [1, 2] {
        assert!(oracle.check(&found(&[(0, 0, number)]), Power).is_nothing(), "{number}");
    }
    // So may what was under way, however late the answer.
    oracle.announce(0, id(0, 1000), &write(3), Power, 0);
    oracle.disk_is_read_only();
    oracle.acknowledge(0, Code::Yes, 0).unwrap();
    assert!(oracle.check(&found(&[(0, 0, 1)]), Power).is_nothing());

    // What begins later is not synced, and once that is known not written either.
    let ends = |level, known, code| {
        let mut oracle = failing();
        oracle.disk_is_read_only();
        if known {
            oracle.poisoned();
        }
        oracle.announce(0, id(0, 1000), &write(2), level, 0);
        oracle.acknowledge(0, code, 0)
    };
    assert!(ends(Process, false, Code::Yes).is_ok());
    assert!(ends(Memory, true, Code::Yes).is_ok());
    for level in [Process, Power] {
        assert!(ends(level, true, Code::Yes).is_err(), "{level:?}");
        assert!(
            ends(level, true, Code::Unknown).is_ok() && ends(level, true, Code::Refused).is_ok()
        );
    }
    assert!(ends(Power, false, Code::Yes).is_err() && ends(Power, false, Code::Unknown).is_ok());
}

#[test]
fn the_judge_gives_a_ticket_to_one_and_for_good() {
    let ticket = 1 << 62 | id(0, 1);
    let issued = || {
        let mut oracle = Oracle::new();
        history(&mut oracle, 0, &[(Op::Issue(ticket), Process, true)]);
        oracle
    };
    let there = || Found { loose: [ticket].into(), ..Found::nothing() };
    assert!(issued().check(&there(), Process).is_nothing());
    assert_eq!(counts(&issued().check(&Found::nothing(), Process)), [1, 0, 0]);
    let mut oracle = issued();
    oracle.announce(1, id(1, 1), &Op::Claim(0), Process, ticket);
    assert!(oracle.check(&there(), Process).is_nothing());
    assert!(oracle.check(&Found::nothing(), Process).is_nothing());
    oracle.announce(2, id(2, 1), &Op::Claim(0), Process, ticket);
    oracle.acknowledge(1, Code::Yes, ticket).unwrap();
    assert_eq!(counts(&oracle.check(&there(), Process)), [0, 1, 0]);
    assert!(oracle.clone().acknowledge(2, Code::Yes, ticket).is_err(), "taken twice");
    oracle.acknowledge(2, Code::No, ticket).unwrap();
}

#[test]
fn the_judge_believes_no_wrong_answer() {
    let mut oracle = Oracle::new();
    oracle.announce(0, id(0, 1), &Op::Insert(0, id(0, 1)), Process, 0);
    oracle.acknowledge(0, Code::Yes, 0).unwrap();
    oracle.announce(0, id(0, 2), &Op::Take(0), Process, 0);
    assert!(oracle.clone().acknowledge(0, Code::No, 0).is_err());
    assert!(oracle.clone().acknowledge(0, Code::Yes, id(0, 2)).is_err());
    // Refused, it has not happened, and must not be found to have.
    let mut refused = oracle.clone();
    refused.acknowledge(0, Code::Refused, 0).unwrap();
    assert_eq!(counts(&refused.check(&Found::nothing(), Process)), [1, 0, 0]);
    // Unknown, it may be either.
    oracle.acknowledge(0, Code::Unknown, 0).unwrap();
    assert!(oracle.check(&Found::nothing(), Process).is_nothing());
    assert!(oracle.check(&found(&[(0, 0, 1)]), Process).is_nothing());
}

/// The judge once took a removal inside a group, of what was not there, for a change.
#[test]
fn the_judge_asks_for_no_more_than_an_answer_rests_on() {
    let mut oracle = Oracle::new();
    history(&mut oracle, 0, &[(Op::Rotate(vec![0, 1], id(0, 1)), Memory, true)]);
    oracle.announce(0, id(0, 2), &Op::Remove(1), Process, 0);
    oracle.acknowledge(0, Code::No, 0).unwrap();
    assert!(oracle.check(&Found::nothing(), Process).is_nothing());
    oracle.announce(0, id(0, 3), &Op::Create(0, id(0, 3)), Process, 0);
    oracle.acknowledge(0, Code::No, 0).unwrap();
    assert_eq!(counts(&oracle.check(&Found::nothing(), Process)), [1, 0, 0]);
}
