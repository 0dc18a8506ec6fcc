//! Histories: any operations on a store and on the model, on a simulated file system that fails
//! at chosen calls, between crashes that lose what was not synced. An error must say what has
//! happened, and store and model must agree after every step.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{
    ColdReads, Decision, Failure, Fault, Keep, Level, ManualClock, Model, OP_BYTES, Op, Seen,
    SimFs, Step, SyncFailure, Value, Wish,
};
use sessile::{Background, Clock, Durability, Expiry, Key, Read, Result, Store, Timestamp};

const IDLE: Duration = Duration::from_secs(60);
const ABSOLUTE: Duration = Duration::from_secs(1200);
const KEYS: u8 = 10;
/// Steps of one history.
const STEPS_MAX: usize = 96;
/// Bytes of a step: the trouble, the call that it befalls, the operation.
pub const STEP_BYTES: usize = 2 + OP_BYTES;

/// What may differ from one history to the next.
#[derive(Clone, Copy, Debug)]
struct Case {
    idle: bool,
    read: Read,
    sync_failure: SyncFailure,
    /// Crashes are losses of power; what was only written may be gone.
    power: bool,
    /// After each step values are read too, which brings replayed ones into memory.
    peeks: bool,
}

/// What goes wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Nothing, and what earlier trouble has left is put right.
    Heal,
    /// A call fails.
    Fault(Fault),
    /// The process ends at a call.
    End(u64),
}

/// Which level a call waits for by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Removal,
}

type Known = (u16, usize);

struct Pair {
    case: Case,
    clock: ManualClock,
    fs: SimFs,
    store: Option<Store<String>>,
    model: Model<Known>,
    crashes: u64,
    /// What was done and what failed, to be told if something is wrong.
    trail: Vec<String>,
    /// Whether the trail is kept: it costs as much as the rest.
    told: bool,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.trail.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let Some((case, rest)) = bytes.split_first() else { return };
    let mut pair = Pair::new(*case);
    for step in rest.chunks_exact(STEP_BYTES).take(STEPS_MAX) {
        let op = Op::sequence(&step[2..]).next().expect("there are enough bytes");
        pair.step(trouble(step[0], step[1]), &op);
    }
    for op in [Op::Iterate, Op::Reopen(Duration::ZERO), Op::Count] {
        pair.step(Trouble::Heal, &op);
    }
}

fn trouble(kind: u8, call: u8) -> Trouble {
    let call = 1 + u64::from(call % 48);
    match kind {
        0..96 => Trouble::None,
        96..128 => Trouble::Heal,
        128..144 => Trouble::End(call),
        _ => {
            let failure = Failure::ERRORS[usize::from(kind) % Failure::ERRORS.len()];
            Trouble::Fault(Fault { call, failure, lasting: kind & 0x40 != 0 })
        }
    }
}

/// The number and size of a value, from its text.
fn known(text: &str) -> Known {
    let tag = text.split(' ').next().and_then(|tag| tag.parse().ok());
    (tag.expect("a value begins with its number"), text.len())
}

fn text(value: Value) -> String {
    format!("{} {}", value.tag, "#".repeat(usize::from(value.size)))
}

impl Pair {
    fn new(byte: u8) -> Pair {
        let case = Case {
            idle: byte & 1 == 0,
            read: if byte & 2 == 0 { Read::Mmap } else { Read::Pread },
            peeks: byte & 4 == 0,
            power: byte & 8 != 0,
            sync_failure: match byte >> 4 & 3 {
                0 => SyncFailure::Revert,
                1 => SyncFailure::Partial,
                _ => SyncFailure::Keep,
            },
        };
        let clock = ManualClock::new();
        let idle = case.idle.then_some(IDLE);
        let model = Model::new(clock.wall(), idle, ABSOLUTE).cold_reads(ColdReads::MayTouch);
        let fs = SimFs::new(byte.into());
        let told = std::env::var_os("HISTORY_TOLD").is_some();
        let trail = Vec::from([format!("{case:?}")]);
        let mut pair = Pair { case, clock, fs, store: None, model, crashes: 0, trail, told };
        pair.fs.set_sync_failure(case.sync_failure);
        pair.open();
        pair
    }

    fn try_open(&self) -> Result<Store<String>> {
        let builder = Store::builder()
            .absolute(ABSOLUTE)
            .clock(self.clock.clone())
            .background(Background::Callers)
            .flush_bytes(64 << 10)
            .segment_bytes(4096)
            .expected_sessions(100)
            .random_seed(self.crashes)
            .read(self.case.read);
        let builder = if self.case.idle { builder.idle(IDLE) } else { builder.no_idle() };
        builder.open_fs(Arc::new(self.fs.clone()))
    }

    /// Opens the store, at the second try if there is a fault at the first.
    fn open(&mut self) {
        let before = self.fs.fired();
        self.store = match self.try_open() {
            Ok(store) => Some(store),
            Err(error) => {
                assert!(self.fs.fired() > before, "nothing has failed: {error:?}");
                assert!(!error.is_corrupt() && !error.is_mismatch(), "{error:?}");
                // If the process has ended at this, it ends as all of them do.
                self.fs = self.left();
                Some(self.try_open().expect("nothing fails any more"))
            }
        };
    }

    /// The disk as the next process finds it, and what the model makes of that.
    fn left(&mut self) -> SimFs {
        self.crashes += 1;
        let left = if self.case.power {
            self.model.crash();
            self.fs.power_cut(Keep::Random(self.crashes))
        } else {
            self.model_killed();
            self.fs.kill()
        };
        left.set_sync_failure(self.case.sync_failure);
        left
    }

    fn store(&self, level: Level) -> Store<String> {
        let store = self.store.as_ref().expect("it is open between two steps");
        level.map_or_else(|| store.clone(), |level| store.at(level))
    }

    fn key(number: u8) -> Key {
        Key::of([number % KEYS])
    }

    fn expiry(&self, wish: Wish) -> Expiry {
        wish.at(self.model.time())
    }

    /// Whether what has returned at this level survives the crashes of this case.
    fn survives(&self, kind: Kind, level: Level) -> bool {
        let own = if kind == Kind::Removal { Durability::Power } else { Durability::Process };
        // Where a failed sync throws away what was written, a kill after it loses that too.
        let needed = if self.is_fragile() { Durability::Power } else { Durability::Process };
        level.unwrap_or(own) >= needed
    }

    /// Whether what was written and not synced may be lost, now or later.
    fn is_fragile(&self) -> bool {
        self.case.power || self.case.sync_failure == SyncFailure::Revert
    }

    /// The process is gone, and the power still on.
    fn model_killed(&mut self) {
        if self.is_fragile() { self.model.kill() } else { self.model.crash() }
    }

    fn step(&mut self, trouble: Trouble, op: &Op) {
        self.tell(|| format!("{trouble:?}: {op:?}"));
        let before = self.fs.fired();
        match trouble {
            Trouble::None => {}
            Trouble::Heal => {
                self.store(None).heal().expect("nothing stands in the way");
                self.model.saved();
            }
            Trouble::Fault(fault) => self.fs.fail(fault),
            Trouble::End(call) => {
                self.fs.fail(Fault { call, failure: Failure::Halt, lasting: true });
            }
        }
        self.perform(op);
        if matches!(trouble, Trouble::End(_)) && self.fs.fired() > before {
            self.crash(Duration::ZERO);
        }
        self.fs.repair();
        self.check(trouble, op);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.told {
            self.trail.push(line());
        }
    }

    /// Does to the model what has been done to the store, as far as the answer says that it has
    /// been. Gives the answer.
    fn change<T: PartialEq + Debug>(
        &mut self,
        answer: Result<T>,
        apply: impl FnOnce(&mut Model<Known>) -> T,
    ) -> Option<T> {
        match answer {
            Ok(answer) => {
                assert_eq!(answer, apply(&mut self.model));
                Some(answer)
            }
            Err(error) if error.is_unknown() => {
                self.tell(|| format!("    {error:?}"));
                apply(&mut self.model);
                None
            }
            Err(error) => {
                self.tell(|| format!("    {error:?}"));
                assert!(!error.is_closed() && !error.is_corrupt(), "{error:?}");
                None
            }
        }
    }

    /// A call has returned at its level, having changed something or not.
    fn returned(&mut self, changed: Option<bool>, kind: Kind, level: Level, key: Option<&Key>) {
        if !self.survives(kind, level) {
            return;
        }
        match (changed, key) {
            (Some(true), _) => self.model.saved(),
            (Some(false), Some(key)) => self.model.saved_answer(key),
            _ => {}
        }
    }

    fn perform(&mut self, op: &Op) {
        match op.clone() {
            Op::Get { key } => self.get(&Self::key(key)),
            Op::Peek { key } => {
                if let Ok(found) = self.store(None).peek(&Self::key(key)) {
                    let found = found.map(|value| known(&value));
                    assert_eq!(found, self.model.peek(&Self::key(key)).copied());
                }
            }
            Op::Insert { key, value, wish, level } => {
                let (key, expiry, text) = (Self::key(key), self.expiry(wish), text(value));
                let known = known(&text);
                let answer = self.store(level).insert_with(key, text, expiry);
                let done = self.change(answer, |model| model.insert(key, known, expiry));
                self.returned(done.map(|()| true), Kind::Write, level, None);
            }
            Op::Create { key, value, wish, level } => {
                let (key, expiry, text) = (Self::key(key), self.expiry(wish), text(value));
                let known = known(&text);
                let answer = self.store(level).create_with(key, text, expiry);
                let created = self.change(answer, |model| model.create(key, known, expiry));
                self.returned(created, Kind::Write, level, Some(&key));
            }
            Op::Update { key, value, level } => {
                let (key, text) = (Self::key(key), text(value));
                let new = known(&text);
                let store = self.store(level);
                let answer = store.update(&key, |old| known(&std::mem::replace(old, text)));
                let old = self.change(answer, |model| {
                    model.update(&key, |value| std::mem::replace(value, new))
                });
                self.returned(old.map(|old| old.is_some()), Kind::Write, level, Some(&key));
            }
            Op::Take { key, level } => {
                let key = Self::key(key);
                let taken = self.store(level).take(&key).map(|value| value.map(|v| known(&v)));
                let taken = self.change(taken, |model| model.take(&key));
                self.returned(taken.map(|taken| taken.is_some()), Kind::Removal, level, Some(&key));
            }
            Op::Remove { key, level } => {
                let key = Self::key(key);
                let before = self.fs.fired();
                let answer = self.store(level).remove(&key);
                // Where a base cannot be read there may have been one, and the answer is yes.
                let doubt = self.fs.fired() > before;
                let mut was = false;
                let removed = self.change(answer.map(|was| was || doubt), |model| {
                    was = model.remove(&key);
                    was || doubt
                });
                let removed = removed.map(|_| was);
                self.returned(removed, Kind::Removal, level, Some(&key));
            }
            Op::Rename { old, new, level } => {
                let (old, new) = (Self::key(old), Self::key(new));
                let answer = self.store(level).rename(&old, &new);
                if old == new {
                    return assert!(answer.is_err());
                }
                let renamed = self.change(answer, |model| model.rename(&old, &new));
                self.returned(renamed, Kind::Removal, level, Some(&old));
            }
            Op::Transact { steps, level } => self.transact(&steps, level),
            Op::SetExpiry { key, wish, level } => {
                let (key, expiry) = (Self::key(key), self.expiry(wish));
                let answer = self.store(level).set_expiry(&key, expiry);
                let set = self.change(answer, |model| model.set_expiry(&key, expiry));
                self.returned(set, Kind::Write, level, Some(&key));
            }
            Op::Clear { level } => {
                let answer = self.store(level).clear();
                let done = self.change(answer, Model::clear);
                self.returned(done.map(|()| true), Kind::Removal, level, None);
            }
            Op::Count | Op::Iterate => self.look_at_all(),
            Op::Sync => {
                if self.store(None).sync().is_ok() {
                    self.model.saved();
                }
            }
            Op::Flush => {
                if self.store(None).flush().is_ok() {
                    self.model.saved();
                }
            }
            Op::Merge => drop(self.store(None).merge()),
            Op::Advance(time) => {
                self.clock.advance(time);
                self.model.advance(time);
            }
            Op::SetBack(time) => {
                let wall = self.clock.wall().as_millis() - time.as_millis() as i64;
                self.clock.set_wall(Timestamp::from_millis(wall));
            }
            Op::Reopen(pause) => self.reopen(pause),
            Op::Crash(pause) => self.crash(pause),
        }
    }

    fn get(&mut self, key: &Key) {
        let found = self.store(None).get(key);
        // It may have been touched even if something failed later.
        let expected = self.model.get(key).copied();
        if let Ok(found) = found {
            assert_eq!(found.map(|value| known(&value)), expected);
        }
    }

    fn look_at_all(&mut self) {
        let store = self.store(None);
        if let Ok(count) = store.count() {
            assert_eq!((count, store.len()), (self.model.len() as u64, count));
        }
        let all: Result<Vec<_>> = store.iter().collect();
        if let Ok(all) = all {
            let seen: BTreeMap<Key, Known> =
                all.iter().map(|(key, value)| (*key, known(value))).collect();
            assert_eq!(seen.len(), all.len(), "a session was met twice");
            let expected = self.model.iter().map(|(key, value)| (*key, *value));
            assert_eq!(seen, expected.collect());
        }
    }

    fn transact(&mut self, steps: &[(u8, Step)], level: Level) {
        let mut planned: Vec<(Key, Step)> = Vec::new();
        for (key, step) in steps {
            if planned.iter().all(|(other, _)| *other != Self::key(*key)) {
                planned.push((Self::key(*key), *step));
            }
        }
        let keys: Vec<Key> = planned.iter().map(|(key, _)| *key).collect();
        let decide = |(key, step): &(Key, Step)| {
            let (text, decision) = match *step {
                Step::Set(value) => (text(value), Decision::Set(known(&text(value)))),
                Step::Insert(value, wish) => {
                    (text(value), Decision::Insert(known(&text(value)), self.expiry(wish)))
                }
                Step::Remove => (String::new(), Decision::Remove),
                Step::Expire(wish) => (String::new(), Decision::Expire(self.expiry(wish))),
            };
            (text, (*key, decision))
        };
        let (texts, decisions): (Vec<_>, Vec<_>) = planned.iter().map(decide).unzip();
        let answer = self.store(level).transact(&keys, |slots| {
            let mut seen = Vec::new();
            for (index, ((_, decision), text)) in decisions.iter().zip(texts).enumerate() {
                seen.push(slots.get(index).map(|value| known(value)));
                match decision {
                    Decision::Set(_) => slots.set(index, text),
                    Decision::Insert(_, expiry) => slots.insert(index, text, *expiry),
                    Decision::Remove => slots.remove(index),
                    Decision::Expire(expiry) => slots.set_expiry(index, *expiry),
                }
            }
            seen
        });
        let always = decisions
            .iter()
            .any(|(_, decision)| matches!(decision, Decision::Set(_) | Decision::Insert(..)));
        let seen = self.change(answer, |model| {
            let before = keys.iter().map(|key| model.peek(key).copied()).collect();
            model.transact(decisions);
            before
        });
        if let Some(seen) = seen {
            let changed = always || seen.iter().any(Option::is_some);
            for key in &keys {
                self.returned(Some(changed), Kind::Write, level, Some(key));
            }
        }
    }

    fn reopen(&mut self, pause: Duration) {
        let store = self.store.take().expect("it is open between two steps");
        let closed = store.close();
        drop(store);
        if closed.is_ok() {
            self.model.close();
        } else {
            self.model_killed();
            self.clock.set_wall(self.model.time().max(self.clock.wall()));
        }
        self.pause(pause);
        self.open();
    }

    fn crash(&mut self, pause: Duration) {
        let left = self.left();
        // What the store does when it is dropped does not arrive any more.
        self.store = None;
        self.fs = left;
        // How far a killed store knows the time is nothing to rely on.
        self.clock.set_wall(self.model.time().max(self.clock.wall()));
        self.pause(pause);
        self.open();
    }

    fn pause(&mut self, pause: Duration) {
        self.clock.advance(pause);
        self.model.open_at(self.clock.wall());
    }

    /// Shows the model everything. Reads go on whatever has failed.
    fn check(&mut self, trouble: Trouble, op: &Op) {
        let store = self.store(None);
        let values = self.case.peeks || self.model.choices() > 1;
        let mut seen = BTreeMap::new();
        for key in (0..KEYS).map(Self::key) {
            let deadline = store.deadline(&key).expect("reads go on");
            let mut value = None;
            if values {
                value = store.peek(&key).expect("reads go on").map(|value| known(&value));
                assert_eq!(deadline.is_some(), value.is_some(), "{key:?}");
            }
            if let Some(deadline) = deadline {
                seen.insert(key, Seen { deadline, value });
            }
        }
        if let Err(difference) = self.model.settle(&seen) {
            panic!("after {op:?} with {trouble:?}: {difference}");
        }
    }
}
