//! A store of a page, right and then broken in one way after the other: each check can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sessile::testing::conformance::{Collision, Data, Outcome, Result, Subject, check};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    CreatesNothing,
    ConfusesSessions,
    InventsSessions,
    LoadCreates,
    LoadConsumes,
    SaveIsLost,
    SaveMerges,
    EmptyIsGone,
    DeleteIsLost,
    DeleteTakesAll,
    DeleteTwiceIsAnError,
    DeleteHides,
    SaveUpserts,
    SaveUpsertsTheDeleted,
    SaveMovesWhatIsGone,
    EndsEarly,
    EndsLate,
    NeverEnds,
    SaveKeepsTheDeadline,
    SaveNeverShortens,
    ZeroIsNoLimit,
    SaveRevivesTheExpired,
    DeleteOfTheExpiredIsAnError,
    ExpiredAreKept,
    IdsAreUsedAgain,
    IdsAreRaced,
    CreateOverwrites,
    RotationCopies,
    RotationLosesData,
    RotationCreates,
    SaveFollowsNobody,
    DropsEmptyValues,
    FoldsCase,
    Flattens,
    CountsInDoubles,
    Truncates,
    ForgetsSaves,
    ForgetsDeadlines,
    ForgetsRemovals,
    ForgetsIds,
    ChecksThenWrites,
    WritesInParts,
    HoldsItsLock,
    StopsHalfWay,
}

/// Which checks find it; others may as well.
const FAULTS: &[(Fault, &[&str])] = &[
    (Fault::CreatesNothing, &["created_is_loaded"]),
    (Fault::ConfusesSessions, &["created_is_loaded", "concurrent_creates_are_distinct"]),
    (Fault::InventsSessions, &["unknown_is_absent"]),
    (Fault::LoadCreates, &["loading_creates_nothing"]),
    (Fault::LoadConsumes, &["created_is_loaded"]),
    (Fault::SaveIsLost, &["save_replaces"]),
    (Fault::SaveMerges, &["save_replaces"]),
    (Fault::EmptyIsGone, &["empty_is_kept", "empty_data_comes_back"]),
    (Fault::DeleteIsLost, &["delete_ends"]),
    (Fault::DeleteTakesAll, &["delete_ends"]),
    (Fault::DeleteTwiceIsAnError, &["delete_is_idempotent"]),
    (Fault::DeleteHides, &["deleted_are_freed"]),
    (Fault::SaveUpserts, &["save_of_unknown_creates_nothing", "save_does_not_resurrect"]),
    (Fault::SaveUpsertsTheDeleted, &["save_does_not_resurrect", "racing_saves_do_not_resurrect"]),
    (Fault::SaveMovesWhatIsGone, &["save_does_not_move_what_is_gone"]),
    (Fault::EndsEarly, &["lives_until_its_deadline"]),
    (Fault::EndsLate, &["ends_at_its_deadline"]),
    (Fault::NeverEnds, &["ends_at_its_deadline", "save_moves_the_deadline"]),
    (Fault::SaveKeepsTheDeadline, &["save_moves_the_deadline", "save_shortens_the_deadline"]),
    (Fault::SaveNeverShortens, &["save_shortens_the_deadline"]),
    (Fault::ZeroIsNoLimit, &["no_time_left_is_the_end"]),
    (Fault::SaveRevivesTheExpired, &["save_after_expiry_does_not_resurrect"]),
    (Fault::DeleteOfTheExpiredIsAnError, &["delete_after_expiry_is_no_error"]),
    (Fault::ExpiredAreKept, &["expired_are_freed"]),
    (Fault::IdsAreUsedAgain, &["ids_are_not_used_again"]),
    (Fault::IdsAreRaced, &["concurrent_creates_are_distinct"]),
    (Fault::CreateOverwrites, &["create_does_not_overwrite"]),
    (Fault::RotationCopies, &["rotation_moves"]),
    (Fault::RotationLosesData, &["rotation_moves"]),
    (Fault::RotationCreates, &["rotation_does_not_resurrect"]),
    (Fault::SaveFollowsNobody, &["save_after_rotation_does_not_resurrect"]),
    (Fault::DropsEmptyValues, &["empty_data_comes_back"]),
    (Fault::FoldsCase, &["unicode_comes_back"]),
    (Fault::Flattens, &["nested_data_comes_back"]),
    (Fault::CountsInDoubles, &["numbers_come_back"]),
    (Fault::Truncates, &["large_data_comes_back"]),
    (Fault::ForgetsSaves, &["reopening_keeps_what_lives"]),
    (Fault::ForgetsDeadlines, &["reopening_keeps_deadlines"]),
    (Fault::ForgetsRemovals, &["reopening_does_not_resurrect"]),
    (Fault::ForgetsIds, &["reopening_does_not_repeat_ids"]),
    (Fault::ChecksThenWrites, &["racing_saves_do_not_resurrect"]),
    (Fault::WritesInParts, &["saves_are_whole"]),
    (Fault::HoldsItsLock, &["a_waiting_call_holds_nobody_up"]),
    (Fault::StopsHalfWay, &["a_dropped_call_does_all_or_nothing"]),
];

type Sessions = BTreeMap<u64, (Data, Duration)>;

#[derive(Clone, Default)]
struct State {
    sessions: Sessions,
    /// Ids of what was deleted or rotated away.
    gone: BTreeSet<u64>,
    hidden: u64,
    now: Duration,
    last: u64,
    /// What closing leaves behind; only broken stores leave anything but the sessions.
    first: Sessions,
}

impl State {
    fn alive(&self, id: u64, fault: Fault) -> bool {
        let slack = match fault {
            Fault::EndsLate => Duration::from_millis(1),
            Fault::NeverEnds => Duration::MAX / 2,
            _ => Duration::ZERO,
        };
        let early = Duration::from_secs(if fault == Fault::EndsEarly { 4 } else { 0 });
        let session = self.sessions.get(&id);
        session.is_some_and(|(_, ends)| ends.saturating_add(slack) > self.now + early)
    }
}

struct Naive {
    fault: Fault,
    state: Arc<Mutex<State>>,
    raced: AtomicU64,
    /// Taken while a call waits, by a store that should not.
    busy: Arc<Mutex<bool>>,
}

fn naive(fault: Fault) -> Naive {
    let (state, busy) = (Arc::default(), Arc::default());
    Naive { fault, state, raced: AtomicU64::new(0), busy }
}

/// Lets others go first: once for a thread, once for a task.
async fn turn() {
    thread::sleep(Duration::from_millis(1));
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await
}

impl Naive {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The data as a store keeps it that does not mind every detail.
    fn kept(&self, data: &Data) -> Data {
        let mut data = data.clone();
        match self.fault {
            Fault::DropsEmptyValues => data.retain(|_, value| value != "\"\"" && value != "null"),
            Fault::FoldsCase => {
                data = data.into_iter().map(|(name, v)| (name.to_lowercase(), v)).collect();
            }
            Fault::Flattens => data.retain(|_, value| !value.contains("[[[")),
            Fault::CountsInDoubles => {
                for value in data.values_mut() {
                    let number = value.parse::<f64>().map(|number| number.to_string());
                    *value = number.unwrap_or_else(|_| value.clone());
                }
            }
            Fault::Truncates => data.values_mut().for_each(|value| value.truncate(1 << 12)),
            _ => {}
        }
        data
    }

    fn insert(&self, state: &mut State, id: u64, data: &Data, lives: Duration) {
        let data = self.kept(data);
        let lives = match self.fault {
            Fault::ZeroIsNoLimit if lives.is_zero() => Duration::from_secs(1 << 30),
            _ => lives,
        };
        let mut ends = state.now + lives;
        let old = state.sessions.get(&id).map(|(_, ends)| *ends);
        match (self.fault, old) {
            (Fault::SaveKeepsTheDeadline, Some(old)) => ends = old,
            (Fault::SaveNeverShortens, Some(old)) => ends = ends.max(old),
            _ => {}
        }
        state.first.entry(id).or_insert_with(|| (data.clone(), ends));
        state.sessions.insert(id, (data, ends));
    }

    fn next(&self, state: &mut State) -> u64 {
        if self.is(Fault::IdsAreUsedAgain) {
            return (1..).find(|id| !state.sessions.contains_key(id)).unwrap();
        }
        state.last += 1;
        if self.is(Fault::ConfusesSessions) { state.last.div_ceil(2) } else { state.last }
    }

    async fn pause(&self) {
        if matches!(self.fault, Fault::HoldsItsLock) {
            let mut waits = true;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if !std::mem::replace(&mut *self.busy.lock().unwrap(), true) {
                    waits = false;
                }
                if waits { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
            })
            .await;
            turn().await;
            *self.busy.lock().unwrap() = false;
        }
    }
}

impl Subject for Naive {
    type Id = u64;

    async fn create(&self, data: &Data, lives: Duration) -> Result<u64> {
        if self.is(Fault::IdsAreRaced) {
            let id = self.raced.load(Ordering::Relaxed) + 1;
            thread::sleep(Duration::from_millis(1));
            self.raced.store(id, Ordering::Relaxed);
            self.insert(&mut self.state.lock().unwrap(), id, data, lives);
            return Ok(id);
        }
        let state = &mut *self.state.lock().unwrap();
        let id = self.next(state);
        if !self.is(Fault::CreatesNothing) {
            self.insert(state, id, data, lives);
        }
        Ok(id)
    }

    async fn load(&self, id: &u64) -> Result<Option<Data>> {
        let state = &mut *self.state.lock().unwrap();
        let alive = state.alive(*id, self.fault);
        match self.fault {
            Fault::InventsSessions if !state.sessions.contains_key(id) => {
                return Ok(Some(Data::new()));
            }
            Fault::LoadCreates if !alive => {
                state.sessions.insert(*id, (Data::new(), Duration::ZERO));
            }
            _ => {}
        }
        let found = state.sessions.get(id).filter(|_| alive).map(|(data, _)| data.clone());
        if self.is(Fault::LoadConsumes) {
            state.sessions.remove(id);
        }
        Ok(found.filter(|data| !(self.is(Fault::EmptyIsGone) && data.is_empty())))
    }

    async fn save(&self, id: &u64, data: &Data, lives: Duration) -> Result<u64> {
        self.pause().await;
        let alive = {
            let state = &mut *self.state.lock().unwrap();
            let alive = state.alive(*id, self.fault);
            let known = state.sessions.contains_key(id);
            match self.fault {
                Fault::SaveUpserts => true,
                Fault::SaveUpsertsTheDeleted => alive || state.gone.contains(id),
                Fault::SaveRevivesTheExpired => alive || known,
                Fault::SaveFollowsNobody => alive || state.gone.contains(&(*id + 1_000_000)),
                Fault::SaveMovesWhatIsGone if !alive => {
                    let id = self.next(state);
                    self.insert(state, id, data, lives);
                    return Ok(id);
                }
                _ => alive,
            }
        };
        if self.is(Fault::ChecksThenWrites) {
            thread::sleep(Duration::from_millis(1));
        }
        if !alive || self.is(Fault::SaveIsLost) {
            return Ok(*id);
        }
        if matches!(self.fault, Fault::WritesInParts | Fault::StopsHalfWay) {
            let half = data.iter().take(data.len() / 2);
            for (name, value) in half {
                let mut state = self.state.lock().unwrap();
                if let Some((data, _)) = state.sessions.get_mut(id) {
                    data.insert(name.clone(), value.clone());
                }
            }
            if self.is(Fault::WritesInParts) {
                // Long enough for a reader to see it, on a busy machine too.
                thread::sleep(Duration::from_millis(1));
            }
            turn().await;
        }
        let state = &mut *self.state.lock().unwrap();
        if self.is(Fault::Nothing) && !state.alive(*id, self.fault) {
            return Ok(*id);
        }
        let mut data = data.clone();
        if let (Fault::SaveMerges, Some((old, _))) = (self.fault, state.sessions.get(id)) {
            data.extend(old.clone().into_iter().filter(|(name, _)| name != "user"));
        }
        self.insert(state, *id, &data, lives);
        Ok(*id)
    }

    async fn delete(&self, id: &u64) -> Result<()> {
        let state = &mut *self.state.lock().unwrap();
        let alive = state.alive(*id, Fault::Nothing);
        match self.fault {
            Fault::DeleteIsLost => return Ok(()),
            Fault::DeleteTwiceIsAnError if !state.sessions.contains_key(id) => {
                return Err("there is no such session".into());
            }
            Fault::DeleteOfTheExpiredIsAnError if !alive && state.sessions.contains_key(id) => {
                return Err("the session has expired".into());
            }
            Fault::DeleteTakesAll => state.sessions.clear(),
            Fault::DeleteHides => state.hidden += 1,
            _ => {}
        }
        state.sessions.remove(id);
        state.gone.insert(*id);
        Ok(())
    }

    fn unknown(&self) -> u64 {
        u64::MAX
    }

    fn pass(&self, time: Duration) {
        let state = &mut *self.state.lock().unwrap();
        state.now += time;
        let now = state.now;
        if self.is(Fault::DeleteOfTheExpiredIsAnError) || self.is(Fault::SaveRevivesTheExpired) {
            return;
        }
        if !self.is(Fault::ExpiredAreKept) && !self.is(Fault::NeverEnds) {
            state.sessions.retain(|_, (_, ends)| *ends >= now);
        }
    }

    async fn held(&self) -> Result<Option<u64>> {
        let state = self.state.lock().unwrap();
        Ok(Some(state.sessions.len() as u64 + state.hidden))
    }

    async fn collide(&self, id: &u64, data: &Data, lives: Duration) -> Result<Collision<u64>> {
        let state = &mut *self.state.lock().unwrap();
        let taken = state.sessions.contains_key(id) && !self.is(Fault::CreateOverwrites);
        let id = if taken { self.next(state) } else { *id };
        self.insert(state, id, data, lives);
        Ok(Collision::Created(id))
    }

    async fn rotate(&self, id: &u64) -> Result<Option<u64>> {
        let state = &mut *self.state.lock().unwrap();
        let new = self.next(state);
        let Some((mut data, ends)) = state.sessions.get(id).cloned() else {
            if self.is(Fault::RotationCreates) {
                state.sessions.insert(new, (Data::new(), Duration::from_secs(1 << 30)));
            }
            return Ok(Some(new));
        };
        if self.is(Fault::RotationLosesData) {
            data.clear();
        }
        if !self.is(Fault::RotationCopies) {
            state.sessions.remove(id);
            state.gone.insert(*id + 1_000_000);
        }
        state.sessions.insert(new, (data, ends));
        Ok(Some(new))
    }

    fn reopen(&mut self) -> Result<bool> {
        let state = &mut *self.state.lock().unwrap();
        match self.fault {
            Fault::ForgetsSaves => state.sessions = state.first.clone(),
            Fault::ForgetsDeadlines => {
                let far = state.now + Duration::from_secs(1 << 20);
                state.sessions.values_mut().for_each(|(_, ends)| *ends = far);
            }
            Fault::ForgetsRemovals => {
                for (id, session) in &state.first {
                    state.sessions.entry(*id).or_insert_with(|| session.clone());
                }
            }
            Fault::ForgetsIds => state.last = 0,
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn a_store_that_is_right_passes_every_check() {
    let report = check(|| naive(Fault::Nothing));
    report.assert_all();
    let applies = |outcome: &Outcome| matches!(outcome, Outcome::Passed);
    assert!(report.checks().iter().all(|checked| applies(&checked.outcome)), "{report}");
}

#[test]
fn every_fault_is_found_by_name() {
    thread::scope(|scope| {
        for (fault, expected) in FAULTS {
            scope.spawn(move || {
                let report = check(|| naive(*fault));
                let found: Vec<_> = report.failures().iter().map(|failed| failed.name).collect();
                let missed: Vec<_> = expected.iter().filter(|name| !found.contains(name)).collect();
                assert!(missed.is_empty(), "{fault:?} got past {missed:?}\n{report}");
            });
        }
    });
}

#[test]
fn every_check_can_fail() {
    let names: BTreeSet<_> = FAULTS.iter().flat_map(|(_, names)| *names).copied().collect();
    let report = check(|| naive(Fault::Nothing));
    let checks: BTreeSet<_> = report.checks().iter().map(|checked| checked.name).collect();
    assert_eq!(checks, names, "the table of faults and the suite know different checks");
    assert_eq!(checks.len(), report.checks().len(), "a name stands for two checks");
}

#[test]
fn a_panic_of_the_store_is_a_failure_with_its_message() {
    struct Panics(Naive);
    impl Subject for Panics {
        type Id = u64;
        async fn create(&self, _: &Data, _: Duration) -> Result<u64> {
            panic!("on purpose")
        }
        async fn load(&self, id: &u64) -> Result<Option<Data>> {
            self.0.load(id).await
        }
        async fn save(&self, id: &u64, data: &Data, lives: Duration) -> Result<u64> {
            self.0.save(id, data, lives).await
        }
        async fn delete(&self, id: &u64) -> Result<()> {
            self.0.delete(id).await
        }
        fn unknown(&self) -> u64 {
            self.0.unknown()
        }
        fn pass(&self, time: Duration) {
            self.0.pass(time);
        }
    }
    let report = check(|| Panics(naive(Fault::Nothing)));
    let Some(Outcome::Failed(why)) = report.outcome("created_is_loaded") else {
        panic!("{report}")
    };
    assert_eq!(why, "it panicked: on purpose");
    let reopening = report.outcome("reopening_keeps_what_lives");
    assert!(matches!(reopening, Some(Outcome::Failed(_))), "{report}");
    let said = std::panic::catch_unwind(|| report.assert_all()).unwrap_err();
    assert!(said.downcast_ref::<String>().unwrap().contains("created_is_loaded: FAILED"));
    assert_eq!(report.outcome("no such check"), None);
}
