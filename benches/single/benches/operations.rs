//! The cost of one call each, on 100,000 sessions of about 100 bytes, one thread.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use sessile::{Durability, Key, Store};

const SESSIONS: u64 = 100_000;

type Session = (u64, String, Vec<(u32, u32)>);

fn session(number: u64) -> Session {
    (number, format!("visitor {number:012}"), (0..8).map(|item| (item, 1)).collect())
}

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// Keys in an order that no prefetcher guesses.
fn keys() -> impl Iterator<Item = Key> {
    let keys: Vec<Key> = (0..SESSIONS).map(key).collect();
    let mut at = 0;
    std::iter::repeat_with(move || {
        at = (at + 61_803) % keys.len();
        keys[at]
    })
}

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("sessile-operations-{}", std::process::id()))
}

fn open() -> Store<Session> {
    Store::builder().max_memory(1 << 30).open(directory()).expect("a temporary folder opens")
}

fn operations(criterion: &mut Criterion) {
    let _ = std::fs::remove_dir_all(directory());
    let store = open();
    let quick = store.at(Durability::Memory);
    for number in 0..SESSIONS {
        quick.insert(key(number), session(number)).expect("there is room");
    }
    store.flush().expect("there is room");

    let mut next = keys();
    let mut draw = move || next.next().unwrap_or_else(|| key(0));
    criterion.bench_function("get, warm", |b| b.iter(|| black_box(store.get(&draw()))));
    criterion.bench_function("get, absent", |b| b.iter(|| store.get(&Key::from_bytes([7; 16]))));
    criterion.bench_function("insert, memory", |b| b.iter(|| quick.insert(draw(), session(1))));
    criterion.bench_function("insert, process", |b| b.iter(|| store.insert(draw(), session(1))));
    criterion.bench_function("update, memory", |b| {
        b.iter(|| quick.update(&draw(), |session| session.0 += 1))
    });
    let power = store.at(Durability::Power);
    criterion.bench_function("insert, power", |b| b.iter(|| power.insert(draw(), session(1))));
    store.close().expect("there is room");
    drop((store, quick, power));

    let store = open();
    criterion.bench_function("peek, cold", |b| b.iter(|| black_box(store.peek(&draw()))));
    store.close().expect("there is room");
    drop(store);
    criterion.bench_function("open after close", |b| b.iter(open));
    let _ = std::fs::remove_dir_all(directory());
}

criterion_group!(benches, operations);
criterion_main!(benches);
