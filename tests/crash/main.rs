//! The process ends after every single call to the file system, by a kill or by a power cut that
//! keeps any part of what no sync had covered; opened again, the store holds what it promised.
//!
//! `SESSILE_CASE=script/point` runs one point alone, as a failure prints it; `SESSILE_FULL=1`
//! takes many more samples.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod errors;
mod scripts;

use std::collections::HashSet;
use std::time::Duration;

use scripts::{Deed, Script, insert, remove, scripts, update};
use sessile::testing::{End, Keep, Op, Point, Random, Setup, SimFs, Trial};
use sessile::{Durability, Store};

/// Waiting changes up to which every subset of them is tried.
const ALL_SUBSETS: usize = 12;

fn is_full() -> bool {
    std::env::var_os("SESSILE_FULL").is_some()
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    points: u64,
    kills: u64,
    /// Power cuts, those that left the same disk included.
    cuts: u64,
    /// Different disks that were opened.
    disks: u64,
    /// Openings that were interrupted, by depth.
    second: u64,
    third: u64,
}

/// One point and all that can be left at it.
struct Case<'a> {
    name: &'a str,
    setup: Setup,
    count: Count,
    random: Random,
    /// One in so many openings is interrupted too.
    nested: u64,
}

/// A recovered store must work: it is written, read, flushed, merged, closed and opened.
fn live(trial: &mut Trial) -> Result<(), String> {
    let recovery = trial.store().unwrap().stats().disk.unwrap().recovery;
    if !recovery.lost.is_empty() || !recovery.lost_bases.is_empty() {
        return Err(format!("nothing was damaged, and yet: {recovery:?}"));
    }
    let again = Store::<String>::builder().open_fs(std::sync::Arc::new(trial.fs().clone()));
    if !again.is_err_and(|error| error.is_locked()) {
        return Err("it can be opened twice".into());
    }
    let power = Some(Durability::Power);
    let ops = [
        insert(5, 777, power),
        Op::Get { key: 0 },
        update(1, 778, None),
        remove(2, power),
        Op::Flush,
        Op::Merge,
        Op::Reopen(Duration::ZERO),
        Op::Iterate,
    ];
    ops.iter().try_for_each(|op| trial.step(op)).map_err(|error| format!("afterwards: {error}"))
}

impl Case<'_> {
    fn check(&mut self, number: usize, point: &Point, seen: &mut HashSet<u64>) {
        self.count.points += 1;
        self.count.kills += 1;
        let result = self.open(point, point.moment.kill(), End::Kill, 1, true);
        self.fine(number, point, "a kill", result);
        for keep in keeps(point.moment.pending(), &mut self.random) {
            self.count.cuts += 1;
            let fs = point.moment.power_cut(keep);
            if seen.insert(fs.fingerprint()) {
                self.count.disks += 1;
                // The long way with some of them; all are opened and compared.
                let lives = is_full() || self.count.disks % 8 == 1;
                let result = self.open(point, fs, End::PowerCut, 1, lives);
                self.fine(number, point, &format!("a power cut, {keep:?}"), result);
            }
        }
    }

    fn fine(&self, number: usize, point: &Point, end: &str, result: Result<(), String>) {
        let Err(error) = result else { return };
        panic!(
            "{error}\nafter {end} during {}, call {} ({}), of {:?}\nagain: SESSILE_CASE={}/{number} \
             cargo test --all-features --test crash",
            point.during,
            point.moment.call,
            point.moment.what,
            point.moment.describe(),
            self.name,
        );
    }

    /// Opens it, and perhaps lets the opening be interrupted in its turn.
    fn open(
        &mut self,
        point: &Point,
        fs: SimFs,
        end: End,
        depth: u32,
        lives: bool,
    ) -> Result<(), String> {
        if depth >= 3 || self.random.below(self.nested) > 0 {
            let mut trial = Trial::after(point, fs, end, self.setup)?;
            return if lives { live(&mut trial) } else { Ok(()) };
        }
        let (mut trial, points) = Trial::points_after(point, fs, end, self.setup)?;
        live(&mut trial)?;
        if points.is_empty() {
            return Ok(());
        }
        for _ in 0..4 {
            *if depth == 1 { &mut self.count.second } else { &mut self.count.third } += 1;
            let inner = &points[self.random.below(points.len() as u64) as usize];
            let (fs, end) = if self.random.below(3) == 0 {
                (inner.moment.kill(), End::Kill)
            } else {
                let keep = Keep::Random(self.random.draw());
                (inner.moment.power_cut(keep), End::PowerCut)
            };
            self.open(inner, fs, end, depth + 1, depth == 2).map_err(|error| {
                format!("{error}\nafter {end:?} at call {} of it", inner.moment.what)
            })?;
        }
        Ok(())
    }
}

/// Which of so many waiting changes are kept: every choice if there are few.
fn keeps(pending: usize, random: &mut Random) -> Vec<Keep> {
    if pending <= ALL_SUBSETS {
        return (0..1 << pending).map(Keep::Chosen).collect();
    }
    let samples = if is_full() { 512 } else { 30 };
    let random = (0..samples).map(|_| Keep::Random(random.draw()));
    [Keep::Nothing, Keep::Everything].into_iter().chain(random).collect()
}

/// Runs a history and lets it end at each of its points.
fn crash_everywhere(name: &str, setup: Setup, deeds: &[Deed]) -> Count {
    let wanted = std::env::var("SESSILE_CASE").ok();
    let wanted = wanted.as_deref().map(|case| case.rsplit_once('/').unwrap());
    if wanted.is_some_and(|(script, _)| script != name) {
        return Count::default();
    }
    let fs = SimFs::new(setup.seed);
    // Where files grow as they are written, their sizes are lost apart from what is in them.
    fs.set_reserving(matches!(name, "power" | "own-levels" | "healing"));
    let mut trial = Trial::on(fs, setup).unwrap();
    trial.record();
    for deed in deeds {
        deed.run(&mut trial).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let points = trial.points();
    drop(trial);
    let (count, mut seen) = (Count::default(), HashSet::new());
    let mut case = Case {
        name,
        setup,
        count,
        random: Random::new(setup.seed),
        nested: if is_full() { 8 } else { 24 },
    };
    for (number, point) in points.iter().enumerate() {
        case.random = Random::new(setup.seed ^ number as u64);
        if wanted.is_none_or(|(_, wanted)| wanted.parse() == Ok(number)) {
            case.check(number, point, &mut seen);
        }
    }
    println!("{name}: {:?}", case.count);
    case.count
}

fn run(name: &str) {
    let script = scripts().into_iter().find(|script: &Script| script.name == name).unwrap();
    let count = crash_everywhere(script.name, Setup::new(1), &script.deeds);
    let alone = std::env::var_os("SESSILE_CASE").is_some();
    assert!(alone || count.points > 5 && count.disks > 40 && count.third > 0, "{count:?}");
}

macro_rules! histories {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn every_script_has_a_test() {
            let names: Vec<_> = scripts().iter().map(|script| script.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

histories! {
    writes_at_the_stores_own_levels: "own-levels",
    writes_at_memory: "memory",
    writes_at_process: "process",
    writes_at_power: "power",
    rotation: "rotation",
    flush_and_merge: "bases",
    expiry: "expiry",
    closing_and_opening: "reopening",
    failing_and_healing: "healing",
}

/// Long histories of anything; every point of them would be too many.
#[test]
fn random_histories() {
    let seed = std::env::var("SESSILE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (rounds, ops) = if is_full() { (2000, 60) } else { (60, 40) };
    let mut total = Count::default();
    for round in seed..seed + rounds {
        let name = format!("random-{round}");
        let deeds: Vec<_> = Op::random(round).take(ops).map(Deed::Do).collect();
        let count =
            crash_sometimes(&name, Setup { idle: round % 4 > 0, ..Setup::new(round) }, &deeds);
        total.points += count.points;
        total.disks += count.disks;
        total.second += count.second;
        total.third += count.third;
    }
    println!("random histories: {total:?}");
}

/// Lets a history end at some of its points, in one way each.
fn crash_sometimes(name: &str, setup: Setup, deeds: &[Deed]) -> Count {
    let again = |error| panic!("{error}\nagain: SESSILE_SEED={} ({name})", setup.seed);
    let mut trial = Trial::new(setup).unwrap();
    trial.record();
    for (at, deed) in deeds.iter().enumerate() {
        deed.run(&mut trial).unwrap_or_else(|error| again(format!("step {at}: {error}")));
    }
    let points = trial.points();
    let (count, mut random) = (Count::default(), Random::new(setup.seed));
    let mut case = Case { name, setup, count, random: random.clone(), nested: 6 };
    let every = points.len().div_ceil(if is_full() { 100 } else { 25 }).max(1);
    for point in points.iter().skip(random.below(every as u64) as usize).step_by(every) {
        case.count.points += 1;
        case.count.disks += 1;
        let (fs, end) = match random.below(4) {
            0 => (point.moment.kill(), End::Kill),
            _ => (point.moment.power_cut(Keep::Random(random.draw())), End::PowerCut),
        };
        let result = case.open(point, fs, end, 1, true);
        result.unwrap_or_else(|error| {
            again(format!("{error}\nafter {end:?} during {}, {}", point.during, point.moment.what))
        });
    }
    case.count
}
