//! The store against the model while the clock jumps: over years within a run and between runs,
//! back, and far ahead for a while.

use std::collections::BTreeMap;

use sessile::Expiry;
use sessile::testing::{Model, Random, Seen};

use super::*;

const KEYS: u64 = 10;
const IDLE: Duration = Duration::from_secs(20 * 24 * 3600);
const ABSOLUTE: Duration = Duration::from_secs(90 * 24 * 3600);

struct Pair {
    random: Random,
    directory: Directory,
    clock: ManualClock,
    store: Option<Store<String>>,
    model: Model<String>,
    /// How long this run may go on: a run has ticks for some years.
    left: Duration,
    steps: Vec<String>,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut random = Random::new(seed);
        let start = match random.below(4) {
            0 => Timestamp::from_millis(0),
            1 => Timestamp::from_millis(i64::from(u32::MAX) * 1000 - 1500),
            _ => START,
        };
        let (directory, clock) = (Directory::quick("years"), ManualClock::at(start));
        let model = Model::new(start, Some(IDLE), ABSOLUTE);
        let (store, left, steps) = (None, Duration::ZERO, Vec::new());
        let mut pair = Pair { random, directory, clock, store, model, left, steps };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let builder = builder(&self.clock).idle(IDLE).absolute(ABSOLUTE).segment_bytes(8 << 10);
        let fs = common::unsynced(self.directory.path());
        self.store = Some(builder.open_fs(fs).unwrap());
        self.left = 2 * 366 * DAY;
    }

    fn store(&self) -> &Store<String> {
        self.store.as_ref().unwrap()
    }

    fn time(&mut self) -> Duration {
        let longest = [1_000, 100_000, 5_000_000, 400_000_000, 40_000_000_000];
        let longest = longest[self.random.below(5) as usize];
        Duration::from_millis(1 + self.random.below(longest))
    }

    fn expiry(&mut self) -> Expiry {
        let time = self.time();
        match self.random.below(6) {
            0..3 => Expiry::Default,
            3 => Expiry::Idle(time),
            4 => Expiry::After(time),
            _ => Expiry::At(self.model.time().after(time)),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let key = key(self.random.below(KEYS));
        let value = self.random.below(1000).to_string();
        let what = self.random.below(24);
        self.steps.push(format!("{what} {} at {}", key.fingerprint(), self.model.time()));
        let same = match what {
            0..5 => {
                let expiry = self.expiry();
                self.store().insert_with(key, value.clone(), expiry).unwrap();
                self.model.insert(key, value, expiry);
                true
            }
            5..9 => {
                let got = self.store().get(&key).unwrap();
                got.as_deref() == self.model.get(&key)
            }
            9..11 => {
                let change = |held: &mut String| held.push('+');
                let found = self.store().update(&key, change).unwrap();
                found == self.model.update(&key, change)
            }
            11 => self.store().remove(&key).unwrap() == self.model.remove(&key),
            12..14 => {
                let expiry = self.expiry();
                let found = self.store().set_expiry(&key, expiry).unwrap();
                found == self.model.set_expiry(&key, expiry)
            }
            14 => self.store().flush().is_ok(),
            15 => self.store().merge().is_ok(),
            16..18 => {
                // The machine slept, or nobody came for long.
                let time = self.time().min(self.left);
                self.left -= time;
                self.clock.advance(time);
                self.model.advance(time);
                true
            }
            18 => {
                let wall = Timestamp::from_millis(self.random.below(1 << 43) as i64);
                self.clock.set_wall(wall);
                true
            }
            19..22 => {
                let (kill, ahead) = (self.random.below(3) == 0, self.time().min(399 * DAY));
                self.end(kill);
                let back = !kill && self.random.below(3) == 0;
                let now = self.model.time();
                // An empty store has no reason to hold on to a time that was far ahead.
                let far = if self.model.is_empty() { ahead } else { 50 * ahead };
                let wall = if back { before(now, far) } else { now.after(ahead) };
                self.reopen(wall);
                true
            }
            _ => {
                // A run under a clock that is far ahead, and the next one under the right one.
                let now = self.model.time();
                self.end(false);
                let ahead = self.random.below(9) * 300;
                self.clock.set_wall(now.after(401 * DAY + ahead as u32 * DAY));
                self.open();
                for _ in 0..self.random.below(4) {
                    match self.random.below(3) {
                        0 => self.store().flush().unwrap(),
                        1 => self.store().merge().unwrap(),
                        _ => self.clock.advance(Duration::from_secs(5)),
                    }
                }
                let kill = self.random.below(2) == 0;
                self.end(kill);
                self.reopen(now.after(SECOND));
                true
            }
        };
        if !same {
            return Err(format!("{what} was answered otherwise"));
        }
        self.check()
    }

    fn end(&mut self, kill: bool) {
        if kill {
            // So that the time is on disk: a store that lives does this ten times a second.
            self.store().sync().unwrap();
            self.clock.advance(Duration::ZERO);
            self.store().sync().unwrap();
            self.directory = killed(&self.directory);
            self.store = None;
            self.model.saved();
            self.model.crash();
        } else {
            self.store.take().unwrap().close().unwrap();
            self.model.close();
        }
    }

    fn reopen(&mut self, wall: Timestamp) {
        // At a tick: whether the time that an empty store begins at is known more exactly than
        // that is nobody's business.
        let wall = Timestamp::from_millis(wall.as_millis() / 125 * 125);
        self.clock.set_wall(wall);
        self.model.open_at(wall);
        self.open();
        assert!(!self.store().stats().disk.unwrap().clock_suspect, "{:?}", self.steps);
    }

    fn check(&mut self) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for number in 0..KEYS {
            let key = key(number);
            let value = self.store().peek(&key).unwrap().map(|value| String::clone(&value));
            if let Some(deadline) = self.store().deadline(&key).unwrap() {
                seen.insert(key, Seen { deadline, value });
            }
        }
        self.model.settle(&seen)
    }
}

#[test]
fn a_store_whose_clock_jumps_does_what_the_model_does() {
    let (seed, cases) = cases(80);
    let given = std::env::var("SESSILE_SEED").is_ok();
    for case in 0..if given { 1 } else { cases } {
        let seed = seed.wrapping_add(case);
        let mut pair = Pair::new(seed);
        for _ in 0..60 {
            if let Err(why) = pair.step() {
                panic!("SESSILE_SEED={seed}: {why}\n{}", pair.steps.join("\n"));
            }
        }
    }
}
