//! Directories that random histories leave: closed, killed, after a power cut, and damaged.

use std::sync::Arc;
use std::time::Duration;

use sessile::testing::{Keep, ManualClock, SimFs};
use sessile::{Background, Durability, Expiry, Store, Timestamp};

use crate::dump::View;
use crate::make::text;
use crate::support::{Rng, key};

const BEGIN: i64 = 1_790_000_000_000;
const NAMES: u64 = 24;
const STEPS: u64 = 120;

/// The directory that this seed leaves, and a time at which to look at it. Every third one is
/// damaged.
pub fn directory(seed: u64, number: u64) -> (View, SimFs) {
    let mut rng = Rng(seed);
    let clock = ManualClock::at(Timestamp::from_millis(BEGIN));
    let mut fs = SimFs::new(rng.next());
    let mut store = open(&fs, &clock, &mut rng);
    for _ in 0..STEPS {
        match rng.below(40) {
            0 => {
                let killed = fs.kill();
                drop(store);
                fs = killed;
                store = open(&fs, &clock, &mut rng);
            }
            1 => {
                let cut = fs.power_cut(Keep::Random(rng.next()));
                drop(store);
                fs = cut;
                store = open(&fs, &clock, &mut rng);
            }
            2 => {
                store.close().unwrap();
                store = open(&fs, &clock, &mut rng);
            }
            3..=5 => store.flush().unwrap(),
            6 => store.merge().unwrap(),
            7 if rng.below(4) == 0 => store.clear().unwrap(),
            8..=11 => clock.advance(Duration::from_millis(125 * rng.below(40_000))),
            _ => write(&store, &mut rng),
        }
    }
    let left = match rng.below(3) {
        0 => fs.kill(),
        1 => fs.power_cut(Keep::Random(rng.next())),
        _ => {
            store.close().unwrap();
            fs.kill()
        }
    };
    drop(store);
    if number % 3 == 2 {
        damage(&left, &mut rng);
    }
    let now = sessile::Clock::wall(&clock).as_millis() + 125 * rng.below(40_000) as i64;
    (View { now, names: NAMES, encoding: Some((1, 0)) }, left)
}

fn open(fs: &SimFs, clock: &ManualClock, rng: &mut Rng) -> Store<String> {
    Store::builder()
        .idle(Duration::from_secs(3 * 3600))
        .absolute(Duration::from_secs(24 * 3600))
        .clock(clock.clone())
        .background(Background::Callers)
        .random_seed(rng.next())
        .segment_bytes([4096, 8 << 10, 64 << 10][rng.below(3) as usize])
        .open_fs(Arc::new(fs.clone()))
        .unwrap()
}

fn write(store: &Store<String>, rng: &mut Rng) {
    let levels = [Durability::Memory, Durability::Process, Durability::Power];
    let store = store.at(levels[rng.below(3) as usize]);
    let (one, other) = (key(rng.below(NAMES)), key(rng.below(NAMES)));
    let length = [1, 1, 1, 50, 300][rng.below(5) as usize];
    let value = text(rng.below(1000)).repeat(length);
    let span = Duration::from_secs(60 + rng.below(20_000));
    match rng.below(12) {
        0..=3 => store.insert(one, value).unwrap(),
        4 => store.insert_with(one, value, Expiry::After(span)).unwrap(),
        5 => {
            let until = Timestamp::from_millis(BEGIN + rng.below(90_000_000) as i64);
            store.insert_with(one, value, Expiry::IdleUntil { idle: span, until }).unwrap();
        }
        6 => drop(store.remove(&one).unwrap()),
        7 if one != other => drop(store.rename(&one, &other).unwrap()),
        8 => drop(store.set_expiry(&one, Expiry::Idle(span)).unwrap()),
        9 if one != other => store
            .transact(&[one, other], |slots| {
                slots.remove(0);
                slots.set(1, value);
            })
            .unwrap(),
        _ => drop(store.get(&one).unwrap()),
    }
}

/// A few bytes changed, a file cut short, or one that is missing.
fn damage(fs: &SimFs, rng: &mut Rng) {
    let names: Vec<String> = fs.names().into_iter().filter(|name| name != "lock").collect();
    let name = &names[rng.below(names.len() as u64) as usize];
    let mut bytes = fs.bytes(name).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64;
    if used == 0 || rng.below(10) == 0 {
        fs.delete(name);
        return;
    }
    if rng.below(5) == 0 {
        bytes.truncate(rng.below(used) as usize);
    } else {
        let at = rng.below(used) as usize;
        let end = (at + [1, 8, 600][rng.below(3) as usize]).min(bytes.len());
        bytes[at..end].iter_mut().for_each(|byte| *byte = rng.next() as u8);
    }
    fs.put(name, &bytes);
}
