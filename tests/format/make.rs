//! How the golden directories were made. Run once for each format; see `README.md`.
//!
//! Deterministic: clock, random bits and file system are the test's own.

use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{Failure, Fault, ManualClock, SimFs};
use sessile::{
    Background, Bincode, Builder, Codec, Durability, Expiry, Json, Postcard, Store, Timestamp,
};

use crate::dump::View;
use crate::support::key;

/// Some day in 2026.
const BEGIN: i64 = 1_790_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A directory, and how it is looked at.
pub struct Golden {
    pub name: &'static str,
    pub about: &'static str,
    pub view: View,
    pub fs: SimFs,
}

/// What a directory is made with.
struct Maker {
    fs: SimFs,
    clock: ManualClock,
    seed: u64,
}

impl Maker {
    fn new(seed: u64) -> Maker {
        let clock = ManualClock::at(Timestamp::from_millis(BEGIN));
        Maker { fs: SimFs::new(seed), clock, seed }
    }

    fn builder(&self) -> Builder<String> {
        Store::builder()
            .idle(DAY)
            .absolute(10 * DAY)
            .clock(self.clock.clone())
            .background(Background::Callers)
            .segment_bytes(64 << 10)
            .random_seed(self.seed)
    }

    fn open(&self) -> Store<String> {
        self.builder().open_fs(Arc::new(self.fs.clone())).unwrap()
    }

    /// The directory as a kill leaves it at this moment.
    fn golden(&self, name: &'static str, about: &'static str) -> Golden {
        let view = View { now: BEGIN + 3_600_000, names: 40, encoding: Some((1, 0)) };
        let fs = self.fs.kill();
        fs.delete("lock");
        Golden { name, about, view, fs }
    }
}

impl Golden {
    fn flip(self, kind: &str, text: &str) -> Golden {
        let names = self.fs.names();
        let holds = |name: &&String| name.starts_with(kind) && find(&self.fs, name, text).is_some();
        let name = names.iter().find(holds).unwrap();
        let at = find(&self.fs, name, text).unwrap();
        let mut bytes = self.fs.bytes(name).unwrap();
        bytes[at] ^= 0x10;
        self.fs.put(name, &bytes);
        self
    }

    fn mixed(mut self) -> Golden {
        self.view.encoding = None;
        self
    }
}

fn find(fs: &SimFs, name: &str, text: &str) -> Option<usize> {
    let bytes = fs.bytes(name)?;
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

fn last(fs: &SimFs, kind: &str) -> String {
    fs.names().into_iter().rfind(|name| name.starts_with(kind) && !name.ends_with(".tmp")).unwrap()
}

pub fn text(number: u64) -> String {
    format!("<the value of session {number}>")
}

fn fill(store: &Store<String>, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| store.insert(key(number), text(number)).unwrap());
}

/// Every kind of frame, alone and in groups.
fn every_kind(store: &Store<String>, clock: &ManualClock) {
    fill(store, 0..6);
    store.insert_with(key(6), text(6), Expiry::After(Duration::from_secs(90 * 60))).unwrap();
    store.insert_with(key(7), text(7), Expiry::After(Duration::from_secs(60))).unwrap();
    let until = Timestamp::from_millis(BEGIN + 5 * 86_400_000);
    let idle = Duration::from_secs(7200);
    store.insert_with(key(8), text(8), Expiry::IdleUntil { idle, until }).unwrap();
    store.insert(key(9), String::new()).unwrap();
    store.remove(&key(0)).unwrap();
    store.rename(&key(1), &key(11)).unwrap();
    store.set_expiry(&key(2), Expiry::Idle(Duration::from_secs(3 * 3600))).unwrap();
    store.update(&key(3), |value| value.push('!')).unwrap().unwrap();
    store.sync().unwrap();
    // A touch far enough on to be logged, and a mark.
    clock.advance(Duration::from_secs(1800));
    store.get(&key(8)).unwrap().unwrap();
    clock.advance(Duration::from_secs(600));
    store
        .transact(&[key(4), key(5), key(12)], |slots| {
            slots.remove(0);
            slots.set(2, text(12));
            slots.set(1, "changed".to_owned());
        })
        .unwrap();
    store.sync().unwrap();
    clock.advance(Duration::from_secs(1));
}

pub fn all() -> Vec<Golden> {
    vec![
        empty(),
        small(),
        every_frame(),
        cleared(),
        torn_tail(),
        torn_group(),
        damaged_log(),
        damaged_base(),
        damaged_manifest(),
        several_bases(),
        mid_merge(),
        unpublished_base(),
        big_values(),
        encodings(),
        chain(),
        lost_ranges(),
        healed(),
        strays(),
        much_later(),
    ]
}

fn empty() -> Golden {
    let maker = Maker::new(1);
    maker.open().close().unwrap();
    maker.golden("empty", "A store that was opened and closed.")
}

fn small() -> Golden {
    let maker = Maker::new(2);
    let store = maker.open();
    fill(&store, 0..3);
    store.remove(&key(1)).unwrap();
    store.close().unwrap();
    maker.golden("small", "Three sessions, one of which has ended, closed.")
}

fn every_frame() -> Golden {
    let maker = Maker::new(3);
    let store = maker.open();
    every_kind(&store, &maker.clock);
    maker.golden("every-frame", "A log with every kind of frame, groups among them; killed.")
}

fn cleared() -> Golden {
    let maker = Maker::new(4);
    let store = maker.open();
    fill(&store, 0..8);
    store.flush().unwrap();
    fill(&store, 8..10);
    store.clear().unwrap();
    fill(&store, 10..12);
    store.sync().unwrap();
    maker.golden("cleared", "A base and a log that is cleared in the middle; killed.")
}

fn torn_tail() -> Golden {
    let maker = Maker::new(5);
    let store = maker.open();
    fill(&store, 0..4);
    store.sync().unwrap();
    fill(&store, 4..8);
    let golden = maker.golden(
        "torn-tail",
        "The frames after the last sync, of which one is damaged: a torn tail.",
    );
    golden.flip("log", &text(6))
}

fn torn_group() -> Golden {
    let maker = Maker::new(6);
    let store = maker.open();
    fill(&store, 0..4);
    store.sync().unwrap();
    let memory = store.at(Durability::Process);
    memory.insert(key(4), text(4)).unwrap();
    memory
        .transact(&[key(0), key(5), key(6)], |slots| {
            slots.set(0, "never".to_owned());
            slots.set(1, text(5));
            slots.set(2, text(6));
        })
        .unwrap();
    let golden =
        maker.golden("torn-group", "A group after the last sync that is not there in full.");
    golden.flip("log", &text(6))
}

fn damaged_log() -> Golden {
    let maker = Maker::new(7);
    let store = maker.open();
    every_kind(&store, &maker.clock);
    fill(&store, 20..24);
    store.sync().unwrap();
    fill(&store, 24..25);
    maker
        .golden("damaged-log", "A bit of a frame below the watermark has flipped.")
        .flip("log", &text(8))
}

/// Enough for several blocks in a base.
fn long(number: u64) -> String {
    text(number) + &"-".repeat(1000)
}

fn damaged_base() -> Golden {
    let maker = Maker::new(8);
    let store = maker.open();
    (0..16).for_each(|number| store.insert(key(number), long(number)).unwrap());
    store.close().unwrap();
    maker
        .golden("damaged-base", "A bit of a value in a base has flipped; closed.")
        .flip("base", &text(8))
}

fn damaged_manifest() -> Golden {
    let maker = Maker::new(9);
    let store = maker.open();
    fill(&store, 0..4);
    store.flush().unwrap();
    fill(&store, 4..6);
    store.flush().unwrap();
    store.remove(&key(0)).unwrap();
    fill(&store, 6..8);
    store.sync().unwrap();
    fill(&store, 8..9);
    let golden = maker.golden("damaged-manifest", "The newest manifest is damaged; killed.");
    let name = last(&golden.fs, "manifest");
    let mut bytes = golden.fs.bytes(&name).unwrap();
    bytes[80] ^= 1;
    golden.fs.put(&name, &bytes);
    golden
}

/// Three bases, the newer with tombstones, and a log after them.
fn layered(maker: &Maker) -> Store<String> {
    let store = maker.open();
    fill(&store, 0..10);
    store.flush().unwrap();
    store.remove(&key(0)).unwrap();
    store.update(&key(1), |value| value.push('!')).unwrap().unwrap();
    fill(&store, 10..14);
    store.flush().unwrap();
    store.remove(&key(10)).unwrap();
    store.insert(key(0), "again".to_owned()).unwrap();
    store.set_expiry(&key(2), Expiry::Idle(Duration::from_secs(4 * 3600))).unwrap();
    store.flush().unwrap();
    fill(&store, 14..16);
    store.remove(&key(3)).unwrap();
    store.set_expiry(&key(4), Expiry::Idle(Duration::from_secs(5 * 3600))).unwrap();
    store.sync().unwrap();
    store
}

fn several_bases() -> Golden {
    let maker = Maker::new(10);
    let _store = layered(&maker);
    maker.golden("several-bases", "Three bases, tombstones among them, and a log; killed.")
}

/// The directory of [`layered`] at the last moment of a merge for which `wanted` holds.
fn during_merge(seed: u64, wanted: impl Fn(&SimFs) -> bool) -> Maker {
    let mut maker = Maker::new(seed);
    let store = layered(&maker);
    maker.fs.record();
    store.merge().unwrap();
    let moments = maker.fs.moments();
    let found = moments.iter().map(|moment| moment.kill()).rfind(wanted).unwrap();
    drop(store);
    maker.fs = found;
    maker
}

fn mid_merge() -> Golden {
    let is_temporary = |fs: &SimFs| {
        let name = fs.names().into_iter().find(|name| name.ends_with(".tmp"));
        name.is_some_and(|name| name.starts_with("base") && fs.bytes(&name).unwrap().len() > 4096)
    };
    during_merge(11, is_temporary).golden("mid-merge", "Killed while a merge wrote its base.")
}

fn unpublished_base() -> Golden {
    let is_named = |fs: &SimFs| {
        let names = fs.names();
        let bases = names.iter().filter(|name| name.starts_with("base")).count();
        bases == 4 && names.iter().any(|name| name.starts_with("manifest") && name.ends_with("tmp"))
    };
    during_merge(12, is_named)
        .golden("unpublished-base", "Killed before the base of a merge was published.")
}

fn big_values() -> Golden {
    let maker = Maker::new(13);
    let builder = maker.builder().max_value_bytes(1 << 20);
    let store = builder.open_fs(Arc::new(maker.fs.clone())).unwrap();
    // Lengths at which a value gets a block of its own, and more pages.
    for (number, length) in [4029, 4030, 4031, 8123, 8124, 8125, 70_000, 300_000].iter().enumerate()
    {
        let value = "0123456789abcdef".repeat(length / 16 + 1)[..*length].to_owned();
        store.insert(key(number as u64), value).unwrap();
    }
    store.flush().unwrap();
    store.insert(key(20), "x".repeat(100_000)).unwrap();
    store.insert(key(21), text(21)).unwrap();
    store.sync().unwrap();
    maker.golden("big-values", "Values of many pages in a base, and larger than a segment.")
}

fn encodings() -> Golden {
    let maker = Maker::new(14);
    let fs = || Arc::new(maker.fs.clone());
    let fill = |store: &Store<String>, numbers| fill(store, numbers);
    let store = maker.builder().codec::<Bincode>().schema_tag(7).open_fs(fs()).unwrap();
    fill(&store, 0..3);
    store.close().unwrap();
    let copy = |_, bytes: &[u8]| String::from_utf8(bytes[1..].to_vec()).map_err(|e| e.to_string());
    let other = |builder: Builder<String>| builder.migrate(copy).open_fs(fs()).unwrap();
    let store = other(maker.builder().codec::<Postcard>().schema_tag(8));
    fill(&store, 3..5);
    store.close().unwrap();
    let store = other(maker.builder().codec::<Json>().schema_tag(u64::MAX));
    fill(&store, 5..7);
    store.remove(&key(3)).unwrap();
    assert_eq!((Bincode::ID, Postcard::ID, Json::ID), (1, 2, 3));
    let about = "Bases and a log written with three codecs and schema tags; killed.";
    maker.golden("encodings", about).mixed()
}

fn chain() -> Golden {
    let mut maker = Maker::new(15);
    for run in 0..3 {
        let store = maker
            .builder()
            .random_seed(100 + run)
            .segment_bytes(4096)
            .open_fs(Arc::new(maker.fs.clone()))
            .unwrap();
        let all = store.at(Durability::Process);
        for number in 10 * run..10 * run + 8 {
            let value = text(number) + &"-".repeat(if number % 3 == 0 { 2500 } else { 0 });
            all.insert(key(number), value).unwrap();
        }
        if run == 1 {
            store.sync().unwrap();
        }
        store.at(Durability::Memory).insert(key(39), text(run)).unwrap();
        store.at(Durability::Process).insert(key(38), text(run)).unwrap();
        let killed = maker.fs.kill();
        drop(store);
        maker.fs = killed;
    }
    let about = "Three runs, each killed: segments that end where their successor says.";
    maker.golden("chain", about)
}

fn lost_ranges() -> Golden {
    let maker = Maker::new(16);
    let store = maker.open();
    (0..16).for_each(|number| store.insert(key(number), long(number)).unwrap());
    store.close().unwrap();
    let damaged = maker.golden("", "").flip("base", &text(8));
    let maker = Maker { fs: damaged.fs, ..maker };
    let store = maker.builder().random_seed(17).open_fs(Arc::new(maker.fs.clone())).unwrap();
    fill(&store, 20..22);
    store.flush().unwrap();
    store.merge().unwrap();
    store.sync().unwrap();
    maker.golden("lost-ranges", "A merge that carried on what it could not read as lost.")
}

fn healed() -> Golden {
    let maker = Maker::new(18);
    let store = maker.open();
    fill(&store, 0..4);
    store.sync().unwrap();
    fill(&store, 4..6);
    maker.fs.fail(Fault { call: 1, failure: Failure::Io, lasting: false });
    assert!(store.insert(key(6), text(6)).is_err());
    store.heal().unwrap();
    fill(&store, 7..9);
    store.sync().unwrap();
    maker.golden("healed", "A write failed, the store was healed and written on; killed.")
}

fn strays() -> Golden {
    let maker = Maker::new(19);
    let store = maker.open();
    fill(&store, 0..4);
    store.sync().unwrap();
    let golden = maker.golden("strays", "Files of another store, and files that are nobody's.");
    let other = Maker::new(20);
    let store = other.open();
    fill(&store, 10..12);
    let bytes = other.fs.bytes(&last(&other.fs, "log")).unwrap();
    golden.fs.put("log.000000000050", &bytes);
    golden.fs.put("log.000000000051", &[0; 8192]);
    golden.fs.put("log.52", b"not padded");
    golden.fs.put("notes", b"not ours");
    golden.fs.put("base.000000000053.tmp", b"left over");
    golden
}

fn much_later() -> Golden {
    let maker = Maker::new(21);
    let store = maker.open();
    every_kind(&store, &maker.clock);
    store.close().unwrap();
    let store = maker.open();
    fill(&store, 13..15);
    maker.clock.advance(Duration::from_secs(5 * 3600));
    store.sync().unwrap();
    maker.clock.advance(Duration::from_secs(1));
    let mut golden =
        maker.golden("much-later", "Sessions of two runs, looked at when some have expired.");
    golden.view.now = BEGIN + 49 * 1_800_000;
    golden
}
