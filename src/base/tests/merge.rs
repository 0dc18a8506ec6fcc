//! A merge keeps the newest word on every key, and loses nothing that it does not count.

use super::*;
use crate::base::merge::Counts;

struct Rig(MemFs);

impl Rig {
    fn new() -> Self {
        Rig(MemFs::default())
    }

    fn base(&self, number: u64, model: &Model) -> Arc<Base> {
        let name = number.to_string();
        build(&self.0, &name, meta(number), model).unwrap();
        Arc::new(open(&self.0, &name, number, true).unwrap())
    }

    fn merge(&self, bases: &[Arc<Base>], bottom: bool, now: Option<Tick>) -> (Base, Counts) {
        let mut out = Builder::create(&self.0, "out", meta(99)).unwrap();
        let (mut adjust, mut pace) =
            (|_: &Base, _: &mut Record| Ok(Expired::Drop), |_: u64| Ok(()));
        let counts = merge(bases, bottom, now, &mut out, &mut adjust, &mut pace).unwrap();
        out.finish().unwrap();
        self.0.rename("out", "merged").unwrap();
        (open(&self.0, "merged", 99, true).unwrap(), counts)
    }
}

fn one(number: u64, value: Option<&str>, deadline: Tick) -> Record {
    let value = value.map(|value| value.as_bytes().to_vec());
    Record { deadline, ..record(key(number), value) }
}

fn find(base: &Base, number: u64) -> Result<Option<String>> {
    let (key, mut out) = (key(number), Vec::new());
    let found = base.find(seed().hash(&key), &key, &mut out)?;
    let text = String::from_utf8_lossy(&out).into_owned();
    Ok(match found {
        Found::Absent => None,
        Found::Tombstone => Some("gone".to_owned()),
        Found::Value { .. } => Some(text),
    })
}

#[test]
fn the_newest_version_wins_before_it_is_asked_whether_it_expired() {
    let rig = Rig::new();
    let newest = rig.base(3, &model([one(1, Some("new"), 50), one(2, None, 0)]));
    let middle = rig.base(2, &model([one(1, Some("mid"), 900), one(2, Some("mid"), 900)]));
    let oldest = rig.base(1, &model([one(1, Some("old"), 900), one(3, Some("old"), 900)]));
    let bases = [newest, middle, oldest];
    let (base, counts) = rig.merge(&bases, true, Some(100));
    assert_eq!(find(&base, 1).unwrap(), None);
    assert_eq!(find(&base, 2).unwrap(), None);
    assert_eq!(find(&base, 3).unwrap().unwrap(), "old");
    let whole = Counts { read: 6, written: 1, superseded: 3, tombstones: 1, expired: 1, lost: 0 };
    assert_eq!(counts, whole);

    // Without the bottom both must go on hiding what older bases may hold.
    let (base, counts) = rig.merge(&bases, false, Some(100));
    assert_eq!(find(&base, 1).unwrap().unwrap(), "new");
    assert_eq!(find(&base, 2).unwrap().unwrap(), "gone");
    assert_eq!((counts.written, counts.superseded), (3, 3));

    // A clock that is not trusted lets nothing expire.
    let (base, _) = rig.merge(&bases, true, None);
    assert_eq!(find(&base, 1).unwrap().unwrap(), "new");
    assert_eq!(find(&base, 2).unwrap(), None);
}

#[test]
fn winners_can_be_rewritten_before_they_are_judged() {
    let rig = Rig::new();
    let base = rig.base(1, &model([one(1, Some("a"), 50), one(2, Some("b"), 50)]));
    let epoch = Epoch::from_millis(base.epoch().as_millis() - 125_000);
    let mut out = Builder::create(&rig.0, "out", Meta { epoch, ..meta(2) }).unwrap();
    let mut adjust = |base: &Base, record: &mut Record| {
        record.deadline = rebase(record.deadline, base.epoch(), epoch);
        if record.value == b"a" {
            record.value = b"longer".to_vec();
            record.deadline += 1;
        }
        Ok(Expired::Drop)
    };
    let now = Some(1050);
    let counts = merge(&[base], true, now, &mut out, &mut adjust, &mut |_| Ok(())).unwrap();
    assert_eq!((counts.written, counts.expired), (1, 1));
    out.finish().unwrap();
    let merged = open(&rig.0, "out", 2, true).unwrap();
    assert_eq!(find(&merged, 1).unwrap().unwrap(), "longer");
    assert_eq!(merged.header.deadline_max, 1051);
}

#[test]
fn damage_is_carried_as_lost_and_newer_records_still_answer() {
    let rig = Rig::new();
    let old = mixed(0..2000, 100);
    let oldest = rig.base(1, &old);
    let new = model((0..400).map(|n| one(n * 5, (n % 2 == 0).then_some("new"), 9000)));
    let newest = rig.base(2, &new);
    rig.0.flip("1", 8 * (7 * PAGE + 8));
    let (lo, hi) = match walk(&oldest, 0).1[..] {
        [Damage { lo, hi, .. }] => (lo, hi),
        ref other => panic!("{other:?}"),
    };
    let (base, counts) = rig.merge(&[newest.clone(), oldest], true, Some(10));
    assert_eq!(base.lost().ranges(), [(lo, hi)]);
    assert_eq!(counts.lost, 0);
    let inside = |number: u64| (lo..=hi).contains(&seed().hash(&key(number)));
    let (mut answered, mut gone, mut refused) = (0, 0, 0);
    for number in (0..2000).filter(|number| inside(*number)) {
        match find(&base, number) {
            Ok(Some(text)) if text == "gone" => gone += 1,
            Ok(Some(text)) if text == "new" => answered += 1,
            // The first record behind the range has the hash that ends it.
            Ok(Some(_)) => assert_eq!(seed().hash(&key(number)), hi),
            Ok(None) => panic!("{number} is called absent"),
            Err(error) => refused += usize::from(error.is_corrupt()),
        }
    }
    assert!(answered > 0 && gone > 0 && refused > 5, "{answered} {gone} {refused}");
    // Outside the range the tombstones went, being of no use any more.
    assert_eq!(base.tombstones(), gone);

    // A base that lost a range may have lost a removal: what is older stays unknown.
    let base = Arc::new(base);
    let older = rig.base(4, &mixed(0..2000, 50));
    rig.0.rename("merged", "99").unwrap();
    let base = Arc::new(open(&rig.0, "99", base.number(), true).unwrap());
    let (again, counts) = rig.merge(&[base.clone(), older], true, Some(10));
    assert_eq!(again.lost().ranges(), [(lo, hi)]);
    assert_eq!(counts.lost, refused as u64);
    for number in (0..2000).filter(|number| inside(*number)) {
        assert_eq!(find(&again, number).ok(), find(&base, number).ok(), "{number}");
    }
}

#[test]
fn what_expired_in_a_lost_range_stays_as_proof_that_it_is_not_lost() {
    let rig = Rig::new();
    let mut builder = Builder::create(&rig.0, "1", meta(1)).unwrap();
    builder.add_lost(0, u64::MAX);
    builder.push(&one(1, Some("short"), 50).as_ref(), 1).unwrap();
    builder.finish().unwrap();
    let base = Arc::new(open(&rig.0, "1", 1, true).unwrap());
    let (merged, counts) = rig.merge(&[base], true, Some(100));
    assert_eq!(counts.written, 1);
    assert_eq!(find(&merged, 1).unwrap().unwrap(), "short");
    assert!(find(&merged, 2).unwrap_err().is_corrupt());
}

#[test]
fn a_merge_can_be_given_up() {
    let rig = Rig::new();
    let base = rig.base(1, &mixed(0..5000, 100));
    let mut out = Builder::create(&rig.0, "out", meta(2)).unwrap();
    let (mut calls, mut last) = (0, 0);
    let mut pace = |bytes: u64| {
        assert!(bytes >= last);
        last = bytes;
        calls += 1;
        if calls < 5 { Ok(()) } else { Err(crate::error::Error::closed()) }
    };
    let merged = merge(&[base], true, None, &mut out, &mut |_, _| Ok(Expired::Drop), &mut pace);
    assert!(merged.unwrap_err().is_closed());
    assert!(out.finish().is_ok());
}

#[test]
fn bases_with_another_seed_are_refused() {
    let rig = Rig::new();
    let base = rig.base(1, &Model::new());
    let other = Meta { seed: Seed::from_bytes([9; 16]), ..meta(2) };
    let mut out = Builder::create(&rig.0, "out", other).unwrap();
    let merged =
        merge(&[base], true, None, &mut out, &mut |_, _| Ok(Expired::Drop), &mut |_| Ok(()));
    assert!(merged.unwrap_err().is_config());
}

#[test]
fn records_that_went_missing_are_noticed() {
    let rig = Rig::new();
    rig.base(1, &mixed(0..10, 100));
    // One record more than there is, in a header that verifies.
    rig.0.corrupt("1", |bytes| {
        bytes[112] += 1;
        let crc = Seal::new(0, 0).add(&bytes[..760]).value();
        bytes[760..764].copy_from_slice(&crc.to_le_bytes());
    });
    let base = Arc::new(open(&rig.0, "1", 1, true).unwrap());
    let mut out = Builder::create(&rig.0, "out", meta(2)).unwrap();
    let merged =
        merge(&[base], true, None, &mut out, &mut |_, _| Ok(Expired::Drop), &mut |_| Ok(()));
    let error = merged.unwrap_err();
    assert!(error.is_corrupt() && error.path().is_some(), "{error}");
}

#[test]
fn a_merge_of_damage_alone_still_says_that_something_was_lost() {
    let rig = Rig::new();
    let base = rig.base(1, &model([one(1, Some("a"), 9000)]));
    rig.0.flip("1", 8 * (PAGE + 100));
    let mut out = Builder::create(&rig.0, "out", meta(2)).unwrap();
    merge(&[base], true, Some(10), &mut out, &mut |_, _| Ok(Expired::Drop), &mut |_| Ok(()))
        .unwrap();
    assert!(out.records() == 0 && out.has_lost());
    out.finish().unwrap();
    assert!(find(&open(&rig.0, "out", 2, true).unwrap(), 1).unwrap_err().is_corrupt());
}
