//! A disk that stands still in the middle of a write.

use std::io;
use std::sync::{Arc, Condvar};
use std::thread;

use sessile::Durability;

use super::common::{Watch, watched};
use super::support::{Temp, within};
use super::*;

const LASTING: std::ops::Range<u64> = 1 << 40..(1 << 40) + 100;
const VALUE: usize = 4000;
/// What the log's buffer takes before writers wait.
const BUFFER: usize = 8 * MIB;

/// Holds up every write to the log while it is shut.
#[derive(Default)]
struct Stalled {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Stalled {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }
}

impl Watch for Stalled {
    fn write(&self, name: &str) -> io::Result<()> {
        let mut shut = self.shut.lock().unwrap();
        while *shut && name.starts_with("log.") {
            shut = self.opened.wait(shut).unwrap();
        }
        Ok(())
    }
}

/// Lets everybody go, however the test ends.
struct Open<'a>(&'a Stalled);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What became of one writer.
#[derive(Debug, Default)]
struct Writer {
    done: Vec<u64>,
    refused: u64,
    longest: Duration,
}

/// Inserts under its own numbers until it is over; every error must say that there is no room.
fn write_until(over: &AtomicBool, store: &Store<String>, first: u64) -> Writer {
    let mut writer = Writer::default();
    for number in first.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        match store.insert(key(number), "x".repeat(VALUE)) {
            Ok(()) => writer.done.push(number),
            Err(error) if error.is_full() && !error.is_unknown() => writer.refused += 1,
            Err(error) => panic!("{error}"),
        }
        writer.longest = writer.longest.max(began.elapsed());
    }
    writer
}

fn stalled_for(stall: Duration) {
    let temp = Temp::new();
    std::fs::DirBuilder::new().create(temp.path()).unwrap();
    temp.set_mode(0o700);
    let disk = Arc::new(Stalled::default());
    let store = Store::<String>::builder().open_fs(watched(temp.path(), disk.clone())).unwrap();
    for number in LASTING {
        store.insert(key(number), "lasting".into()).unwrap();
    }
    let memory = store.at(Durability::Memory);
    let over = AtomicBool::new(false);
    let before = heap::held();
    heap::take_peak();
    let (fast, slow, longest_read, peak, during) = thread::scope(|scope| {
        let over = Over(&over);
        let _open = Open(&disk);
        disk.set(true);
        let reader = scope.spawn(|| read_until(over.0, &store, LASTING));
        let fast: Vec<_> = (0..2)
            .map(|n: u64| {
                let memory = &memory;
                let over = over.0;
                scope.spawn(move || write_until(over, memory, n << 32))
            })
            .collect();
        let slow = scope.spawn(|| write_until(over.0, &store, 9 << 32));
        thread::sleep(stall);
        let peak = heap::take_peak().saturating_sub(before);
        // Whoever watches the store is not held up either.
        let asked = Instant::now();
        let during = store.stats();
        let answered = asked.elapsed();
        disk.set(false);
        assert!(answered < READ_MAX, "{answered:?}");
        // It goes on by itself.
        let written = during.disk.unwrap().lsn_appended;
        let began = Instant::now();
        while store.stats().disk.unwrap().lsn_written < written + 10 {
            assert!(began.elapsed() < LIMIT / 4, "{:?}", store.stats());
            thread::sleep(Duration::from_millis(1));
        }
        drop(over);
        let fast: Vec<Writer> = fast.into_iter().map(|writer| writer.join().unwrap()).collect();
        let (_, longest) = reader.join().unwrap();
        (fast, slow.join().unwrap(), longest, peak, store.stats())
    });
    let refused: u64 = fast.iter().map(|writer| writer.refused).sum();
    let longest = fast.iter().map(|writer| writer.longest).max().unwrap();
    println!(
        "a stall of {stall:?}: the longest read {longest_read:?}; at most {} MiB; writers at \
         `Memory` waited {longest:?} and were refused {refused} times, one at `Process` waited \
         {:?} and was refused {} times; {:?}",
        peak / MIB,
        slow.longest,
        slow.refused,
        during.memory_bytes
    );
    assert!(longest_read < READ_MAX, "{longest_read:?}");
    // The values in the map, the buffer, twice its size while it grows, and its other half.
    assert!(peak > BUFFER, "writers at `Memory` went on until the buffer was full: {peak}");
    assert!(peak < 5 * BUFFER, "{peak}");
    for number in fast.iter().flat_map(|writer| &writer.done).chain(&slow.done) {
        assert!(store.peek(&key(*number)).unwrap().is_some(), "{number} was accepted");
    }
    assert_eq!(refused > 0, stall > Duration::from_secs(5), "{refused} refused");
    store.close().unwrap();
}

#[test]
fn a_disk_that_stalls_holds_up_writers_and_no_reader() {
    let _alone = alone();
    within(LIMIT, || stalled_for(Duration::from_secs(2)));
}

#[test]
fn a_disk_that_stalls_for_long_refuses_writers_by_name() {
    let _alone = alone();
    if !is_full_form() {
        println!("skipped: SESSILE_FULL is not set");
        return;
    }
    within(LIMIT, || stalled_for(Duration::from_secs(7)));
}
