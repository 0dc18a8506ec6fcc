//! The naive store: a sorted map and a time, to compare a real store with.
//!
//! Knows the rules of lifetimes and of what survives; knows nothing of memory, logs and bases.
//! Where a real store may answer in more than one way, the model holds all of them and goes on
//! with those that agree with what was [seen](Model::settle).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::mem;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::Key;
use crate::limits::{LIFETIME_MAX, TICK_MS};
use crate::record::expiry::Expiry;
use crate::testing::life::{Life, ticks, time};
use crate::testing::lives::Lives;

/// Most changes whose survival may be open at the same time.
const UNSAVED_MAX: usize = 4096;

/// A store as simple as can be, with the behaviour of [`Store`](crate::Store): its answers, its
/// deadlines to the tick of 125 ms, and what may be left after it was closed or killed.
///
/// The caller does the same to both and compares. Call [`settle`](Self::settle) with what the real
/// store shows after every step in which it has a choice: after [`get`](Self::get), a reopening, a
/// crash. The verbs take it that whoever may be alive is; after `settle` there is no doubt.
///
/// Durations must be ones that the store accepts. Costs a copy of all sessions for each change.
#[derive(Clone, Debug)]
pub struct Model<V> {
    idle: Option<i64>,
    absolute: i64,
    now_ms: i64,
    cold_reads: ColdReads,
    world: World<V>,
    /// What was before each change that a crash may take back, oldest first.
    unsaved: Vec<Unsaved<V>>,
    /// After a crash: what there may be instead of `world`.
    others: Vec<World<V>>,
    /// The `others` are the `unsaved`, and a power cut may still choose among these.
    undecided: bool,
}

/// Whether reading a session that is not in memory extends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColdReads {
    /// Always: memory has room, and nobody else is writing.
    #[default]
    Touch,
    /// Perhaps: a store that is full, or busy, leaves cold what is cold.
    MayTouch,
}

/// What a real store shows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<V> {
    /// When it ends.
    pub deadline: Timestamp,
    /// What it holds; `None` if that was not looked at.
    pub value: Option<V>,
}

/// What a transaction does to one of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<V> {
    /// As [`Slots::set`](crate::Slots::set).
    Set(V),
    /// As [`Slots::insert`](crate::Slots::insert).
    Insert(V, Expiry),
    /// As [`Slots::remove`](crate::Slots::remove).
    Remove,
    /// As [`Slots::set_expiry`](crate::Slots::set_expiry).
    Expire(Expiry),
}

type World<V> = BTreeMap<Key, Session<V>>;

#[derive(Clone, Debug)]
struct Unsaved<V> {
    before: World<V>,
    /// `None`: all of them.
    keys: Option<Vec<Key>>,
}

#[derive(Clone, Debug)]
struct Session<V> {
    value: V,
    lives: Lives,
}

impl<V: Clone + PartialEq + Debug> Model<V> {
    /// An empty store that was told `idle` and `absolute`, as its builder would be.
    pub fn new(now: Timestamp, idle: Option<Duration>, absolute: Duration) -> Self {
        Model {
            idle: idle.map(ticks),
            absolute: ticks(absolute),
            now_ms: now.as_millis(),
            cold_reads: ColdReads::default(),
            world: World::new(),
            unsaved: Vec::new(),
            others: Vec::new(),
            undecided: false,
        }
    }

    /// Says what the store does about cold reads.
    pub fn cold_reads(mut self, cold_reads: ColdReads) -> Self {
        self.cold_reads = cold_reads;
        self
    }

    fn now(&self) -> i64 {
        self.now_ms.div_euclid(TICK_MS)
    }

    /// The model's time.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        self.now_ms += i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
    }

    /// The time at which a closed store is opened, by the wall clock: no earlier than it was
    /// closed, to the tick, whatever that clock says.
    pub fn open_at(&mut self, wall: Timestamp) {
        self.now_ms = wall.as_millis().max(self.now() * TICK_MS);
    }

    fn life(&self, expiry: Expiry, cap: Option<i64>) -> Life {
        let now = self.now();
        let latest = now + ticks(LIFETIME_MAX);
        let standing = cap.unwrap_or(now + self.absolute);
        let at = |time: Timestamp| (time.as_millis() + TICK_MS - 1).div_euclid(TICK_MS).min(latest);
        match (expiry, self.idle) {
            (Expiry::Default, Some(idle)) => Life::sliding(now + idle, standing, idle),
            (Expiry::Default, None) => Life::fixed(standing),
            (Expiry::Idle(idle), _) => Life::sliding(now + ticks(idle), standing, ticks(idle)),
            (Expiry::At(time), _) => Life::fixed(at(time)),
            (Expiry::After(duration), _) => Life::fixed(now + ticks(duration)),
            (Expiry::IdleUntil { idle, until }, _) => {
                Life::sliding(now + ticks(idle), at(until), ticks(idle))
            }
        }
    }

    fn session(&self, key: &Key) -> Option<&Session<V>> {
        self.world.get(key).filter(|session| session.lives.may_be_alive(self.now()))
    }

    fn change(&mut self, keys: Option<Vec<Key>>) -> &mut World<V> {
        if self.unsaved.len() < UNSAVED_MAX {
            self.unsaved.push(Unsaved { before: self.world.clone(), keys });
        }
        &mut self.world
    }

    fn put(&mut self, key: Key, value: V, lives: Lives) {
        self.change(Some(vec![key])).insert(key, Session { value, lives });
    }

    /// As [`Store::insert_with`](crate::Store::insert_with).
    pub fn insert(&mut self, key: Key, value: V, expiry: Expiry) {
        let life = self.life(expiry, None);
        self.put(key, value, life.into());
    }

    /// As [`Store::create_with`](crate::Store::create_with).
    pub fn create(&mut self, key: Key, value: V, expiry: Expiry) -> bool {
        let absent = self.session(&key).is_none();
        if absent {
            self.insert(key, value, expiry);
        }
        absent
    }

    /// As [`Store::peek`](crate::Store::peek).
    pub fn peek(&self, key: &Key) -> Option<&V> {
        self.session(key).map(|session| &session.value)
    }

    /// As [`Store::get`](crate::Store::get).
    pub fn get(&mut self, key: &Key) -> Option<&V> {
        let (now, cold) = (self.now(), self.cold_reads);
        let session = self.world.get_mut(key).filter(|session| session.lives.may_be_alive(now))?;
        session.lives.read(now, cold);
        Some(&session.value)
    }

    /// As [`Store::update`](crate::Store::update).
    pub fn update<R>(&mut self, key: &Key, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let now = self.now();
        let Session { mut value, lives } = self.session(key)?.clone();
        let result = change(&mut value);
        self.put(*key, value, lives.changed(now, |life| life.changed(now)));
        Some(result)
    }

    /// As [`Store::take`](crate::Store::take).
    pub fn take(&mut self, key: &Key) -> Option<V> {
        let value = self.session(key).map(|session| session.value.clone());
        if self.world.contains_key(key) {
            // What has expired and was removed does not come back either; but that is no change
            // which anybody's later answer rests on.
            let keys = value.iter().map(|_| *key).collect();
            self.change(Some(keys)).remove(key);
        }
        value
    }

    /// As [`Store::remove`](crate::Store::remove).
    pub fn remove(&mut self, key: &Key) -> bool {
        self.take(key).is_some()
    }

    /// As [`Store::rename`](crate::Store::rename); the keys must differ.
    pub fn rename(&mut self, old: &Key, new: &Key) -> bool {
        let now = self.now();
        let Some(Session { value, lives }) = self.session(old).cloned() else {
            // A store may or may not count it as a read of the other one.
            if let Some(other) = self.world.get_mut(new) {
                other.lives.read(now, ColdReads::MayTouch);
            }
            return false;
        };
        let lives = lives.changed(now, |life| Life { logged: life.earliest, ..life });
        let world = self.change(Some(vec![*old, *new]));
        world.remove(old);
        world.insert(*new, Session { value, lives });
        true
    }

    /// As [`Store::transact`](crate::Store::transact); each key may occur once.
    pub fn transact(&mut self, decisions: Vec<(Key, Decision<V>)>) {
        let now = self.now();
        let mut world = self.world.clone();
        let mut keys = Vec::new();
        for (key, decision) in decisions {
            let there = self.session(&key).cloned();
            let ended = there.is_none() && decision == Decision::Remove;
            let session = match (decision, there) {
                (Decision::Insert(value, expiry), _) => {
                    Some(Session { value, lives: self.life(expiry, None).into() })
                }
                (Decision::Set(value), Some(there)) => {
                    let lives = there.lives.changed(now, |life| life.changed(now));
                    Some(Session { value, lives })
                }
                (Decision::Set(value), None) => {
                    Some(Session { value, lives: self.life(Expiry::Default, None).into() })
                }
                (Decision::Expire(expiry), Some(there)) => {
                    let lives = there.lives.changed(now, |life| self.life(expiry, Some(life.cap)));
                    Some(Session { lives, ..there })
                }
                (Decision::Expire(_), None) => continue,
                (Decision::Remove, _) => None,
            };
            // See `take`: no later answer rests on the removal of what had expired.
            keys.extend((!ended).then_some(key));
            match session {
                Some(session) => drop(world.insert(key, session)),
                None => drop(world.remove(&key)),
            }
        }
        if !keys.is_empty() || world.len() != self.world.len() {
            *self.change(Some(keys)) = world;
        }
    }

    /// As [`Store::set_expiry`](crate::Store::set_expiry).
    pub fn set_expiry(&mut self, key: &Key, expiry: Expiry) -> bool {
        let Some(Session { value, lives }) = self.session(key).cloned() else { return false };
        let lives = lives.changed(self.now(), |life| self.life(expiry, Some(life.cap)));
        self.put(*key, value, lives);
        true
    }

    /// As [`Store::clear`](crate::Store::clear).
    pub fn clear(&mut self) {
        self.change(None).clear();
    }

    /// Between which times the session ends if nobody touches it. One time, but after a step in
    /// which the store has a choice.
    pub fn deadline(&self, key: &Key) -> Option<RangeInclusive<Timestamp>> {
        let (earliest, latest) = self.session(key)?.lives.deadline(self.now()).into_inner();
        Some(time(earliest)..=time(latest))
    }

    /// As [`Store::count`](crate::Store::count).
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Store::iter`](crate::Store::iter), in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        let now = self.now();
        let alive = self.world.iter().filter(move |(_, session)| session.lives.may_be_alive(now));
        alive.map(|(key, session)| (key, &session.value))
    }

    /// Everything up to here survives a crash: a change has returned at a level that does, or
    /// the store was synced or flushed.
    pub fn saved(&mut self) {
        self.unsaved.clear();
    }

    /// The last change of `key`, and all before it, survive a crash: a call that changed nothing
    /// has returned at a level that does.
    pub fn saved_answer(&mut self, key: &Key) {
        let of = |unsaved: &Unsaved<V>| unsaved.keys.as_ref().is_none_or(|keys| keys.contains(key));
        if let Some(last) = self.unsaved.iter().rposition(of) {
            self.unsaved.drain(..=last);
        }
        if !self.world.contains_key(key) {
            for unsaved in &mut self.unsaved {
                unsaved.before.remove(key);
            }
        }
    }

    /// The store was closed, and will be opened again. Nothing that has ended comes back; idle
    /// deadlines may be later by the grace.
    pub fn close(&mut self) {
        let now = self.now();
        self.saved();
        self.world.retain(|_, session| session.lives.outlive(now));
        for session in self.world.values_mut() {
            session.lives.end(Life::after_close);
        }
    }

    /// The store was killed, and will be opened again. Changes that were not
    /// [saved](Self::saved) may be lost, the last ones first; so may touches; idle deadlines may
    /// be later by the grace, those that have just passed included.
    ///
    /// More than once before [`settle`](Self::settle) if opening was interrupted too.
    pub fn crash(&mut self) {
        let unsaved = mem::take(&mut self.unsaved);
        if self.others.is_empty() {
            self.others = unsaved.into_iter().map(|one| one.before).collect();
        }
        self.undecided = false;
        self.let_lives_grow();
    }

    /// The store was killed while the power stayed on, and this model is for what power cuts
    /// leave: what is found now may still be lost to one later.
    pub fn kill(&mut self) {
        if self.others.is_empty() {
            self.others = self.unsaved.iter().map(|one| one.before.clone()).collect();
            self.undecided = true;
        }
        self.let_lives_grow();
    }

    fn let_lives_grow(&mut self) {
        let before = self.unsaved.iter_mut().map(|one| &mut one.before);
        for world in self.others.iter_mut().chain([&mut self.world]).chain(before) {
            for session in world.values_mut() {
                session.lives.end(Life::after_crash);
            }
        }
    }

    /// How many different stores there may be: more than one between a [crash](Self::crash) and
    /// [`settle`](Self::settle). To choose among them it must be shown the values too.
    pub fn choices(&self) -> usize {
        self.others.len() + 1
    }

    /// Compares with all that the real store shows now, and goes on with what agrees.
    ///
    /// # Errors
    /// What does not agree with any possible store, in words.
    pub fn settle(&mut self, seen: &BTreeMap<Key, Seen<V>>) -> Result<(), String> {
        let now = self.now();
        let mut worlds = mem::take(&mut self.others);
        worlds.push(mem::take(&mut self.world));
        let mut differences = Vec::new();
        let mut merged: Option<World<V>> = None;
        for (place, world) in worlds.into_iter().enumerate().rev() {
            let found = differences_of(&world, seen, now);
            if found.is_empty() {
                if mem::take(&mut self.undecided) {
                    // What came after the newest one that agrees was lost with the process.
                    self.unsaved.truncate(place);
                }
                let world = narrowed(world, seen, now);
                merged = Some(match merged {
                    Some(newer) => merge(newer, world),
                    None => world,
                });
            } else {
                differences.push(found);
            }
        }
        let Some(world) = merged else {
            let count = differences.len();
            let newest = differences.into_iter().next().unwrap_or_default().join("; ");
            return Err(format!("at tick {now}, none of {count} possible stores agrees: {newest}"));
        };
        self.world = world;
        Ok(())
    }
}

fn differences_of<V: PartialEq + Debug>(
    world: &World<V>,
    seen: &BTreeMap<Key, Seen<V>>,
    now: i64,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, Session { value, lives }) in world {
        let seen = seen.get(key);
        let deadline = seen.map(tick);
        if !lives.agree(deadline, now) {
            differences.push(match deadline {
                None => format!("{key:?} is lost: {value:?}, {lives:?}"),
                Some(tick) if lives.may_be_alive(now) => {
                    format!("{key:?} ends at tick {tick}: {lives:?}")
                }
                Some(_) => format!("{key:?} has come back: {seen:?}, {lives:?}"),
            });
        }
        if let Some(seen) = seen.and_then(|seen| seen.value.as_ref()).filter(|seen| *seen != value)
        {
            differences.push(format!("{key:?} is {seen:?}, not {value:?}"));
        }
    }
    let unknown = seen.iter().filter(|(key, _)| !world.contains_key(key));
    differences.extend(unknown.map(|(key, seen)| format!("{key:?} must not be there: {seen:?}")));
    differences
}

fn narrowed<V>(mut world: World<V>, seen: &BTreeMap<Key, Seen<V>>, now: i64) -> World<V> {
    for (key, session) in &mut world {
        session.lives.narrow(seen.get(key).map(tick), now);
    }
    world
}

fn tick<V>(seen: &Seen<V>) -> i64 {
    seen.deadline.as_millis().div_euclid(TICK_MS)
}

/// Two worlds that look the same now, and may come out of the next crash differently.
fn merge<V>(mut newer: World<V>, older: World<V>) -> World<V> {
    for (key, session) in older {
        match newer.get_mut(&key) {
            Some(known) => known.lives.or(session.lives),
            None => drop(newer.insert(key, session)),
        }
    }
    newer
}
