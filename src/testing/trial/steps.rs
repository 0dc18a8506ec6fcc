//! The operations of a trial: each done to the store and to the models, and the answers compared.

use std::fmt::Debug;
use std::mem;
use std::time::Duration;

use super::{Answer, Checked, End, Known, Models, Trial, read_value};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::id::Key;
use crate::log::Durability;
use crate::store::Store;
use crate::testing::model::{Decision, Model};
use crate::testing::ops::{Level, Op, Step};
use crate::testing::sim::Keep;

/// A store's own level for writes, if the operation names none.
const WRITE: Durability = Durability::Process;
/// The same for removals.
const REMOVAL: Durability = Durability::Power;

impl Trial {
    /// Does this to the store and to the models, and compares the answer, and then all that the
    /// store shows.
    ///
    /// # Errors
    /// What differs.
    pub fn step(&mut self, op: &Op) -> Checked {
        self.doing = format!("{op:?}").into();
        self.during = None;
        self.perform(op).and_then(|()| self.check()).map_err(|error| format!("{op:?}: {error}"))?;
        self.keep_points();
        Ok(())
    }

    fn perform(&mut self, op: &Op) -> Checked {
        match op.clone() {
            Op::Reopen(pause) => return self.reopen(pause),
            Op::Crash(pause) => return self.end(pause),
            Op::Advance(time) => {
                self.models.each(|model| model.advance(time));
                self.during = Some(self.models.clone());
                self.clock.advance(time);
                return Ok(());
            }
            Op::SetBack(time) => {
                let wall = self.clock.wall().as_millis();
                let back = i64::try_from(time.as_millis()).unwrap_or(0);
                self.clock.set_wall(Timestamp::from_millis(wall - back));
                return Ok(());
            }
            _ => {}
        }
        let Some(store) = self.store.clone() else { return Ok(()) };
        let at = |level: Level| level.map_or_else(|| store.clone(), |level| store.at(level));
        match op.clone() {
            Op::Get { key } => self.get(&store, self.key(key)),
            Op::Peek { key } => {
                let key = self.key(key);
                let found = known(store.peek(&key))?;
                self.compare(found, |model| model.peek(&key).copied())
            }
            Op::Insert { key, value, wish, level } => {
                let (key, (text, known)) = (self.key(key), Self::value(value));
                let expiry = wish.at(self.models.killed.time());
                let result = || at(level).insert_with(key, text, expiry);
                let inserted = self.change(result, |model| model.insert(key, known, expiry))?;
                self.answered(inserted, |()| true, level.unwrap_or(WRITE), &[])
            }
            Op::Create { key, value, wish, level } => {
                let (key, (text, known)) = (self.key(key), Self::value(value));
                let expiry = wish.at(self.models.killed.time());
                let result = || at(level).create_with(key, text, expiry);
                let created = self.change(result, |model| model.create(key, known, expiry))?;
                self.answered(created, |created| *created, level.unwrap_or(WRITE), &[key])
            }
            Op::Update { key, value, level } => {
                let (key, (text, new)) = (self.key(key), Self::value(value));
                let result =
                    || known(at(level).update(&key, |value| mem::replace(value, text)).map(arc));
                let old = self.change_known(result, |model| {
                    model.update(&key, |value| mem::replace(value, new))
                })?;
                self.answered(old, Option::is_some, level.unwrap_or(WRITE), &[key])
            }
            Op::Take { key, level } => {
                let key = self.key(key);
                let taken =
                    self.change_known(|| known(at(level).take(&key)), |model| model.take(&key))?;
                self.answered(taken, Option::is_some, level.unwrap_or(REMOVAL), &[key])
            }
            Op::Remove { key, level } => {
                let key = self.key(key);
                let removed = self.change(|| at(level).remove(&key), |model| model.remove(&key))?;
                self.ended(&store, removed.is_some(), &key)?;
                self.answered(removed, |removed| *removed, level.unwrap_or(REMOVAL), &[key])
            }
            Op::Rename { old, new, level } => {
                let (old, new) = (self.key(old), self.key(new));
                if old == new {
                    return Ok(());
                }
                let result = || at(level).rename(&old, &new);
                let renamed = self.change(result, |model| model.rename(&old, &new))?;
                self.answered(renamed, |renamed| *renamed, level.unwrap_or(REMOVAL), &[old])
            }
            Op::Transact { steps, level } => self.transact(&at(level), &steps, level),
            Op::SetExpiry { key, wish, level } => {
                let key = self.key(key);
                let expiry = wish.at(self.models.killed.time());
                let before = store.deadline(&key);
                let result = || at(level).set_expiry(&key, expiry);
                let set = self.change(result, |model| model.set_expiry(&key, expiry))?;
                let shorter =
                    matches!((before, store.deadline(&key)), (Ok(old), Ok(new)) if new < old);
                let own = if shorter { REMOVAL } else { WRITE };
                self.answered(set, |set| *set, level.unwrap_or(own), &[key])
            }
            Op::Clear { level } => {
                let cleared = self.change(|| at(level).clear(), Model::clear)?;
                self.answered(cleared, |()| true, level.unwrap_or(REMOVAL), &[])
            }
            Op::Count => self.compare(store.count(), |model| model.len() as u64),
            Op::Iterate => self.iterate(&store),
            Op::Sync => self.saves(store.sync()),
            Op::Flush => self.saves(store.flush()),
            Op::Merge => self.answer(store.merge()).map(drop),
            Op::Reopen(_) | Op::Crash(_) | Op::Advance(_) | Op::SetBack(_) => Ok(()),
        }
    }

    /// Does what brings writes back after a failure; with nothing to heal it only syncs.
    ///
    /// # Errors
    /// It fails, and nothing was set to fail.
    pub fn heal(&mut self) -> Checked {
        self.doing = "Heal".into();
        self.during = None;
        let Some(store) = self.store.clone() else { return Ok(()) };
        self.saves(store.heal())?;
        self.keep_points();
        self.check()
    }

    /// A call that, if it succeeds, leaves nothing to be lost.
    fn saves(&mut self, result: Result<()>) -> Checked {
        self.during = Some(self.models.clone());
        if self.answer(result)?.done().is_some() {
            self.models.each(Model::saved);
        }
        Ok(())
    }

    /// A removal takes effect in memory even if it fails, once the log has failed.
    fn ended(&self, store: &Store<String>, done: bool, key: &Key) -> Checked {
        let poisoned = || store.stats().disk.is_some_and(|disk| disk.poisoned);
        match store.peek(key) {
            Ok(Some(_)) if !done && poisoned() => Err("the log has failed, and it stays".into()),
            _ => Ok(()),
        }
    }

    fn get(&mut self, store: &Store<String>, key: Key) -> Checked {
        let found = known(store.get(&key))?;
        let during = self.models.clone();
        if let Answer::Done(found) = self.answer(found)? {
            let mut expected = None;
            self.models.each(|model| expected = model.get(&key).copied());
            same(&found, &expected)?;
        }
        // Before the read or after it: a read is nothing that a crash must keep.
        self.during = Some(during);
        Ok(())
    }

    fn iterate(&mut self, store: &Store<String>) -> Checked {
        let all: Result<Vec<_>> = store.iter().collect();
        let Answer::Done(all) = self.answer(all)? else { return Ok(()) };
        let read = all.into_iter().map(|(key, value)| Ok((key, read_value(&value)?)));
        let mut all = read.collect::<Checked<Vec<(Key, Known)>>>()?;
        all.sort_unstable();
        let model = &self.models.killed;
        let expected: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
        same(&all, &expected)
    }

    /// Compares an answer that changes nothing.
    fn compare<T: PartialEq + Debug>(
        &mut self,
        result: Result<T>,
        expected: impl Fn(&Model<Known>) -> T,
    ) -> Checked<()> {
        match self.answer(result)? {
            Answer::Done(found) => same(&found, &expected(&self.models.killed)),
            _ => Ok(()),
        }
    }

    /// A change, done to the models first: a crash may find it made before it is acknowledged.
    fn change<T: PartialEq + Debug>(
        &mut self,
        call: impl FnOnce() -> Result<T>,
        apply: impl Fn(&mut Model<Known>) -> T,
    ) -> Checked<Option<T>> {
        self.change_known(|| Ok(call()), apply)
    }

    fn change_known<T: PartialEq + Debug>(
        &mut self,
        call: impl FnOnce() -> Checked<Result<T>>,
        apply: impl Fn(&mut Model<Known>) -> T,
    ) -> Checked<Option<T>> {
        let mut changed: Models = self.models.clone();
        let mut expected = None;
        changed.each(|model| expected = Some(apply(model)));
        self.during = Some(changed.clone());
        match self.answer(call()?)? {
            Answer::Done(found) => {
                self.models = changed;
                same(&Some(&found), &expected.as_ref())?;
                Ok(Some(found))
            }
            Answer::Unknown => {
                self.models = changed;
                Ok(None)
            }
            Answer::Nothing => Ok(None),
        }
    }

    fn acknowledge(&mut self, level: Durability, keys: Option<&[Key]>) -> Checked {
        self.models.acknowledge(level, keys);
        Ok(())
    }

    /// An answer has returned, and with it a change or none.
    fn answered<T>(
        &mut self,
        answer: Option<T>,
        changed: impl Fn(&T) -> bool,
        level: Durability,
        keys: &[Key],
    ) -> Checked {
        let Some(answer) = answer else { return Ok(()) };
        self.acknowledge(level, (!changed(&answer)).then_some(keys))
    }

    pub(super) fn answer<T>(&self, result: Result<T>) -> Checked<Answer<T>> {
        match result {
            Ok(value) => Ok(Answer::Done(value)),
            Err(error) if !self.setup.faulty => Err(format!("it fails: {error:?}")),
            Err(error) if error.is_unknown() => Ok(Answer::Unknown),
            Err(error) => self.believable(error),
        }
    }

    /// An error that only a fault of the disk explains.
    fn believable<T>(&self, error: Error) -> Checked<Answer<T>> {
        let other = error.is_config() || error.is_reentrant() || error.is_mismatch();
        if other { Err(format!("that is not it: {error:?}")) } else { Ok(Answer::Nothing) }
    }

    fn transact(&mut self, store: &Store<String>, steps: &[(u8, Step)], level: Level) -> Checked {
        let mut planned: Vec<(Key, Decision<Known>, String)> = Vec::new();
        let now = self.models.killed.time();
        for (key, step) in steps {
            let key = self.key(*key);
            if planned.iter().any(|(other, ..)| *other == key) {
                continue;
            }
            let (decision, text) = match *step {
                Step::Set(value) => {
                    let (text, known) = Self::value(value);
                    (Decision::Set(known), text)
                }
                Step::Insert(value, wish) => {
                    let (text, known) = Self::value(value);
                    (Decision::Insert(known, wish.at(now)), text)
                }
                Step::Remove => (Decision::Remove, String::new()),
                Step::Expire(wish) => (Decision::Expire(wish.at(now)), String::new()),
            };
            planned.push((key, decision, text));
        }
        let keys: Vec<Key> = planned.iter().map(|(key, ..)| *key).collect();
        let decisions: Vec<_> =
            planned.iter().map(|(key, decision, _)| (*key, decision.clone())).collect();
        let result = || {
            let seen = store.transact(&keys, |slots| decide(slots, &planned));
            match seen {
                Ok(seen) => seen.into_iter().collect::<Checked<Vec<Option<Known>>>>().map(Ok),
                Err(error) => Ok(Err(error)),
            }
        };
        let seen = self.change_known(result, |model| {
            let seen = keys.iter().map(|key| model.peek(key).copied()).collect();
            model.transact(decisions.clone());
            seen
        })?;
        let Some(seen) = seen else { return Ok(()) };
        let ends = decisions
            .iter()
            .zip(&seen)
            .any(|((_, decision), seen)| seen.is_some() && *decision == Decision::Remove);
        let changes = decisions.iter().zip(&seen).any(|((_, decision), seen)| {
            seen.is_some() || matches!(decision, Decision::Set(_) | Decision::Insert(..))
        });
        let level = level.unwrap_or(if ends { REMOVAL } else { WRITE });
        self.acknowledge(level, (!changes).then_some(&keys))
    }

    fn reopen(&mut self, pause: Duration) -> Checked {
        self.during = Some(self.models.clone());
        let closed = match self.store.take() {
            Some(store) => self.answer(store.close())?.done().is_some(),
            None => false,
        };
        self.keep_points();
        if closed {
            self.models.each(Model::close);
        } else {
            if self.fs.reverts() {
                // Whoever reads the file now finds what a power cut would have left.
                self.models.killed = self.models.cut.clone();
            }
            self.models.killed.crash();
            self.models.cut.kill();
        }
        self.clock.advance(pause);
        let wall = self.clock.wall();
        self.models.open_at(wall);
        self.during = Some(self.models.clone());
        self.open()
    }

    /// The process ends, one way or the other, and some time passes.
    fn end(&mut self, pause: Duration) -> Checked {
        self.models.each(|model| model.advance(pause));
        let calls = self.fs.calls();
        if calls.is_multiple_of(2) {
            self.crash(self.fs.kill(), End::Kill)
        } else {
            self.crash(self.fs.power_cut(Keep::Random(calls)), End::PowerCut)
        }
    }
}

/// Does what is planned; says what was there.
fn decide(
    slots: &mut crate::store::Slots<String>,
    planned: &[(Key, Decision<Known>, String)],
) -> Vec<Checked<Option<Known>>> {
    let mut seen = Vec::new();
    for (index, (_, decision, text)) in planned.iter().enumerate() {
        seen.push(slots.get(index).map(|value| read_value(value)).transpose());
        match decision {
            Decision::Set(_) => slots.set(index, text.clone()),
            Decision::Insert(_, expiry) => slots.insert(index, text.clone(), *expiry),
            Decision::Remove => slots.remove(index),
            Decision::Expire(expiry) => slots.set_expiry(index, *expiry),
        }
    }
    seen
}

fn arc(value: Option<String>) -> Option<std::sync::Arc<String>> {
    value.map(std::sync::Arc::new)
}

/// What a store gave, as the models know it; an error if nobody wrote it.
fn known(result: Result<Option<std::sync::Arc<String>>>) -> Checked<Result<Option<Known>>> {
    match result {
        Ok(value) => Ok(Ok(value.map(|value| read_value(&value)).transpose()?)),
        Err(error) => Ok(Err(error)),
    }
}

fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Checked {
    if found == expected {
        return Ok(());
    }
    Err(format!("the store says {found:?}, the model {expected:?}"))
}
