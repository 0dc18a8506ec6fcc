//! The store against the naive model: any operations in any order, with flushes, merges,
//! reopenings and crashes between them, leave both with the same sessions.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod trouble;
mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Directory, copy_to, watched};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use sessile::testing::{
    ColdReads, Decision, Level, ManualClock, Model, OP_BYTES, Op, Seen, Step, Value, Wish,
};
use sessile::{Background, Clock, Durability, Error, Expiry, Key, Read, Store, Timestamp};
use trouble::{Beside, Faults};

const IDLE: Duration = Duration::from_secs(60);
const ABSOLUTE: Duration = Duration::from_secs(1200);

/// What may differ from one case to the next.
#[derive(Clone, Copy, Debug)]
struct Case {
    keys: u8,
    /// Values are so large that they do not all fit into memory.
    tight: bool,
    /// Reads extend.
    idle: bool,
    read: Read,
    /// After each step values are read too, which brings replayed ones into memory.
    peeks: bool,
    /// Flushes and merges fail, at one call of the file system or another.
    faulty: bool,
    /// Where it is, and what goes on there.
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Memory,
    Disk,
    /// On disk, and a thread flushes and merges all the time.
    Busy,
}

impl Case {
    fn from_byte(byte: u8, place: Place) -> Case {
        let tight = byte & 7 == 7 && place != Place::Memory;
        Case {
            keys: if tight { 40 } else { 12 },
            tight,
            idle: byte & 0x18 != 0,
            read: if byte & 0x20 == 0 { Read::Mmap } else { Read::Pread },
            peeks: byte & 0x40 == 0,
            faulty: byte & 0x80 != 0 && place == Place::Disk,
            place,
        }
    }
}

/// A store and its model, that the same is done to.
struct Pair {
    // In the order in which they must end.
    beside: Option<Beside>,
    store: Option<Store<String>>,
    directory: Directory,
    case: Case,
    clock: ManualClock,
    faults: Arc<Faults>,
    steps: u64,
    model: Model<(u16, usize)>,
    keys: Vec<Key>,
}

type Checked<T = ()> = Result<T, TestCaseError>;

fn wrong(text: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(text.into())
}

fn fine<T>(result: Result<T, Error>) -> Checked<T> {
    result.map_err(|error| wrong(format!("{error:?}")))
}

/// The number and size of a value, from its text.
fn read_value(value: &str) -> (u16, usize) {
    let tag = value.split(' ').next().and_then(|tag| tag.parse().ok());
    (tag.expect("a value begins with its number"), value.len())
}

impl Pair {
    fn new(case: Case) -> Checked<Pair> {
        let clock = ManualClock::new();
        let idle = case.idle.then_some(IDLE);
        let cold_reads = if case.tight || case.place == Place::Busy {
            ColdReads::MayTouch
        } else {
            ColdReads::Touch
        };
        let now = clock.wall();
        let keys = (0..case.keys).map(|key| Key::of([key])).collect();
        let mut pair = Pair {
            case,
            clock,
            directory: Directory::quick("model"),
            store: None,
            beside: None,
            faults: Arc::default(),
            steps: 0,
            model: Model::new(now, idle, ABSOLUTE).cold_reads(cold_reads),
            keys,
        };
        pair.open()?;
        Ok(pair)
    }

    fn open(&mut self) -> Checked {
        let mut builder = Store::builder()
            .absolute(ABSOLUTE)
            .clock(self.clock.clone())
            .background(Background::Callers)
            .flush_bytes(if self.case.tight { 1 << 20 } else { 64 << 10 })
            .segment_bytes(if self.case.tight { 256 << 10 } else { 4096 })
            .expected_sessions(100)
            .max_memory(1 << 20)
            .read(self.case.read);
        builder = if self.case.idle { builder.idle(IDLE) } else { builder.no_idle() };
        if self.case.place == Place::Memory {
            self.store = Some(fine(builder.in_memory())?);
            return Ok(());
        }
        let store = fine(builder.open_fs(watched(self.directory.path(), self.faults.clone())))?;
        self.beside = (self.case.place == Place::Busy).then(|| Beside::start(store.clone()));
        self.store = Some(store);
        Ok(())
    }

    fn store(&self, level: Level) -> Store<String> {
        let store = self.store.as_ref().expect("it is open between two steps");
        level.map_or_else(|| store.clone(), |level| store.at(level))
    }

    fn key(&self, number: u8) -> Key {
        self.keys[usize::from(number % self.case.keys)]
    }

    fn value(&self, value: Value) -> (String, (u16, usize)) {
        let mut text = format!("{} ", value.tag);
        let size = usize::from(value.size);
        let size = if self.case.tight { 10_000 + 200 * size } else { size };
        text.push_str(&"#".repeat(size));
        let known = (value.tag, text.len());
        (text, known)
    }

    fn expiry(&self, wish: Wish) -> Expiry {
        wish.at(self.model.time())
    }

    /// A change has returned at `level`.
    fn changed(&mut self, level: Level) {
        if level != Some(Durability::Memory) {
            self.model.saved();
        }
    }

    /// An answer has returned at `level` and nothing has changed.
    fn answered(&mut self, level: Level, key: &Key) {
        if level != Some(Durability::Memory) {
            self.model.saved_answer(key);
        }
    }

    fn done(&mut self, changed: bool, level: Level, key: &Key) {
        if changed { self.changed(level) } else { self.answered(level, key) }
    }

    /// Whether the store let it happen; it may be full, and then nothing has happened.
    fn admitted<T>(&mut self, result: Result<T, Error>) -> Checked<Option<T>> {
        match result {
            Err(error) if error.is_full() => {
                fine(self.store(None).flush())?;
                self.model.saved();
                Ok(None)
            }
            result => fine(result).map(Some),
        }
    }

    fn step(&mut self, op: &Op) -> Checked {
        self.steps += 1;
        match op.clone() {
            Op::Get { key } => {
                let key = self.key(key);
                let got = fine(self.store(None).get(&key))?.map(|value| read_value(&value));
                prop_assert_eq!(got, self.model.get(&key).copied());
            }
            Op::Peek { key } => {
                let key = self.key(key);
                let got = fine(self.store(None).peek(&key))?.map(|value| read_value(&value));
                prop_assert_eq!(got, self.model.peek(&key).copied());
            }
            Op::Insert { key, value, wish, level } => {
                let (key, (text, known), expiry) =
                    (self.key(key), self.value(value), self.expiry(wish));
                let result = self.store(level).insert_with(key, text, expiry);
                if self.admitted(result)?.is_some() {
                    self.model.insert(key, known, expiry);
                    self.changed(level);
                }
            }
            Op::Create { key, value, wish, level } => {
                let (key, (text, known), expiry) =
                    (self.key(key), self.value(value), self.expiry(wish));
                let result = self.store(level).create_with(key, text, expiry);
                if let Some(created) = self.admitted(result)? {
                    prop_assert_eq!(created, self.model.create(key, known, expiry));
                    self.done(created, level, &key);
                }
            }
            Op::Update { key, value, level } => {
                let (key, (text, known)) = (self.key(key), self.value(value));
                let result = self.store(level).update(&key, |value| {
                    let old = read_value(value);
                    *value = text;
                    old
                });
                if let Some(old) = self.admitted(result)? {
                    let expected = self.model.update(&key, |value| std::mem::replace(value, known));
                    prop_assert_eq!(old, expected);
                    self.done(old.is_some(), level, &key);
                }
            }
            Op::Take { key, level } => {
                let key = self.key(key);
                let taken = fine(self.store(level).take(&key))?.map(|value| read_value(&value));
                prop_assert_eq!(taken, self.model.take(&key));
                self.done(taken.is_some(), level, &key);
            }
            Op::Remove { key, level } => {
                let key = self.key(key);
                let removed = fine(self.store(level).remove(&key))?;
                prop_assert_eq!(removed, self.model.remove(&key));
                self.done(removed, level, &key);
            }
            Op::Rename { old, new, level } => {
                let (old, new) = (self.key(old), self.key(new));
                let result = self.store(level).rename(&old, &new);
                if old == new {
                    prop_assert!(result.is_err_and(|error| error.is_config()));
                    return Ok(());
                }
                if let Some(renamed) = self.admitted(result)? {
                    prop_assert_eq!(renamed, self.model.rename(&old, &new));
                    self.done(renamed, level, &old);
                }
            }
            Op::Transact { steps, level } => self.transact(&steps, level)?,
            Op::SetExpiry { key, wish, level } => {
                let (key, expiry) = (self.key(key), self.expiry(wish));
                let result = self.store(level).set_expiry(&key, expiry);
                if let Some(set) = self.admitted(result)? {
                    prop_assert_eq!(set, self.model.set_expiry(&key, expiry));
                    self.done(set, level, &key);
                }
            }
            Op::Clear { level } => {
                fine(self.store(level).clear())?;
                self.model.clear();
                self.changed(level);
            }
            Op::Count => {
                let count = fine(self.store(None).count())?;
                prop_assert_eq!(count, self.model.len() as u64);
                prop_assert_eq!(self.store(None).len(), count);
            }
            Op::Iterate => {
                let all: Result<Vec<_>, _> = self.store(None).iter().collect();
                let mut all: Vec<_> =
                    fine(all)?.into_iter().map(|(key, value)| (key, read_value(&value))).collect();
                all.sort_unstable();
                let expected: Vec<_> =
                    self.model.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(all, expected);
            }
            Op::Sync => {
                fine(self.store(None).sync())?;
                self.model.saved();
            }
            Op::Flush => {
                if self.perhaps(|store| store.flush())? {
                    self.model.saved();
                }
            }
            Op::Merge => drop(self.perhaps(|store| store.merge())?),
            Op::Advance(time) => {
                self.clock.advance(time);
                self.model.advance(time);
            }
            Op::SetBack(time) => {
                let wall = self.clock.wall().as_millis();
                self.clock.set_wall(Timestamp::from_millis(wall - time.as_millis() as i64));
            }
            Op::Reopen(pause) | Op::Crash(pause) if self.case.place == Place::Memory => {
                self.clock.advance(pause);
                self.model.advance(pause);
            }
            Op::Reopen(pause) => {
                self.alone()?;
                fine(self.store.take().expect("it is open").close())?;
                self.model.close();
                self.reopen(pause)?;
            }
            Op::Crash(pause) => {
                // The files are copied one by one, and must be of one moment.
                self.alone()?;
                self.crash();
                self.model.crash();
                // How far a killed store knows the time is nothing to rely on.
                self.clock.set_wall(self.model.time().max(self.clock.wall()));
                self.reopen(pause)?;
            }
        }
        self.check()
    }

    /// Does it, or lets it fail half-way. False: it has failed.
    fn perhaps(&mut self, work: impl Fn(&Store<String>) -> Result<(), Error>) -> Checked<bool> {
        let store = self.store(None);
        if self.case.faulty {
            self.faults.set(1 + self.steps * 7 % 19);
        }
        let result = work(&store);
        self.faults.set(0);
        if self.case.faulty { Ok(result.is_ok()) } else { fine(result).map(|()| true) }
    }

    /// Ends what goes on beside.
    fn alone(&mut self) -> Checked {
        fine(self.beside.take().map_or(Ok(()), |mut beside| beside.end()))
    }

    fn reopen(&mut self, pause: Duration) -> Checked {
        self.clock.advance(pause);
        self.model.open_at(self.clock.wall());
        self.open()
    }

    /// Leaves what the process would have left if it had been killed now.
    fn crash(&mut self) {
        let left = copy_to(self.directory.path(), Directory::quick("model"));
        // Gone before the store ends: nothing of what closing does may arrive.
        self.directory = left;
        self.store = None;
    }

    fn transact(&mut self, steps: &[(u8, Step)], level: Level) -> Checked {
        let mut planned: Vec<(Key, Step)> = Vec::new();
        for (key, step) in steps {
            let key = self.key(*key);
            if planned.iter().all(|(other, _)| *other != key) {
                planned.push((key, *step));
            }
        }
        let keys: Vec<Key> = planned.iter().map(|(key, _)| *key).collect();
        let (mut decisions, mut values) = (Vec::new(), Vec::new());
        for (key, step) in &planned {
            let (text, decision) = match *step {
                Step::Set(value) => {
                    let (text, known) = self.value(value);
                    (text, Decision::Set(known))
                }
                Step::Insert(value, wish) => {
                    let (text, known) = self.value(value);
                    (text, Decision::Insert(known, self.expiry(wish)))
                }
                Step::Remove => (String::new(), Decision::Remove),
                Step::Expire(wish) => (String::new(), Decision::Expire(self.expiry(wish))),
            };
            values.push(text);
            decisions.push((*key, decision));
        }
        let before: Vec<_> = keys.iter().map(|key| self.model.peek(key).copied()).collect();
        let result = self.store(level).transact(&keys, |slots| {
            let mut seen = Vec::new();
            for (index, ((_, decision), text)) in decisions.iter().zip(values).enumerate() {
                seen.push(slots.get(index).map(|value| read_value(value)));
                match decision {
                    Decision::Set(_) => slots.set(index, text),
                    Decision::Insert(_, expiry) => slots.insert(index, text, *expiry),
                    Decision::Remove => slots.remove(index),
                    Decision::Expire(expiry) => slots.set_expiry(index, *expiry),
                }
            }
            seen
        });
        if let Some(seen) = self.admitted(result)? {
            prop_assert_eq!(&seen, &before);
            let changes = decisions.iter().zip(seen).any(|((_, decision), seen)| {
                seen.is_some() || matches!(decision, Decision::Set(_) | Decision::Insert(..))
            });
            self.model.transact(decisions);
            if changes {
                self.changed(level);
            } else if level != Some(Durability::Memory) {
                keys.iter().for_each(|key| self.model.saved_answer(key));
            }
        }
        Ok(())
    }

    /// Shows the model everything.
    fn check(&mut self) -> Checked {
        let store = self.store(None);
        let values = self.case.peeks || self.model.choices() > 1;
        let mut seen = BTreeMap::new();
        for key in &self.keys {
            let deadline = fine(store.deadline(key))?;
            let mut value = None;
            if values {
                value = fine(store.peek(key))?.map(|value| read_value(&value));
                prop_assert_eq!(deadline.is_some(), value.is_some(), "{:?}", key);
                prop_assert_eq!(deadline, fine(store.deadline(key))?, "peek touches {:?}", key);
            }
            if let Some(deadline) = deadline {
                seen.insert(*key, Seen { deadline, value });
            }
        }
        self.model.settle(&seen).map_err(wrong)
    }
}

fn run(case: Case, ops: &[Op]) -> Checked {
    let mut pair = Pair::new(case)?;
    for (at, op) in ops.iter().enumerate() {
        pair.step(op).map_err(|error| wrong(format!("step {at}, {op:?}: {error}")))?;
    }
    for op in [Op::Iterate, Op::Reopen(Duration::ZERO), Op::Count] {
        pair.step(&op).map_err(|error| wrong(format!("at the end, {op:?}: {error}")))?;
    }
    Ok(())
}

/// So many cases, or as many as `MODEL_CASES` says: for a longer search.
fn config(cases: u32) -> Config {
    let wanted = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    Config {
        cases: wanted.unwrap_or(cases),
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    }
}

fn case(place: Place) -> impl Strategy<Value = Case> {
    any::<u8>().prop_map(move |byte| Case::from_byte(byte, place))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bytes = any::<[u8; OP_BYTES]>();
    prop::collection::vec(bytes.prop_map(Op::from_bytes), 1..50)
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_store_does_what_the_model_does(case in case(Place::Disk), ops in ops()) {
        run(case, &ops)?;
    }
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn so_it_does_while_it_is_flushed_and_merged(case in case(Place::Busy), ops in ops()) {
        run(case, &ops)?;
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn so_does_a_store_in_memory(case in case(Place::Memory), ops in ops()) {
        run(case, &ops)?;
    }
}
