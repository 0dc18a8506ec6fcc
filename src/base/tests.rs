//! Tests of bases: what they hold, and the tools that the other tests share.

mod damage;
mod memory;
mod merge;
mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use memory::MemFs;

use super::build::Summary;
use super::iter::Damage;
use super::*;
use crate::error::Result;
use crate::fs::Fs;
use crate::hash::Seed;

pub(super) const UUID: [u8; 16] = *b"a store's number";

pub(super) fn seed() -> Seed {
    Seed::from_bytes(*b"a seed for tests")
}

pub(super) fn meta(number: u64) -> Meta {
    Meta {
        number,
        uuid: UUID,
        seed: seed(),
        cut: 1000 + number,
        epoch: Epoch::from_millis(1_790_000_000_000),
        codec: 3,
        schema: 0xabcd_ef01_2345,
        expected_records: 100,
    }
}

/// What a base should hold, in its order.
pub(super) type Model = BTreeMap<(u64, Key), Record>;

pub(super) fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// A key with the same hash as every other made here.
pub(super) fn twin(number: u64) -> Key {
    seed().twin(number)
}

/// A record with this value, or a tombstone; its times come from its key.
pub(super) fn record(key: Key, value: Option<Vec<u8>>) -> Record {
    let hash = seed().hash(&key);
    Record {
        hash,
        key,
        tombstone: value.is_none(),
        deadline: 1000 + (hash % 1000) as u32,
        cap: 5000 + (hash % 77) as u32,
        idle: (hash % 5) as u32,
        value: value.unwrap_or_default(),
    }
}

pub(super) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 + count) as u8).collect()
}

pub(super) fn model(records: impl IntoIterator<Item = Record>) -> Model {
    records.into_iter().map(|record| ((record.hash, record.key), record)).collect()
}

/// A mix of values and tombstones.
pub(super) fn mixed(keys: std::ops::Range<u64>, size: usize) -> Model {
    let value = |number: u64| (number % 7 != 3).then(|| bytes(size + (number % 40) as usize));
    model(keys.map(|number| record(key(number), value(number))))
}

pub(super) fn build(fs: &MemFs, name: &str, meta: Meta, model: &Model) -> Result<Summary> {
    let mut builder = Builder::create(fs, name, meta)?;
    for (lsn, record) in model.values().enumerate() {
        builder.push(&record.as_ref(), 1 + lsn as u64)?;
    }
    builder.finish()
}

pub(super) fn open(fs: &MemFs, name: &str, number: u64, mapped: bool) -> Result<Base> {
    Base::open(fs, name, Expect { uuid: UUID, number }, mapped)
}

/// What a lookup should have given.
pub(super) fn expected(record: Option<&Record>) -> (Found, &[u8]) {
    match record {
        None => (Found::Absent, &[]),
        Some(record) if record.tombstone => (Found::Tombstone, &[]),
        Some(Record { deadline, cap, idle, value, .. }) => {
            (Found::Value { deadline: *deadline, cap: *cap, idle: *idle }, value)
        }
    }
}

/// Looks up every key of the model, and a hundred others.
pub(super) fn check_finds(base: &Base, model: &Model) {
    let mut out = Vec::new();
    let others = (1 << 40..(1 << 40) + 100).map(key).map(|key| (seed().hash(&key), key));
    for place in model.keys().copied().chain(others) {
        let found = base.find(place.0, &place.1, &mut out).unwrap();
        assert_eq!((found, out.as_slice()), expected(model.get(&place)), "{place:?}");
        assert!(found == Found::Absent || base.contains(place.0));
    }
}

/// What the base yields from a hash on: records, and stretches of damage.
pub(super) fn walk(base: &Base, from: u64) -> (Vec<Record>, Vec<Damage>) {
    let (mut records, mut damages, mut record) = (Vec::new(), Vec::new(), Record::empty());
    let mut iter = base.iter(from).unwrap();
    loop {
        match iter.read(&mut record).unwrap() {
            Step::Record => records.push(record.clone()),
            Step::Damaged(damage) => damages.push(damage),
            Step::End => return (records, damages),
        }
    }
}

fn check_walks(base: &Base, model: &Model) {
    let hashes: Vec<u64> = model.keys().map(|place| place.0).collect();
    let some = hashes.iter().step_by(1 + hashes.len() / 20).flat_map(|h| [*h, h.wrapping_add(1)]);
    for from in some.chain([0, u64::MAX]) {
        let (records, damages) = walk(base, from);
        let wanted: Vec<Record> = model
            .range((from, Key::from_bytes([0; 16]))..)
            .map(|(_, record)| record.clone())
            .collect();
        assert!(records == wanted, "from {from}: {} of {}", records.len(), wanted.len());
        assert_eq!(damages, []);
    }
}

fn check_round_trip(model: &Model) {
    let fs = MemFs::default();
    let expected_records = model.len() as u64;
    let summary = build(&fs, "base", Meta { expected_records, ..meta(7) }, model).unwrap();
    assert!(fs.is_synced("base"));
    for mapped in [false, true] {
        let base = open(&fs, "base", 7, mapped).unwrap();
        check_finds(&base, model);
        check_walks(&base, model);
        let values: Vec<&Record> = model.values().filter(|record| !record.tombstone).collect();
        assert_eq!(base.values(), values.len() as u64);
        assert_eq!(base.tombstones(), (model.len() - values.len()) as u64);
        assert_eq!(
            base.header.value_bytes,
            values.iter().map(|r| r.value.len() as u64).sum::<u64>()
        );
        assert_eq!(base.live_at(0), values.len() as u64);
        assert_eq!(base.live_at(u32::MAX), 0);
        assert_eq!((base.number(), base.cut(), base.highest()), (7, 1007, model.len() as u64));
        assert_eq!((base.seed(), base.epoch()), (seed(), meta(7).epoch));
        assert_eq!((base.codec(), base.schema()), (3, 0xabcd_ef01_2345));
        assert_eq!(base.file_bytes(), fs.bytes("base").len() as u64);
        let described = (base.file_bytes(), base.values(), base.tombstones());
        assert_eq!(described, (summary.file_bytes, summary.values, summary.tombstones));
    }
}

#[test]
fn what_is_written_is_read_back() {
    check_round_trip(&Model::new());
    check_round_trip(&mixed(0..1, 100));
    check_round_trip(&mixed(3..4, 100));
    check_round_trip(&mixed(0..100, 0));
    check_round_trip(&mixed(0..5000, 90));
    check_round_trip(&mixed(0..300, 3900));
    check_round_trip(&model((0..5000).map(|number| record(key(number), None))));
}

#[test]
fn values_of_every_size_round_a_boundary_are_read_back() {
    // A record with a block to itself has 60 bytes before its value.
    let full = [1, 2, 16, 256].map(|pages| pages * PAGE - 60);
    let near = full.into_iter().flat_map(|size| size - 3..size + 3);
    let sizes = (0..20).chain(1300..1350).chain(3990..4100).chain(near);
    let sizes = sizes.chain([65536, 1 << 20, 8 << 20, VALUE_MAX]);
    let model = model(sizes.zip(0..).map(|(size, n)| record(key(n), Some(bytes(size)))));
    let fs = MemFs::default();
    build(&fs, "base", meta(1), &model).unwrap();
    for mapped in [false, true] {
        let base = open(&fs, "base", 1, mapped).unwrap();
        check_finds(&base, &model);
        assert!(walk(&base, 0).0.iter().eq(model.values()));
    }
}

#[test]
fn keys_with_the_same_hash_are_told_apart_across_blocks() {
    let mut model = mixed(0..200, 100);
    let value = |number: u64| (!number.is_multiple_of(5)).then(|| bytes(number as usize * 20));
    model.extend(super::tests::model((0..150).map(|n| record(twin(n), value(n)))));
    check_round_trip(&model);
    let fs = MemFs::default();
    build(&fs, "base", meta(1), &model).unwrap();
    let base = open(&fs, "base", 1, true).unwrap();
    let mut out = Vec::new();
    for key in (150..170).map(twin) {
        assert_eq!(base.find(seed().hash(&key), &key, &mut out).unwrap(), Found::Absent);
    }
}

#[test]
fn a_builder_refuses_what_could_not_be_found_again() {
    let fs = MemFs::default();
    let mut builder = Builder::create(&fs, "base", meta(1)).unwrap();
    assert!(Builder::create(&fs, "base", meta(1)).is_err());
    let model = mixed(0..10, 10);
    let [first, .., last] = model.values().collect::<Vec<_>>()[..] else { panic!() };
    builder.push(&last.as_ref(), 1).unwrap();
    assert!(builder.push(&first.as_ref(), 2).unwrap_err().is_config());
    assert!(builder.push(&last.as_ref(), 2).unwrap_err().is_config());
    let wrong = RecordRef { hash: u64::MAX, ..first.as_ref() };
    assert!(builder.push(&wrong, 2).unwrap_err().is_config());
    let other = (0..).map(key).find(|key| seed().hash(key) > last.hash).unwrap();
    let large = record(other, Some(vec![0; VALUE_MAX + 1]));
    assert!(builder.push(&large.as_ref(), 2).unwrap_err().is_too_large());
    assert_eq!((builder.records(), builder.finish().unwrap().highest), (1, 1));
    check_finds(&open(&fs, "base", 1, true).unwrap(), &super::tests::model([last.clone()]));
}

#[test]
fn a_failed_write_or_sync_fails_the_build() {
    let model = mixed(0..3000, 300);
    for call in 1.. {
        let fs = MemFs::default();
        fs.fail_from(call);
        match build(&fs, "base", meta(1), &model) {
            Ok(_) => return assert!(call > 4, "only {call} calls"),
            Err(error) => assert!(error.is_disk_full() && error.path().is_some(), "{error}"),
        }
        if let Ok(base) = open(&fs, "base", 1, true) {
            // All was written, and the sync failed.
            check_finds(&base, &model);
        }
    }
}

#[test]
fn a_filter_that_is_too_small_hides_nothing() {
    let fs = MemFs::default();
    let model = mixed(0..3000, 20);
    build(&fs, "base", Meta { expected_records: 0, ..meta(1) }, &model).unwrap();
    check_finds(&open(&fs, "base", 1, true).unwrap(), &model);
}

#[test]
fn the_number_of_the_living_is_known_about() {
    let fs = MemFs::default();
    let model = mixed(0..5000, 20);
    build(&fs, "base", meta(1), &model).unwrap();
    let base = open(&fs, "base", 1, true).unwrap();
    for tick in [0, 999, 1000, 1234, 1500, 1999, 2000] {
        let alive = |record: &&Record| !record.tombstone && record.deadline > tick;
        let exact = model.values().filter(alive).count() as i64;
        assert!((base.live_at(tick) as i64 - exact).abs() < 100, "{tick}: {exact}");
    }
}

#[test]
fn ticks_move_between_epochs_and_are_never_early() {
    let (old, new) = (Epoch::from_millis(1_000_000), Epoch::from_millis(3_000_010));
    assert_eq!(rebase(DEAD, old, new), DEAD);
    assert_eq!(rebase(u32::MAX, old, new), u32::MAX);
    assert_eq!(rebase(123, old, old), 123);
    for tick in [20_000, 400_000] {
        let moved = new.time(rebase(tick, old, new));
        let late = moved.as_millis() - old.time(tick).as_millis();
        assert!((0..crate::limits::TICK_MS).contains(&late));
    }
    assert_eq!(rebase(5, old, new), 1);
}

#[test]
fn the_bytes_of_a_base_never_change() {
    let fs = MemFs::default();
    build(&fs, "base", meta(1), &mixed(0..300, 60)).unwrap();
    let bytes = fs.bytes("base");
    assert_eq!((bytes.len(), crc32fast::hash(&bytes)), (41736, 3_988_515_775));
}
