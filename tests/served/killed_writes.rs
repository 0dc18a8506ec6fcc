//! Parallel requests on one session, and kills in the middle: no key and no count is lost that was
//! acknowledged.

use std::collections::BTreeSet;

use crate::browser::Browser;
use crate::jar::Jar;
use crate::life::{Life, rounds};
use crate::support::{Rng, Temp, seed};

const WRITERS: usize = 6;
const KEYS: usize = 8;

/// What one writer knows of its keys: the value that was acknowledged, and the one that was sent
/// last, which may or may not have been written.
#[derive(Clone, Default)]
struct Writer {
    keys: [(u64, u64); KEYS],
    /// What it was told that the common count is.
    counts: Vec<u64>,
    /// Counts that it has sent.
    counted: u64,
}

impl Writer {
    /// Writes until the server is gone.
    fn write(mut self, name: usize, mut rng: Rng, mut browser: Browser, tell: &dyn Fn()) -> Writer {
        loop {
            let what = rng.below(6);
            if what == 0 {
                let Ok(answer) = browser.try_ask("GET", "/all") else { return self };
                for (at, (told, _)) in self.keys.iter().enumerate() {
                    let value = value_of(&answer.body, &format!("w{name}k{at}"));
                    assert_eq!(value, *told, "w{name}k{at}, which nobody else writes");
                }
            } else if what == 1 {
                self.counted += 1;
                let Ok(answer) = browser.try_ask("POST", "/add/count") else { return self };
                assert_eq!(answer.status, 200, "{answer:?}");
                self.counts.push(answer.body.parse().unwrap());
            } else {
                let at = rng.below(KEYS as u64) as usize;
                self.keys[at].1 += 1;
                let path = format!("/set/w{name}k{at}/{}", self.keys[at].1);
                let Ok(answer) = browser.try_ask("POST", &path) else { return self };
                assert_eq!((answer.status, answer.cookies().len()), (200, 0), "{answer:?}");
                self.keys[at].0 = self.keys[at].1;
            }
            tell();
        }
    }
}

/// The value of a key in what `/all` answers; 0 without it.
fn value_of(all: &str, key: &str) -> u64 {
    let line = all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.map_or(0, |value| value.parse().unwrap())
}

/// The values of the session, and that they are what was acknowledged or sent last.
fn check(browser: &mut Browser, writers: &mut [Writer]) {
    let text = browser.get("/all").body;
    let found = |key: &str| value_of(&text, key);
    for (name, writer) in writers.iter_mut().enumerate() {
        for (at, (told, sent)) in writer.keys.iter_mut().enumerate() {
            let value = found(&format!("w{name}k{at}"));
            assert!(value == *told || value == *sent, "w{name}k{at}: {value}, {told}, {sent}");
            (*told, *sent) = (value, value);
        }
    }
    let told: Vec<u64> = writers.iter().flat_map(|writer| &writer.counts).copied().collect();
    let counted: u64 = writers.iter().map(|writer| writer.counted).sum();
    let count = found("count");
    let distinct: BTreeSet<u64> = told.iter().copied().collect();
    assert_eq!(distinct.len(), told.len(), "a count was told twice");
    let least = distinct.last().copied().unwrap_or(0).max(told.len() as u64);
    assert!((least..=counted).contains(&count), "{count} of {counted}, {least} acknowledged");
}

#[test]
fn parallel_requests_on_one_session_lose_no_acknowledged_key_across_kills() {
    let (temp, mut rng) = (Temp::new(), Rng(seed()));
    let mut writers = vec![Writer::default(); WRITERS];
    let mut jar = Jar::default();
    for round in 0..=rounds(6) {
        let mut life = Life::start(&temp);
        let mut ada = life.browser();
        ada.jar = jar;
        if round == 0 {
            ada.post("/login/ada");
        }
        assert_eq!(ada.get("/me").body, "ada");
        check(&mut ada, &mut writers);
        let client = |(name, writer): (usize, &Writer)| {
            (writer.clone(), name, Rng(rng.next()), ada.clone().connect())
        };
        let clients = writers.iter().enumerate().map(client).collect();
        let answers = 1 + rng.below(200);
        writers = life.kill_under_load(clients, answers, |(writer, name, rng, browser), tell| {
            writer.write(name, rng, browser, tell)
        });
        jar = ada.jar;
    }
    let told: u64 = writers.iter().flat_map(|writer| writer.keys).map(|(told, _)| told).sum();
    assert!(told > 0 && writers.iter().any(|writer| !writer.counts.is_empty()));
    println!("{told} writes");
}
