//! The model itself: after a crash a session may be one of several that look alike, and what is
//! seen of it later must be possible for one and the same of them.

use std::collections::BTreeMap;
use std::time::Duration;

use sessile::testing::{ColdReads, Model, Seen};
use sessile::{Expiry, Key, Timestamp};

use super::{ABSOLUTE, IDLE};

const START: i64 = 1_790_000_000_000;
const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session that was made with one expiry, and made again, the same but for another expiry, by a
/// change that a crash may have taken back. Both end 60 s after the start, which is what is seen after the crash.
fn either(one: Expiry, other: Expiry, cold: ColdReads) -> (Key, Model<u8>) {
    let mut model =
        Model::new(Timestamp::from_millis(START), Some(IDLE), ABSOLUTE).cold_reads(cold);
    let key = Key::of("a");
    model.insert(key, 1, one);
    model.saved();
    model.insert(key, 1, other);
    model.crash();
    assert_eq!(model.choices(), 2);
    sees(&mut model, key, 60).unwrap();
    assert_eq!(model.choices(), 1);
    (key, model)
}

/// Shows the model that the session ends so many seconds after the start.
fn sees(model: &mut Model<u8>, key: Key, end: u64) -> Result<(), String> {
    let deadline = Timestamp::from_millis(START).after(seconds(end));
    model.settle(&BTreeMap::from([(key, Seen { deadline, value: Some(1) })]))
}

fn idle_or_fixed(cold: ColdReads) -> (Key, Model<u8>) {
    either(Expiry::After(seconds(60)), Expiry::Idle(seconds(60)), cold)
}

#[test]
fn a_session_that_a_read_has_extended_is_extended_by_the_next() {
    let (key, mut model) = idle_or_fixed(ColdReads::Touch);
    for second in [10, 20] {
        model.advance(seconds(10));
        assert_eq!(model.get(&key), Some(&1));
        sees(&mut model, key, 60 + second).unwrap();
    }
    model.advance(seconds(10));
    assert_eq!(model.get(&key), Some(&1));
    assert!(sees(&mut model.clone(), key, 80).is_err(), "it is idle, and was read");
    sees(&mut model, key, 90).unwrap();
}

#[test]
fn a_session_that_a_read_has_not_extended_is_never_extended() {
    let (key, mut model) = idle_or_fixed(ColdReads::Touch);
    model.advance(seconds(10));
    assert_eq!(model.get(&key), Some(&1));
    assert!(sees(&mut model.clone(), key, 65).is_err(), "neither idle nor fixed");
    sees(&mut model, key, 60).unwrap();
    model.advance(seconds(10));
    assert_eq!(model.get(&key), Some(&1));
    assert!(sees(&mut model.clone(), key, 80).is_err(), "it is fixed");
    sees(&mut model, key, 60).unwrap();
}

#[test]
fn where_reads_need_not_extend_a_change_tells() {
    for (seen, never) in [(70, [60, 70]), (60, [70, 80])] {
        let (key, mut model) = idle_or_fixed(ColdReads::MayTouch);
        model.advance(seconds(10));
        assert_eq!(model.get(&key), Some(&1));
        sees(&mut model.clone(), key, 60).unwrap();
        assert!(model.update(&key, |_| ()).is_some());
        assert!(sees(&mut model.clone(), key, 65).is_err());
        sees(&mut model, key, seen).unwrap();
        model.advance(seconds(10));
        assert!(model.update(&key, |_| ()).is_some());
        for end in never {
            assert!(sees(&mut model.clone(), key, end).is_err(), "{seen} and then {end}");
        }
        sees(&mut model, key, if seen == 60 { 60 } else { 80 }).unwrap();
    }
}

#[test]
fn a_crash_later_on_does_not_make_it_something_else() {
    let (key, mut model) = idle_or_fixed(ColdReads::Touch);
    model.advance(seconds(10));
    assert!(model.update(&key, |_| ()).is_some());
    model.saved();
    sees(&mut model, key, 60).unwrap();
    // A fixed deadline gets no grace.
    model.crash();
    assert!(sees(&mut model.clone(), key, 61).is_err());
    sees(&mut model, key, 60).unwrap();
}

#[test]
fn the_end_in_any_case_is_told_apart_too() {
    let until = |end| Expiry::IdleUntil {
        idle: seconds(60),
        until: Timestamp::from_millis(START).after(seconds(end)),
    };
    for (soon, seen, then) in [(true, 100, 100), (false, 110, 115)] {
        let (key, mut model) = either(until(100), until(1000), ColdReads::Touch);
        model.advance(seconds(50));
        assert!(model.update(&key, |_| ()).is_some());
        assert!(sees(&mut model.clone(), key, 105).is_err());
        sees(&mut model, key, seen).unwrap();
        model.advance(seconds(5));
        assert!(model.update(&key, |_| ()).is_some());
        assert!(sees(&mut model.clone(), key, if soon { 115 } else { 100 }).is_err());
        sees(&mut model, key, then).unwrap();
    }
}
