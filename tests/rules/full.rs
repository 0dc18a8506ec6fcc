//! A full disk: what could not be written is kept, removals have a reserve, and it ends by itself.

use std::io;

use sessile::Durability;
use sessile::testing::Call;

use super::support::Temp;
use super::support::faulty::{Faults, FaultyFs};
use super::{Stage, builder, cut_now, key, opened, text, there};

#[test]
fn what_found_the_disk_full_is_written_when_there_is_room() {
    let stage = Stage::new();
    let store = opened(&stage);
    store.at(Durability::Power).insert(key(0), "old".into()).unwrap();
    stage.before(Call::Write, "log.", || Err(io::Error::from_raw_os_error(28)));
    let error = store.insert(key(1), "new".into()).unwrap_err();
    assert!(stage.is_done() && error.is_disk_full() && error.is_unknown(), "{error:?}");
    assert_eq!(there(&store, 0..9), [0, 1]);
    // There is room again, and nobody has said so.
    store.insert(key(2), "newer".into()).unwrap();
    store.sync().unwrap();
    assert!(!store.stats().disk.unwrap().disk_full);
    cut_now(&stage.fs, |left, when| assert_eq!(there(left, 0..9), [0, 1, 2], "{when}"));
}

/// Wherever in a small segment the room ends, its first bytes included.
#[test]
fn removals_have_a_reserve_in_a_segment_that_has_just_begun() {
    // More than one segment could hold, and less than the reserve.
    const SESSIONS: u64 = 1800;
    for room in [80_000, 110_000, 140_000, 170_000, 330_000] {
        let (temp, faults) = (Temp::new(), Faults::new());
        let builder = builder().segment_bytes(64 << 10).flush_bytes(1 << 30);
        let store = builder.open_fs(FaultyFs::open(temp.path(), &faults)).unwrap();
        for number in 0..SESSIONS {
            store.at(Durability::Memory).insert(key(number), "old".into()).unwrap();
        }
        store.flush().unwrap();
        faults.set_room(room);
        let full = (SESSIONS..SESSIONS + 400)
            .find_map(|number| store.at(Durability::Process).insert(key(number), text(5000)).err());
        let full = full.unwrap_or_else(|| panic!("room {room}: it is never full"));
        assert!(full.is_disk_full() && !full.is_unknown(), "room {room}: {full:?}");
        for number in 0..SESSIONS {
            let removed = store.at(Durability::Process).remove(&key(number));
            assert!(removed.is_ok(), "room {room}, removal {number}: {removed:?}");
        }
    }
}
