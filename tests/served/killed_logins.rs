//! Logins and logouts under way when the server is killed: the old id or the new one is good, and
//! never both; what has logged out stays so.

use crate::axum_journey::logged_out_beside_a_write;
use crate::browser::{Browser, pair};
use crate::jar::Jar;
use crate::life::{Life, rounds};
use crate::support::{Rng, Temp, seed};

/// A visitor with something in the cart, who then logs in.
struct Visit {
    who: String,
    old: String,
    /// `None`: the login was under way at the kill.
    new: Option<String>,
}

/// One visitor after the other until the server is gone.
fn visit(name: &str, mut browser: Browser, tell: &dyn Fn()) -> Vec<Visit> {
    let mut visits = Vec::new();
    loop {
        browser.jar = Jar::default();
        let who = format!("{name}-{}", visits.len());
        let Ok(answer) = browser.try_ask("POST", "/set/cart/7") else { return visits };
        assert_eq!(answer.status, 200);
        tell();
        let old = browser.id().unwrap();
        let answer = browser.try_ask("POST", &format!("/login/{who}"));
        let new = answer.is_ok().then(|| browser.id().unwrap());
        assert_ne!(new.as_ref(), Some(&old));
        visits.push(Visit { who, old, new });
        if answer.is_err() {
            return visits;
        }
        tell();
    }
}

/// What the id opens: who has logged in, and what is in the session.
fn opens(browser: &mut Browser, id: &str) -> (String, String) {
    let who = browser.send("GET", "/me", &pair(id)).body;
    (who, browser.send("GET", "/all", &pair(id)).body)
}

fn check(browser: &mut Browser, visit: &Visit) {
    let who = visit.who.as_str();
    let listed = browser.get(&format!("/sessions-of/{who}")).body;
    let old = opens(browser, &visit.old);
    let (nothing, cart) = (("nobody", ""), ("nobody", "cart=7\n"));
    let old = (old.0.as_str(), old.1.as_str());
    match &visit.new {
        Some(new) => {
            assert_eq!((old, listed.as_str()), (nothing, "1"), "{who}: the old id");
            let new = opens(browser, new);
            assert_eq!((new.0.as_str(), new.1.as_str()), (who, "cart=7\n"));
        }
        // Either it has not happened, or there is a session whose id nobody was told.
        None => assert!(
            [(cart, "0"), (nothing, "1")].contains(&(old, &listed)),
            "{who}: the old id opens {old:?}, and there are {listed} new ones"
        ),
    }
}

#[test]
fn of_a_login_at_the_kill_the_old_id_or_the_new_one_is_good_and_never_both() {
    let (temp, mut rng) = (Temp::new(), Rng(seed()));
    let (mut visits, mut lost, mut logins) = (Vec::<Visit>::new(), 0, 0);
    for round in 0..=rounds(6) {
        let mut life = Life::start(&temp);
        let mut keeper = life.browser();
        visits.iter().for_each(|visit| check(&mut keeper, visit));
        // A visitor is lost without a trace if the first answer was.
        let count: usize = keeper.get("/count").body.parse().unwrap();
        assert!((logins..=logins + lost).contains(&count), "{count}, {logins} + {lost}");
        let clients: Vec<_> = (0..8).map(|at| (format!("{round}-{at}"), life.browser())).collect();
        lost += clients.len();
        let answers = 1 + rng.below(60);
        let work =
            |(name, browser): (String, Browser), tell: &dyn Fn()| visit(&name, browser, tell);
        visits = life.kill_under_load(clients, answers, work).into_iter().flatten().collect();
        logins += visits.len();
    }
    println!("{logins} visitors");
}

#[test]
fn a_logout_beside_a_write_lasts_through_a_kill() {
    let temp = Temp::new();
    let mut dead: Vec<String> = Vec::new();
    for _ in 0..=rounds(2) {
        let mut life = Life::start(&temp);
        let mut keeper = life.browser();
        for id in &dead {
            assert_eq!(opens(&mut keeper, id), ("nobody".to_owned(), String::new()));
            let answer = keeper.send("POST", "/set/n/1", &pair(id));
            assert!(answer.sets(), "a later write has a new id: {answer:?}");
            let given = answer.cookies()[0].split(['=', ';']).nth(1).unwrap().to_owned();
            assert_ne!(&given, id);
            assert!(keeper.send("POST", "/logout", &pair(&given)).removes());
        }
        assert_eq!(keeper.get("/count").body, "0");
        dead = logged_out_beside_a_write(&|| life.browser());
        // And one write that is not finished before the kill.
        let mut ada = life.browser();
        ada.post("/login/ada");
        dead.push(ada.id().unwrap());
        let slow = ada.clone().connect();
        let slow = std::thread::spawn(move || {
            let mut slow = slow;
            slow.try_ask("POST", "/slow/never/write").is_err()
        });
        keeper.get("/reached/never");
        assert!(ada.post("/logout").removes());
        life.kill();
        assert!(slow.join().unwrap(), "it was killed before it could answer");
    }
}
