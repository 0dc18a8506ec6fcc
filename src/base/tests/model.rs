//! Bases against the plainest thing that could be one: a sorted map.

use proptest::prelude::*;

use super::*;

/// A few keys that meet often, some with the same hash, and many that do not.
fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![(0..60u64).prop_map(key), (0..12u64).prop_map(twin), any::<u64>().prop_map(key)]
}

fn values() -> impl Strategy<Value = Option<Vec<u8>>> {
    let size = prop_oneof![8 => 0..300usize, 2 => 3900..4300usize, 1 => 8000..20_000usize];
    prop::option::weighted(0.8, size.prop_map(bytes))
}

fn records() -> impl Strategy<Value = Record> {
    let times = (0..300u32, any::<u32>(), any::<u32>());
    (keys(), values(), times).prop_map(|(key, value, (deadline, cap, idle))| Record {
        deadline,
        cap,
        idle,
        ..record(key, value)
    })
}

fn models(most: usize) -> impl Strategy<Value = Model> {
    prop::collection::vec(records(), 0..most).prop_map(model)
}

/// What a merge should come to; the naive way.
fn merged(models: &[Model], bottom: bool, now: Option<Tick>) -> Model {
    let mut all = Model::new();
    for model in models.iter().rev() {
        all.extend(model.clone());
    }
    let expired = |record: &Record| now.is_some_and(|now| record.deadline <= now);
    all.retain(|_, record| !(bottom && (record.tombstone || expired(record))));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_base_is_a_sorted_map(model in models(200), expected_records in 0..300u64) {
        let fs = MemFs::default();
        build(&fs, "base", Meta { expected_records, ..meta(1) }, &model).unwrap();
        for mapped in [false, true] {
            let base = open(&fs, "base", 1, mapped).unwrap();
            check_finds(&base, &model);
            check_walks(&base, &model);
        }
    }

    #[test]
    fn a_merge_is_one_map_over_the_other(
        models in prop::collection::vec(models(80), 1..5),
        bottom: bool,
        now in prop::option::of(0..300u32),
    ) {
        let fs = MemFs::default();
        let bases: Vec<Arc<Base>> = models.iter().enumerate().map(|(number, model)| {
            let (name, number) = (number.to_string(), number as u64);
            build(&fs, &name, meta(number), model).unwrap();
            Arc::new(open(&fs, &name, number, true).unwrap())
        }).collect();
        let mut out = Builder::create(&fs, "out", meta(9)).unwrap();
        let (mut adjust, mut pace) = (|_: &Base, _: &mut Record| Ok(Expired::Drop), |_: u64| Ok(()));
        let counts = merge(&bases, bottom, now, &mut out, &mut adjust, &mut pace).unwrap();
        out.finish().unwrap();
        let (base, model) = (open(&fs, "out", 9, true).unwrap(), merged(&models, bottom, now));
        check_finds(&base, &model);
        check_walks(&base, &model);
        let read = models.iter().map(|model| model.len() as u64).sum::<u64>();
        prop_assert_eq!((counts.read, counts.written), (read, model.len() as u64));
    }

    #[test]
    fn no_damage_makes_a_wrong_answer(
        model in models(200),
        damage in prop::collection::vec((any::<u64>(), any::<u8>(), 1..600usize), 1..6),
    ) {
        let fs = MemFs::default();
        build(&fs, "base", meta(1), &model).unwrap();
        fs.corrupt("base", |bytes| {
            for (offset, byte, count) in damage {
                let start = offset as usize % bytes.len();
                let end = bytes.len().min(start + count);
                bytes[start..end].fill(byte);
            }
        });
        let Ok(base) = open(&fs, "base", 1, true) else { return Ok(()) };
        let mut out = Vec::new();
        for (place, record) in &model {
            match base.find(place.0, &place.1, &mut out) {
                Ok(found) => {
                    prop_assert_eq!((found, out.as_slice()), expected(Some(record)));
                }
                Err(error) => prop_assert!(error.is_corrupt()),
            }
        }
        let (records, damages) = walk(&base, 0);
        let yielded = super::model(records);
        for (place, record) in &model {
            let lost = damages.iter().any(|d| (d.lo..=d.hi).contains(&place.0));
            prop_assert!(yielded.get(place) == Some(record) || lost);
        }
        prop_assert!(yielded.keys().all(|place| model.contains_key(place)));
    }
}
