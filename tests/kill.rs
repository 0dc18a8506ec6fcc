//! The promise of `Durability::Process`, tried: a writer is killed at random moments, twenty times
//! on one directory, and what is found afterwards is what it had acknowledged.
//!
//! Every thread of the writer owns some keys, so what its operations do depends on nothing but
//! the seed, and the parent can follow. What is found must be the state after one of the thread's
//! operations, for all its keys at once: not before the last one acknowledged at `Process` or
//! above, and not after the one that was in flight.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sessile::{Builder, Durability, Expiry, Key, Store, Timestamp};
use support::{Rng, Temp, key, seed};

const ROUNDS: u64 = 20;
const KEYS: u64 = 160;
/// Ends that a session is told lie this much after the test began, or more: 400 days.
const FAR_MS: i64 = 400 * 24 * 3600 * 1000;
/// Keys from here on end 100 ms after they are made.
const SHORT: u64 = 1 << 32;

/// The value of a session and, where it was told one, its end in milliseconds.
type State = BTreeMap<u64, (String, Option<i64>)>;

fn builder() -> Builder<String> {
    Store::builder()
        .flush_bytes(48 << 10)
        .segment_bytes(32 << 10)
        .sync_every(Duration::from_millis(15))
}

#[derive(Clone, Copy)]
struct Plan {
    seed: u64,
    round: u64,
    threads: u64,
    /// From here on lie the ends that a session is told; others end sooner.
    far: i64,
}

impl Plan {
    fn keys(self, thread: u64) -> impl Iterator<Item = u64> {
        (0..KEYS).filter(move |number| number % self.threads == thread)
    }

    fn rng(self, thread: u64) -> Rng {
        let mut rng = Rng(self.seed ^ self.round << 40 ^ thread << 56);
        Rng(rng.next())
    }
}

#[derive(Debug)]
enum Op {
    Insert(u64, String),
    InsertUntil(u64, String, i64),
    Create(u64, String),
    Update(u64, String),
    Remove(u64),
    Take(u64),
    Rename(u64, u64),
    Transact(Vec<u64>, String),
    SetEnd(u64, i64),
    Short(u64),
    Clear,
    Flush,
    Merge,
}

impl Op {
    /// An operation that finds nothing to do writes nothing, and promises only that what it has
    /// found of this key will last.
    fn rests_on(&self, state: &State) -> Option<u64> {
        match self {
            Op::Update(key, _) | Op::Remove(key) | Op::Take(key) => {
                (!state.contains_key(key)).then_some(*key)
            }
            Op::Rename(key, _) | Op::SetEnd(key, _) => (!state.contains_key(key)).then_some(*key),
            Op::Create(key, _) => state.contains_key(key).then_some(*key),
            // These say nothing of any key of the thread.
            Op::Flush | Op::Merge => Some(u64::MAX),
            _ => None,
        }
    }
}

/// The next operation of a thread and its level.
fn draw(plan: Plan, thread: u64, number: u64, rng: &mut Rng) -> (Op, Durability) {
    let level = match rng.below(8) {
        0 => Durability::Power,
        1..3 => Durability::Memory,
        _ => Durability::Process,
    };
    let own: Vec<u64> = plan.keys(thread).collect();
    let some = |rng: &mut Rng| own[rng.below(own.len() as u64) as usize];
    let text = |rng: &mut Rng| {
        let filler = if rng.below(20) == 0 { rng.below(20_000) } else { rng.below(300) };
        format!("{}.{thread}.{number}.{}", plan.round, "v".repeat(filler as usize))
    };
    let end = |rng: &mut Rng| plan.far + rng.below(20_000_000) as i64 * 125;
    let op = match rng.below(100) {
        0..25 => Op::Insert(some(rng), text(rng)),
        25..30 => Op::InsertUntil(some(rng), text(rng), end(rng)),
        30..40 => Op::Create(some(rng), text(rng)),
        40..55 => Op::Update(some(rng), text(rng)),
        55..65 => Op::Remove(some(rng)),
        65..70 => Op::Take(some(rng)),
        70..80 => {
            let (from, to) = (some(rng), some(rng));
            if from == to { Op::Take(from) } else { Op::Rename(from, to) }
        }
        80..90 => {
            let mut keys: Vec<u64> = (0..1 + rng.below(6)).map(|_| some(rng)).collect();
            keys.sort_unstable();
            keys.dedup();
            Op::Transact(keys, text(rng))
        }
        90..94 => Op::SetEnd(some(rng), end(rng)),
        94..98 => Op::Short(SHORT + plan.round * 1_000_000 + thread * 100_000 + number % 100_000),
        98 if plan.threads == 1 => Op::Clear,
        98 => Op::Flush,
        _ => Op::Merge,
    };
    (op, level)
}

/// What the operation does to the keys of its thread.
fn apply(op: &Op, state: &mut State) {
    match op {
        Op::Insert(key, value) => drop(state.insert(*key, (value.clone(), None))),
        Op::InsertUntil(key, value, end) => drop(state.insert(*key, (value.clone(), Some(*end)))),
        Op::Create(key, value) => drop(state.entry(*key).or_insert_with(|| (value.clone(), None))),
        Op::Update(key, value) => {
            if let Some(entry) = state.get_mut(key) {
                entry.0 = value.clone();
            }
        }
        Op::Remove(key) | Op::Take(key) => drop(state.remove(key)),
        Op::Rename(from, to) => {
            if let Some(entry) = state.remove(from) {
                state.insert(*to, entry);
            }
        }
        Op::Transact(keys, value) => {
            // Every session moves on to the next key; the first one begins anew.
            let old: Vec<_> = keys.iter().map(|key| state.remove(key)).collect();
            state.insert(keys[0], (value.clone(), None));
            for (to, value) in keys[1..].iter().zip(old) {
                if let Some((value, _)) = value {
                    state.insert(*to, (value, None));
                }
            }
        }
        Op::SetEnd(key, end) => {
            if let Some(entry) = state.get_mut(key) {
                entry.1 = Some(*end);
            }
        }
        Op::Clear => state.clear(),
        Op::Short(_) | Op::Flush | Op::Merge => {}
    }
}

/// Does it, and compares what it returns with what is in `state`, the thread's keys before.
fn perform(store: &Store<String>, op: &Op, state: &State) -> sessile::Result<()> {
    let at = |end: &i64| Expiry::At(Timestamp::from_millis(*end));
    let has = |number: &u64| state.contains_key(number);
    match op {
        Op::Insert(number, value) => store.insert(key(*number), value.clone())?,
        Op::InsertUntil(number, value, end) => {
            store.insert_with(key(*number), value.clone(), at(end))?;
        }
        Op::Create(number, value) => {
            assert_eq!(store.create(key(*number), value.clone())?, !has(number), "{op:?}");
        }
        Op::Update(number, value) => {
            let done = store.update(&key(*number), |old| old.clone_from(value))?;
            assert_eq!(done.is_some(), has(number), "{op:?}");
        }
        Op::Remove(number) => assert_eq!(store.remove(&key(*number))?, has(number), "{op:?}"),
        Op::Take(number) => {
            let taken = store.take(&key(*number))?;
            assert_eq!(taken.as_deref(), state.get(number).map(|entry| &entry.0), "{op:?}");
        }
        Op::Rename(from, to) => {
            assert_eq!(store.rename(&key(*from), &key(*to))?, has(from), "{op:?}");
        }
        Op::Transact(numbers, value) => {
            let keys: Vec<Key> = numbers.iter().map(|number| key(*number)).collect();
            store.transact(&keys, |slots| {
                for index in 1..keys.len() {
                    match slots.get(index - 1).cloned() {
                        Some(value) => slots.insert(index, value, Expiry::Default),
                        None => slots.remove(index),
                    }
                }
                slots.insert(0, value.clone(), Expiry::Default);
            })?;
        }
        Op::SetEnd(number, end) => {
            assert_eq!(store.set_expiry(&key(*number), at(end))?, has(number), "{op:?}");
        }
        Op::Short(number) => {
            let expiry = Expiry::After(Duration::from_millis(100));
            store.insert_with(key(*number), "short".to_owned(), expiry)?;
        }
        Op::Clear => store.clear()?,
        Op::Flush => store.flush()?,
        Op::Merge => store.merge()?,
    }
    Ok(())
}

/// What the store has under these keys.
fn observe(plan: Plan, store: &Store<String>, keys: impl Iterator<Item = u64>) -> State {
    let mut state = State::new();
    for number in keys {
        if let Some(value) = store.peek(&key(number)).unwrap() {
            let end = store.deadline(&key(number)).unwrap().unwrap().as_millis();
            let end = (end >= plan.far).then_some(end);
            state.insert(number, (value.to_string(), end));
        }
    }
    state
}

/// The writer: writes until it is killed.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child() {
    let Some(job) = support::job() else { return };
    let mut words = job.splitn(5, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let plan = Plan { seed: number(), round: number(), threads: number(), far: number() as i64 };
    let store = builder().open(words.next().unwrap()).unwrap();
    say("open");
    std::thread::scope(|scope| {
        for thread in 0..plan.threads {
            let store = &store;
            scope.spawn(move || {
                let mut state = observe(plan, store, plan.keys(thread));
                let mut rng = plan.rng(thread);
                for number in 0.. {
                    let (op, level) = draw(plan, thread, number, &mut rng);
                    perform(&store.at(level), &op, &state).unwrap();
                    apply(&op, &mut state);
                    say(&format!("ack {thread} {number}"));
                }
            });
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn start(plan: Plan, path: &Path) -> (Child, Receiver<String>) {
    let job =
        format!("{} {} {} {} {}", plan.seed, plan.round, plan.threads, plan.far, path.display());
    let mut child = support::child("child", &job).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, receive) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
    (child, receive)
}

/// Lets the writer write for a random time; returns the operations each thread has acknowledged.
fn run_and_kill(plan: Plan, path: &Path, rng: &mut Rng) -> HashMap<u64, u64> {
    let (mut child, lines) = start(plan, path);
    let opened = lines.iter().take_while(|line| line != "open").count();
    std::thread::sleep(Duration::from_micros(rng.below(700_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(9), "the writer ended by itself, after {opened} lines");
    let mut acknowledged = HashMap::new();
    for line in lines {
        if let Some((thread, number)) =
            line.strip_prefix("ack ").and_then(|rest| rest.split_once(' '))
        {
            acknowledged.insert(thread.parse().unwrap(), number.parse::<u64>().unwrap() + 1);
        }
    }
    acknowledged
}

/// What a thread's keys may hold after `acknowledged` operations and a kill: the number of
/// operations, and the state after them.
fn possible(plan: Plan, thread: u64, before: &State, acknowledged: u64) -> Vec<(u64, State)> {
    let mut state: State = before.clone();
    state.retain(|number, _| number % plan.threads == thread);
    let mut rng = plan.rng(thread);
    let mut possible = vec![(0, state.clone())];
    // After how many operations each key was last written.
    let mut written: HashMap<u64, u64> = HashMap::new();
    for number in 0..=acknowledged {
        let (op, level) = draw(plan, thread, number, &mut rng);
        let old = state.clone();
        apply(&op, &mut state);
        let after = number + 1;
        possible.push((after, state.clone()));
        let promised = match op.rests_on(&old) {
            Some(key) => written.get(&key).copied().unwrap_or(0),
            None => after,
        };
        if number < acknowledged && level >= Durability::Process {
            possible.retain(|(after, _)| *after >= promised);
        }
        for key in plan.keys(thread).filter(|key| state.get(key) != old.get(key)) {
            written.insert(key, after);
        }
    }
    possible
}

#[track_caller]
fn check(plan: Plan, store: &Store<String>, before: &State, acknowledged: &HashMap<u64, u64>) {
    for thread in 0..plan.threads {
        let acknowledged = acknowledged.get(&thread).copied().unwrap_or(0);
        let found = observe(plan, store, plan.keys(thread));
        let possible = possible(plan, thread, before, acknowledged);
        if possible.iter().any(|(_, state)| *state == found) {
            continue;
        }
        println!("round {}, thread {thread}: {acknowledged} acknowledged", plan.round);
        let mut rng = plan.rng(thread);
        for number in 0..=acknowledged {
            let (op, level) = draw(plan, thread, number, &mut rng);
            if number + 30 > acknowledged {
                println!("{number} {level:?} {:.60}", format!("{op:?}"));
            }
        }
        for (after, state) in &possible {
            for number in plan.keys(thread).filter(|number| state.get(number) != found.get(number))
            {
                let short = |state: &State| format!("{:.40}", format!("{:?}", state.get(&number)));
                println!("after {after} key {number}: {} but {}", short(state), short(&found));
            }
        }
        println!("{:?}", store.stats().disk);
        panic!("seed {}: what was found is no state that there was", plan.seed);
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Nothing that has ended comes back, and nothing is there that nobody made.
fn check_no_phantoms(store: &Store<String>) {
    let known: HashMap<Key, u64> = (0..KEYS).map(|number| (key(number), number)).collect();
    let now = now_ms();
    let mut met = HashMap::new();
    for session in store.iter() {
        let (key, value) = session.unwrap();
        *met.entry(key).or_insert(0) += 1;
        if !known.contains_key(&key) {
            let end = store.deadline(&key).unwrap().map_or(0, Timestamp::as_millis);
            assert!(value.as_str() == "short" && end < now + 10_000, "a phantom: {key:?} {value}");
        }
    }
    assert!(met.values().all(|times| *times == 1), "met twice");
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let seed = seed();
    let mut rng = Rng(seed);
    let temp = Temp::new();
    let (mut state, mut done, mut short) = (State::new(), 0, Vec::new());
    // A whole number of ticks, so that an end is stored as it was told.
    let far = (now_ms() + FAR_MS) / 1000 * 1000;
    let mut plan = Plan { seed, round: 0, threads: 1, far };
    for round in 0..ROUNDS {
        plan = Plan { round, threads: [4, 2, 1][rng.below(3) as usize], ..plan };
        let acknowledged = run_and_kill(plan, temp.path(), &mut rng);
        done += acknowledged.values().sum::<u64>();
        // Half of the time the next writer finds what the kill has left, not what we leave.
        let copy = (rng.below(2) == 0).then(|| temp.copy());
        let store = builder().open(copy.as_ref().unwrap_or(&temp).path()).unwrap();
        check(plan, &store, &state, &acknowledged);
        check_no_phantoms(&store);
        state = observe(plan, &store, 0..KEYS);
        for (thread, count) in acknowledged {
            let mut rng = plan.rng(thread);
            let ops = (0..count).map(|number| draw(plan, thread, number, &mut rng).0);
            short.extend(
                ops.filter_map(|op| if let Op::Short(number) = op { Some(number) } else { None }),
            );
        }
        if copy.is_none() && rng.below(2) == 0 {
            store.merge().unwrap();
            assert_eq!(observe(plan, &store, 0..KEYS), state, "merged");
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let store = builder().open(temp.path()).unwrap();
    assert_eq!(observe(plan, &store, 0..KEYS), state, "at the end");
    for number in &short {
        assert!(store.get(&key(*number)).unwrap().is_none(), "{number} has ended");
    }
    println!("{done} operations acknowledged, {} of them short", short.len());
    println!("{:?}", store.stats());
}
