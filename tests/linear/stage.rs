//! Threads that call, a counter that stamps, and somebody who flushes, merges and fills memory
//! meanwhile. Knows not what is called, nor what is right.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sessile::{Background, Builder, Durability, Store};

use crate::checker::Event;
use crate::common::{Directory, unsynced};
use crate::number::Number;
use crate::spec::{KEYS, One};
use crate::support::{Rng, key, seed, within};

/// Rounds after which a store on disk is opened anew.
const REOPEN: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Disk,
    /// On disk, with hardly any memory.
    Tight,
}

/// Where histories are made.
pub struct Stage {
    kind: Kind,
    seed: u64,
    round: u64,
    store: Store<Number>,
    /// What the keys held when the last history ended.
    start: [Option<u32>; KEYS],
    next: AtomicU32,
    tally: Tally,
}

/// What the histories were worth.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: usize,
    /// Calls during which another began.
    overlapping: usize,
    cold_reads: u64,
    evicted: u64,
    flushes: u64,
    merges: u64,
}

impl Tally {
    fn add<V: Clone + Send + Sync>(&mut self, store: &Store<V>) {
        let stats = store.stats();
        self.cold_reads += stats.cold_reads;
        self.evicted += stats.evicted;
        self.flushes += stats.flushes;
        self.merges += stats.merges;
    }
}

/// One thread of a history.
pub struct Player<'a> {
    rng: Rng,
    next: &'a AtomicU32,
}

impl Player<'_> {
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.below(end as u64) as usize
    }

    /// One that no other call has.
    pub fn value(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

fn builder(kind: Kind) -> Builder<Number> {
    let builder = Store::builder()
        .removal_durability(Durability::Process)
        .background(Background::Callers)
        .segment_bytes(64 << 10)
        .expected_sessions(1000);
    match kind {
        Kind::Memory | Kind::Disk => builder,
        Kind::Tight => builder.max_memory(1 << 20).weigher(|_| 50_000),
    }
}

fn open(kind: Kind, place: &Directory) -> Store<Number> {
    match kind {
        Kind::Memory => builder(kind).in_memory().unwrap(),
        Kind::Disk | Kind::Tight => builder(kind).open_fs(unsynced(place.path())).unwrap(),
    }
}

/// So many histories, one after the other, on the same keys.
pub fn rounds(
    kind: Kind,
    count: u64,
    mut round: impl FnMut(&mut Stage) -> Result<(), String> + Send + 'static,
) {
    let wanted = std::env::var("SESSILE_ROUNDS").ok().and_then(|text| text.parse().ok());
    let count = wanted.unwrap_or(count);
    within(Duration::from_secs(60 + count / 10), move || {
        let place = Directory::quick("linear");
        let store = open(kind, &place);
        let next = AtomicU32::new(1);
        let (start, tally) = ([None; KEYS], Tally::default());
        let mut stage = Stage { kind, seed: seed(), round: 0, store, start, next, tally };
        while stage.round < count {
            if let Err(history) = stage.upheaval(&mut round) {
                panic!("{kind:?}, out of order: {history}");
            }
            stage.tally.add(&stage.store);
            if kind != Kind::Memory {
                stage.store.close().unwrap();
                stage.store = open(kind, &place);
            }
        }
        println!("{kind:?}: {} histories, {:?}", stage.round, stage.tally);
    });
}

impl Stage {
    /// Some rounds, with somebody beside who flushes, merges and fills memory.
    fn upheaval(
        &mut self,
        round: &mut impl FnMut(&mut Stage) -> Result<(), String>,
    ) -> Result<(), String> {
        let over = AtomicBool::new(false);
        let (store, kind) = (self.store.clone(), self.kind);
        thread::scope(|scope| {
            if kind != Kind::Memory {
                scope.spawn(|| disturb(&store, kind, &over));
            }
            let result = (0..REOPEN).try_for_each(|_| {
                self.round += 1;
                round(self)
            });
            over.store(true, Ordering::Relaxed);
            result
        })
    }

    /// One history: three or four threads with `length` calls each, and what is there afterwards.
    pub fn play<C: Clone + Debug + Send>(
        &mut self,
        length: u64,
        call: impl Fn(&mut Player<'_>, &Store<Number>) -> sessile::Result<C> + Sync,
        last: impl Fn(usize, One) -> C,
        check: impl FnOnce(&[Option<u32>; KEYS], &[Event<C>]) -> Result<(), String>,
    ) -> Result<(), String> {
        let clock = AtomicU64::new(1);
        let events = Mutex::new(Vec::new());
        let threads = 3 + (self.round % 2) as usize;
        let arrived = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..threads {
                let seed = self.seed ^ self.round << 8 ^ thread as u64;
                let mut player = Player { rng: Rng(seed), next: &self.next };
                let (store, clock, events, arrived) = (&self.store, &clock, &events, &arrived);
                let call = &call;
                scope.spawn(move || {
                    let store = match player.below(2) {
                        0 => store.at(Durability::Memory),
                        _ => store.clone(),
                    };
                    let mut mine = Vec::new();
                    for step in 1..=length {
                        // All begin at once.
                        arrived.fetch_add(1, Ordering::SeqCst);
                        while arrived.load(Ordering::SeqCst) < step * threads as u64 {
                            thread::yield_now();
                        }
                        let called = clock.fetch_add(1, Ordering::SeqCst);
                        let answer = call(&mut player, &store);
                        let returned = clock.fetch_add(1, Ordering::SeqCst);
                        match answer {
                            Ok(call) => mine.push(Event { thread, called, returned, call }),
                            // Nothing has happened.
                            Err(error) if error.is_full() && !error.is_unknown() => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    events.lock().unwrap().extend(mine);
                });
            }
        });
        let mut events = events.into_inner().unwrap();
        let start = self.start;
        for (at, place) in self.start.iter_mut().enumerate() {
            let called = clock.fetch_add(2, Ordering::SeqCst);
            *place = self.store.peek(&key(at as u64)).unwrap().map(|held| held.0);
            let call = last(at, One::Peek(*place));
            events.push(Event { thread: threads, called, returned: called + 1, call });
        }
        self.tally.calls += events.len();
        self.tally.overlapping += overlapping(&events);
        check(&start, &events)
    }
}

fn overlapping<C>(events: &[Event<C>]) -> usize {
    let inside = |outer: &&Event<C>| {
        events.iter().any(|event| outer.called < event.called && event.called < outer.returned)
    };
    events.iter().filter(inside).count()
}

fn disturb(store: &Store<Number>, kind: Kind, over: &AtomicBool) {
    for turn in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if kind == Kind::Tight {
            // Others, to push out what is read and written.
            for number in 0..20 {
                let others = key(1000 + turn % 5 * 20 + number);
                let result = store.insert(others, Number(0));
                assert!(result.is_ok() || result.is_err_and(|error| error.is_full()));
            }
        }
        store.flush().unwrap();
        if turn % 4 == 3 {
            store.merge().unwrap();
        }
    }
}
