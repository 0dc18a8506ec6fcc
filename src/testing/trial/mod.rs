//! A store on a simulated disk beside its models: the same is done to both, and any difference is
//! an error in words.
//!
//! Two models run along, for what a kill must leave and for what a power cut must leave. Knows
//! nothing of how the operations, the faults and the crashes are chosen.

mod steps;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::id::Key;
use crate::log::Durability;
use crate::store::{Background, Read, Store};
use crate::testing::clock::ManualClock;
use crate::testing::model::{ColdReads, Model, Seen};
use crate::testing::ops::Value;
use crate::testing::sim::{Failure, Fault, Moment, SimFs};

/// How long a session of a [`Trial`] lives unread.
const IDLE: Duration = Duration::from_secs(60);
/// How long it lives at most.
const ABSOLUTE: Duration = Duration::from_secs(1200);

/// A value as the models know it: its number and its length.
type Known = (u16, usize);
/// What differs, in words.
type Checked<T = ()> = Result<T, String>;

/// What may differ from one [`Trial`] to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Decides all that is left to chance in store and file system.
    pub seed: u64,
    /// Different keys; numbers of keys in operations are taken modulo this.
    pub keys: u8,
    /// Whether reads extend sessions.
    pub idle: bool,
    /// How bases are read.
    pub read: Read,
    /// Whether a call may fail. An error must then be true: either nothing has happened, or it is
    /// `is_unknown` and what was to be done is visible.
    pub faulty: bool,
}

impl Setup {
    /// Six keys, sliding sessions, no faults.
    pub fn new(seed: u64) -> Self {
        Setup { seed, keys: 6, idle: true, read: Read::Mmap, faulty: false }
    }
}

/// What a store may hold after a kill, and after a power cut.
#[derive(Clone, Debug)]
struct Models {
    killed: Model<Known>,
    cut: Model<Known>,
}

/// How the process ends whose store is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is killed: the operating system has all that was written.
    Kill,
    /// The power fails: the disk has what was synced, and perhaps more.
    PowerCut,
}

/// A moment at which the process might have ended, and what might be left then.
#[derive(Clone)]
pub struct Point {
    /// The disk at that moment.
    pub moment: Moment,
    models: Rc<Models>,
    /// What was going on.
    pub during: Rc<str>,
}

/// A store and its models.
pub struct Trial {
    setup: Setup,
    clock: ManualClock,
    fs: SimFs,
    store: Option<Store<String>>,
    models: Models,
    /// The models with what is being done now, none of it acknowledged.
    during: Option<Models>,
    doing: Rc<str>,
    points: Option<Vec<Point>>,
}

impl Trial {
    /// An empty store on an empty disk.
    ///
    /// # Errors
    /// The store does not open.
    pub fn new(setup: Setup) -> Checked<Trial> {
        Self::on(SimFs::new(setup.seed), setup)
    }

    /// The same on a disk that is prepared, for example to fail.
    ///
    /// # Errors
    /// As [`new`](Self::new); not if it may fail.
    pub fn on(fs: SimFs, setup: Setup) -> Checked<Trial> {
        let clock = ManualClock::new();
        let model = Model::new(clock.wall(), setup.idle.then_some(IDLE), ABSOLUTE);
        // A store that is full or fails leaves cold what is cold.
        let cold = if setup.faulty { ColdReads::MayTouch } else { ColdReads::Touch };
        let model = model.cold_reads(cold);
        let models = Models { killed: model.clone(), cut: model };
        let mut trial = Self::with(fs, setup, clock, models);
        trial.open()?;
        Ok(trial)
    }

    fn with(fs: SimFs, setup: Setup, clock: ManualClock, models: Models) -> Trial {
        let (during, doing) = (None, "opening".into());
        Trial { setup, clock, fs, store: None, models, during, doing, points: None }
    }

    /// The disk.
    pub fn fs(&self) -> &SimFs {
        &self.fs
    }

    /// The store, unless it could not be opened.
    pub fn store(&self) -> Option<&Store<String>> {
        self.store.as_ref()
    }

    /// Keeps every moment from now on, with what might be left then.
    pub fn record(&mut self) {
        self.fs.record();
        self.points = Some(Vec::new());
    }

    /// The moments since [`record`](Self::record) or the last call of this.
    pub fn points(&mut self) -> Vec<Point> {
        self.keep_points();
        self.points.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Everything up to here happened while the models were as they are `during` it.
    fn keep_points(&mut self) {
        let moments = self.fs.moments();
        let Some(points) = &mut self.points else { return };
        let models = Rc::new(self.during.take().unwrap_or_else(|| self.models.clone()));
        let of = |moment| Point { moment, models: models.clone(), during: self.doing.clone() };
        points.extend(moments.into_iter().map(of));
    }

    /// Opens the store, and compares what it shows. Where a fault prevents it nothing is open
    /// afterwards.
    fn open(&mut self) -> Checked {
        let builder = Store::builder()
            .absolute(ABSOLUTE)
            .clock(self.clock.clone())
            .background(Background::Callers)
            .random_seed(self.setup.seed)
            .flush_bytes(64 << 10)
            .segment_bytes(4096)
            .expected_sessions(1)
            .max_memory(1 << 20)
            .read(self.setup.read);
        let builder = if self.setup.idle { builder.idle(IDLE) } else { builder.no_idle() };
        self.store = self.answer(builder.open_fs(Arc::new(self.fs.clone())))?.done();
        if self.store.is_none() { Ok(()) } else { self.check() }
    }

    /// Opens what is left after the process ended at that moment, on a disk made from it. `end`
    /// says which promises held.
    ///
    /// # Errors
    /// It does not open, or shows what cannot be.
    pub fn after(point: &Point, fs: SimFs, end: End, setup: Setup) -> Checked<Trial> {
        let (mut trial, _) = Self::opening_after(point, fs, end, setup, false);
        trial.open()?;
        Ok(trial)
    }

    /// As [`after`](Self::after), and the moments of the opening itself.
    ///
    /// # Errors
    /// As [`after`](Self::after).
    pub fn points_after(
        point: &Point,
        fs: SimFs,
        end: End,
        setup: Setup,
    ) -> Checked<(Trial, Vec<Point>)> {
        let (mut trial, during) = Self::opening_after(point, fs, end, setup, true);
        trial.open()?;
        trial.during = Some(during);
        let points = trial.points();
        Ok((trial, points))
    }

    fn opening_after(
        point: &Point,
        fs: SimFs,
        end: End,
        setup: Setup,
        record: bool,
    ) -> (Trial, Models) {
        let mut models = Models::clone(&point.models);
        if end == End::PowerCut {
            models.killed = models.cut.clone();
        }
        match end {
            End::PowerCut => models.each(Model::crash),
            End::Kill => {
                models.killed.crash();
                models.cut.kill();
            }
        }
        // How far a killed store knows the time is nothing to rely on.
        let clock = ManualClock::at(models.killed.time());
        models.open_at(clock.wall());
        let during = models.clone();
        let mut trial = Self::with(fs, setup, clock, models);
        trial.doing = format!("opening after {}", point.during).into();
        if record {
            trial.record();
        }
        (trial, during)
    }

    /// Lets the process end now, and opens what is left of it. `fs` is made from the disk.
    ///
    /// # Errors
    /// As [`after`](Self::after).
    pub fn crash(&mut self, fs: SimFs, end: End) -> Checked {
        let (moment, models) = (self.fs.moment(), Rc::new(self.models.clone()));
        let point = Point { moment, models, during: "a crash".into() };
        let points = self.points.take();
        let (mut next, during) = Self::opening_after(&point, fs, end, self.setup, points.is_some());
        next.points = points;
        next.during = Some(during);
        *self = next;
        self.open()?;
        self.keep_points();
        Ok(())
    }

    /// Lets a call fail, from now on the errors that this explains are no difference.
    pub fn let_fail(&mut self, fault: Fault) {
        self.setup.faulty = true;
        self.fs.fail(fault);
    }

    /// Faults have ended: what was prevented is made good, by the means that the errors name.
    ///
    /// # Errors
    /// It cannot be made good.
    pub fn recover(&mut self) -> Checked {
        self.fs.repair();
        self.setup.faulty = false;
        if self.store.is_none() {
            self.open()?;
        }
        let store = self.store.as_ref().ok_or("it does not open")?;
        if store.stats().disk.is_some_and(|disk| disk.poisoned) {
            store.heal().map_err(|error| format!("it does not heal: {error:?}"))?;
            self.models.each(Model::saved);
        }
        let store = self.store.as_ref().ok_or("it does not open")?;
        store.sync().map_err(|error| format!("it is not well again: {error:?}"))?;
        self.models.each(Model::saved);
        self.check()
    }

    fn key(&self, number: u8) -> Key {
        Key::of([number % self.setup.keys.max(1)])
    }

    fn value(value: Value) -> (String, Known) {
        let mut text = format!("{} ", value.tag);
        text.push_str(&"#".repeat(usize::from(value.size)));
        let known = (value.tag, text.len());
        (text, known)
    }

    /// Compares all that the store shows with the models.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&mut self) -> Checked {
        let Some(store) = &self.store else { return Ok(()) };
        let mut seen = BTreeMap::new();
        for number in 0..self.setup.keys {
            let key = self.key(number);
            let (deadline, value) = match (store.deadline(&key), store.peek(&key)) {
                (Ok(deadline), Ok(value)) => (deadline, value),
                // What cannot be read is not compared: the reader has been told.
                (Err(_), _) | (_, Err(_)) if self.setup.faulty => return Ok(()),
                (Err(error), _) | (_, Err(error)) => {
                    return Err(format!("{key:?} cannot be read: {error:?}"));
                }
            };
            match (deadline, value) {
                (Some(deadline), Some(value)) => {
                    let value = Some(read_value(&value)?);
                    seen.insert(key, Seen { deadline, value });
                }
                (None, None) => {}
                (deadline, value) => {
                    return Err(format!("{key:?} ends {deadline:?} and holds {value:?}"));
                }
            }
        }
        self.models.killed.settle(&seen)?;
        self.models.cut.settle(&seen)
    }
}

/// The number and length of a value, from its text.
fn read_value(text: &str) -> Checked<Known> {
    let tag = text.split(' ').next().and_then(|tag| tag.parse().ok());
    Ok((tag.ok_or_else(|| format!("nobody wrote {text:?}"))?, text.len()))
}

impl Models {
    fn each(&mut self, mut change: impl FnMut(&mut Model<Known>)) {
        change(&mut self.killed);
        change(&mut self.cut);
    }

    fn open_at(&mut self, wall: Timestamp) {
        self.each(|model| model.open_at(wall));
    }

    /// A change, or if `key` is given an answer about it, has returned at `level`.
    fn acknowledge(&mut self, level: Durability, key: Option<&[Key]>) {
        let save = |model: &mut Model<Known>| match key {
            None => model.saved(),
            Some(keys) => keys.iter().for_each(|key| model.saved_answer(key)),
        };
        if level >= Durability::Process {
            save(&mut self.killed);
        }
        if level >= Durability::Power {
            save(&mut self.cut);
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Nobody looks at this disk any more: closing need not write to it.
        self.fs.fail(Fault { call: 1, failure: Failure::Halt, lasting: true });
    }
}

/// What came of a call.
enum Answer<T> {
    Done(T),
    /// It is visible, and may not last.
    Unknown,
    /// It did not happen.
    Nothing,
}

impl<T> Answer<T> {
    fn done(self) -> Option<T> {
        match self {
            Answer::Done(value) => Some(value),
            _ => None,
        }
    }
}
