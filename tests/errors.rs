//! What a store answers to input that it cannot take: the right class of error, the facts as
//! data, a message to act on, and nothing changed.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]
#![cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use sessile::{Background, Builder, Durability, Error, Expiry, Permissions, Store, Timestamp};
use support::{Temp, block_on, child, job, key, within};

const LIMIT: Duration = Duration::from_secs(60);

fn builder() -> Builder<String> {
    Store::builder()
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A directory with a store of a few sessions in it, closed.
fn filled() -> Temp {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    (0..5).for_each(|number| store.insert(key(number), text("value")).unwrap());
    store.close().unwrap();
    temp
}

#[track_caller]
fn check_filled(temp: &Temp) {
    let store = builder().open(temp.path()).unwrap();
    (0..5).for_each(|number| assert!(store.peek(&key(number)).unwrap().is_some()));
    assert_eq!(store.count().unwrap(), 5);
}

#[track_caller]
fn mentions(error: &Error, words: &[&str]) {
    let message = error.to_string();
    words.iter().for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
}

#[test]
fn a_directory_in_use_by_this_process_is_locked() {
    let temp = filled();
    let first = builder().open(temp.path()).unwrap();
    let before = temp.contents();
    let error = builder().open(temp.path()).unwrap_err();
    assert!(error.is_locked(), "{error:?}");
    assert_eq!(error.path(), Some(temp.path()));
    mentions(&error, &["this process", "clone"]);
    assert_eq!(temp.contents(), before);
    // Any other way to name it is the same directory.
    let roundabout = temp.path().join("..").join(temp.path().file_name().unwrap());
    assert!(builder().open(roundabout).unwrap_err().is_locked());
    drop(first);
    check_filled(&temp);
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn holder() {
    let Some(path) = job() else { return };
    let store = builder().open(path).unwrap();
    println!("\nopen");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    if line.is_empty() {
        std::process::abort();
    }
    store.close().unwrap();
}

#[test]
fn a_directory_in_use_by_another_process_is_locked_until_that_one_ends() {
    let temp = filled();
    for ends_well in [true, false] {
        let mut other = child("holder", temp.path().to_str().unwrap()).spawn().unwrap();
        let lines = BufReader::new(other.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "open"));
        let before = temp.contents();
        let error = builder().open(temp.path()).unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        mentions(
            &error,
            &[&other.id().to_string(), "wait_for_lock", temp.path().to_str().unwrap()],
        );
        assert_eq!(temp.contents(), before);
        let path = temp.path().to_path_buf();
        let waiting = std::thread::spawn(move || builder().wait_for_lock(LIMIT).open(path));
        if ends_well {
            use std::io::Write;
            other.stdin.take().unwrap().write_all(b"end\n").unwrap();
        } else {
            other.kill().unwrap();
        }
        let store = waiting.join().unwrap().unwrap();
        assert_eq!(store.count().unwrap(), 5);
        other.wait().unwrap();
    }
}

#[test]
fn cve_2020_24583_cve_2020_24584_a_missing_directory_is_made_for_its_owner_alone() {
    let temp = Temp::new();
    let inner = temp.path().join("a/b");
    drop(builder().open(&inner).unwrap());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o7777, 0o700);
    for entry in fs::read_dir(&inner).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_directory_that_others_may_enter_is_closed_if_empty_and_refused_if_not() {
    let temp = Temp::new();
    fs::create_dir(temp.path()).unwrap();
    temp.set_mode(0o755);
    drop(builder().open(temp.path()).unwrap());
    assert_eq!(temp.mode(), 0o700);

    let temp = filled();
    temp.set_mode(0o750);
    let before = temp.contents();
    let error = builder().open(temp.path()).unwrap_err();
    let path = temp.path().to_str().unwrap();
    mentions(&error, &["0750", path, "chmod 700", "Fix", "Any"]);
    assert_eq!(error.path(), Some(temp.path()));
    assert_eq!((temp.mode(), temp.contents()), (0o750, before));

    drop(builder().permissions(Permissions::Any).open(temp.path()).unwrap());
    assert_eq!(temp.mode(), 0o750);
    drop(builder().permissions(Permissions::Fix).open(temp.path()).unwrap());
    assert_eq!(temp.mode(), 0o700);
    check_filled(&temp);
}

#[test]
fn a_file_where_the_directory_should_be_is_left_alone() {
    let temp = Temp::new();
    fs::write(temp.path(), "mine").unwrap();
    for path in [temp.path().to_path_buf(), temp.path().join("below")] {
        let error = builder().open(&path).unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
        mentions(&error, &[temp.path().to_str().unwrap(), "file"]);
    }
    assert_eq!(fs::read(temp.path()).unwrap(), b"mine");
    fs::remove_file(temp.path()).unwrap();
}

#[test]
fn a_file_system_that_takes_nothing_is_an_error_with_path_and_cause() {
    let error = builder().open("/proc/self/sessile").unwrap_err();
    assert!(error.path().is_some() && std::error::Error::source(&error).is_some(), "{error:?}");
    mentions(&error, &["/proc/self/sessile"]);
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn nobody() {
    let Some(path) = job() else { return };
    let error = builder().open(path).unwrap_err();
    println!("\nerror {} {error}", error.path().is_some());
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let temp = filled();
    let before = temp.contents();
    // The child must be able to read the binary.
    let binary = Temp::new();
    fs::copy(std::env::current_exe().unwrap(), binary.path()).unwrap();
    for (mode, words) in [(0o700, ["may not", "install -d"]), (0o755, ["belongs to", "chown"])] {
        temp.set_mode(mode);
        let output = std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(binary.path())
            .args(["nobody", "--exact", "--ignored", "--nocapture"])
            .env("SESSILE_JOB", temp.path())
            .output();
        let output = match output {
            Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
            other => return println!("skipped: no setpriv, or not allowed to use it: {other:?}"),
        };
        let error = output.lines().find_map(|line| line.strip_prefix("error true "));
        let error = error.unwrap_or_else(|| panic!("{output}"));
        for word in words.iter().chain([&temp.path().to_str().unwrap()]) {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
    let _ = fs::remove_file(binary.path());
    temp.set_mode(0o700);
    assert_eq!(temp.contents(), before);
    check_filled(&temp);
}

#[test]
fn a_value_that_is_too_large_changes_nothing() {
    let temp = Temp::new();
    let store = builder().max_value_bytes(1000).open(temp.path()).unwrap();
    store.insert(key(1), text("small")).unwrap();
    let lsn = store.stats().disk.unwrap().lsn_appended;
    let large = "x".repeat(5000);
    let results = [
        store.insert(key(1), large.clone()),
        store.insert(key(2), large.clone()),
        store.create(key(2), large.clone()).map(drop),
        store.update(&key(1), |value| value.push_str(&large)).map(drop),
        store.transact(&[key(3), key(1)], |slots| {
            slots.set(0, text("fits"));
            slots.set(1, large.clone());
        }),
        block_on(store.insert_async(key(2), large.clone())),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(error.is_too_large() && !error.is_unknown(), "{error:?}");
        mentions(&error, &["50", "1000", "max_value_bytes"]);
    }
    let many: Vec<_> = (0..1025).map(key).collect();
    assert!(store.transact(&many, |_| ()).unwrap_err().is_config());
    assert!(store.transact(&[key(1), key(1)], |_| ()).unwrap_err().is_config());
    assert_eq!(store.stats().disk.unwrap().lsn_appended, lsn);
    assert_eq!(store.peek(&key(1)).unwrap().unwrap().as_str(), "small");
    assert_eq!(store.count().unwrap(), 1);
    store.insert(key(2), "x".repeat(900)).unwrap();
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let zero = Duration::ZERO;
    let ages = Duration::from_secs(u64::MAX / 2);
    type Set = fn(Builder<String>, Duration) -> Builder<String>;
    let cases: [(&str, Set, Duration); 6] = [
        ("idle", Builder::idle, zero),
        ("idle", Builder::idle, ages),
        ("absolute", Builder::absolute, zero),
        ("absolute", Builder::absolute, ages),
        ("sync_every", Builder::sync_every, zero),
        ("sync_every", Builder::sync_every, ages),
    ];
    let durations = cases.map(|(name, set, value)| (name, set(builder(), value)));
    let numbers = [
        ("max_memory", builder().max_memory(0)),
        ("max_memory", builder().max_memory(u64::MAX)),
        ("max_sessions", builder().max_sessions(0)),
        ("max_value_bytes", builder().max_value_bytes(0)),
        ("max_value_bytes", builder().max_value_bytes(usize::MAX)),
        ("expected_sessions", builder().expected_sessions(0)),
        ("expected_sessions", builder().expected_sessions(usize::MAX)),
        ("flush_bytes", builder().flush_bytes(0)),
        ("flush_bytes", builder().flush_bytes(u64::MAX)),
        ("segment_bytes", builder().segment_bytes(0)),
        ("segment_bytes", builder().segment_bytes(u64::MAX)),
        ("merge_bytes_per_second", builder().merge_bytes_per_second(0)),
    ];
    for (name, builder) in durations.into_iter().chain(numbers) {
        let temp = Temp::new();
        let error = builder.open(temp.path()).unwrap_err();
        assert!(error.is_config(), "{error:?}");
        mentions(&error, &[name]);
        assert!(!temp.path().exists(), "nothing has been made");
    }
    let store = builder().in_memory().unwrap();
    for expiry in [Expiry::Idle(zero), Expiry::After(zero), Expiry::After(ages)] {
        assert!(store.insert_with(key(1), text(""), expiry).unwrap_err().is_config(), "{expiry:?}");
    }
    assert!(store.peek(&key(1)).unwrap().is_none());
}

/// Everything that can be called, with what it answers.
fn every_call(store: &Store<String>) -> Vec<(&'static str, Option<Error>)> {
    let (a, b) = (key(1), key(2));
    let expiry = Expiry::After(LIMIT);
    let some = || text("some");
    vec![
        ("get", store.get(&a).err()),
        ("peek", store.peek(&a).err()),
        ("insert", store.insert(a, some()).err()),
        ("insert_with", store.insert_with(a, some(), expiry).err()),
        ("create", store.create(a, some()).err()),
        ("create_with", store.create_with(a, some(), expiry).err()),
        ("update", store.update(&a, |_| ()).err()),
        ("take", store.take(&a).err()),
        ("remove", store.remove(&a).err()),
        ("rename", store.rename(&a, &b).err()),
        ("transact", store.transact(&[a, b], |_| ()).err()),
        ("set_expiry", store.set_expiry(&a, expiry).err()),
        ("deadline", store.deadline(&a).err()),
        ("count", store.count().err()),
        ("iter", store.iter().next().and_then(Result::err)),
        ("clear", store.clear().err()),
        ("sync", store.sync().err()),
        ("flush", store.flush().err()),
        ("merge", store.merge().err()),
        ("heal", store.heal().err()),
        ("insert_async", block_on(store.insert_async(a, some())).err()),
        ("insert_with_async", block_on(store.insert_with_async(a, some(), expiry)).err()),
        ("create_async", block_on(store.create_async(a, some())).err()),
        ("create_with_async", block_on(store.create_with_async(a, some(), expiry)).err()),
        ("update_async", block_on(store.update_async(&a, |_| ())).err()),
        ("take_async", block_on(store.take_async(&a)).err()),
        ("remove_async", block_on(store.remove_async(&a)).err()),
        ("rename_async", block_on(store.rename_async(&a, &b)).err()),
        ("transact_async", block_on(store.transact_async(&[a, b], |_| ())).err()),
        ("set_expiry_async", block_on(store.set_expiry_async(&a, expiry)).err()),
        ("clear_async", block_on(store.clear_async()).err()),
        ("sync_async", block_on(store.sync_async()).err()),
        ("count_async", block_on(store.count_async()).err()),
        ("flush_async", block_on(store.flush_async()).err()),
        ("merge_async", block_on(store.merge_async()).err()),
        ("heal_async", block_on(store.heal_async()).err()),
        ("close_async", block_on(store.close_async()).err()),
        ("close", store.close().err()),
    ]
}

#[test]
fn after_close_every_handle_answers_that_it_is_closed() {
    let temp = filled();
    let memory = builder().in_memory().unwrap();
    for store in [builder().open(temp.path()).unwrap(), memory] {
        let (clone, other) = (store.clone(), store.at(Durability::Memory));
        let mut iter = store.iter();
        store.close().unwrap();
        assert!(iter.next().is_some_and(|next| next.unwrap_err().is_closed()));
        for handle in [&store, &clone, &other] {
            for (name, error) in every_call(handle) {
                let error = error.unwrap_or_else(|| panic!("{name} worked after close"));
                assert!(error.is_closed() && !error.is_unknown(), "{name}: {error:?}");
            }
            let _ = (handle.stats(), handle.len(), format!("{handle:?}"));
        }
    }
    check_filled(&temp);
}

#[test]
fn calls_from_inside_a_closure_are_errors_and_no_deadlocks() {
    within(LIMIT, || {
        let temp = filled();
        let store = builder().open(temp.path()).unwrap();
        let other = builder().in_memory().unwrap();
        let check = |calls: Vec<(&str, Option<Error>)>| {
            for (name, error) in calls {
                let error = error.unwrap_or_else(|| panic!("{name} worked inside a closure"));
                assert!(error.is_reentrant() && !error.is_unknown(), "{name}: {error:?}");
            }
        };
        store.update(&key(1), |_| check(every_call(&store))).unwrap().unwrap();
        store.transact(&[key(1), key(9)], |_| check(every_call(&store))).unwrap();
        store.update(&key(1), |_| check(every_call(&other))).unwrap().unwrap();
        drop(store);
        check_filled(&temp);
    });
}

#[test]
fn the_last_handle_of_another_store_may_go_inside_a_closure() {
    let (temp, outer) = (filled(), builder().in_memory().unwrap());
    outer.insert(key(1), text("value")).unwrap();
    let inner = builder().open(temp.path()).unwrap();
    outer.update(&key(1), move |_| drop(inner)).unwrap().unwrap();
    check_filled(&temp);
}

#[test]
fn unknown_and_leftover_files_are_left_alone_and_reported() {
    let temp = filled();
    let strangers = ["notes.txt", "log.1", "base.000000000001.bak", "manifest.tmp"];
    strangers.iter().for_each(|name| fs::write(temp.path().join(name), "mine").unwrap());
    fs::create_dir(temp.path().join("folder")).unwrap();
    let leftovers = ["base.000000000900.tmp", "manifest.000000000901.tmp", "log.000000000902.tmp"];
    leftovers.iter().for_each(|name| fs::write(temp.path().join(name), "half").unwrap());
    let store = builder().background(Background::Callers).open(temp.path()).unwrap();
    let reported = store.stats().disk.unwrap().recovery.unknown_files;
    for name in strangers.iter().chain(&["folder"]) {
        assert!(reported.iter().any(|known| known == name), "{name} is not in {reported:?}");
    }
    leftovers
        .iter()
        .for_each(|name| assert!(temp.path().join(name).exists(), "opening removes nothing"));
    store.insert(key(7), text("new")).unwrap();
    store.flush().unwrap();
    leftovers.iter().for_each(|name| assert!(!temp.path().join(name).exists(), "{name} is ours"));
    strangers.iter().for_each(|name| assert!(temp.path().join(name).exists(), "{name} is not"));
    let highest = temp.names("base.").pop().unwrap();
    assert!(highest.as_str() > "base.000000000902", "numbers are never used twice: {highest}");
    store.remove(&key(7)).unwrap();
    store.close().unwrap();
    check_filled(&temp);
}

#[test]
fn an_expiry_that_has_passed_ends_the_session_at_once() {
    let store = builder().in_memory().unwrap();
    let past = Expiry::At(Timestamp::from_millis(1));
    match store.insert_with(key(1), text("value"), past) {
        Ok(()) => assert!(store.get(&key(1)).unwrap().is_none()),
        Err(error) => assert!(error.is_config(), "{error:?}"),
    }
    store.insert(key(1), text("value")).unwrap();
    match store.set_expiry(&key(1), past) {
        Ok(found) => assert!(found && store.get(&key(1)).unwrap().is_none()),
        Err(error) => assert!(error.is_config(), "{error:?}"),
    }
}
