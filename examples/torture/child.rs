//! The writer: opens the store, tells what it finds, writes until it is killed or told to stop.
//!
//! Keeps no books: what an operation should have answered is for the judge to say. Talks over
//! its standard input, a socket, so that nothing printed gets into the way.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use sessile::{Error, Expiry, Key, Store, Timestamp};

use super::plan::{CELLS, Draws, KEYS, Op, Plan, SHORT, SLOTS, Style, Value};
use super::plan::{is_brief, is_ticket, key, name};
use super::wire::{CLOSE, Class, Code, GO, HEAL, Kind, MERGE, Message, STOP};

type Answer = sessile::Result<(bool, u64)>;

/// The writer's order, as text.
#[derive(Clone, Debug)]
pub struct Job {
    pub plan: Plan,
    pub directory: PathBuf,
}

/// Where a writer's process finds its order.
pub const JOB: &str = "SESSILE_TORTURE_JOB";

impl Job {
    pub fn to_text(&self) -> String {
        let Plan { seed, round, slots, limit, far, style } = self.plan;
        let style = style as u8;
        format!("{seed} {round} {slots} {limit} {far} {style} {}", self.directory.display())
    }

    fn from_text(text: &str) -> Option<Job> {
        let mut words = text.splitn(7, ' ');
        let mut number = || words.next()?.parse::<i128>().ok();
        let plan = Plan {
            seed: number()? as u64,
            round: number()? as u32,
            slots: number()? as usize,
            limit: number()? as u32,
            far: number()? as i64,
            style: [Style::Long, Style::Short, Style::ShortThreads][number()? as usize],
        };
        Some(Job { plan, directory: PathBuf::from(words.next()?) })
    }

    /// The order of this process, if it is a writer.
    pub fn of_this_process() -> Option<Job> {
        Job::from_text(&std::env::var(JOB).ok()?)
    }
}

struct Writer {
    plan: Plan,
    store: Store<Value>,
    pipe: UnixStream,
    /// Tickets that each slot has issued.
    board: [Mutex<Vec<u64>>; SLOTS],
    stop: AtomicBool,
}

/// What one slot remembers between two orders.
struct Hand {
    slot: usize,
    draws: Draws,
    /// The last ticket of each slot that it has gone for.
    tried: [u64; SLOTS],
    /// Operations since the log was poisoned.
    failed: Option<u32>,
}

/// Does the job. Returns when the judge is content, or gone.
pub fn run(job: &Job) {
    // A judge that dies takes its writers along, stopped ones too.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let pipe = UnixStream::from(stdin);
    say(&pipe, &[Message { a: u64::from(std::process::id()), ..Message::new(Kind::Hello) }]);
    match job.plan.builder().open(&job.directory) {
        Ok(store) => {
            say(&pipe, &[Message::new(Kind::Opened)]);
            let (board, stop) = (Default::default(), AtomicBool::new(false));
            Writer { plan: job.plan, store, pipe, board, stop }.serve();
        }
        Err(error) => {
            eprintln!("open: {error}");
            say(&pipe, &[failure(Kind::Opened, &error)]);
        }
    }
}

/// In one write, so that it arrives as a whole or not at all.
fn say(mut pipe: &UnixStream, messages: &[Message]) {
    let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
    if pipe.write_all(&bytes).is_err() {
        // Nobody listens any more; the end without any ceremony is what a kill would be.
        std::process::exit(3);
    }
}

fn failure(kind: Kind, error: &Error) -> Message {
    let class = match error {
        error if error.is_full() => Class::Full,
        error if error.is_disk_full() => Class::DiskFull,
        error if error.is_poisoned() => Class::Poisoned,
        error if error.is_closed() => Class::Closed,
        _ => Class::Other,
    };
    let code = if error.is_unknown() { Code::Unknown } else { Code::Refused };
    Message { code, class, ..Message::new(kind) }
}

impl Writer {
    fn serve(&self) {
        let mut hands: Vec<Hand> = (0..self.plan.slots)
            .map(|slot| Hand {
                slot,
                draws: self.plan.draws(slot),
                tried: [0; SLOTS],
                failed: None,
            })
            .collect();
        loop {
            self.tell_all();
            let order = match self.order() {
                Some(GO) => {
                    self.write(&mut hands);
                    Ok(())
                }
                Some(HEAL) => self.store.heal(),
                Some(MERGE) => self.store.merge(),
                Some(CLOSE) => {
                    self.report(self.store.close());
                    return;
                }
                _ => return,
            };
            self.report(order);
        }
    }

    fn order(&self) -> Option<u8> {
        let mut order = [0];
        (&self.pipe).read_exact(&mut order).ok()?;
        Some(order[0])
    }

    fn report(&self, result: sessile::Result<()>) {
        match result {
            Ok(()) => say(&self.pipe, &[Message::new(Kind::Done)]),
            Err(error) => {
                eprintln!("order: {error}");
                say(&self.pipe, &[failure(Kind::Done, &error)]);
            }
        }
    }

    /// One thread for each slot, until the limit or the order to stop; or this one, for all
    /// system calls to come from one.
    fn write(&self, hands: &mut [Hand]) {
        if let [hand] = hands
            && self.plan.limit > 0
        {
            return self.write_slot(hand);
        }
        std::thread::scope(|scope| {
            for hand in hands {
                scope.spawn(move || self.write_slot(hand));
            }
            if self.plan.limit == 0 && self.order() == Some(STOP) {
                self.stop.store(true, Ordering::Relaxed);
            }
        });
        self.stop.store(false, Ordering::Relaxed);
    }

    fn write_slot(&self, hand: &mut Hand) {
        let slot = hand.slot as u8;
        let mut last = None;
        let mut written = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if self.plan.limit > 0 && written == self.plan.limit {
                break;
            }
            written += 1;
            if hand.failed == Some(12) {
                say(
                    &self.pipe,
                    &messages(last.take(), Message { slot, ..Message::new(Kind::Heal) }),
                );
                last = Some(self.heal(slot));
            }
            let (number, op, level) = hand.draws.next();
            let ticket = self.ticket_for(hand, &op);
            let announce = Message { slot, number, a: ticket, ..Message::new(Kind::Announce) };
            say(&self.pipe, &messages(last.take(), announce));
            let answer = perform(&self.store.at(level), hand.slot, &op, ticket);
            if let (Op::Issue(name), Ok(_)) = (&op, &answer) {
                self.board[hand.slot].lock().unwrap().push(*name);
            }
            let ack = self.ack(slot, number, &op, answer);
            let broken = ack.class == Class::Poisoned && self.plan.limit > 0;
            hand.failed = hand.failed.map(|count| count + 1).or(broken.then_some(0));
            last = Some(ack);
            if ack.code == Code::Refused && self.plan.limit == 0 {
                // Who is refused comes back later.
                std::thread::sleep(Duration::from_micros(300));
            }
        }
        last.iter().for_each(|last| say(&self.pipe, &[*last]));
    }

    fn heal(&self, slot: u8) -> Message {
        match self.store.heal() {
            Ok(()) => Message { slot, ..Message::new(Kind::Ack) },
            Err(error) => Message { slot, code: Code::Refused, ..failure(Kind::Ack, &error) },
        }
    }

    fn ticket_for(&self, hand: &mut Hand, op: &Op) -> u64 {
        let Op::Claim(of) = op else { return 0 };
        let newest = self.board[*of].lock().unwrap().last().copied().unwrap_or(0);
        let fresh = newest > hand.tried[*of];
        hand.tried[*of] = newest;
        if fresh { newest } else { 0 }
    }

    fn ack(&self, slot: u8, number: u32, op: &Op, answer: Answer) -> Message {
        match answer {
            Ok((done, id)) => {
                let code = if done { Code::Yes } else { Code::No };
                Message { slot, number, code, a: id, ..Message::new(Kind::Ack) }
            }
            Err(error) => {
                let message = failure(Kind::Ack, &error);
                if message.class == Class::Other {
                    eprintln!("{op:?}: {error:?}");
                }
                Message { slot, number, ..message }
            }
        }
    }

    /// Everything that is in the store, by its known keys and by going through it.
    fn tell_all(&self) {
        let mut told = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        let (slots, counters) = ((0..SLOTS), (KEYS..CELLS));
        let own = slots.flat_map(|slot| (0..KEYS).map(move |cell| (slot, cell)));
        for (slot, cell) in own.chain(counters.map(|cell| (0, cell))) {
            let key = key(name(slot, cell));
            if let Some(value) = self.store.peek(&key).unwrap() {
                known.insert(key);
                let end = self.store.deadline(&key).unwrap().map_or(0, Timestamp::as_millis);
                let end = if end >= self.plan.far { end } else { 0 };
                told.extend(found(slot, cell, &value, end));
            }
        }
        for session in self.store.iter() {
            let (key, value) = session.unwrap();
            told.extend((!known.remove(&key)).then(|| loose(key, &value)));
        }
        // What is there by its key, and missed by the walk.
        told.extend(known.iter().map(|_| Message::new(Kind::Phantom)));
        told.push(Message::new(Kind::Ready));
        told.chunks(64).for_each(|some| say(&self.pipe, some));
    }
}

fn messages(last: Option<Message>, next: Message) -> Vec<Message> {
    last.into_iter().chain([next]).collect()
}

fn found(slot: usize, cell: usize, value: &Value, end: i64) -> Vec<Message> {
    if !value.is_whole() {
        return vec![Message { a: value.name, ..Message::new(Kind::Phantom) }];
    }
    let part = |(slot, id): (usize, &u64)| Message {
        slot: slot as u8,
        number: cell as u32,
        a: *id,
        b: end,
        ..Message::new(Kind::Found)
    };
    let slots = if cell < KEYS { slot } else { 0 };
    value.ids.iter().enumerate().map(|(index, id)| part((slots + index, id))).collect()
}

fn loose(key: Key, value: &Value) -> Message {
    let named = value.is_whole() && super::plan::key(value.name) == key;
    let known = named && (is_ticket(value.name) || is_brief(value.name));
    let kind = if known { Kind::Loose } else { Kind::Phantom };
    Message { a: value.name, ..Message::new(kind) }
}

fn perform(store: &Store<Value>, slot: usize, op: &Op, ticket: u64) -> Answer {
    let named = |cell: &usize| key(name(slot, *cell));
    let value = |cell: &usize, id: &u64| Value::new(name(slot, *cell), vec![*id]);
    let at = |end: &i64| Expiry::At(Timestamp::from_millis(*end));
    let there = |session: Option<u64>| (session.is_some(), session.unwrap_or(0));
    Ok(match op {
        Op::Get(cell) => there(store.get(&named(cell))?.map(|value| value.id())),
        Op::Insert(cell, id) => (store.insert(named(cell), value(cell, id)).map(|()| true)?, 0),
        Op::InsertUntil(cell, id, end) => {
            store.insert_with(named(cell), value(cell, id), at(end))?;
            (true, 0)
        }
        Op::Create(cell, id) => (store.create(named(cell), value(cell, id))?, 0),
        Op::Update(cell, id) => {
            let new = value(cell, id);
            there(store.update(&named(cell), |old| std::mem::replace(old, new).id())?)
        }
        Op::Remove(cell) => (store.remove(&named(cell))?, 0),
        Op::Take(cell) => there(store.take(&named(cell))?.map(|value| value.id())),
        Op::Rename(from, to) => (store.rename(&named(from), &named(to))?, 0),
        Op::Rotate(cells, id) => rotate(store, slot, cells, *id)?,
        Op::Bump(counter, cell, id) => (true, bump(store, slot, *counter, *cell, *id)?),
        Op::SetEnd(cell, end) => (store.set_expiry(&named(cell), at(end))?, 0),
        Op::Brief(name) => {
            let value = Value::new(*name, vec![*name]);
            store.insert_with(key(*name), value, Expiry::After(SHORT))?;
            (true, 0)
        }
        Op::Issue(name) => {
            store.insert(key(*name), Value::new(*name, vec![*name]))?;
            (true, 0)
        }
        Op::Claim(_) if ticket == 0 => (false, 0),
        Op::Claim(_) => (store.take(&key(ticket))?.is_some(), ticket),
        Op::Clear => (store.clear().map(|()| true)?, 0),
        Op::Sync => (store.sync().map(|()| true)?, 0),
        Op::Flush => (store.flush().map(|()| true)?, 0),
        Op::Merge => (store.merge().map(|()| true)?, 0),
        Op::Heal => (store.heal().map(|()| true)?, 0),
    })
}

fn rotate(store: &Store<Value>, slot: usize, cells: &[usize], id: u64) -> Answer {
    let keys: Vec<Key> = cells.iter().map(|cell| key(name(slot, *cell))).collect();
    store.transact(&keys, |slots| {
        for index in 1..keys.len() {
            match slots.get(index - 1).cloned() {
                Some(value) => slots.insert(index, value, Expiry::Default),
                None => slots.remove(index),
            }
        }
        slots.insert(0, Value::new(name(slot, cells[0]), vec![id]), Expiry::Default);
    })?;
    Ok((true, 0))
}

/// Returns the slot's part of the counter as it was.
fn bump(
    store: &Store<Value>,
    slot: usize,
    counter: usize,
    cell: Option<usize>,
    id: u64,
) -> sessile::Result<u64> {
    let mut keys = vec![key(name(slot, counter))];
    keys.extend(cell.map(|cell| key(name(slot, cell))));
    store.transact(&keys, |slots| {
        let mut ids = slots.get(0).map_or(vec![0; SLOTS], |value| value.ids.clone());
        let old = std::mem::replace(&mut ids[slot], id);
        slots.insert(0, Value::new(name(slot, counter), ids), Expiry::Default);
        if let Some(cell) = cell {
            slots.insert(1, Value::new(name(slot, cell), vec![id]), Expiry::Default);
        }
        old
    })
}
