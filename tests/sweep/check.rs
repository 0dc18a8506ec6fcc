//! What must hold whatever has been done to the bytes. Knows the fixture and nothing of how it
//! was damaged.

use std::collections::BTreeMap;

use sessile::testing::SimFs;
use sessile::{Error, Recovery, Salvage, Store};

use crate::fixture::{Fixture, NAMES, State, open};
use crate::support::key;

/// What the sweeps came across.
#[derive(Default, Debug)]
pub struct Tally {
    pub cases: u64,
    pub refused: u64,
    pub unknown: u64,
    pub salvaged: u64,
    pub fresh: u64,
    pub lived_on: u64,
}

/// A read: `None` if damage stands before the answer.
type Reads = BTreeMap<u64, Option<Option<String>>>;

pub fn reads(store: &Store<String>, what: &str) -> Reads {
    let read = |number: u64| {
        let found = match store.peek(&key(number)) {
            Ok(value) => Some(value.map(|value| value.to_string())),
            Err(error) => {
                names_its_place(&error, what);
                None
            }
        };
        (number, found)
    };
    (0..NAMES).map(read).collect()
}

/// An error of damage says in which file, and where.
fn names_its_place(error: &Error, what: &str) {
    let is_told = match error.is_corrupt() {
        true => error.path().is_some_and(|path| {
            // Where the manifest is missing there is no place.
            error.byte_offset().is_some() || path.ends_with("simulated")
        }),
        // A file that is gone.
        false => {
            error.path().is_some() && error.to_string().contains("cannot be")
                || error.to_string().contains("could not be")
        }
    };
    assert!(is_told, "{what}: {error:?}");
}

impl Fixture {
    /// The last LSN that the surviving bytes say is on disk.
    pub fn surviving(&self, is_whole: impl Fn(&str, usize, usize) -> bool) -> u64 {
        let survives = |(name, ranges, _): &&(String, Vec<std::ops::Range<usize>>, u64)| {
            ranges.iter().all(|range| is_whole(name, range.start, range.end))
        };
        self.claims.iter().filter(survives).map(|claim| claim.2).max().unwrap_or(0)
    }

    fn states_from(&self, lsn: u64) -> impl Iterator<Item = &State> {
        // Before the first state that reaches it there is none to fall back to.
        self.states.iter().filter(move |(at, _)| *at >= lsn).map(|(_, state)| state)
    }

    /// Strict: all that was durable, or an error. Says whether it opened. The directory is not
    /// good for anything else afterwards.
    pub fn strict(&self, fs: &SimFs, durable: u64, what: &str, tally: &mut Tally) -> bool {
        tally.cases += 1;
        let store = match open(fs, Recovery::Strict) {
            Ok(store) => store,
            Err(error) => {
                names_its_place(&error, what);
                tally.refused += 1;
                return false;
            }
        };
        self.is_true(&store, durable, what, tally);
        true
    }

    /// Every read is right for one state, or an error.
    pub fn is_true(&self, store: &Store<String>, durable: u64, what: &str, tally: &mut Tally) {
        let found = reads(store, what);
        tally.unknown += found.values().filter(|read| read.is_none()).count() as u64;
        let fits = |state: &State| {
            found.iter().all(|(number, read)| {
                read.as_ref().is_none_or(|value| value.as_ref() == state.get(number))
            })
        };
        let fitting = self.states_from(durable).any(fits);
        assert!(fitting, "{what}: no state from LSN {durable} on is {found:?}");
    }

    /// Salvage of both kinds: what is there is true, and what ended stays ended unless that was
    /// not asked for.
    pub fn salvage(&self, fs: &SimFs, durable: u64, what: &str, live: bool, tally: &mut Tally) {
        self.salvage_with(|()| fs.kill(), durable, what, live, tally);
    }

    /// The same, of what `copy` makes.
    pub fn salvage_with(
        &self,
        copy: impl Fn(()) -> SimFs,
        durable: u64,
        what: &str,
        live: bool,
        tally: &mut Tally,
    ) {
        for kind in [Salvage::DropOlder, Salvage::KeepOlder] {
            let copy = copy(());
            let store = match open(&copy, Recovery::Salvage(kind)) {
                Ok(store) => store,
                Err(error) => {
                    names_its_place(&error, what);
                    continue;
                }
            };
            tally.salvaged += 1;
            let found = reads(&store, what);
            let present = || {
                let value = |(number, read): (&u64, &Option<Option<String>>)| {
                    Some((*number, read.clone()??))
                };
                found.iter().filter_map(value).collect::<Vec<(u64, String)>>()
            };
            match kind {
                Salvage::DropOlder => {
                    let is_part = |state: &State| {
                        present().iter().all(|(number, value)| state.get(number) == Some(value))
                    };
                    let fits = self.states_from(durable).any(is_part);
                    assert!(fits, "{what}, drop: revived, or from different times: {found:?}");
                }
                Salvage::KeepOlder => {
                    for (number, value) in present() {
                        let ever = self.ever.get(&number).is_some_and(|all| all.contains(&value));
                        assert!(ever, "{what}, keep: {number} never was {value:?}");
                    }
                }
            }
            if live {
                lives_on(&copy, store, &found, &format!("{what}, {kind:?}"), tally);
            }
        }
    }

    /// All files lie in the quarantine as they were, and the store is empty.
    pub fn start_fresh(&self, fs: &SimFs, what: &str, tally: &mut Tally) {
        let copy = fs.kill();
        let store = open(&copy, Recovery::StartFresh).unwrap();
        let found = reads(&store, what);
        assert!(found.values().all(|read| *read == Some(None)), "{what}: {found:?}");
        let names = copy.names();
        for (name, bytes) in copy_of(fs) {
            let end = format!("/{name}");
            let aside = names
                .iter()
                .find(|other| other.starts_with("quarantine/") && other.ends_with(&end));
            let aside = aside.unwrap_or_else(|| panic!("{what}: {name} is not set aside"));
            assert!(copy.bytes(aside).unwrap() == bytes, "{what}: {name} is not as it was");
        }
        tally.fresh += 1;
        lives_on(&copy, store, &found, &format!("{what}, fresh"), tally);
    }
}

/// Everything goes on working, and needs no salvage again.
pub fn lives_on(fs: &SimFs, store: Store<String>, found: &Reads, what: &str, tally: &mut Tally) {
    tally.lived_on += 1;
    let known = |found: &Reads| -> Reads {
        found.clone().into_iter().filter(|(_, read)| read.is_some()).collect()
    };
    // A kill now loses nothing of what was salvaged.
    let killed = fs.kill();
    let again = open(&killed, Recovery::Strict).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(known(&reads(&again, what)), known(found), "{what}: after a kill");
    drop(again);
    let must = |done: sessile::Result<()>| done.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let mut expected = found.clone();
    must(store.insert(key(5), "new".to_owned()));
    expected.insert(5, Some(Some("new".to_owned())));
    must(store.remove(&key(4)).map(drop));
    expected.insert(4, Some(None));
    must(store.flush());
    assert_eq!(known(&reads(&store, what)), known(&expected), "{what}: after a flush");
    must(store.merge());
    let merged = reads(&store, what);
    for (number, read) in &expected {
        // A merge gives up a damaged block as a whole: neither the filter nor a record of its
        // own that verifies vouches for those hashes any more.
        let now = &merged[number];
        let is_same = read.is_none() || now == read || now.is_none();
        assert!(is_same, "{what}: {number} was {read:?}, is {now:?} after a merge");
    }
    let expected = merged;
    must(store.close());
    let store = open(fs, Recovery::Strict).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(known(&reads(&store, what)), known(&expected), "{what}: opened again");
    must(store.close());
}

/// The files, without the lock.
pub fn copy_of(fs: &SimFs) -> Vec<(String, Vec<u8>)> {
    let names = fs.names().into_iter().filter(|name| name != "lock");
    names.map(|name| (name.clone(), fs.bytes(&name).unwrap())).collect()
}
