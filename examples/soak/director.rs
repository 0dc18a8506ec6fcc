//! The store of this process: its workers, and the one who makes trouble for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sessile::testing::Random;
use sessile::{Clock, Store};

use crate::Options;
use crate::rough::{RoughClock, RoughFs, Trouble};
use crate::work::{Tally, Value, Work, builder};

const WORKERS: u64 = 2;
/// Calls of a worker at a time, and the pause between two times.
const BURST: u64 = 40;
const PAUSE: Duration = Duration::from_millis(20);
const DAY_MS: i64 = 24 * 3600 * 1000;
/// What an operator's clock may be wrong by when the store is opened; the last one is suspect.
const WRONG_MS: [i64; 8] =
    [0, 0, 60_000, -60_000, DAY_MS, -30 * DAY_MS, -20_000 * DAY_MS, 500 * DAY_MS];

/// What workers, director and reporter share.
struct Shared {
    options: Options,
    path: PathBuf,
    clock: RoughClock,
    /// Held for reading by workers during a burst, for writing while the store is replaced.
    store: RwLock<Option<Store<Value>>>,
    trouble: Mutex<Arc<Trouble>>,
    workers: Vec<Mutex<Work>>,
    events: Mutex<BTreeMap<&'static str, u64>>,
    over: AtomicBool,
}

/// A soak that is going on.
pub struct Soak {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    pub stuck: Arc<AtomicU64>,
}

impl Soak {
    pub fn begin(options: &Options, path: &Path) -> sessile::Result<Soak> {
        let shared = Arc::new(Shared {
            options: options.clone(),
            path: path.to_owned(),
            clock: RoughClock::default(),
            store: RwLock::new(None),
            trouble: Mutex::default(),
            workers: (1..=WORKERS).map(|n| Mutex::new(Work::new(options.seed, n << 40))).collect(),
            events: Mutex::default(),
            over: AtomicBool::new(false),
        });
        shared.open(&mut shared.store.write().unwrap())?;
        let stuck = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for index in 0..WORKERS as usize {
            let shared = shared.clone();
            threads.push(thread::spawn(move || shared.work(index)));
        }
        let (director, count) = (shared.clone(), stuck.clone());
        threads.push(thread::spawn(move || director.direct(&count)));
        Ok(Soak { shared, threads: Mutex::new(threads), stuck })
    }

    pub fn end(&self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().unwrap().drain(..) {
            thread.join().unwrap();
        }
        let store = self.shared.store.write().unwrap().take();
        store.unwrap().close().unwrap();
    }

    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.shared.workers.iter().for_each(|work| sum.add(work.lock().unwrap().tally));
        sum.failed += self.stuck.load(Ordering::Relaxed);
        sum
    }

    pub fn calls(&self) -> u64 {
        self.tally().calls
    }

    pub fn events(&self) -> BTreeMap<&'static str, u64> {
        self.shared.events.lock().unwrap().clone()
    }

    pub fn sessions(&self) -> u64 {
        self.shared.store.read().unwrap().as_ref().map_or(0, Store::len)
    }

    pub fn clock(&self) -> &RoughClock {
        &self.shared.clock
    }
}

impl Shared {
    fn open(&self, place: &mut Option<Store<Value>>) -> sessile::Result<()> {
        let trouble = Arc::<Trouble>::default();
        *self.trouble.lock().unwrap() = trouble.clone();
        let fs = RoughFs::open(&self.path, trouble)?;
        *place = Some(builder(self.options.idle()).clock(self.clock.clone()).open_fs(fs)?);
        Ok(())
    }

    fn work(&self, index: usize) {
        let Some(work) = self.workers.get(index) else { return };
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
            let store = self.store.read().unwrap();
            let Some(store) = store.as_ref() else { continue };
            let trouble = self.trouble.lock().unwrap().clone();
            let cut = || trouble.cut.load(Ordering::SeqCst);
            work.lock().unwrap().burst(store, BURST, cut);
        }
    }

    fn direct(&self, stuck: &AtomicU64) {
        let mut random = Random::new(self.options.seed);
        // So many pieces of trouble in a run that their mean is the same in each of its thirds.
        let pause = (self.options.minutes * 60.0 / 200.0).clamp(0.25, 6.0);
        // No earlier than this the clock was moved.
        let mut calm = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            // Somebody notices soon that the clock is suspect: what is made under it has an end
            // that is as far off as the clock is.
            let suspect = self.with_store(|store| store.stats().disk.unwrap().clock_suspect);
            thread::sleep(Duration::from_secs_f64(if suspect { 0.5 } else { pause }));
            let at = random.below(WRONG_MS.len() as u64) as usize;
            let wrong = WRONG_MS.get(at).copied().unwrap_or(0);
            let event = match random.below(8) {
                _ if suspect => self.restart(0, &mut calm),
                0 | 1 => self.kill(wrong, &mut calm),
                2 => self.restart(wrong, &mut calm),
                3 => self.fill_the_disk(&mut random, stuck),
                4 => {
                    let most = 2 * self.options.idle().as_millis() as u64;
                    self.clock.suspend(Duration::from_millis(random.below(most)));
                    // The store hears of it a tenth of a second later.
                    calm = Instant::now() + Duration::from_millis(500);
                    Ok("suspended")
                }
                5 => self.with_store(|store| store.merge()).map(|()| "merged"),
                _ => self.with_store(|store| store.flush()).map(|()| "flushed"),
            };
            let event = event.unwrap_or_else(|error| {
                eprintln!("a piece of trouble failed: {error}");
                stuck.fetch_add(1, Ordering::Relaxed);
                "failed"
            });
            *self.events.lock().unwrap().entry(event).or_default() += 1;
        }
        self.clock.set_wrong_by(0);
    }

    fn with_store<R>(&self, work: impl FnOnce(&Store<Value>) -> R) -> R {
        work(self.store.read().unwrap().as_ref().unwrap())
    }

    /// In the middle of what the workers do.
    fn kill(&self, wrong: i64, calm: &mut Instant) -> sessile::Result<&'static str> {
        self.trouble.lock().unwrap().cut.store(true, Ordering::SeqCst);
        let mut store = self.store.write().unwrap();
        *store = None;
        let event = self.set_clock(wrong, calm, ["killed", "killed, the clock set"]);
        self.open(&mut store)?;
        let young = Instant::now().checked_sub(self.options.idle() / 3).unwrap_or(*calm);
        for work in &self.workers {
            let store = store.as_ref().unwrap();
            work.lock().unwrap().check(store, young.max(*calm))?;
        }
        Ok(event)
    }

    fn restart(&self, wrong: i64, calm: &mut Instant) -> sessile::Result<&'static str> {
        let mut store = self.store.write().unwrap();
        store.take().unwrap().close()?;
        let event = self.set_clock(wrong, calm, ["restarted", "restarted, the clock set"]);
        self.open(&mut store)?;
        Ok(event)
    }

    fn set_clock(&self, wrong: i64, calm: &mut Instant, names: [&'static str; 2]) -> &'static str {
        let before = self.clock.wall();
        self.clock.set_wrong_by(wrong);
        let moved = self.clock.wall().since(before).max(before.since(self.clock.wall()));
        if moved < Duration::from_secs(1) {
            return names[0];
        }
        *calm = Instant::now();
        names[1]
    }

    /// The disk is full for a while; a little after that everything goes on by itself.
    fn fill_the_disk(
        &self,
        random: &mut Random,
        stuck: &AtomicU64,
    ) -> sessile::Result<&'static str> {
        let trouble = self.trouble.lock().unwrap().clone();
        trouble.full.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(200 + random.below(4000)));
        trouble.full.store(false, Ordering::SeqCst);
        let until = Instant::now() + Duration::from_secs(10);
        let probe = sessile::Key::of("probe");
        while self.with_store(|store| store.insert(probe, Value::new())).is_err() {
            if Instant::now() > until {
                stuck.fetch_add(1, Ordering::Relaxed);
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok("disk full")
    }
}
