//! Random calls within one request that is alone on its session, and what the next request finds,
//! against a model that is a plain map. Some requests fail: nothing of them is saved but what acts
//! at once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sessile::session::{Session, SessionExpiry};
use sessile::{Id, Timestamp};

use crate::{DAY, HOUR, World};

#[derive(Clone, Debug)]
enum Call {
    Get(u8),
    Insert(u8, i64),
    Remove(u8),
    Update(u8, i64),
    Pop(u8),
    PopAsText(u8),
    GetOrInsert(u8, i64),
    Clear,
    Flash(u8),
    TakeFlashes,
    Expiry(u8),
    Login(u8),
    Cycle,
    Flush,
    Logout,
    SaveNow,
}

fn call() -> impl Strategy<Value = Call> {
    let (key, value) = (0..4u8, -9..10i64);
    prop_oneof![
        2 => key.clone().prop_map(Call::Get),
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| Call::Insert(key, value)),
        2 => key.clone().prop_map(Call::Remove),
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| Call::Update(key, value)),
        3 => key.clone().prop_map(Call::Pop),
        1 => key.clone().prop_map(Call::PopAsText),
        2 => (key, value).prop_map(|(key, value)| Call::GetOrInsert(key, value)),
        2 => Just(Call::Clear),
        2 => (0..9u8).prop_map(Call::Flash),
        2 => Just(Call::TakeFlashes),
        2 => (0..4u8).prop_map(Call::Expiry),
        3 => (0..2u8).prop_map(Call::Login),
        2 => Just(Call::Cycle),
        1 => Just(Call::Flush),
        1 => Just(Call::Logout),
        2 => Just(Call::SaveNow),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Content {
    data: BTreeMap<String, i64>,
    flashes: Vec<String>,
    expiry: SessionExpiry,
    subject: Option<&'static str>,
    ends: Timestamp,
}

impl Content {
    fn blank(now: Timestamp) -> Content {
        Content {
            data: BTreeMap::new(),
            flashes: Vec::new(),
            expiry: SessionExpiry::Default,
            subject: None,
            ends: now.after(30 * DAY),
        }
    }

    fn deadline(&self, now: Timestamp) -> Timestamp {
        let idle = match self.expiry {
            SessionExpiry::At(at) => return at.min(self.ends),
            SessionExpiry::Idle(idle) => idle,
            _ => 14 * DAY,
        };
        now.after(idle).min(self.ends)
    }
}

/// What the request sees, and what is kept.
struct Naive {
    now: Timestamp,
    view: Content,
    kept: Option<Content>,
    /// The request has asked for another id.
    turn: bool,
    cleared: bool,
    /// Somebody else has logged in: what is kept is no longer meant.
    anew: bool,
    /// Somebody logs in where nobody had: nothing is told to whoever knows the old id.
    arriving: bool,
    modified: bool,
    new_id: bool,
}

impl Naive {
    fn new(now: Timestamp, kept: Option<Content>) -> Naive {
        let view = kept.clone().unwrap_or_else(|| Content::blank(now));
        Naive {
            now,
            view,
            kept,
            turn: false,
            cleared: false,
            anew: false,
            arriving: false,
            modified: false,
            new_id: false,
        }
    }

    /// What is kept, if calls act on it at once.
    fn at_once(&mut self) -> Option<&mut Content> {
        self.kept.as_mut().filter(|_| !self.cleared && !self.anew)
    }

    fn is_empty(&self) -> bool {
        let vacant = self.view.data.is_empty() && self.view.flashes.is_empty();
        self.kept.is_none() && !self.turn && vacant
    }

    fn save(&mut self) {
        if self.is_empty() {
            // Nothing is kept of a session of which nothing is to be kept.
            return;
        }
        self.new_id |= self.kept.is_none() || self.turn;
        self.kept = Some(self.view.clone());
        (self.turn, self.cleared, self.anew, self.arriving) = (false, false, false, false);
    }

    fn end(&mut self) {
        *self = Naive { modified: true, ..Naive::new(self.now, None) };
    }

    fn login(&mut self, subject: &'static str) {
        if self.view.subject.is_some_and(|had| had != subject) {
            self.view = Content::blank(self.now);
            self.anew = true;
        }
        self.arriving |= self.view.subject.is_none();
        self.view.subject = Some(subject);
        (self.turn, self.modified) = (true, true);
    }
}

fn name(key: u8) -> String {
    format!("key{key}")
}

/// Does it in both, and says whether they agree.
fn perform(session: &Session, naive: &mut Naive, call: &Call) -> Result<(), TestCaseError> {
    match call {
        Call::Get(key) => {
            let found: Option<i64> = session.get(&name(*key)).unwrap();
            prop_assert_eq!(found, naive.view.data.get(&name(*key)).copied());
        }
        Call::Insert(key, value) => {
            session.insert(&name(*key), value).unwrap();
            naive.view.data.insert(name(*key), *value);
            naive.modified = true;
        }
        Call::Remove(key) => {
            let removed = naive.view.data.remove(&name(*key)).is_some();
            prop_assert_eq!(session.remove(name(*key)).unwrap(), removed);
            naive.modified |= removed;
        }
        Call::Update(key, by) => {
            let add = |value: &mut i64| {
                *value += by;
                *value
            };
            let value = naive.view.data.get(&name(*key)).unwrap_or(&0) + by;
            prop_assert_eq!(session.update(&name(*key), add).unwrap(), value);
            naive.view.data.insert(name(*key), value);
            if !naive.arriving
                && let Some(kept) = naive.at_once()
            {
                kept.data.insert(name(*key), value);
            }
            naive.modified = true;
        }
        Call::Pop(key) => {
            let popped = naive.view.data.remove(&name(*key));
            prop_assert_eq!(session.pop::<i64>(&name(*key)).unwrap(), popped);
            if popped.is_some()
                && let Some(kept) = naive.at_once()
            {
                kept.data.remove(&name(*key));
            }
            naive.modified |= popped.is_some();
        }
        Call::PopAsText(key) => {
            let popped = session.pop::<String>(&name(*key));
            let there = naive.view.data.contains_key(&name(*key));
            prop_assert_eq!(popped.is_err_and(|error| error.is_decode()), there);
        }
        Call::GetOrInsert(key, value) => {
            let found = session.get_or_insert_with(&name(*key), || *value).unwrap();
            naive.modified |= !naive.view.data.contains_key(&name(*key));
            prop_assert_eq!(found, *naive.view.data.entry(name(*key)).or_insert(*value));
        }
        Call::Clear => {
            session.clear().unwrap();
            let Content { subject, ends, .. } = naive.view;
            naive.view = Content { subject, ends, ..Content::blank(naive.now) };
            (naive.cleared, naive.modified) = (true, true);
        }
        Call::Flash(number) => {
            session.flash("info", number.to_string()).unwrap();
            naive.view.flashes.push(number.to_string());
            naive.modified = true;
        }
        Call::TakeFlashes => {
            let taken = session.take_flashes().unwrap().into_iter().map(|flash| flash.message);
            let expected = std::mem::take(&mut naive.view.flashes);
            naive.modified |= !expected.is_empty();
            prop_assert_eq!(taken.collect::<Vec<_>>(), expected);
            if let Some(kept) = naive.at_once() {
                kept.flashes.clear();
            }
        }
        Call::Expiry(which) => {
            let wish = [
                SessionExpiry::Default,
                SessionExpiry::Idle(20 * DAY),
                SessionExpiry::At(naive.now.after(10 * DAY)),
                SessionExpiry::BrowserClose,
            ][usize::from(*which)];
            session.set_expiry(wish).unwrap();
            let default = SessionExpiry::Default;
            naive.modified |= wish != default || naive.view.expiry != default;
            naive.view.expiry = wish;
        }
        Call::Login(who) => {
            let subject = ["ada", "bob"][usize::from(*who)];
            session.login(subject).unwrap();
            naive.login(subject);
        }
        Call::Cycle => {
            session.cycle_id().unwrap();
            (naive.turn, naive.modified) = (true, true);
        }
        Call::Flush => {
            session.flush().unwrap();
            naive.end();
        }
        Call::Logout => {
            session.logout().unwrap();
            naive.end();
        }
        Call::SaveNow => {
            session.save_now().unwrap();
            naive.save();
        }
    }
    same(session, naive)
}

fn same(session: &Session, naive: &Naive) -> Result<(), TestCaseError> {
    let entries = session.iter().unwrap().map(|(key, value)| (key, value.as_i64().unwrap()));
    prop_assert_eq!(&entries.collect::<BTreeMap<_, _>>(), &naive.view.data);
    prop_assert_eq!(session.len().unwrap(), naive.view.data.len());
    let subject = session.subject().unwrap();
    prop_assert_eq!(subject.as_deref(), naive.view.subject);
    prop_assert_eq!(session.is_modified(), naive.modified);
    prop_assert_eq!(session.is_new().unwrap(), naive.kept.is_none());
    prop_assert_eq!(session.is_empty().unwrap(), naive.is_empty());
    let closes = session.expires_at_browser_close().unwrap();
    prop_assert_eq!(closes, naive.view.expiry == SessionExpiry::BrowserClose);
    prop_assert_eq!(session.expiry_date().unwrap(), naive.view.deadline(naive.now));
    Ok(())
}

/// The requests, each with whether it succeeds and whether the process is killed after it.
fn run(requests: &[(Vec<Call>, bool, bool)]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut id: Option<Id> = None;
    let mut kept: Option<Content> = None;
    let mut unwaited = false;
    for (calls, succeeds, killed) in requests {
        let session = match &id {
            Some(id) => world.sessions.load(id).unwrap().expect("it was kept"),
            None => world.sessions.create(),
        };
        let mut naive = Naive::new(world.sessions.now(), kept);
        let mut ended = false;
        for call in calls {
            perform(&session, &mut naive, call)?;
            ended |= matches!(call, Call::Flush | Call::Logout);
        }
        // With a response that is an error the browser gets the new id of a `save_now` all the
        // same, and an end is waited for; here that is asked for in another way, for there is no
        // response.
        let saved = *succeeds || naive.new_id || ended;
        let mut given = None;
        if saved {
            naive.save();
            given = session.save().unwrap();
            prop_assert_eq!(given.is_some(), naive.new_id);
        }
        let old = id.take_if(|_| ended || given.is_some());
        if let Some(old) = old {
            prop_assert!(world.sessions.load(&old).unwrap().is_none(), "the old id is good");
        }
        (id, kept) = (given.or(id), naive.kept);
        // Nobody has waited for what a failed request did at once, so a crash may take it back.
        unwaited |= !saved;
        if *killed && !unwaited {
            world.kill();
        }
        prop_assert_eq!(id.is_some(), kept.is_some());
        prop_assert_eq!(world.sessions.count().unwrap(), u64::from(kept.is_some()));
        for subject in ["ada", "bob"] {
            let listed = world.sessions.list_of(subject).unwrap();
            let owns = kept.as_ref().is_some_and(|kept| kept.subject == Some(subject));
            prop_assert_eq!(listed.len(), usize::from(owns));
        }
        world.clock.advance(HOUR);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_sees_and_leaves_what_it_did(
        requests in proptest::collection::vec(
            (proptest::collection::vec(call(), 0..9), prop::bool::weighted(0.8), any::<bool>()),
            1..5,
        ),
    ) {
        run(&requests)?;
    }
}
