//! The checker checked: histories of which a person can see whether they are in order.

use crate::checker::{Event, is_linearizable};
use crate::spec::{Any, One, any, one};

/// Calls with their times; `good`: there is an order.
fn check(good: bool, calls: &[(u64, u64, One)]) {
    let events: Vec<_> = calls
        .iter()
        .map(|(called, returned, call)| Event {
            thread: 0,
            called: *called,
            returned: *returned,
            call: *call,
        })
        .collect();
    assert_eq!(is_linearizable(None, &events, |state, call| one(*state, *call)), good, "{calls:?}");
}

fn check_any(good: bool, calls: &[(u64, u64, Any)]) {
    let events: Vec<_> = calls
        .iter()
        .map(|(called, returned, call)| Event {
            thread: 0,
            called: *called,
            returned: *returned,
            call: *call,
        })
        .collect();
    let start = [Some(1), None, None];
    assert_eq!(is_linearizable(start, &events, |state, call| any(state, *call)), good, "{calls:?}");
}

#[test]
fn one_after_the_other_in_order() {
    check(true, &[]);
    check(true, &[(1, 2, One::Create(1, true)), (3, 4, One::Create(2, false))]);
    check(true, &[(1, 2, One::Insert(1)), (3, 4, One::Take(Some(1))), (5, 6, One::Get(None))]);
}

#[test]
fn what_overlaps_may_be_in_either_order() {
    check(true, &[(1, 4, One::Insert(1)), (2, 3, One::Get(None))]);
    check(true, &[(1, 4, One::Insert(1)), (2, 3, One::Get(Some(1)))]);
    check(true, &[(1, 9, One::Insert(1)), (2, 3, One::Get(None)), (4, 5, One::Get(Some(1)))]);
    let races =
        [(1, 8, One::Insert(1)), (2, 7, One::Update(2, Some(1))), (3, 6, One::Remove(true))];
    check(true, &races);
}

#[test]
fn a_search_that_must_turn_back_does() {
    // The second insert must come first although it was called later.
    let calls = [
        (1, 10, One::Insert(1)),
        (2, 9, One::Insert(2)),
        (11, 12, One::Get(Some(1))),
        (3, 8, One::Update(3, Some(2))),
    ];
    check(true, &calls);
}

#[test]
fn a_read_of_what_was_removed_before_it_began_is_out_of_order() {
    check(false, &[(1, 2, One::Insert(1)), (3, 4, One::Remove(true)), (5, 6, One::Get(Some(1)))]);
}

#[test]
fn a_value_seen_and_then_not_seen_is_out_of_order() {
    check(false, &[(1, 9, One::Insert(1)), (2, 3, One::Get(Some(1))), (4, 5, One::Get(None))]);
}

#[test]
fn two_winners_are_out_of_order() {
    check(false, &[(1, 4, One::Create(1, true)), (2, 3, One::Create(2, true))]);
    let takes = [(3, 6, One::Take(Some(1))), (4, 5, One::Take(Some(1)))];
    check(false, &[&[(1, 2, One::Insert(1))], &takes[..]].concat());
}

#[test]
fn a_lost_update_is_out_of_order() {
    let updates = [(3, 6, One::Update(2, Some(1))), (4, 5, One::Update(3, Some(1)))];
    check(false, &[&[(1, 2, One::Insert(1))], &updates[..]].concat());
}

#[test]
fn an_update_that_revives_is_out_of_order() {
    let calls = [
        (1, 2, One::Insert(1)),
        (3, 8, One::Update(2, Some(1))),
        (4, 5, One::Remove(true)),
        (6, 7, One::Get(Some(2))),
        (9, 10, One::Get(Some(2))),
    ];
    check(false, &calls);
}

#[test]
fn several_keys_are_seen_at_one_moment() {
    let renamed = (1, 9, Any::Rename(0, 1, true));
    check_any(true, &[renamed, (2, 3, Any::Look([Some(1), None, None]))]);
    check_any(true, &[renamed, (2, 3, Any::Look([None, Some(1), None]))]);
    check_any(false, &[renamed, (2, 3, Any::Look([None, None, None]))]);
    check_any(false, &[renamed, (2, 3, Any::Look([Some(1), Some(1), None]))]);
    let before = (4, 5, Any::One(0, One::Get(Some(1))));
    check_any(false, &[renamed, (2, 3, Any::One(1, One::Get(Some(1)))), before]);
    check_any(false, &[(1, 2, Any::Clear), (3, 4, Any::Look([Some(1), None, None]))]);
    check_any(false, &[(1, 2, Any::Rename(0, 1, false))]);
    check_any(
        true,
        &[(1, 2, Any::Swap([0, 2], [Some(1), None])), (3, 4, Any::Look([None, None, Some(1)]))],
    );
    check_any(false, &[(1, 2, Any::Swap([0, 2], [None, None]))]);
}
