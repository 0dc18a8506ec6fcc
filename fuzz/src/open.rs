//! Opening a directory that a store has left and something has damaged, in every way of recovery:
//! an error or a store, never a panic; never a value under a key that it was not written for,
//! never a session whose removal a manifest covers; and what opens can be worked with.

use std::sync::{Arc, OnceLock};

use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Builder, Error, Key, Read, Recovery, Salvage, Store};

use super::input::{Input, mutate};

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

const KEYS: u8 = 24;
/// Removed, and flushed away after that.
const GONE: [u8; 4] = [1, 2, 3, 20];

fn key(number: u8) -> Key {
    Key::of([number])
}

/// What is written under a key, ever.
fn value(number: u8) -> String {
    format!("{number}:{}", "x".repeat(if number % 8 == 7 { 5000 } else { 20 }))
}

fn builder(clock: &ManualClock) -> Builder<String> {
    Store::<String>::builder()
        .background(Background::Callers)
        .clock(clock.clone())
        .segment_bytes(4096)
        .expected_sessions(50)
        .random_seed(5)
}

/// Directories as a store leaves them: killed with a log alone; killed with two bases and a log;
/// closed.
fn directories() -> &'static [Files; 3] {
    static MADE: OnceLock<[Files; 3]> = OnceLock::new();
    MADE.get_or_init(|| [0, 1, 2].map(|kind| make(kind).expect("nothing fails")))
}

fn make(kind: u8) -> Result<Files, Error> {
    let (fs, clock) = (SimFs::new(0), ManualClock::new());
    let store = builder(&clock).open_fs(Arc::new(fs.clone()))?;
    let put = |number: u8| store.insert(key(number), value(number));
    if kind > 0 {
        (0..12).try_for_each(put)?;
        store.flush()?;
        GONE.iter().try_for_each(|number| store.remove(&key(*number)).map(drop))?;
        (12..16).try_for_each(put)?;
        store.flush()?;
    }
    (16..KEYS).filter(|number| !GONE.contains(number)).try_for_each(put)?;
    store.rename(&key(16), &key(30))?;
    store.sync()?;
    store.set_expiry(&key(17), sessile::Expiry::After(std::time::Duration::from_secs(900)))?;
    put(18)?;
    if kind == 2 {
        store.close()?;
    }
    let names = fs.names().into_iter().filter(|name| name != "lock");
    Ok(names.map(|name| (name.clone(), used(fs.bytes(&name).unwrap_or_default()))).collect())
}

/// Without the space allocated ahead, all but a little.
fn used(mut bytes: Vec<u8>) -> Vec<u8> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate((used + 64).next_multiple_of(64));
    bytes
}

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.u8();
    let mut files = directories()[usize::from(choice % 3)].clone();
    for _ in 0..=choice / 3 % 4 {
        damage(&mut files, &mut input);
    }
    for recovery in [
        Recovery::Strict,
        Recovery::Salvage(Salvage::DropOlder),
        Recovery::Salvage(Salvage::KeepOlder),
        Recovery::StartFresh,
    ] {
        let read = if choice & 0x80 == 0 { Read::Mmap } else { Read::Pread };
        check(&files, recovery, read);
    }
}

fn damage(files: &mut Files, input: &mut Input<'_>) {
    let (which, how) = (usize::from(input.u8()) % files.len().max(1), input.u8());
    if files.is_empty() {
        return;
    }
    match how {
        0..16 => drop(files.remove(which)),
        16..32 => {
            let other = usize::from(how) % files.len();
            let bytes = files[other].1.clone();
            files[which].1 = bytes;
        }
        32..48 => {
            let (kind, _) = files[which].0.split_once('.').expect("a kind and a number");
            let name = super::wire::name(kind, u64::from(how) - 31);
            if files.iter().all(|(other, _)| *other != name) {
                files[which].0 = name;
            }
        }
        _ => mutate(&mut files[which].1, input, 8192),
    }
}

fn check(files: &Files, recovery: Recovery, read: Read) {
    let (fs, clock) = (SimFs::new(0), ManualClock::new());
    files.iter().for_each(|(name, bytes)| fs.put(name, bytes));
    let opened = builder(&clock).recovery(recovery).read(read).open_fs(Arc::new(fs.clone()));
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            let known = error.is_corrupt() || error.is_mismatch() || error.path().is_some();
            assert!(known && recovery != Recovery::StartFresh, "{recovery:?}: {error:?}");
            let same = files.iter().all(|(name, bytes)| fs.bytes(name).as_ref() == Some(bytes));
            assert!(same, "a refused opening has changed something: {error:?}");
            return;
        }
    };
    check_sessions(&store, recovery);
    check_alive(&store);
    store.close().expect("nothing prevents it");
    let again = builder(&clock).read(read).open_fs(Arc::new(fs));
    check_sessions(&again.expect("what was closed can be opened"), recovery);
}

fn check_sessions(store: &Store<String>, recovery: Recovery) {
    for number in 0..=30 {
        let written = if number == 30 { 16 } else { number };
        let found = match store.get(&key(number)) {
            Ok(found) => found,
            Err(error) => {
                assert!(error.is_corrupt(), "{recovery:?}, {number}: {error:?}");
                continue;
            }
        };
        let Some(found) = found else { continue };
        assert_eq!(*found, value(written), "{recovery:?}: {number} was never that");
        let may_return = recovery == Recovery::Salvage(Salvage::KeepOlder);
        assert!(may_return || !GONE.contains(&number), "{recovery:?}: {number} was removed");
    }
    let mut known: Vec<Key> = (0..=30).map(key).collect();
    known.push(Key::of("new"));
    for step in store.iter() {
        match step {
            Ok((key, _)) => assert!(known.contains(&key), "{recovery:?}: {key:?} was never there"),
            Err(error) => assert!(error.is_corrupt(), "{recovery:?}: {error:?}"),
        }
    }
}

fn check_alive(store: &Store<String>) {
    let new = Key::of("new");
    store.insert(new, "new".to_owned()).expect("there is room");
    store.remove(&key(5)).expect("damage does not prevent it");
    assert_eq!(store.get(&key(5)).ok().flatten(), None);
    store.flush().expect("nothing prevents it");
    store.merge().expect("damage is carried along");
    assert_eq!(store.get(&new).expect("it was just written").as_deref(), Some(&"new".to_owned()));
}
