//! A directory in use: read from what is on disk, nothing held up, nothing made up.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sessile::{Durability, Store};

use crate::support::{Temp, child, job, key};
use crate::{at, builder};

#[test]
fn a_store_that_is_open_is_read_and_said_to_be_in_use() {
    let temp = Temp::new();
    let store = builder().open(temp.path()).unwrap();
    (0..10).for_each(|number| store.insert(key(number), "in a base".to_owned()).unwrap());
    store.flush().unwrap();
    store.insert(key(10), "in the log".to_owned()).unwrap();
    let report = at("stat", temp.path(), &["--json"]).with(0).json();
    assert_eq!(report["process"], std::process::id());
    assert_eq!((&report["warm"], &report["cold"]), (&1.into(), &10.into()));
    assert!(report["left_out"].as_str().unwrap().contains("touches"), "{report}");
    let text = at("stat", temp.path(), &[]).with(0).out;
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    for command in ["verify", "keys"] {
        let ended = at(command, temp.path(), &["--json"]).with(0);
        assert!(format!("{}{}", ended.out, ended.err).contains("left out"), "{ended:?}");
    }
    store.insert(key(11), "afterwards".to_owned()).unwrap();
    store.close().unwrap();
    let report = at("stat", temp.path(), &["--json"]).with(0).json();
    assert_eq!((&report["process"], &report["left_out"]), (&().into(), &().into()));
    assert_eq!(report["sessions"], 12);
}

#[test]
fn whoever_opens_the_store_while_it_is_looked_at_gets_it() {
    let temp = crate::filled();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let ended = at("stat", temp.path(), &["--json"]);
                assert_eq!(ended.code, 0, "{ended:?}");
            }
        });
        // Never a `wait_for_lock`: a look that took the lock would be met sooner or later.
        for _ in 0..100 {
            builder().open(temp.path()).unwrap().close().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A process that ends with the test, however that ends.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A store in a process of its own that writes, flushes and merges as fast as it can.
#[test]
#[ignore = "a process of the test below"]
fn busy_child() {
    let Some(path) = job() else { return };
    let store: Store<String> = Store::builder()
        .flush_bytes(64 << 10)
        .segment_bytes(16 << 10)
        .durability(Durability::Process)
        .open(&path)
        .unwrap();
    for number in 0_u64.. {
        // Some of them always there, which is what the reader looks for.
        let key = key(if number % 2 == 0 { number / 2 % 50 } else { 1000 + number % 500 });
        if number % 2 == 1 && number % 7 == 0 {
            store.remove(&key).unwrap();
        } else {
            store.insert(key, "x".repeat(100 + (number % 300) as usize)).unwrap();
        }
        if number == 200 {
            println!("busy");
        }
    }
}

#[test]
fn a_store_that_is_written_all_the_time_is_never_said_to_be_damaged() {
    let temp = Temp::new();
    let mut busy = child("in_use::busy_child", temp.path().to_str().unwrap());
    let mut busy = Busy(busy.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(busy.0.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("busy")));
    let always: Vec<String> = (0..50).map(|number| hex(&key(number).to_bytes())).collect();
    let (mut first, mut last) = (u64::MAX, 0);
    for _ in 0..40 {
        let ended = at("stat", temp.path(), &["--json"]).with(0).json();
        let lsn = ended["lsn"]["last"].as_u64().unwrap();
        assert!(lsn >= last, "an earlier state: {lsn}, {last}");
        (first, last) = (first.min(lsn), lsn);
        let listed = at("keys", temp.path(), &["--json"]).with(0).out;
        assert!(always.iter().all(|key| listed.contains(key)));
        at("verify", temp.path(), &["--json"]).with(0);
    }
    assert!(last > first, "it was busy");
    drop(busy);
    at("verify", temp.path(), &[]).with(0);
    let names = fs::read_dir(temp.path()).unwrap().count();
    assert!(names > 3, "{names}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
