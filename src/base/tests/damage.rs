//! Whatever happens to the bytes of a base, it gives the right answer or says that it cannot.

use super::*;

fn small() -> (MemFs, Model) {
    let fs = MemFs::default();
    let mut model = mixed(0..12, 400);
    model.extend(super::model([record(key(100), Some(bytes(4500)))]));
    let mut builder = Builder::create(&fs, "base", meta(1)).unwrap();
    model.values().for_each(|record| builder.push(&record.as_ref(), 5).unwrap());
    builder.add_lost(7, 9);
    builder.finish().unwrap();
    (fs, model)
}

/// Every key of the model is answered rightly or not at all; gives how many were not.
fn check_honest(base: &Base, model: &Model, others: &[Key]) -> usize {
    let (mut out, mut refused) = (Vec::new(), 0);
    let others = others.iter().map(|key| (seed().hash(key), *key));
    for place in model.keys().copied().chain(others) {
        match base.find(place.0, &place.1, &mut out) {
            Ok(found) => {
                assert_eq!((found, out.as_slice()), expected(model.get(&place)), "{place:?}");
            }
            Err(error) => {
                assert!(error.is_corrupt() && error.path().is_some(), "{error}");
                assert!(error.byte_offset().is_some() && out.is_empty(), "{error}");
                refused += 1;
            }
        }
    }
    refused
}

/// What the base yields is right, and what it does not yield lies in what it says is damaged.
fn check_walk(base: &Base, model: &Model, from: u64) {
    let (records, damages) = walk(base, from);
    let yielded = super::model(records.iter().cloned());
    assert_eq!(yielded.len(), records.len());
    for (place, record) in model.iter().filter(|(place, _)| place.0 >= from) {
        match yielded.get(place) {
            Some(found) => assert_eq!(found, record),
            None => {
                let inside = |damage: &Damage| (damage.lo..=damage.hi).contains(&place.0);
                assert!(damages.iter().any(inside), "{place:?} in none of {damages:?}");
            }
        }
    }
    assert!(yielded.keys().all(|place| model.contains_key(place)));
}

/// Flips each of these bits of the small base in turn; gives how often opening was refused, and
/// how many answers.
fn flip_each(bits: impl Iterator<Item = usize>) -> (usize, usize) {
    let (fs, model) = small();
    let others: Vec<Key> = (200..203).map(key).collect();
    let (mut refused_opens, mut refused) = (0, 0);
    for bit in bits {
        fs.flip("base", bit);
        match open(&fs, "base", 1, bit % 16 < 8) {
            Ok(base) => {
                refused += check_honest(&base, &model, &others);
                if bit % 64 == 5 {
                    check_walk(&base, &model, 0);
                }
            }
            Err(error) => {
                assert!(error.is_corrupt() && error.byte_offset().is_some(), "{error}");
                refused_opens += 1;
            }
        }
        fs.flip("base", bit);
    }
    assert_eq!(check_honest(&open(&fs, "base", 1, true).unwrap(), &model, &others), 0);
    (refused_opens, refused)
}

#[test]
fn no_flipped_bit_makes_a_wrong_answer() {
    let bits = small().0.bytes("base").len() * 8;
    let halves = [0, 1].map(|half| std::thread::spawn(move || flip_each((half..bits).step_by(2))));
    let [(a, b), (c, d)] = halves.map(|half| half.join().unwrap());
    // Every bit of the header and of what else is read at open is noticed there.
    assert_eq!(a + c, (764 + 16 + 24) * 8);
    assert!(b + d > 0);
}

#[test]
fn a_base_of_another_length_is_refused() {
    let (fs, _) = small();
    let whole = fs.bytes("base");
    for length in 0..whole.len() {
        fs.put("base", whole[..length].to_vec());
        let error = open(&fs, "base", 1, true).unwrap_err();
        assert!(error.is_corrupt() && error.path().is_some() && error.byte_offset().is_some());
    }
    for more in [1, 64, 4096] {
        fs.put("base", [whole.clone(), vec![0; more]].concat());
        assert!(open(&fs, "base", 1, true).unwrap_err().is_corrupt());
    }
    fs.put("base", vec![0; whole.len()]);
    assert!(open(&fs, "base", 1, true).unwrap_err().is_corrupt());
    fs.remove("base").unwrap();
    assert!(!open(&fs, "base", 1, true).unwrap_err().is_corrupt());
}

#[test]
fn another_base_is_refused() {
    let (fs, _) = small();
    let error = open(&fs, "base", 2, true).unwrap_err();
    assert!(error.is_corrupt() && error.byte_offset() == Some(40), "{error}");
    let foreign = Expect { uuid: [1; 16], number: 1 };
    let error = Base::open(&fs, "base", foreign, true).unwrap_err();
    assert!(error.is_corrupt() && error.byte_offset() == Some(24), "{error}");
}

#[test]
fn a_base_with_something_behind_its_end_is_refused() {
    let (fs, _) = small();
    let size = fs.bytes("base").len() as u64;
    fs.corrupt("base", |bytes| bytes.extend_from_slice(&[0; 8]));
    let error = open(&fs, "base", 1, true).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("extended"), "{error}");
    assert_eq!(error.byte_offset(), Some(size), "where it should have ended");
}

#[test]
fn another_version_of_the_format_is_refused_by_name() {
    let (fs, model) = small();
    let whole = fs.bytes("base");
    let patched = |offset: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[offset] = value;
        let crc = Seal::new(0, 0).add(&bytes[..760]).value();
        bytes[760..764].copy_from_slice(&crc.to_le_bytes());
        fs.put("base", bytes);
        open(&fs, "base", 1, true)
    };
    let error = patched(8, 2).unwrap_err();
    assert!(error.is_mismatch() && error.to_string().contains("2.0"), "{error}");
    assert!(error.to_string().contains("1.x"), "{error}");
    assert!(patched(19, 128).unwrap_err().is_mismatch());
    assert!(patched(104, 2).unwrap_err().is_mismatch());
    assert!(patched(108, 2).unwrap_err().is_mismatch());
    // A newer minor version and flags that may be ignored are no hindrance.
    check_honest(&patched(10, 9).unwrap(), &model, &[]);
    check_honest(&patched(20, 255).unwrap(), &model, &[]);
}

#[test]
fn blocks_that_were_swapped_zeroed_or_are_foreign_do_not_verify() {
    let fs = MemFs::default();
    let model = mixed(0..2000, 100);
    build(&fs, "base", meta(1), &model).unwrap();
    build(&fs, "other", meta(2), &mixed(0..2000, 100)).unwrap();
    let (whole, other) = (fs.bytes("base"), fs.bytes("other"));
    let page = |number: usize| number * PAGE..(number + 1) * PAGE;
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        fs.put("base", whole.clone());
        fs.corrupt("base", change);
        let base = open(&fs, "base", 1, false).unwrap();
        let refused = check_honest(&base, &model, &[]);
        assert!((10..200).contains(&refused), "{refused}");
        check_walk(&base, &model, 0);
    };
    check(&|bytes| {
        bytes[page(3)].copy_from_slice(&whole[page(9)]);
        bytes[page(9)].copy_from_slice(&whole[page(3)]);
    });
    check(&|bytes| bytes[page(4)].fill(0));
    check(&|bytes| bytes[page(5)].copy_from_slice(&other[page(5)]));
    check(&|bytes| bytes[page(6)][2048..].fill(0xff));
}

#[test]
fn pieces_of_the_filter_and_the_directory_that_were_swapped_do_not_verify() {
    let fs = MemFs::default();
    let model = mixed(0..2500, 100);
    build(&fs, "base", Meta { expected_records: 2500, ..meta(1) }, &model).unwrap();
    let whole = fs.bytes("base");
    let base = open(&fs, "base", 1, true).unwrap();
    let (filter, directory) = (base.header.filter, base.header.directory);
    for (section, size) in [(filter, 64), (directory, 512)] {
        let (start, end) = (section.offset as usize, (section.offset + section.length) as usize);
        fs.corrupt("base", |bytes| {
            bytes[start..start + size].copy_from_slice(&whole[end - size..end]);
            bytes[end - size..end].copy_from_slice(&whole[start..start + size]);
        });
        check_honest(&base, &model, &[]);
        check_walk(&base, &model, 0);
        fs.corrupt("base", |bytes| bytes.copy_from_slice(&whole));
    }
}

#[test]
fn a_walk_goes_on_behind_damage_wherever_it_is() {
    let fs = MemFs::default();
    let mut model = mixed(0..2500, 100);
    model.extend(super::model((0..9).map(|n| record(key(9000 + n), Some(bytes(300_000))))));
    build(&fs, "base", meta(1), &model).unwrap();
    let whole = fs.bytes("base");
    let base = open(&fs, "base", 1, true).unwrap();
    let (directory, fences) = (base.header.directory.offset as usize, base.fences.count());
    let hashes: Vec<u64> = model.keys().map(|place| place.0).collect();
    for round in 0..60usize {
        fs.put("base", whole.clone());
        let pages = base.header.page_count as usize;
        let damaged = [round * 7 % pages, (round * 7 + 1) % pages, round * 13 % pages, pages - 1];
        for page in damaged.iter().take(1 + round % 4) {
            fs.flip("base", ((page + 1) * PAGE + round) * 8);
        }
        if round % 3 == 0 {
            fs.flip("base", (directory + round % fences * 512 + 17) * 8);
        }
        let base = open(&fs, "base", 1, true).unwrap();
        for from in [0, hashes[round * 40], hashes[hashes.len() - 1 - round] + 1, u64::MAX] {
            check_walk(&base, &model, from);
        }
        check_honest(&base, &model, &[]);
    }
}

#[test]
fn one_damaged_block_costs_its_own_records_alone() {
    let fs = MemFs::default();
    let model = mixed(0..2500, 100);
    build(&fs, "base", Meta { expected_records: 2500, ..meta(1) }, &model).unwrap();
    let base = open(&fs, "base", 1, true).unwrap();
    fs.flip("base", 8 * (7 * PAGE + 4000));
    let (records, damages) = walk(&base, 0);
    assert_eq!(damages.len(), 1);
    assert_eq!(damages[0].offset, 7 * PAGE as u64);
    assert_eq!(base.block_at(damages[0].lo), Some(damages[0].offset));
    let missing: Vec<_> = model.values().filter(|record| !records.contains(record)).collect();
    assert!((10..40).contains(&missing.len()));
    assert_eq!(damages[0].lo, missing[0].hash);
    // The records that still verify are found, and the absence of others is not claimed.
    let refused = check_honest(&base, &model, &[]);
    assert!(refused <= 1, "{refused}");
    let inside = |key: &Key| (damages[0].lo..damages[0].hi).contains(&seed().hash(key));
    let others: Vec<Key> = (5000..500_000).map(key).filter(inside).collect();
    let mut out = Vec::new();
    let denied = others.iter().filter(|key| base.find(seed().hash(key), key, &mut out).is_ok());
    // The filter may still deny by itself.
    assert!(denied.count() > others.len() / 2);
    let (mut seen, mut out) = (0, Vec::new());
    for key in others.iter().filter(|key| base.contains(seed().hash(key))) {
        let error = base.find(seed().hash(key), key, &mut out).unwrap_err();
        assert_eq!(error.byte_offset(), Some(7 * PAGE as u64));
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn keys_of_a_lost_range_are_not_called_absent() {
    let fs = MemFs::default();
    let model = mixed(0..500, 100);
    let hashes: Vec<u64> = model.keys().map(|place| place.0).collect();
    let (lo, hi) = (hashes[100], hashes[200]);
    let mut builder = Builder::create(&fs, "base", meta(1)).unwrap();
    model.values().for_each(|record| builder.push(&record.as_ref(), 5).unwrap());
    builder.add_lost(lo, hi);
    builder.finish().unwrap();
    let base = open(&fs, "base", 1, true).unwrap();
    assert_eq!(base.lost().ranges(), [(lo, hi)]);
    let mut out = Vec::new();
    for (place, record) in &model {
        let found = base.find(place.0, &place.1, &mut out).unwrap();
        assert_eq!((found, out.as_slice()), expected(Some(record)));
    }
    for key in (1000..3000).map(key) {
        let hash = seed().hash(&key);
        match base.find(hash, &key, &mut out) {
            Ok(found) => assert!(found == Found::Absent && !(lo..=hi).contains(&hash)),
            Err(error) => assert!(error.is_corrupt() && (lo..=hi).contains(&hash), "{error}"),
        }
    }
}

#[test]
fn an_error_of_the_device_is_not_damage() {
    let (fs, model) = small();
    let base = open(&fs, "base", 1, false).unwrap();
    fs.make_unreadable(PAGE as u64..u64::MAX);
    let mut out = Vec::new();
    for (hash, key) in model.keys() {
        let error = base.find(*hash, key, &mut out).unwrap_err();
        assert!(!error.is_corrupt() && error.path().is_some(), "{error}");
    }
    assert!(!base.iter(0).unwrap().read(&mut Record::empty()).unwrap_err().is_corrupt());
    assert!(!open(&fs, "base", 1, false).unwrap_err().is_corrupt());
    fs.make_unreadable(0..0);
    check_finds(&base, &model);
}
