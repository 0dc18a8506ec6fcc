//! One-shot values and 64 connections that want them at once, with a kill in the middle: one
//! winner over all lives.

use crate::browser::Browser;
use crate::life::{Life, rounds};
use crate::support::{Rng, Temp, seed};

const CLIENTS: usize = 64;
/// Of a request and an answer each.
const STEPS: u64 = 2 * CLIENTS as u64;
const ATTEMPTS: usize = 40;

/// What each of 64 was told who tried the value at once; killed after so many steps, which are
/// requests and answers.
fn redeem(life: &mut Life, path: &str, steps: u64) -> Vec<String> {
    let clients: Vec<Browser> = (0..CLIENTS).map(|_| life.browser()).collect();
    let told = life.kill_under_load(clients, steps, |mut browser, tell| {
        tell();
        let answer = browser.try_ask("POST", path).ok()?;
        assert_eq!(answer.status, 200);
        tell();
        Some(answer.body)
    });
    told.into_iter().flatten().collect()
}

#[test]
fn a_one_shot_value_has_one_winner_of_64_over_all_lives() {
    let (temp, mut rng) = (Temp::new(), Rng(seed()));
    for round in 0..rounds(4) {
        let mut life = Life::start(&temp);
        let answer = life.browser().post(&format!("/issue/right{round}/value/3"));
        assert_eq!(answer.body, "issued");
        let path = format!("/redeem/right{round}/value");
        let steps = rng.below(STEPS);
        let mut before = redeem(&mut life, &path, steps);
        let mut life = Life::start(&temp);
        let after = redeem(&mut life, &path, STEPS);
        assert_eq!(after.len(), CLIENTS);
        let winners = |told: &[String]| told.iter().filter(|told| *told == "right").count();
        let (first, second) = (winners(&before), winners(&after));
        assert!(first + second <= 1, "{first} and then {second} winners");
        // Whoever was told that it is gone was told so for good.
        assert!(before.is_empty() || second == 0, "{before:?}, and then a winner");
        // With nobody told anything it is there, or gone with an answer that got lost.
        before.retain(|told| told != "right" && told != "absent");
        assert!(before.is_empty(), "{before:?}");
        println!("{first} and {second} of the {CLIENTS}");
    }
}

#[test]
fn wrong_guesses_by_64_at_once_are_counted_across_kills() {
    let (temp, mut rng) = (Temp::new(), Rng(seed()));
    for round in 0..rounds(2) {
        let mut life = Life::start(&temp);
        let answer = life.browser().post(&format!("/issue/wrong{round}/value/{ATTEMPTS}"));
        assert_eq!(answer.body, "issued");
        let path = format!("/redeem/wrong{round}/guess");
        let steps = rng.below(STEPS);
        let mut told = redeem(&mut life, &path, steps);
        let mut life = Life::start(&temp);
        told.extend(redeem(&mut life, &path, STEPS));
        told.retain(|told| told != "absent");
        let count = told.len();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), count, "two were told that as many are left");
        assert!(
            count <= ATTEMPTS && told.iter().all(|told| told.starts_with("wrong ")),
            "{told:?}"
        );
        // Spent: the value itself is worth nothing now.
        let mut life = Life::start(&temp);
        let path = format!("/redeem/wrong{round}/value");
        assert_eq!(redeem(&mut life, &path, STEPS), vec!["absent"; CLIENTS]);
    }
}
