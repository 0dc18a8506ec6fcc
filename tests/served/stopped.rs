//! A server that is told to end: what is under way is answered, the store is closed, and everything
//! is there afterwards.

use sessile::session::Sessions;

use crate::browser::{Browser, pair};
use crate::life::Life;
use crate::support::Temp;

#[test]
fn a_server_that_is_told_to_end_leaves_everything_behind() {
    let temp = Temp::new();
    let mut life = Life::start(&temp);
    let mut browsers: Vec<Browser> = (0..20).map(|_| life.browser()).collect();
    for (number, browser) in browsers.iter_mut().enumerate() {
        browser.post(&format!("/set/n/{number}"));
        browser.post(&format!("/login/user{}", number % 4));
    }
    let out = browsers[19].id().unwrap();
    browsers[19].post("/logout");
    let mut ada = browsers[0].clone().connect();
    let last = std::thread::spawn(move || ada.post("/last"));
    browsers[1].get("/reached/last");
    life.tell_to_end();
    assert_eq!(last.join().unwrap().body, "written", "it was under way");
    assert!(life.ended().success());

    // Closed: nothing is left to be replayed.
    let sessions = Sessions::builder().open(temp.path()).unwrap();
    assert_eq!(sessions.count().unwrap(), 19);
    let recovered = sessions.stats().disk.unwrap().recovery;
    assert_eq!((recovered.frames, recovered.torn_frames), (0, 0), "{recovered:?}");
    sessions.close().unwrap();
    drop(sessions);

    let life = Life::start(&temp);
    let mut keeper = life.browser();
    for (number, browser) in browsers.iter().enumerate().take(19) {
        let cookie = pair(&browser.id().unwrap());
        let more = if number == 0 { "last=1\n" } else { "" };
        let body = keeper.send("GET", "/all", &cookie).body;
        assert_eq!(body, format!("{more}n={number}\n"));
        assert_eq!(keeper.send("GET", "/me", &cookie).body, format!("user{}", number % 4));
    }
    assert_eq!(keeper.send("GET", "/me", &pair(&out)).body, "nobody");
    assert_eq!(keeper.get("/sessions-of/user3").body, "4", "one of five has logged out");
}
