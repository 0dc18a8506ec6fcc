//! A journey through the shop on axum, step by step, with what a browser sees and what the store
//! holds after each.

use std::time::Duration;

use crate::browser::{Browser, NAME, pair};
use crate::server::Server;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn id(browser: &Browser) -> String {
    browser.id().expect("one cookie")
}

/// The cart, which is a number.
fn cart(browser: &mut Browser) -> String {
    browser.get("/all").body
}

#[test]
fn an_anonymous_visit_stores_nothing_and_sets_no_cookie() {
    let server = Server::axum(|builder| builder);
    let mut ada = server.browser();
    for path in ["/", "/me", "/all", "/sessions"] {
        let answer = ada.get(path);
        assert_eq!((answer.status, answer.cookies().len()), (200, 0), "{path}");
        assert_eq!(answer.header("vary"), (path != "/").then_some("Cookie"), "{path}");
    }
    assert_eq!(server.sessions.stats().sessions, 0);
    assert_eq!(ada.connections(), 1, "it is kept open");
}

#[test]
fn from_the_cart_to_the_logout_with_two_browsers() {
    let server = Server::axum(|builder| builder);
    let mut ada = server.browser();
    let answer = ada.post("/add/tea");
    assert_eq!((answer.body.as_str(), answer.cookies().len()), ("1", 1));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let kept = ada.jar.get(NAME).unwrap();
    assert!(kept.secure && kept.http_only && kept.host_only && kept.path == "/", "{kept:?}");
    assert_eq!(kept.until, Some(ada.now() + 14 * 24 * 3600));
    assert!(ada.post("/add/tea").cookies().is_empty(), "the browser has it");
    assert_eq!(cart(&mut ada), "tea=2\n");

    // Logged in: the same cart under another id, and the old one is dead.
    let mut before = ada.clone();
    let planted = id(&ada);
    assert!(ada.post("/login/ada").sets());
    assert_ne!(id(&ada), planted);
    assert_eq!((ada.get("/me").body.as_str(), cart(&mut ada).as_str()), ("ada", "tea=2\n"));
    let answer = before.get("/me");
    assert!(answer.body == "nobody" && answer.removes(), "{answer:?}");
    assert!(before.jar.get(NAME).is_none());

    // A second browser of hers, and somebody else's.
    let (mut phone, mut bob) = (server.browser(), server.browser());
    phone.post("/login/ada");
    bob.post("/login/bob");
    assert_eq!(cart(&mut phone), "");
    let listed = phone.get("/sessions").body;
    let current: Vec<bool> = listed.lines().map(|line| line.ends_with('*')).collect();
    assert_eq!(current, [false, true], "{listed}");
    let lost = id(&ada);
    assert_eq!(phone.post("/revoke-others").body, "1");
    assert_eq!(phone.get("/sessions").body.lines().count(), 1);
    let answer = ada.get("/me");
    assert!(answer.body == "nobody" && answer.removes(), "{answer:?}");
    assert_eq!(bob.get("/me").body, "bob");

    // Logged out: gone for whoever has kept the cookie.
    let (kept, answer) = (id(&phone), phone.post("/logout"));
    assert!(answer.removes() && phone.jar.get(NAME).is_none(), "{answer:?}");
    for id in [kept, lost, planted] {
        assert_eq!(bob.send("GET", "/me", &pair(&id)).body, "nobody");
    }
    assert_eq!(server.sessions.count().unwrap(), 1, "bob's");
    assert_eq!(phone.get("/me").cookies().len(), 0);
}

#[test]
fn an_id_that_was_planted_before_a_login_gains_nothing() {
    let server = Server::axum(|builder| builder);
    let (mut eve, mut ada) = (server.browser(), server.browser());
    // One that the server gave to Eve, and one that nobody ever gave.
    eve.post("/add/bait");
    for planted in [id(&eve), "A".repeat(id(&eve).len())] {
        let site = crate::jar::Site::new("http", "127.0.0.1");
        let field = format!("{NAME}={planted}; Path=/; Secure");
        assert!(ada.jar.keep(&site, "/", &field, ada.now()));
        assert!(ada.post("/login/ada").sets());
        assert_ne!(id(&ada), planted);
        assert_eq!(ada.get("/me").body, "ada");
        for path in ["/me", "/all"] {
            let answer = eve.send("GET", path, &pair(&planted));
            assert!(["nobody", ""].contains(&answer.body.as_str()), "{answer:?}");
        }
        eve.send("POST", "/set/bait/2", &pair(&planted));
        assert!(!cart(&mut ada).contains("bait=2"));
        ada.post("/logout");
    }
}

#[test]
fn two_requests_on_the_old_id_of_a_renewal_both_go_through() {
    let server = Server::axum(|builder| builder.renew_every(HOUR).renewal_grace(MINUTE));
    let mut ada = server.browser();
    ada.post("/login/ada");
    let (mut one, mut other) = (ada.clone(), ada.clone());
    let old = id(&ada);
    server.clock.advance(HOUR);
    // Both are under way before either is saved, and so before anything is renewed.
    let mut answers = std::thread::scope(|scope| {
        let slow = ["one", "other"].map(|gate| {
            let mut browser = ada.clone();
            let path = format!("/slow/{gate}/write");
            scope.spawn(move || browser.post(&path))
        });
        let mut keeper = server.browser();
        for gate in ["one", "other"] {
            keeper.get(&format!("/reached/{gate}"));
        }
        for gate in ["one", "other"] {
            keeper.post(&format!("/open/{gate}"));
        }
        slow.map(|thread| thread.join().unwrap())
    });
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    answers.sort_by_key(|answer| answer.cookies().len());
    let given: Vec<usize> = answers.iter().map(|answer| answer.cookies().len()).collect();
    assert_eq!(given, [0, 1], "one of them renews it");
    let cookie = answers[1].cookies()[0].to_owned();
    let site = crate::jar::Site::new("http", "127.0.0.1");
    assert!(one.jar.keep(&site, "/", &cookie, one.now()));
    assert_ne!(id(&one), old);

    // The answer may be lost: the old one is good until the new one is seen, and a while longer.
    server.clock.advance(HOUR / 2);
    assert_eq!(other.get("/me").body, "ada");
    assert_eq!((one.get("/me").body.as_str(), cart(&mut one).as_str()), ("ada", "slow=1\n"));
    server.clock.advance(MINUTE / 2);
    let late = other.post("/set/late/1");
    assert!(late.status == 200 && late.cookies().is_empty(), "{late:?}");
    assert_eq!(cart(&mut one), "late=1\nslow=1\n");
    server.clock.advance(MINUTE);
    assert!(other.get("/me").removes());
    assert_eq!(one.get("/me").body, "ada");
    assert_eq!(server.sessions.count().unwrap(), 1);
}

#[test]
fn an_expired_session_is_gone_and_a_later_write_has_a_new_id() {
    let server = Server::axum(|builder| builder.idle(HOUR).absolute(3 * HOUR));
    let mut ada = server.browser();
    ada.post("/add/tea");
    let (mut keeper, first) = (ada.clone(), id(&ada));
    server.clock.advance(HOUR - MINUTE);
    assert_eq!(keeper.get("/all").body, "tea=1\n", "and that was an access");
    server.clock.advance(HOUR - MINUTE);
    assert_eq!(keeper.get("/all").body, "tea=1\n");
    server.clock.advance(HOUR);
    // The browser has dropped the cookie; somebody who has kept it is told that it is dead.
    assert!(
        keeper.jar.field(&crate::jar::Site::new("http", "127.0.0.1"), "/", keeper.now()).is_none()
    );
    let answer = keeper.send("GET", "/all", &pair(&first));
    assert!(answer.removes() && answer.body.is_empty(), "{answer:?}");
    assert!(keeper.post("/add/tea").sets());
    assert_ne!(id(&keeper), first);
    assert_eq!(cart(&mut keeper), "tea=1\n");
    // And at the absolute end, however often it was seen.
    let second = id(&keeper);
    for _ in 0..5 {
        server.clock.advance(HOUR / 2);
        assert_eq!(keeper.send("GET", "/all", &pair(&second)).body, "tea=1\n");
    }
    server.clock.advance(HOUR / 2);
    assert_eq!(keeper.send("GET", "/all", &pair(&second)).body, "");
    assert_eq!(server.sessions.count().unwrap(), 0);
}

#[test]
fn cookies_that_no_server_of_ours_gave_are_anonymous() {
    let server = Server::axum(|builder| builder);
    let mut ada = server.browser();
    ada.post("/login/ada");
    let good = id(&ada);
    let last = if good.ends_with('A') { "B" } else { "A" };
    let (short, lower) = (&good[..good.len() - 1], good.to_lowercase());
    let bad = [
        pair(&format!("{short}{last}")),
        pair(short),
        pair(&format!("{good}A")),
        pair(&lower),
        pair(&format!("\"{good}\"")),
        pair(&format!("%41{}", &good[1..])),
        pair(""),
        pair(&"A".repeat(6000)),
        format!("{}; {}", pair(&good), pair(&good)),
        format!("{}; {}", pair(&good), pair("planted")),
        format!("{}; {}", pair("planted"), pair(&good)),
        format!("__host-sid={good}"),
        format!("sid={good}"),
    ];
    let mut eve = server.browser();
    for cookies in &bad {
        let answer = eve.send("GET", "/me", cookies);
        assert_eq!((answer.status, answer.body.as_str()), (200, "nobody"), "{cookies}");
        assert!(!answer.sets(), "{cookies}: {answer:?}");
        assert_eq!(server.sessions.count().unwrap(), 1, "{cookies}");
        assert_eq!(server.sessions.stats().sessions, 2, "hers and her list: {cookies}");
    }
    // A later write is of a new session, under a new id.
    for cookies in &bad {
        let answer = eve.send("POST", "/set/n/1", cookies);
        assert!(answer.status == 200 && answer.sets(), "{cookies}: {answer:?}");
        let given = answer.cookies()[0].split(['=', ';']).nth(1).unwrap().to_owned();
        assert!(!cookies.contains(&given), "{cookies}");
        assert_eq!(eve.send("GET", "/all", &pair(&given)).body, "n=1\n", "{cookies}");
    }
    assert_eq!(server.sessions.count().unwrap(), 1 + bad.len() as u64);
    assert_eq!((ada.get("/me").body.as_str(), cart(&mut ada).as_str()), ("ada", ""));
}

#[test]
fn a_logout_and_a_slow_write_in_both_orders() {
    let server = Server::axum(|builder| builder);
    let mut eve = server.browser();
    for id in logged_out_beside_a_write(&|| server.browser()) {
        let answer = eve.send("GET", "/all", &pair(&id));
        assert!(answer.body.is_empty() && answer.removes(), "{answer:?}");
    }
    assert_eq!(server.sessions.count().unwrap(), 0);
    assert_eq!(server.sessions.counts().dropped, 1, "of the write after the logout");
}

/// A logout and a write, both under way and having seen the session: finished in either order.
/// Returns the ids, which are dead.
pub fn logged_out_beside_a_write(browser: &dyn Fn() -> Browser) -> Vec<String> {
    let mut keeper = browser();
    let orders = [["logout", "write"], ["write", "logout"]];
    let ids = orders.map(|order| {
        let mut ada = browser();
        ada.post("/login/ada");
        let gate = |action: &str| format!("{action}-{}-first", order[0]);
        let answers = std::thread::scope(|scope| {
            let threads = order.map(|action| {
                let (mut browser, gate) = (ada.clone(), gate(action));
                let path = format!("/slow/{gate}/{action}");
                let thread = scope.spawn(move || browser.post(&path));
                keeper.get(&format!("/reached/{gate}"));
                (gate, thread)
            });
            threads.map(|(gate, thread)| {
                keeper.post(&format!("/open/{gate}"));
                thread.join().unwrap()
            })
        });
        for (action, answer) in order.iter().zip(&answers) {
            let fine = if *action == "logout" { answer.removes() } else { !answer.sets() };
            assert!(answer.status == 200 && fine, "{order:?}: {answers:?}");
        }
        id(&ada)
    });
    ids.to_vec()
}
