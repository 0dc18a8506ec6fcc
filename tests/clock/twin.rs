//! Two stores to which the same is done; one of them has a wrong clock now and then. When it is
//! right again they must be the same: every value, every deadline, but for the grace that an
//! opening may grant to a session that reads extend, and a suspect run does not write down.

use std::collections::BTreeMap;

use sessile::Expiry;
use sessile::testing::{Op, Random, Wish};

use super::*;

const KEYS: u64 = 16;
const IDLE: Duration = Duration::from_secs(600);
const ABSOLUTE: Duration = Duration::from_secs(4000);
/// What an opening may add to an idle deadline.
const GRACE: Duration = Duration::from_millis(600_000 / 16);

struct Side {
    directory: Directory,
    clock: ManualClock,
    store: Option<Store<String>>,
    /// Values do not all fit into memory.
    tight: bool,
}

impl Side {
    fn new(tight: bool) -> Side {
        let (directory, clock) = (Directory::quick("twin"), ManualClock::at(START));
        let mut side = Side { directory, clock, store: None, tight };
        side.open();
        side
    }

    fn open(&mut self) {
        let builder = builder(&self.clock)
            .idle(IDLE)
            .absolute(ABSOLUTE)
            .max_memory(1 << 20)
            .flush_bytes(if self.tight { 4 << 20 } else { 64 << 10 })
            .segment_bytes(if self.tight { 256 << 10 } else { 8 << 10 })
            // The same order in their bases, so that what is met first is the same too.
            .random_seed(7);
        let fs = common::unsynced(self.directory.path());
        self.store = Some(builder.open_fs(fs).unwrap());
    }

    fn store(&self) -> &Store<String> {
        self.store.as_ref().unwrap()
    }

    fn end(&mut self, kill: bool) {
        if kill {
            // So that the time is on disk: a store that lives does this ten times a second.
            self.store().sync().unwrap();
            self.clock.advance(Duration::ZERO);
            self.store().sync().unwrap();
            self.directory = killed(&self.directory);
            self.store = None;
        } else {
            self.store.take().unwrap().close().unwrap();
        }
    }

    /// The answer, as text. What says nothing of the clock is left out.
    fn act(&self, op: &Op, now: Timestamp) -> String {
        let store = self.store();
        let key = |number: u8| key(u64::from(number) % KEYS);
        let text = |value: &sessile::testing::Value| {
            let size = if self.tight { 20_000 + 100 * usize::from(value.size) } else { 20 };
            format!("{} {}", value.tag, "#".repeat(size))
        };
        let short = |value: Option<std::sync::Arc<String>>| {
            value.map(|value| value.split(' ').next().map(str::to_owned))
        };
        // Longer lives than its own, so that a clock which is wrong by days has something to end.
        let expiry = |wish: Wish| match wish {
            Wish::After(time) => Wish::After(time * 5000).at(now),
            Wish::Idle(_) => Expiry::Default,
            Wish::IdleUntil(_, until) => Wish::IdleUntil(IDLE, until * 5000).at(now),
            wish => wish.at(now),
        };
        let result = match op {
            Op::Insert { key: k, value, wish, .. } => {
                store.insert_with(key(*k), text(value), expiry(*wish)).map(|()| String::new())
            }
            Op::Create { key: k, value, wish, .. } => {
                store.create_with(key(*k), text(value), expiry(*wish)).map(|made| made.to_string())
            }
            Op::Get { key: k } => store.get(&key(*k)).map(|value| format!("{:?}", short(value))),
            Op::Peek { key: k } => store.peek(&key(*k)).map(|value| format!("{:?}", short(value))),
            Op::Update { key: k, value, .. } => {
                let new = text(value);
                store.update(&key(*k), |value| *value = new).map(|found| format!("{found:?}"))
            }
            Op::Take { key: k, .. } => {
                store.take(&key(*k)).map(|value| format!("{:?}", short(value)))
            }
            Op::Remove { key: k, .. } => store.remove(&key(*k)).map(|was| was.to_string()),
            Op::Rename { old, new, .. } if key(*old) != key(*new) => {
                store.rename(&key(*old), &key(*new)).map(|was| was.to_string())
            }
            Op::SetExpiry { key: k, wish, .. } => {
                store.set_expiry(&key(*k), expiry(*wish)).map(|was| was.to_string())
            }
            Op::Count => store.count().map(|count| count.to_string()),
            Op::Flush => store.flush().map(|()| String::new()),
            Op::Merge => store.merge().map(|()| String::new()),
            Op::Advance(time) => {
                self.clock.advance(*time);
                Ok(String::new())
            }
            _ => Ok(String::new()),
        };
        match result {
            Ok(answer) => answer,
            Err(error) if error.is_full() => "full".to_owned(),
            Err(error) => panic!("{op:?}: {error}"),
        }
    }

    /// Every session: its value and its deadline.
    fn dump(&self) -> BTreeMap<u64, (String, Timestamp)> {
        let store = self.store();
        let session = |number| {
            let value = store.peek(&key(number)).unwrap()?;
            let deadline = store.deadline(&key(number)).unwrap().unwrap();
            Some((number, (value.split(' ').next().unwrap().to_owned(), deadline)))
        };
        (0..KEYS).filter_map(session).collect()
    }
}

/// What a wrong clock shows when the right one shows `now`.
fn wrong(random: &mut Random, now: Timestamp) -> Timestamp {
    match random.below(8) {
        0 => Timestamp::from_millis(0),
        // The end of 32 bits of seconds, and of anything.
        1 => Timestamp::from_millis(i64::from(u32::MAX) * 1000 - 5000),
        2 => Timestamp::from_millis(i64::MAX),
        3 => Timestamp::from_millis(i64::MIN),
        4 => before(now, Duration::from_millis(random.below(1 << 40))),
        5 => now.after(401 * DAY),
        6 => now.after(401 * DAY + Duration::from_millis(random.below(1 << 38))),
        _ => now.after((366 * (6 + random.below(20) as u32)) * DAY),
    }
}

/// Whether both hold the same. Where a grace makes a difference, both go on without the session.
fn compare(wronged: &Side, other: &Side, now: Timestamp) -> Result<(), String> {
    let dumps = [wronged.dump(), other.dump()];
    for number in 0..KEYS {
        let found = [0, 1].map(|side| dumps[side].get(&number));
        let near = match found {
            [None, None] => continue,
            [Some(one), Some(two)] if one == two => continue,
            [Some(one), Some(two)] => {
                one.0 == two.0 && one.1.since(two.1).max(two.1.since(one.1)) <= GRACE
            }
            [Some(one), None] | [None, Some(one)] => one.1.since(now) <= GRACE,
        };
        if !near {
            return Err(format!("{number} at {now}: {found:?}"));
        }
        for side in [wronged, other] {
            side.store().remove(&key(number)).unwrap();
        }
    }
    Ok(())
}

/// One pair of twins, from one seed.
fn twins(seed: u64) {
    let mut random = Random::new(seed);
    let tight = random.below(4) == 0;
    let (mut wronged, mut other) = (Side::new(tight), Side::new(tight));
    let mut ops = Op::random(seed ^ 0x7717);
    let mut now = START;
    for episode in 0..4 {
        // The same for both; the wall clock of one steps about meanwhile.
        for op in ops.by_ref().take(25) {
            if random.below(4) == 0 {
                wronged.clock.set_wall(wrong(&mut random, now));
            }
            let answers = [&wronged, &other].map(|side| side.act(&op, now));
            assert_eq!(answers[0], answers[1], "SESSILE_SEED={seed}: {op:?} in {episode}");
            if let Op::Advance(time) = op {
                now = now.after(time);
            }
        }
        let kill = random.below(3) == 0;
        for side in [&mut wronged, &mut other] {
            // An empty store has nothing to suspect a clock for, and believes any.
            side.store().insert_with(key(2000), String::new(), Expiry::After(999 * DAY)).unwrap();
            side.end(kill);
        }
        // One is opened by a clock that is wrong, and works at what could do damage.
        wronged.clock.set_wall(wrong(&mut random, now));
        other.clock.set_wall(now);
        for side in [&mut wronged, &mut other] {
            side.open();
        }
        for _ in 0..random.below(8) {
            let op = match random.below(8) {
                0..2 => Op::Flush,
                2..4 => Op::Merge,
                4 => Op::Count,
                5 => Op::Advance(Duration::from_secs(random.below(700))),
                6 => Op::Peek { key: random.below(KEYS) as u8 },
                _ => {
                    // Something else, for which others must leave memory.
                    let other_key = key(1000 + random.below(9));
                    for side in [&wronged, &other] {
                        let fill = side.store().insert(other_key, "#".repeat(60_000));
                        assert!(fill.is_ok() || fill.is_err_and(|error| error.is_full() || error.is_suspect_clock()));
                    }
                    continue;
                }
            };
            for side in [&wronged, &other] {
                side.act(&op, now);
            }
            if let Op::Advance(time) = op {
                now = now.after(time);
            }
        }
        let kill = random.below(3) == 0;
        for side in [&mut wronged, &mut other] {
            side.end(kill);
        }
        // It is put right.
        now = now.after(Duration::from_secs(random.below(300)));
        for side in [&mut wronged, &mut other] {
            side.clock.set_wall(now);
            side.open();
        }
        assert!(!wronged.store().stats().disk.unwrap().clock_suspect);
        for side in [&wronged, &other] {
            for number in 0..9 {
                side.store().remove(&key(1000 + number)).unwrap();
            }
        }
        if let Err(trace) = compare(&wronged, &other, now) {
            panic!("SESSILE_SEED={seed}: after episode {episode}: {trace}");
        }
    }
}

#[test]
fn a_wrong_clock_that_is_put_right_leaves_no_trace() {
    let (seed, cases) = cases(60);
    let given = std::env::var("SESSILE_SEED").is_ok();
    for case in 0..if given { 1 } else { cases } {
        twins(seed.wrapping_add(case));
    }
}
