//! What an opening believes: the watermark alone tells damage from a torn tail, and files that are
//! not the ones that were meant are refused.

use std::sync::Arc;

use sessile::testing::{ManualClock, SimFs};
use sessile::{Durability, Recovery, Salvage, Store};

use super::{SECOND, Stage, builder, found, key, on, opened, there, value};

fn names(fs: &SimFs, start: &str) -> Vec<String> {
    fs.names().into_iter().filter(|name| name.starts_with(start)).collect()
}

/// Makes what lies in the last segment from its `skip`-th frame on unreadable.
fn damage_log(fs: &SimFs, skip: usize) {
    let name = names(fs, "log.").pop().unwrap();
    let mut bytes = fs.bytes(&name).unwrap();
    let frames = (4096..bytes.len()).step_by(8).filter(|at| bytes[*at] == 0xA5);
    let at = frames.clone().nth(skip).unwrap();
    bytes[at + 40..].fill(0x55);
    fs.put(&name, &bytes);
}

#[track_caller]
fn refused(fs: &SimFs) {
    let opened = builder().open_fs(Arc::new(fs.clone()));
    let Err(error) = opened else { panic!("damage was passed over") };
    assert!(error.is_corrupt() && error.path().is_some(), "{error:?}");
}

/// Two bases, merged, and one more key in the log: no frame says that it is on disk, but the
/// manifest of the merge does.
fn merged() -> SimFs {
    let stage = Stage::new();
    let store = opened(&stage);
    let power = store.at(Durability::Power);
    for number in 0..3 {
        power.insert(key(number), "old".into()).unwrap();
        if number < 2 {
            store.flush().unwrap();
        }
    }
    store.merge().unwrap();
    stage.fs.kill()
}

#[test]
fn the_manifest_tells_damage_from_a_torn_tail() {
    let fs = merged();
    damage_log(&fs, 0);
    refused(&fs);
}

/// Of what the end of the log had ended nothing is known either.
#[test]
fn salvage_counts_what_is_lost_at_the_end_too() {
    for (salvage, expected) in [(Salvage::DropOlder, vec![]), (Salvage::KeepOlder, vec![0, 1])] {
        let fs = merged();
        damage_log(&fs, 0);
        let store = builder().recovery(Recovery::Salvage(salvage)).open_fs(Arc::new(fs)).unwrap();
        assert_eq!(there(&store, 0..9), expected, "{salvage:?}");
        assert_eq!(store.stats().disk.unwrap().recovery.lost.len(), 1);
    }
}

#[test]
fn an_idle_store_says_that_all_is_on_disk() {
    let (stage, clock) = (Stage::new(), ManualClock::new());
    let store = on(&clock).open_fs(stage.open()).unwrap();
    let power = store.at(Durability::Power);
    power.insert(key(0), "old".into()).unwrap();
    // The first mark of a run says more than this.
    clock.advance(SECOND);
    power.insert(key(1), "last".into()).unwrap();
    clock.advance(SECOND);
    store.sync().unwrap();
    let fs = stage.fs.kill();
    // The frame of key 1, and not the one behind it.
    let name = names(&fs, "log.").pop().unwrap();
    let mut bytes = fs.bytes(&name).unwrap();
    let last = bytes.windows(4).position(|window| window == b"last").expect("one segment");
    bytes[last] ^= 1;
    fs.put(&name, &bytes);
    refused(&fs);
}

#[test]
fn damage_before_the_watermark_is_refused_and_a_torn_tail_is_not() {
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..4 {
        store.at(Durability::Power).insert(key(number), "old".into()).unwrap();
    }
    let torn = stage.fs.kill();
    damage_log(&torn, 3);
    assert_eq!(there(&found(torn), 0..9), [0, 1, 2]);
    let fs = stage.fs.kill();
    let name = names(&fs, "log.").pop().unwrap();
    let mut bytes = fs.bytes(&name).unwrap();
    // The first frame alone: those behind it verify, and say what was on disk.
    bytes[4096 + 10] ^= 1;
    fs.put(&name, &bytes);
    refused(&fs);
}

/// Two stores with the same history: their files have the same names.
fn twins() -> [Stage; 2] {
    [1, 2].map(|seed| {
        let stage = Stage::on(SimFs::new(seed));
        let store = opened(&stage);
        for number in 0..2 {
            store.insert(key(number), format!("{seed}")).unwrap();
            store.flush().unwrap();
        }
        store.at(Durability::Power).insert(key(2), format!("{seed}")).unwrap();
        store.at(Durability::Power).insert(key(3), format!("{seed}")).unwrap();
        Stage::on(stage.fs.kill())
    })
}

#[test]
fn cve_2020_9484_cve_2025_24813_files_of_another_store_are_not_taken_for_ours() {
    let [ours, theirs] = twins();
    for start in ["log.", "base."] {
        let fs = ours.fs.kill();
        let name = names(&fs, start).pop().unwrap();
        fs.put(&name, &theirs.fs.bytes(&name).unwrap());
        match builder().open_fs(Arc::new(fs)) {
            Err(error) => assert!(error.is_corrupt(), "{start}: {error:?}"),
            Ok(store) => {
                for number in 0..4 {
                    let value = store.peek(&key(number)).unwrap();
                    assert!(value.is_none_or(|value| *value == "1"), "{start}: {number}");
                }
                let unknown = store.stats().disk.unwrap().recovery.unknown_files;
                assert_eq!(unknown, [name], "{start}");
            }
        }
    }
}

#[test]
fn files_under_each_others_names_are_refused() {
    let [ours, _] = twins();
    let bases = names(&ours.fs, "base.");
    let fs = ours.fs.kill();
    fs.put(&bases[0], &ours.fs.bytes(&bases[1]).unwrap());
    refused(&fs);
    // Two segments that have changed their names.
    let stage = Stage::new();
    let store = opened(&stage);
    for number in 0..3 {
        store.at(Durability::Power).insert(key(number), super::text(3000)).unwrap();
    }
    let fs = stage.fs.kill();
    let [first, second, ..] = &names(&fs, "log.")[..] else { panic!("one segment") };
    let bytes = [first, second].map(|name| fs.bytes(name).unwrap());
    fs.put(first, &bytes[1]);
    fs.put(second, &bytes[0]);
    refused(&fs);
    // A copy of the segment, which looks like one that follows it.
    let fs = ours.fs.kill();
    let last = names(&fs, "log.").pop().unwrap();
    fs.put(&format!("log.{:012}", 99), &fs.bytes(&last).unwrap());
    let store = found(fs);
    assert_eq!(there(&store, 0..9), [0, 1, 2, 3]);
    assert_eq!(store.stats().disk.unwrap().recovery.unknown_files.len(), 1);
}

#[test]
fn a_base_of_another_size_is_refused() {
    let [ours, _] = twins();
    let name = names(&ours.fs, "base.").pop().unwrap();
    let mut bytes = ours.fs.bytes(&name).unwrap();
    bytes.truncate(bytes.len() - 8);
    ours.fs.put(&name, &bytes);
    refused(&ours.fs);
}

/// A part of a backup among newer files: the same store, the same name, another history.
#[test]
fn a_base_of_another_history_is_refused() {
    let [ours, _] = twins();
    let [one, other] = [10, 6000].map(|bytes| {
        let stage = Stage::on(ours.fs.kill());
        let store = builder().segment_bytes(1 << 16).open_fs(stage.open()).unwrap();
        store.insert(key(10), super::text(bytes)).unwrap();
        store.flush().unwrap();
        stage.fs.kill()
    });
    let name = names(&one, "base.").pop().unwrap();
    assert_eq!(names(&other, "base.").pop().unwrap(), name);
    one.put(&name, &other.bytes(&name).unwrap());
    refused(&one);
}

#[test]
fn without_its_manifest_it_is_not_a_new_store() {
    let [ours, _] = twins();
    for name in names(&ours.fs, "manifest.") {
        assert!(ours.fs.delete(&name));
    }
    refused(&ours.fs);
}

#[test]
fn below_a_lost_base_nothing_is_believed_unless_it_was_asked_for() {
    for (salvage, expected) in [(Salvage::DropOlder, false), (Salvage::KeepOlder, true)] {
        let stage = Stage::new();
        let store = opened(&stage);
        store.insert(key(0), "old".into()).unwrap();
        store.flush().unwrap();
        assert!(store.remove(&key(0)).unwrap());
        store.insert(key(1), "new".into()).unwrap();
        store.flush().unwrap();
        let fs = stage.fs.kill();
        assert!(fs.delete(&names(&fs, "base.").pop().unwrap()));
        let open = builder().recovery(Recovery::Salvage(salvage));
        let store = open.open_fs(Arc::new(fs)).unwrap();
        assert_eq!(there(&store, 0..1).len() == 1, expected, "{salvage:?}");
    }
}

#[test]
fn after_salvage_the_damage_is_gone_from_what_counts() {
    for salvage in [Salvage::DropOlder, Salvage::KeepOlder] {
        let stage = Stage::new();
        let store = opened(&stage);
        for number in 0..6 {
            store.at(Durability::Power).insert(key(number), "old".into()).unwrap();
        }
        let fs = stage.fs.kill();
        let name = names(&fs, "log.").pop().unwrap();
        let mut bytes = fs.bytes(&name).unwrap();
        let third = (4096..bytes.len()).step_by(8).filter(|at| bytes[*at] == 0xA5).nth(2).unwrap();
        bytes[third + 9] ^= 1;
        fs.put(&name, &bytes);
        refused(&fs);
        let open = || builder().recovery(Recovery::Salvage(salvage));
        let store: Store<String> = open().open_fs(Arc::new(fs.clone())).unwrap();
        let kept = there(&store, 0..9);
        assert!(!kept.contains(&2) && kept.contains(&5), "{salvage:?}: {kept:?}");
        assert_eq!(kept.contains(&0), salvage == Salvage::KeepOlder, "{kept:?}");
        // A plain opening takes what the other has left, whatever has become of the process.
        assert_eq!(there(&found(fs.kill()), 0..9), kept, "{salvage:?}");
        store.at(Durability::Power).insert(key(7), "new".into()).unwrap();
        let mut kept = kept;
        kept.push(7);
        super::cut_now(&fs, |left, when| assert_eq!(there(left, 0..9), kept, "{when}"));
    }
}

/// An older one may name what has been removed since.
#[test]
fn a_damaged_manifest_is_not_passed_over() {
    // By the one before, which knows no base, this would be an empty store.
    let stage = Stage::new();
    let store = opened(&stage);
    store.insert(key(0), "old".into()).unwrap();
    store.flush().unwrap();
    let fs = stage.fs.kill();
    let manifests = names(&fs, "manifest.");
    assert_eq!(manifests.len(), 2);
    let mut bytes = fs.bytes(&manifests[1]).unwrap();
    bytes[60] ^= 1;
    fs.put(&manifests[1], &bytes);
    refused(&fs);
}

/// The frame between them, which made a new session, is lost: what the bases have of the key is
/// still what was removed.
#[test]
fn new_times_do_not_bring_back_what_was_removed() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.insert(key(1), "old".into()).unwrap();
    store.flush().unwrap();
    let power = store.at(Durability::Power);
    power.remove(&key(1)).unwrap();
    power.insert(key(1), "again".into()).unwrap();
    power.set_expiry(&key(1), sessile::Expiry::After(900 * SECOND)).unwrap();
    power.insert(key(2), "another".into()).unwrap();
    let fs = stage.fs.kill();
    let name = names(&fs, "log.").pop().unwrap();
    let mut bytes = fs.bytes(&name).unwrap();
    let at = bytes.windows(5).position(|window| window == b"again").expect("one segment");
    bytes[at] ^= 1;
    fs.put(&name, &bytes);
    for salvage in [Salvage::DropOlder, Salvage::KeepOlder] {
        let open = builder().recovery(Recovery::Salvage(salvage));
        let store = open.open_fs(Arc::new(fs.kill())).unwrap();
        assert_eq!(there(&store, 0..9), [2], "{salvage:?}");
    }
}

/// So many frames that several threads share them out: what each key held last, what a `clear`
/// between them left, and the figures.
#[test]
fn a_long_log_is_replayed_in_its_order() {
    const KEYS: u64 = 20_000;
    let stage = Stage::new();
    let store = opened(&stage).at(Durability::Memory);
    let fill = |from: u64, to: u64, text: &str| {
        for number in from..to {
            store.insert(key(number), format!("{text} {number}")).unwrap();
        }
    };
    fill(0, 2 * KEYS, "ended");
    store.clear().unwrap();
    fill(0, KEYS, "first");
    fill(KEYS / 2, KEYS, "second");
    for number in (0..KEYS).step_by(3) {
        store.remove(&key(number)).unwrap();
    }
    for number in (0..KEYS).step_by(6) {
        store.create(key(number), format!("third {number}")).unwrap();
    }
    store.set_expiry(&key(1), sessile::Expiry::After(60 * SECOND)).unwrap();
    store.sync().unwrap();
    let (sessions, bytes) = (store.len(), store.stats().memory_bytes);
    let store = found(stage.fs.kill());
    assert_eq!((store.len(), store.stats().memory_bytes), (sessions, bytes));
    for number in 0..2 * KEYS {
        let expected = match number {
            number if number >= KEYS => None,
            number if number % 6 == 0 => Some(format!("third {number}")),
            number if number % 3 == 0 => None,
            number if number < KEYS / 2 => Some(format!("first {number}")),
            number => Some(format!("second {number}")),
        };
        assert_eq!(value(&store, number), expected, "key {number}");
    }
}
