//! Random histories of many sessions and owners, against a model that says who may see what, what
//! each owner's list holds, and how many sessions there are. The process is killed now and then.

use std::time::Duration;

use proptest::prelude::*;
use sessile::session::{Sessions, SessionsBuilder, WhenOwnerFull};
use sessile::{Id, Timestamp};

use crate::{MINUTE, SECOND, World, get};

const OWNERS: [&str; 2] = ["ada", "bob"];
const PER_OWNER: usize = 3;
const RENEW: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(300);
/// The idle time is as long, for a crash may grant more of it: the absolute end is exact.
const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);

#[derive(Clone, Debug)]
enum Op {
    Create,
    Login(u8, u8),
    Begin(u8),
    Cycle(u8),
    Visit(u8),
    Logout(u8),
    Revoke(u8),
    RevokeOthers(u8),
    RevokeOwner(u8),
    RevokeAll,
    Wait(u16),
    Kill,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Create),
        6 => (any::<u8>(), 0..2u8).prop_map(|(which, owner)| Op::Login(which, owner)),
        6 => (0..2u8).prop_map(Op::Begin),
        2 => any::<u8>().prop_map(Op::Cycle),
        8 => any::<u8>().prop_map(Op::Visit),
        3 => any::<u8>().prop_map(Op::Logout),
        2 => any::<u8>().prop_map(Op::Revoke),
        2 => any::<u8>().prop_map(Op::RevokeOthers),
        1 => (0..2u8).prop_map(Op::RevokeOwner),
        1 => Just(Op::RevokeAll),
        5 => (1..200u16).prop_map(Op::Wait),
        2 => Just(Op::Kill),
        1 => Just(Op::Reopen),
    ]
}

/// One session: its number is what it holds.
struct Naive {
    number: i64,
    owner: Option<usize>,
    /// All ids that lead to it, the present one first; the others with their end.
    ids: Vec<(Id, Option<Timestamp>)>,
    /// Given out and not yet presented.
    next: Vec<Id>,
    renewed: Timestamp,
    ends: Timestamp,
}

struct Model {
    world: World,
    sessions: Vec<Naive>,
    /// Every id that was ever given out.
    issued: Vec<Id>,
    /// Per owner the numbers of its sessions, in the order of their logins.
    lists: [Vec<i64>; 2],
    count: i64,
}

fn configure(builder: SessionsBuilder) -> SessionsBuilder {
    builder
        .renew_every(RENEW)
        .renewal_grace(GRACE)
        .idle(ABSOLUTE)
        .absolute(ABSOLUTE)
        .max_per_owner(PER_OWNER, WhenOwnerFull::EndOldest)
}

impl Model {
    fn new() -> Model {
        let (world, sessions, issued) = (World::with(configure), Vec::new(), Vec::new());
        Model { world, sessions, issued, lists: Default::default(), count: 0 }
    }

    fn now(&self) -> Timestamp {
        self.world.sessions.now()
    }

    fn all(&self) -> &Sessions {
        &self.world.sessions
    }

    /// Where an id leads, by the model.
    fn find(&self, id: &Id) -> Option<usize> {
        let now = self.now();
        self.sessions.iter().position(|session| {
            let good = |(known, until): &(Id, Option<Timestamp>)| {
                known == id && until.is_none_or(|until| until > now)
            };
            session.ids.iter().any(good) || session.next.contains(id)
        })
    }

    /// An id to do something with: most often a good one.
    fn pick(&self, which: u8) -> Option<Id> {
        let good: Vec<&Id> = self.issued.iter().filter(|id| self.find(id).is_some()).collect();
        let from = if which % 8 == 7 { self.issued.iter().collect() } else { good };
        let at = usize::from(which / 8).checked_rem(from.len())?;
        Some(from[from.len() - 1 - at].clone())
    }

    fn drop_ended(&mut self) {
        let now = self.now();
        self.sessions.retain(|session| session.ends > now);
        let live: Vec<i64> = self.sessions.iter().map(|session| session.number).collect();
        self.lists.iter_mut().for_each(|list| list.retain(|number| live.contains(number)));
    }

    fn end(&mut self, number: i64) {
        self.sessions.retain(|session| session.number != number);
        self.lists.iter_mut().for_each(|list| list.retain(|other| *other != number));
    }

    /// An access with this id: presents it if it is a next one.
    fn present(&mut self, id: &Id) -> Option<usize> {
        let (at, now) = (self.find(id)?, self.now());
        let session = &mut self.sessions[at];
        if let Some(next) = session.next.iter().position(|next| next == id) {
            session.next.remove(next);
            session.ids[0].1 = Some(now.after(GRACE));
            session.ids.insert(0, (id.clone(), None));
        }
        Some(at)
    }

    fn issue(&mut self, id: &Id) {
        assert!(!self.issued.contains(id));
        self.issued.push(id.clone());
    }

    fn own(&mut self, owner: usize, number: i64) {
        self.lists[owner].push(number);
        while self.lists[owner].len() > PER_OWNER {
            self.end(self.lists[owner][0]);
        }
    }

    fn begin(&mut self, id: Id, owner: Option<usize>) {
        self.issue(&id);
        let now = self.now();
        self.sessions.push(Naive {
            number: self.count,
            owner,
            ids: vec![(id, None)],
            next: Vec::new(),
            renewed: now,
            ends: now.after(ABSOLUTE),
        });
        if let Some(owner) = owner {
            self.own(owner, self.count);
        }
    }

    fn blank(&mut self) -> sessile::session::Session {
        self.count += 1;
        let session = self.all().create();
        session.insert("number", self.count).unwrap();
        session
    }

    /// A request with an id of those that were given out. `None` if there is no session, for both.
    fn request(&mut self, which: u8) -> Option<(sessile::session::Session, usize)> {
        let id = self.pick(which)?;
        let found = self.all().load(&id).unwrap();
        let at = self.present(&id);
        assert_eq!(found.is_some(), at.is_some(), "of the id that leads to {at:?}");
        Some((found?, at?))
    }

    fn turn(&mut self, at: usize, id: Option<Id>) {
        let (id, now) = (id.expect("a new id"), self.now());
        self.issue(&id);
        let session = &mut self.sessions[at];
        (session.ids, session.next) = (vec![(id, None)], Vec::new());
        session.renewed = now;
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Create => {
                let session = self.blank();
                let id = session.save().unwrap().unwrap();
                self.begin(id, None);
            }
            Op::Begin(owner) => {
                let session = self.blank();
                session.login(OWNERS[usize::from(owner)]).unwrap();
                let id = session.save().unwrap().unwrap();
                self.begin(id, Some(owner.into()));
            }
            Op::Login(which, owner) => {
                let owner = usize::from(owner);
                let Some((session, at)) = self.request(which) else { return };
                session.login(OWNERS[owner]).unwrap();
                let (number, had) = (self.sessions[at].number, self.sessions[at].owner);
                if had.is_some_and(|had| had != owner) {
                    self.count += 1;
                    session.insert("number", self.count).unwrap();
                    let id = session.save().unwrap().unwrap();
                    self.end(number);
                    return self.begin(id, Some(owner));
                }
                let id = session.save().unwrap();
                self.turn(at, id);
                self.sessions[at].owner = Some(owner);
                self.lists[owner].retain(|other| *other != number);
                self.own(owner, number);
            }
            Op::Cycle(which) => {
                let Some((session, at)) = self.request(which) else { return };
                session.cycle_id().unwrap();
                let id = session.save().unwrap();
                self.turn(at, id);
            }
            Op::Visit(which) => self.visit(which),
            Op::Logout(which) => {
                let Some((session, at)) = self.request(which) else { return };
                session.logout().unwrap();
                session.save().unwrap();
                self.end(self.sessions[at].number);
            }
            Op::Revoke(which) => {
                let Some(id) = self.pick(which) else { return };
                let at = self.find(&id);
                assert_eq!(self.all().revoke(&id.key()).unwrap(), at.is_some());
                if let Some(at) = at {
                    self.end(self.sessions[at].number);
                }
            }
            Op::RevokeOthers(which) => {
                let Some((session, at)) = self.request(which) else { return };
                let (number, owner) = (self.sessions[at].number, self.sessions[at].owner);
                let Some(owner) = owner else {
                    return assert!(session.revoke_others().unwrap_err().is_login_required());
                };
                let others = self.lists[owner].clone();
                assert_eq!(session.revoke_others().unwrap(), others.len() - 1);
                self.settle(at, session.save().unwrap());
                let others = others.iter().filter(|other| **other != number);
                others.for_each(|other| self.end(*other));
            }
            Op::RevokeOwner(owner) => {
                let owner = usize::from(owner);
                let list = self.lists[owner].clone();
                assert_eq!(self.all().revoke_owner(OWNERS[owner]).unwrap(), list.len());
                list.iter().for_each(|number| self.end(*number));
            }
            Op::RevokeAll => {
                self.all().revoke_all().unwrap();
                self.sessions.clear();
                self.lists = Default::default();
            }
            Op::Wait(minutes) => {
                self.world.clock.advance(u32::from(minutes) * MINUTE + SECOND);
                self.drop_ended();
            }
            Op::Kill | Op::Reopen => {
                self.touch_all();
                if matches!(op, Op::Reopen) {
                    self.all().close().unwrap();
                }
                self.world.kill();
            }
        }
    }

    /// A request that renews the id if it is due.
    fn visit(&mut self, which: u8) {
        let Some(id) = self.pick(which) else { return };
        let found = self.all().load(&id).unwrap();
        let at = self.present(&id);
        assert_eq!(found.is_some(), at.is_some());
        let (Some(session), Some(at), now) = (found, at, self.now()) else { return };
        let naive = &self.sessions[at];
        assert_eq!(get(&session, "number"), Some(naive.number));
        let due = now.since(naive.renewed) >= RENEW && naive.ids[0].0 == id;
        session.insert("visited", now.as_millis()).unwrap();
        let given = session.save().unwrap();
        assert_eq!(given.is_some(), due);
        self.settle(at, given);
    }

    /// What a request was given may be the id of a renewal.
    fn settle(&mut self, at: usize, given: Option<Id>) {
        let (Some(given), now) = (given, self.now()) else { return };
        self.issue(&given);
        let session = &mut self.sessions[at];
        session.renewed = now;
        session.next.push(given);
        if session.next.len() > 2 {
            session.next.remove(0);
        }
    }

    /// Every session is saved, so that what was presented before a crash is known after it.
    fn touch_all(&mut self) {
        for at in 0..self.sessions.len() {
            let found = self.all().load(&self.sessions[at].ids[0].0).unwrap().unwrap();
            found.insert("touched", at).unwrap();
            self.settle(at, found.save().unwrap());
        }
    }

    fn check(&self) {
        let live = u64::try_from(self.sessions.len()).unwrap();
        assert_eq!(self.all().count().unwrap(), live);
        for (owner, list) in OWNERS.iter().zip(&self.lists) {
            let infos = self.all().list_of(owner).unwrap();
            assert!(infos.len() <= PER_OWNER);
            let keys: Vec<_> = infos.iter().map(|info| info.key).collect();
            let expected: Vec<_> = list
                .iter()
                .map(|number| {
                    let session = self.sessions.iter().find(|session| session.number == *number);
                    session.unwrap().ids[0].0.key()
                })
                .collect();
            assert_eq!(keys, expected, "the list of {owner}");
            assert!(infos.iter().all(|info| info.subject.as_deref() == Some(owner)));
        }
    }

    /// Every id that was ever given out leads where it should. Presents those not yet presented.
    fn check_ids(&mut self) {
        self.drop_ended();
        for id in self.issued.clone() {
            let found = self.all().load(&id).unwrap();
            let expected = self.present(&id).map(|at| self.sessions[at].number);
            assert_eq!(found.and_then(|session| get(&session, "number")), expected);
        }
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lists_and_the_ids_are_exact_after_every_history(
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        let mut model = Model::new();
        for op in &ops {
            model.perform(op);
            model.check();
        }
        model.check_ids();
        model.touch_all();
        model.world.kill();
        model.check();
    }
}
