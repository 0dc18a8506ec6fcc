//! The simulated file system against what its page promises.

use super::*;

const OLD: u8 = 1;
const NEW: u8 = 2;

/// A durable file `a` of four sectors.
fn with_file() -> (SimFs, Arc<dyn File>) {
    let fs = SimFs::new(1);
    let file = fs.create("a").unwrap();
    file.write_at(&[OLD; 2048], 0).unwrap();
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    (fs, file)
}

fn sectors(fs: &SimFs, name: &str) -> Vec<u8> {
    fs.bytes(name).unwrap().chunks(512).map(|sector| sector[0]).collect()
}

#[test]
fn a_power_cut_keeps_any_of_the_sectors_and_a_kill_keeps_all() {
    let (fs, file) = with_file();
    file.write_at(&[NEW; 1536], 512).unwrap();
    assert_eq!(fs.pending(), 3);
    for bits in 0..8 {
        let expected: Vec<u8> =
            (0..4).map(|at| if at > 0 && bits >> (at - 1) & 1 == 1 { NEW } else { OLD }).collect();
        assert_eq!(sectors(&fs.power_cut(Keep::Chosen(bits)), "a"), expected);
    }
    let killed = fs.kill();
    assert_eq!(sectors(&killed, "a"), [OLD, NEW, NEW, NEW]);
    assert_eq!(sectors(&killed.power_cut(Keep::Nothing), "a"), [OLD; 4], "not durable yet");
    file.sync().unwrap();
    assert_eq!(sectors(&fs.power_cut(Keep::Nothing), "a"), [OLD, NEW, NEW, NEW]);
}

#[test]
fn a_size_without_data_shows_zeros_and_data_without_a_size_are_gone() {
    let (fs, file) = with_file();
    file.write_at(&[NEW; 600], 2048).unwrap();
    assert_eq!(fs.moment().describe(), ["sector 4 of a", "sector 5 of a", "size 2648 of a"]);
    let size_alone = fs.power_cut(Keep::Chosen(0b100));
    assert_eq!(sectors(&size_alone, "a"), [OLD, OLD, OLD, OLD, 0, 0]);
    let data_alone = fs.power_cut(Keep::Chosen(0b011));
    assert_eq!(sectors(&data_alone, "a"), [OLD; 4]);
    let later = data_alone.open("a").unwrap();
    later.allocate(2048, 1024).unwrap();
    assert_eq!(sectors(&data_alone, "a"), [OLD, OLD, OLD, OLD, 0, 0]);
}

#[test]
fn names_keep_their_order_one_by_one() {
    let (fs, _) = with_file();
    fs.create("b.tmp").unwrap();
    fs.rename("b.tmp", "b").unwrap();
    fs.remove("a").unwrap();
    let names = |bits| fs.power_cut(Keep::Chosen(bits)).names();
    assert_eq!(names(0b000), ["a"]);
    assert_eq!(names(0b001), ["a", "b.tmp"]);
    assert_eq!(names(0b010), ["a"], "no rename of what was not created");
    assert_eq!(names(0b100), Vec::<String>::new(), "another name is not bound to them");
    assert_eq!(names(0b111), ["b"]);
    fs.sync_dir().unwrap();
    assert_eq!(names(0), ["b"]);
}

#[test]
fn a_torn_rename_leaves_both_names_or_none() {
    let (fs, _) = with_file();
    fs.set_torn_renames(true);
    fs.rename("a", "b").unwrap();
    let names = |bits| fs.power_cut(Keep::Chosen(bits)).names();
    assert_eq!((names(0b01), names(0b10)), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn a_failed_sync_leaves_the_next_one_nothing_to_do() {
    for (how, seen) in [(SyncFailure::Keep, NEW), (SyncFailure::Revert, OLD)] {
        let (fs, file) = with_file();
        fs.set_sync_failure(how);
        file.write_at(&[NEW; 512], 0).unwrap();
        fs.fail(Fault { call: 1, failure: Failure::Io, lasting: false });
        assert!(file.sync().is_err());
        assert_eq!(sectors(&fs, "a")[0], seen);
        file.sync().unwrap();
        assert_eq!(sectors(&fs.power_cut(Keep::Everything), "a")[0], OLD, "{how:?}");
    }
}

#[test]
fn faults_come_at_their_call_once_or_for_good() {
    for lasting in [false, true] {
        let (fs, file) = with_file();
        fs.fail(Fault { call: 2, failure: Failure::ReadOnly, lasting });
        let codes: Vec<_> = (0..3)
            .map(|_| file.write_at(&[NEW], 0).err().and_then(|error| error.raw_os_error()))
            .collect();
        assert_eq!(codes, [None, Some(30), lasting.then_some(30)]);
        assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 8, "reading is allowed");
        fs.repair();
        file.write_at(&[NEW], 0).unwrap();
    }
    let (fs, file) = with_file();
    fs.fail(Fault { call: 1, failure: Failure::ShortRead, lasting: false });
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 4);
}

#[test]
fn a_full_disk_takes_what_fits_and_room_comes_back_with_the_last_handle() {
    let (fs, file) = with_file();
    fs.set_capacity(Some(3000));
    assert_eq!(fs.free_bytes().unwrap(), 952);
    assert_eq!(file.allocate(2048, 1000).unwrap_err().raw_os_error(), Some(28));
    assert_eq!(file.write_at(&[NEW; 1000], 2048).unwrap_err().raw_os_error(), Some(28));
    assert_eq!(file.size().unwrap(), 3000);
    fs.remove("a").unwrap();
    assert_eq!(fs.free_bytes().unwrap(), 0);
    drop(file);
    assert_eq!(fs.free_bytes().unwrap(), 3000);
}

#[test]
fn faults_of_reading_leave_the_sector_as_it_is() {
    let (fs, file) = with_file();
    file.write_at(&[NEW; 512], 0).unwrap();
    let faults = [
        (ReadFault::BitRot(3), NEW ^ 8),
        (ReadFault::Stale, OLD),
        (ReadFault::Misdirected(2), OLD),
    ];
    for (fault, expected) in faults {
        fs.set_read_fault("a", 0, fault);
        let mut buf = [0; 1];
        file.read_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [expected], "{fault:?}");
    }
    fs.set_read_fault("a", 0, ReadFault::Unreadable);
    assert!(fs.image("a", true).unwrap().read(0, &mut [0; 1]).is_err());
    assert_eq!(sectors(&fs, "a")[0], NEW);
}

#[test]
fn the_lock_is_held_by_one_until_its_guard_goes_or_the_process_dies() {
    let fs = SimFs::new(1);
    let take = |fs: &SimFs| fs.lock("lock", "me", Duration::ZERO).unwrap();
    let held = take(&fs);
    assert!(matches!(take(&fs), Locked::Theirs(owner) if owner == "me"));
    assert!(matches!(take(&fs.kill()), Locked::Ours(_)));
    drop(held);
    assert!(matches!(take(&fs), Locked::Ours(_)));
}

#[test]
fn a_moment_is_kept_after_every_change() {
    let (fs, file) = with_file();
    fs.record();
    file.write_at(&[NEW; 512], 0).unwrap();
    file.read_at(&mut [0; 4], 0).unwrap();
    file.sync().unwrap();
    let moments = fs.moments();
    let what: Vec<_> = moments.iter().map(|moment| (&*moment.what, moment.pending())).collect();
    assert_eq!(what, [("Write a", 1), ("Sync a", 0)]);
    let (before, after) = (&moments[0], &moments[1]);
    assert_eq!(sectors(&before.power_cut(Keep::Nothing), "a")[0], OLD);
    assert_eq!(sectors(&after.power_cut(Keep::Nothing), "a")[0], NEW);
}
