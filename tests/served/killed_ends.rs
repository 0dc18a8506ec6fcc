//! Logouts and revocations against logins in flight, and kills in the middle: what was told to have
//! ended never opens a session again, and what was not ended is there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::browser::{Browser, pair};
use crate::jar::Jar;
use crate::life::{Life, rounds};
use crate::support::{Rng, Temp, seed};

const USERS: u64 = 6;

/// Two moments by one clock for all clients: before the request was sent and, unless the server was
/// killed before it answered, when the answer was there.
#[derive(Clone, Copy, Debug)]
struct Span {
    begun: u64,
    told: Option<u64>,
}

impl Span {
    fn is_before(self, other: Span) -> bool {
        self.told.is_some_and(|told| told < other.begun)
    }
}

#[derive(Debug)]
struct Login {
    user: u64,
    span: Span,
    /// `None`: refused, because a revocation was under way.
    id: Option<String>,
    logout: Option<Span>,
}

#[derive(Debug)]
struct Revocation {
    /// `None`: of everybody.
    user: Option<u64>,
    span: Span,
}

impl Revocation {
    fn concerns(&self, user: u64) -> bool {
        self.user.is_none_or(|only| only == user)
    }
}

#[derive(Default)]
struct Seen {
    logins: Vec<Login>,
    revocations: Vec<Revocation>,
}

/// One client, until the server is gone.
struct Client<'a> {
    round: u64,
    rng: Rng,
    time: &'a AtomicU64,
    browser: Browser,
    seen: Seen,
}

impl Client<'_> {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    /// The status of the answer, if there is one, and when that was.
    fn post(&mut self, path: &str) -> (Option<u16>, Span) {
        let begun = self.now();
        let answer = self.browser.try_ask("POST", path).ok();
        let told = answer.is_some().then(|| self.now());
        (answer.map(|answer| answer.status), Span { begun, told })
    }

    fn log_in(mut self, tell: &dyn Fn()) -> Seen {
        loop {
            self.browser.jar = Jar::default();
            let user = self.rng.below(USERS);
            let (status, span) = self.post(&format!("/login/u{}-{user}", self.round));
            let Some(status) = status else { return self.seen };
            tell();
            let id = self.browser.id();
            assert_eq!(status, if id.is_some() { 200 } else { 400 });
            let mut login = Login { user, span, id, logout: None };
            let out = login.id.is_some() && self.rng.below(4) == 0;
            if out {
                let (status, span) = self.post("/logout");
                login.logout = Some(span);
                assert!(status.is_none_or(|status| status == 200), "{status:?}");
            }
            let over = login.logout.is_some_and(|span| span.told.is_none());
            self.seen.logins.push(login);
            if over {
                return self.seen;
            }
        }
    }

    fn revoke(mut self, tell: &dyn Fn()) -> Seen {
        loop {
            let user = (self.rng.below(8) > 0).then(|| self.rng.below(USERS));
            let (status, span) = match user {
                Some(user) => self.post(&format!("/revoke-owner/u{}-{user}", self.round)),
                None => self.post("/revoke-all"),
            };
            self.seen.revocations.push(Revocation { user, span });
            match status {
                Some(status) => assert_eq!(status, 200),
                None => return self.seen,
            }
            tell();
        }
    }
}

/// A login that has begun before a revocation and ends after it is refused, and leaves nothing.
fn refuse_login_under_way(life: &Life, revocation: &str) {
    let (mut keeper, mut ada) = (life.browser(), life.browser());
    let path = format!("/slow/{}/ada", &revocation[1..7]);
    let gate = path.split('/').nth(2).unwrap().to_owned();
    let login = std::thread::spawn(move || ada.post(&path));
    keeper.get(&format!("/reached/{gate}"));
    assert_eq!(keeper.post(revocation).status, 200);
    keeper.post(&format!("/open/{gate}"));
    let login = login.join().unwrap();
    assert_eq!((login.status, login.sets()), (400, false), "{revocation}: {login:?}");
    assert_eq!(keeper.get("/sessions-of/ada").body, "0", "{revocation}");
}

fn is_alive(keeper: &mut Browser, id: &str) -> bool {
    keeper.send("GET", "/me", &pair(id)).body != "nobody"
}

/// Whether what is alive after a kill may be, and what is dead. Ids that are dead join the others.
fn check(keeper: &mut Browser, seen: &Seen, dead: &mut BTreeSet<String>) {
    // What the revocation that was cut off by the kill has done to those who were there before it.
    let mut halves: Vec<BTreeSet<bool>> = vec![BTreeSet::new(); seen.revocations.len()];
    for login in &seen.logins {
        let concerning = || seen.revocations.iter().filter(|it| it.concerns(login.user));
        let Some(id) = &login.id else {
            let beside = |it: &Revocation| !it.span.is_before(login.span);
            assert!(concerning().any(beside), "refused for nothing: {login:?}");
            continue;
        };
        let alive = is_alive(keeper, id);
        let revoked =
            concerning().any(|it| login.span.is_before(it.span) && it.span.told.is_some());
        let out = login.logout.is_some_and(|span| span.told.is_some());
        assert!(!(alive && (revoked || out)), "it had ended: {login:?}");
        let mut touched = concerning().filter(|it| !it.span.is_before(login.span));
        let first = touched.next();
        if login.logout.is_none() {
            assert!(alive || first.is_some(), "nobody has ended it: {login:?}");
            let cut = |it: &Revocation| it.span.told.is_none() && login.span.is_before(it.span);
            let only = first.filter(|it| cut(it) && touched.next().is_none());
            let at =
                only.and_then(|only| seen.revocations.iter().position(|it| std::ptr::eq(it, only)));
            if let Some(at) = at {
                halves[at].insert(alive);
            }
        }
        if !alive {
            dead.insert(id.clone());
        }
    }
    for (revocation, found) in seen.revocations.iter().zip(&halves) {
        assert!(found.len() < 2, "it was done by half: {revocation:?}");
    }
}

#[test]
fn no_id_that_was_ended_before_a_kill_opens_a_session_after_it() {
    let (temp, mut rng, time) = (Temp::new(), Rng(seed()), AtomicU64::new(0));
    let (mut seen, mut dead) = (Seen::default(), BTreeSet::new());
    let rounds = rounds(6);
    for round in 0..=rounds {
        let mut life = Life::start(&temp);
        let mut keeper = life.browser();
        check(&mut keeper, &seen, &mut dead);
        let few = if round == rounds { usize::MAX } else { 50 };
        for id in dead.iter().take(few) {
            assert!(!is_alive(&mut keeper, id), "{id} is back");
        }
        if round % 3 == 0 {
            refuse_login_under_way(&life, "/revoke-owner/ada");
            refuse_login_under_way(&life, "/revoke-all");
        }
        let client = |_| {
            let (rng, browser) = (Rng(rng.next()), life.browser());
            Client { round, rng, time: &time, browser, seen: Seen::default() }
        };
        let clients: Vec<_> = (0..6).map(client).enumerate().collect();
        let work = |(at, client): (usize, Client), tell: &dyn Fn()| match at {
            0 => client.revoke(tell),
            _ => client.log_in(tell),
        };
        let answers = 1 + rng.below(120);
        seen = Seen::default();
        for of_one in life.kill_under_load(clients, answers, work) {
            seen.logins.extend(of_one.logins);
            seen.revocations.extend(of_one.revocations);
        }
    }
    println!("{} ids are dead", dead.len());
    assert!(dead.len() > 4);
}
