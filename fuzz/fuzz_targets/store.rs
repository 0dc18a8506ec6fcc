//! Any sequence of operations, on a store in memory and on the naive model: they must agree.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sessile::testing::{ManualClock, Model, Op};
use sessile::{Background, Clock, Key, Store};

const KEYS: u8 = 12;
const IDLE: Duration = Duration::from_secs(60);
const ABSOLUTE: Duration = Duration::from_secs(1200);

fn key(number: u8) -> Key {
    Key::of([number % KEYS])
}

fuzz_target!(|bytes: &[u8]| {
    let clock = ManualClock::new();
    let store = Store::<u64>::builder()
        .idle(IDLE)
        .absolute(ABSOLUTE)
        .clock(clock.clone())
        .background(Background::Callers)
        .in_memory()
        .expect("the options make sense");
    let mut model = Model::new(clock.wall(), Some(IDLE), ABSOLUTE);
    for (number, op) in (0_u64..).zip(Op::sequence(bytes)) {
        let now = model.time();
        match op {
            Op::Insert { key: k, wish, .. } => {
                store.insert_with(key(k), number, wish.at(now)).expect("there is room");
                model.insert(key(k), number, wish.at(now));
            }
            Op::Create { key: k, wish, .. } => {
                let made = store.create_with(key(k), number, wish.at(now)).expect("there is room");
                assert_eq!(made, model.create(key(k), number, wish.at(now)));
            }
            Op::Get { key: k } => {
                let found = store.get(&key(k)).expect("memory does not fail");
                assert_eq!(found.as_deref(), model.get(&key(k)));
            }
            Op::Update { key: k, .. } => {
                let before = store.update(&key(k), |value| std::mem::replace(value, number));
                let expected = model.update(&key(k), |value| std::mem::replace(value, number));
                assert_eq!(before.expect("memory does not fail"), expected);
            }
            Op::Take { key: k, .. } => {
                let taken = store.take(&key(k)).expect("memory does not fail");
                assert_eq!(taken.as_deref().copied(), model.take(&key(k)));
            }
            Op::Remove { key: k, .. } => {
                let was = store.remove(&key(k)).expect("memory does not fail");
                assert_eq!(was, model.remove(&key(k)));
            }
            Op::Rename { old, new, .. } if old % KEYS != new % KEYS => {
                let was = store.rename(&key(old), &key(new)).expect("memory does not fail");
                assert_eq!(was, model.rename(&key(old), &key(new)));
            }
            Op::Advance(time) => {
                clock.advance(time);
                model.advance(time);
            }
            _ => {}
        }
        for k in 0..KEYS {
            let found = store.peek(&key(k)).expect("memory does not fail");
            assert_eq!(found.as_deref(), model.peek(&key(k)), "key {k} after {op:?}");
        }
    }
});
