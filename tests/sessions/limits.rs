//! The limit of a session: what counts in it, in memory as on disk, and what it never stands in the
//! way of.

use sessile::session::Sessions;

use crate::MINUTE;

/// The same sessions in memory and on disk, with this limit.
fn both(most: usize) -> [Sessions; 2] {
    let limited = || Sessions::builder().store(move |store| store.max_value_bytes(most));
    let on_disk = limited().open_fs(std::sync::Arc::new(sessile::testing::SimFs::new(1)));
    [on_disk.unwrap(), limited().in_memory().unwrap()]
}

#[track_caller]
fn is_too_large(result: sessile::Result<impl std::fmt::Debug>, most: usize) {
    let error = result.unwrap_err();
    assert!(error.is_too_large(), "{error}");
    let text = error.to_string();
    assert!(text.contains("max_value_bytes") && text.contains(&most.to_string()), "{text}");
}

#[test]
fn parallel_requests_that_fit_each_do_not_exceed_the_limit_together() {
    for sessions in both(4096) {
        let session = sessions.create();
        session.insert("k", 1).unwrap();
        session.flash("info", "f".repeat(500)).unwrap();
        let id = session.save().unwrap().unwrap();
        let load = || sessions.load(&id).unwrap().unwrap();
        let requests = [load(), load(), load()];
        requests[0].insert("a", "a".repeat(2500)).unwrap();
        requests[1].insert("b", "b".repeat(2500)).unwrap();
        requests[2].flash("error", "c".repeat(2500)).unwrap();
        requests[0].save().unwrap();
        is_too_large(requests[1].save(), 4096);
        is_too_large(requests[2].save(), 4096);
        let kept = load();
        assert_eq!(kept.keys().unwrap(), ["a", "k"]);
        is_too_large(kept.update("c", |c: &mut String| c.push_str(&"c".repeat(900))), 4096);
        assert_eq!(kept.take_flashes().unwrap().len(), 1);
        // There is room for it now.
        kept.update("c", |c: &mut String| c.push_str(&"c".repeat(900))).unwrap();
        assert_eq!(load().keys().unwrap(), ["a", "c", "k"]);
    }
}

#[test]
fn flashes_count_in_the_limit() {
    for sessions in both(4096) {
        for saved in [false, true] {
            let session = sessions.create();
            session.insert("k", "x".repeat(2000)).unwrap();
            if saved {
                session.save().unwrap();
            }
            session.flash("info", "f".repeat(1500)).unwrap();
            is_too_large(session.flash("info", "f".repeat(1500)), 4096);
            is_too_large(session.insert("l", "x".repeat(600)), 4096);
            session.insert("k", "x".repeat(100)).unwrap();
            session.flash("info", "f".repeat(1500)).unwrap();
            session.login("ada").unwrap();
            is_too_large(session.flash("info", "f".repeat(1500)), 4096);
            session.save().unwrap();
            assert_eq!(session.take_flashes().unwrap().len(), 2);
        }
    }
}

#[test]
fn a_full_session_can_still_be_renewed_logged_in_emptied_and_ended() {
    for most in [256, 300, 400] {
        for sessions in both(most) {
            let session = sessions.create();
            let free = (0..most).rev().find(|size| session.insert("k", "x".repeat(*size)).is_ok());
            assert!(free.is_some(), "something fits into {most}");
            session.save().unwrap();
            session.login("a".repeat(1024)).unwrap();
            session.save().unwrap();
            session.cycle_id().unwrap();
            let id = session.save().unwrap().unwrap();
            is_too_large(session.insert("l", 1), most);
            session.remove("k").unwrap();
            session.save().unwrap();
            // The lists of owners are no sessions.
            for _ in 0..100 {
                let other = sessions.create();
                other.login("bob").unwrap();
                other.save().unwrap();
            }
            assert_eq!(sessions.list_of("bob").unwrap().len(), 100);
            sessions.load(&id).unwrap().unwrap().logout().unwrap();
        }
    }
}

#[test]
fn what_was_stored_under_a_higher_limit_can_shrink_and_not_grow() {
    let fs = sessile::testing::SimFs::new(1);
    let open = |most: usize| {
        let builder = Sessions::builder().store(move |store| store.max_value_bytes(most));
        builder.open_fs(std::sync::Arc::new(fs.clone())).unwrap()
    };
    let sessions = open(8192);
    let session = sessions.create();
    session.insert("a", "a".repeat(3000)).unwrap();
    session.insert("b", "b".repeat(3000)).unwrap();
    let id = session.save().unwrap().unwrap();
    sessions.close().unwrap();
    drop((session, sessions));
    let sessions = open(4096);
    let session = sessions.load(&id).unwrap().unwrap();
    is_too_large(session.insert("c", 1), 4096);
    is_too_large(session.flash("info", "hello"), 4096);
    session.insert("a", "a".repeat(2000)).unwrap();
    session.save().unwrap();
    session.update("a", |a: &mut String| a.truncate(1000)).unwrap();
    session.remove("a").unwrap();
    session.insert("c", 1).unwrap();
    session.save().unwrap();
    assert_eq!(sessions.load(&id).unwrap().unwrap().keys().unwrap(), ["b", "c"]);
}

#[test]
fn in_memory_what_counts_is_how_large_the_sessions_are() {
    let sessions = Sessions::builder().store(|store| store.max_memory(1 << 20)).in_memory();
    let sessions = sessions.unwrap();
    let large = "x".repeat(10_000);
    let refused = (0..200).find_map(|number| {
        let session = sessions.create();
        if number % 2 == 0 {
            session.insert("k", &large).unwrap();
        } else {
            session.flash("info", &*large).unwrap();
        }
        session.save().err().map(|error| (number, error))
    });
    let (number, error) =
        refused.expect("a hundred fit into a mebibyte, and visitors get three quarters");
    assert!(error.is_full(), "{error}");
    assert!((70..=78).contains(&number), "{number} fit");
}

#[test]
fn a_one_shot_value_that_is_kept_as_it_is_has_the_limit_too() {
    for sessions in both(1000) {
        is_too_large(sessions.issue_visible("captcha", "x".repeat(1001), MINUTE, 3), 1000);
        assert_eq!(sessions.peek("captcha").unwrap(), None);
        sessions.issue_visible("captcha", "x".repeat(1000), MINUTE, 3).unwrap();
        // Of this one a digest is kept.
        sessions.issue("link", "x".repeat(5000), MINUTE, 3).unwrap();
    }
}
