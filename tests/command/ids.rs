//! Ids are never shown: whatever the command is asked, none of them is in what it says.

use sessile::session::Sessions;
use sessile::{Id, Key};

use crate::dump::hex;
use crate::support::Temp;
use crate::{at, builder, sessile, sessile_with};

#[test]
fn no_output_holds_an_id() {
    let (temp, of_sessions) = (Temp::new(), Temp::new());
    let store = builder().open(temp.path()).unwrap();
    let ids: Vec<Id> = (0..50).map(|_| Id::new().unwrap()).collect();
    for (number, id) in ids.iter().enumerate() {
        store.insert(id.key(), format!("value {number}")).unwrap();
        if number == 25 {
            store.flush().unwrap();
        }
    }
    let sessions = Sessions::builder().open(of_sessions.path()).unwrap();
    let id = logged_in(&sessions);
    let path = temp.path().to_str().unwrap().to_owned();
    let sessions_path = of_sessions.path().to_str().unwrap().to_owned();
    let mut said = Vec::new();
    for path in [&path, &sessions_path] {
        for command in ["stat", "verify", "keys"] {
            said.push(sessile(&[command, path]));
            said.push(sessile(&[command, path, "--json", "--expired"]));
            said.push(sessile(&[command, path, "--json"]));
        }
    }
    for (path, id) in ids.iter().map(|id| (&path, id)).chain([(&sessions_path, &id)]) {
        let found = sessile_with(&["get", path, "-"], id.expose()).with(0);
        assert!(found.out.contains(&hex(&id.key().to_bytes())), "{found:?}");
        said.push(found);
        said.push(
            sessile_with(&["get", path, "-", "--json"], &format!("{}\n", id.expose())).with(0),
        );
        // In the wrong places.
        said.push(sessile(&["get", path, id.expose()]).with(2));
        said.push(sessile(&["get", path, "--", id.expose()]).with(2));
        said.push(sessile(&["get", id.expose(), "-"]));
        said.push(sessile(&[id.expose()]).with(2));
        said.push(sessile(&["stat", path, &format!("--{}", id.expose())]).with(2));
    }
    for ended in &said {
        for id in ids.iter().chain([&id]) {
            // A directory by that name is one that the user has named.
            let path = format!("/{}", id.expose());
            let text = format!("{}{}", ended.out, ended.err).replace(&path, "/");
            assert!(!text.contains(id.expose()), "an id is in it");
        }
    }
    assert!(said.len() > 300);
}

/// A session with something of everything in it.
fn logged_in(sessions: &Sessions) -> Id {
    let session = sessions.create();
    session.login("ada").unwrap();
    session.insert("cart", ["tea", "\u{1b}[31mred\u{9b}1m"]).unwrap();
    session.save().unwrap().unwrap()
}

#[test]
fn a_session_of_ours_is_shown_with_its_dictionary_and_nothing_that_a_terminal_obeys() {
    let temp = Temp::new();
    let sessions = Sessions::builder().open(temp.path()).unwrap();
    let id = logged_in(&sessions);
    let ended = sessile_with(&["get", temp.path().to_str().unwrap(), "-", "--json"], id.expose());
    let report = ended.with(0).json();
    let value = &report["value"];
    assert_eq!((&value["kind"], &value["subject"]), (&"session".into(), &"ada".into()));
    assert_eq!(value["data"]["cart"][0], "tea");
    assert_eq!(value["data"]["cart"][1], "\u{1b}[31mred\u{9b}1m");
    let text = sessile_with(&["get", temp.path().to_str().unwrap(), "-"], id.expose()).with(0).out;
    assert!(text.contains("\\u001b[31mred\\u009b1m"), "{text}");
    assert!(!text.contains(|letter: char| letter != '\n' && letter.is_control()), "{text}");
    let owners = at("keys", temp.path(), &["--json"]).with(0).lines();
    assert_eq!(owners.len(), 2, "the session, and the list of its owner's");
}

#[test]
fn a_name_that_is_no_id_is_found_by_it_too() {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    store.insert(Key::of("captcha/8f2c"), "x".to_owned()).unwrap();
    let path = temp.path().to_str().unwrap();
    sessile_with(&["get", path, "-"], "captcha/8f2c\n").with(0);
    sessile_with(&["get", path, "-"], "captcha/8f2d\n").with(3);
    sessile_with(&["get", path, "-"], "\n").with(2);
    sessile_with(&["get", path, "-"], &"x".repeat(5000)).with(2);
}
