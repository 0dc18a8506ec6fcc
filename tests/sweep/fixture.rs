//! Small directories of which everything is known: every state that the store was in, every value
//! that a key ever had, and what each file claims to be on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Recovery, Store};

use crate::support::key;

/// Keys are those of the numbers below this one.
pub const NAMES: u64 = 14;

/// Sessions by number.
pub type State = BTreeMap<u64, String>;

pub struct Fixture {
    pub fs: SimFs,
    /// The state after each LSN at which a call ended.
    pub states: Vec<(u64, State)>,
    /// All values that a key ever had.
    pub ever: BTreeMap<u64, BTreeSet<String>>,
    /// What each file says is on disk: the bytes that say it, and up to which LSN.
    pub claims: Vec<(String, Vec<Range<usize>>, u64)>,
    /// The header of each segment.
    pub heads: Vec<(String, Vec<u8>)>,
}

pub fn open(fs: &SimFs, recovery: Recovery) -> sessile::Result<Store<String>> {
    seeded(fs, recovery, 7)
}

fn seeded(fs: &SimFs, recovery: Recovery, seed: u64) -> sessile::Result<Store<String>> {
    Store::builder()
        .clock(ManualClock::new())
        .background(Background::Callers)
        .random_seed(seed)
        .segment_bytes(4096)
        .expected_sessions(16)
        .recovery(recovery)
        .open_fs(Arc::new(fs.clone()))
}

struct Recorder {
    store: Store<String>,
    now: State,
    states: Vec<(u64, State)>,
    ever: BTreeMap<u64, BTreeSet<String>>,
}

impl Recorder {
    fn new(fs: &SimFs, seed: u64) -> Recorder {
        let store = seeded(fs, Recovery::Strict, seed).unwrap();
        let states = vec![(0, State::new())];
        Recorder { store, now: State::new(), states, ever: BTreeMap::new() }
    }

    fn note(&mut self) {
        let lsn = self.store.stats().disk.unwrap().lsn_appended;
        self.states.push((lsn, self.now.clone()));
        for (number, value) in &self.now {
            self.ever.entry(*number).or_default().insert(value.clone());
        }
    }

    fn insert(&mut self, number: u64, value: &str) {
        self.store.insert(key(number), value.to_owned()).unwrap();
        self.now.insert(number, value.to_owned());
        self.note();
    }

    fn remove(&mut self, number: u64) {
        assert!(self.store.remove(&key(number)).unwrap());
        self.now.remove(&number);
        self.note();
    }

    fn rename(&mut self, old: u64, new: u64) {
        assert!(self.store.rename(&key(old), &key(new)).unwrap());
        let value = self.now.remove(&old).unwrap();
        self.now.insert(new, value);
        self.note();
    }

    /// The directory as it is now, the log without the space behind it.
    fn done(self, fs: &SimFs) -> Fixture {
        let killed = fs.kill();
        drop(self.store);
        killed.delete("lock");
        for name in killed.names() {
            let mut bytes = killed.bytes(&name).unwrap();
            if name.starts_with("log") {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(used.next_multiple_of(8) + 16);
            }
            killed.put(&name, &bytes);
        }
        let claims = killed.names().iter().flat_map(|name| claims(&killed, name)).collect();
        let logs = killed.names().into_iter().filter(|name| name.starts_with("log"));
        let heads = logs.map(|name| (name.clone(), killed.bytes(&name).unwrap()[..112].to_vec()));
        let heads = heads.collect();
        Fixture { fs: killed, states: self.states, ever: self.ever, claims, heads }
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[at..at + size]);
    u64::from_le_bytes(word)
}

/// What a manifest or a segment claims; see `src/log/FORMAT.md`. A frame's claim needs its header
/// page and itself.
fn claims(fs: &SimFs, name: &str) -> Vec<(String, Vec<Range<usize>>, u64)> {
    let bytes = fs.bytes(name).unwrap();
    let mut claims = Vec::new();
    if name.starts_with("manifest") {
        let all = 0..bytes.len();
        claims.push((name.to_owned(), vec![all], number(&bytes, 80, 8).max(number(&bytes, 72, 8))));
    }
    let mut at = 4096;
    while name.starts_with("log") && at + 32 <= bytes.len() && bytes[at] == 0xa5 {
        let end = at + 32 + number(&bytes, at + 4, 4) as usize;
        let claim = number(&bytes, at + 8, 8) - number(&bytes, at + 16, 4);
        claims.push((name.to_owned(), std::iter::once(at..end).collect(), claim));
        at = end.next_multiple_of(8);
    }
    claims
}

/// Two bases, the newer with tombstones, and a log of which the last frames were not synced.
pub fn whole() -> Fixture {
    let fs = SimFs::new(1);
    let mut made = Recorder::new(&fs, 1);
    (0..6).for_each(|number| made.insert(number, &format!("first {number}")));
    made.store.flush().unwrap();
    made.remove(0);
    made.insert(1, "second 1");
    made.insert(6, "second 6");
    made.store.flush().unwrap();
    made.remove(2);
    made.insert(1, "third 1");
    made.insert(0, "third 0");
    made.rename(6, 7);
    let keys = [key(3), key(8)];
    made.store
        .transact(&keys, |slots| {
            slots.remove(0);
            slots.set(1, "third 8".to_owned());
        })
        .unwrap();
    made.now.remove(&3);
    made.now.insert(8, "third 8".to_owned());
    made.note();
    made.remove(0);
    made.insert(9, "third 9");
    made.store.sync().unwrap();
    made.insert(10, "last 10");
    made.insert(1, "last 1");
    made.done(&fs)
}

/// A log alone, small, of which the last frame was not synced.
pub fn small_log() -> Fixture {
    let fs = SimFs::new(5);
    let mut made = Recorder::new(&fs, 5);
    made.insert(0, "first 0");
    made.insert(1, "first 1");
    made.remove(0);
    made.rename(1, 2);
    made.insert(0, "second 0");
    made.store.sync().unwrap();
    made.insert(3, "last 3");
    made.done(&fs)
}

/// A log alone, in several segments, written by two runs.
pub fn chain() -> Fixture {
    let mut fs = SimFs::new(2);
    let mut made = Recorder::new(&fs, 2);
    for round in 0..3 {
        for number in 0..5 {
            made.insert(number, &format!("{number} of round {round} {}", "-".repeat(400)));
        }
        made.remove(round);
        made.store.sync().unwrap();
    }
    let killed = fs.kill();
    drop(std::mem::replace(&mut made.store, open(&killed, Recovery::Strict).unwrap()));
    fs = killed;
    made.insert(11, "after a kill");
    made.remove(4);
    made.insert(12, &"x".repeat(3000));
    made.store.sync().unwrap();
    made.insert(13, "last");
    made.done(&fs)
}

/// Two bases and nothing in the log: closed.
pub fn closed() -> Fixture {
    let fs = SimFs::new(3);
    let mut made = Recorder::new(&fs, 3);
    (0..6).for_each(|number| made.insert(number, &format!("first {number}")));
    made.store.flush().unwrap();
    made.remove(0);
    made.insert(1, "second 1");
    made.store.close().unwrap();
    let lsn = made.states.last().unwrap().0;
    assert!(made.states.iter().all(|(other, _)| *other <= lsn));
    made.done(&fs)
}

/// A store that was cleared, and closed.
pub fn cleared() -> Fixture {
    let fs = SimFs::new(4);
    let mut made = Recorder::new(&fs, 4);
    (0..6).for_each(|number| made.insert(number, &format!("first {number}")));
    made.store.flush().unwrap();
    made.store.clear().unwrap();
    made.now.clear();
    made.note();
    made.store.close().unwrap();
    made.done(&fs)
}
