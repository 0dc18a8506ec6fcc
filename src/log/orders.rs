//! The log under loom: every order of its locks and atomics, weak memory included.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib orders`. It is the log itself that runs, on
//! a simulated disk. The first segment is there before the orders begin to differ.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::{explore, stop_exploring};

use super::event::Event;
use super::frame::{Group, Op};
use super::recovery::{Start, recover};
use super::segment::{Encoding, Identity, Position};
use super::{Durability, Log, Setup};
use crate::entropy::Entropy;
use crate::fs::layout::{Kind, Name, Numbers, parse};
use crate::id::Key;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{in_every_order, spawn};
use crate::testing::{Failure, Fault, Keep, SimFs, SlowFs};

const UUID: [u8; 16] = [7; 16];

/// A log with one frame in it, on disk, and its disk.
fn log(threadless: bool) -> (Arc<Log>, SlowFs) {
    let fs = SlowFs::new(SimFs::new(1));
    let encoding = Encoding { codec: 1, schema: 0 };
    let log = Log::new(Setup {
        fs: Arc::new(fs.clone()),
        numbers: Arc::new(Numbers::after(0)),
        entropy: Arc::new(Entropy::Seeded(1.into())),
        identity: Identity { uuid: UUID, encoding },
        segment_bytes: 1 << 20,
        position: Position { number: 0, offset: 0, lsn: 0 },
        carry: Vec::new(),
        last_lsn: 0,
        segments: Vec::new(),
        threadless,
    });
    log.append(&group(1)).unwrap();
    log.sync().unwrap();
    (Arc::new(log), fs)
}

fn group(frames: u64) -> Group {
    let mut group = Group::default();
    for number in 0..frames {
        group.add(&Op::Remove(Key::of(number.to_le_bytes())));
    }
    group
}

/// The last LSN of the stream that lies on this disk, which must be whole, and the highest claim
/// of what is durable.
fn last_on(fs: &SimFs) -> (u64, u64) {
    let names = fs.names();
    let logs = names.iter().filter_map(|name| match parse(name) {
        Name::Ours(Kind::Log, number) => Some(number),
        _ => None,
    });
    let start = Start { uuid: UUID, cut: 0, watermark: 0, first_segment: 0 };
    let found = recover(fs, &logs.collect::<Vec<_>>(), start, false).unwrap();
    assert_eq!((found.torn_frames, found.torn_bytes), (0, 0));
    (found.last_lsn, found.watermark)
}

fn in_the_system(fs: &SlowFs) -> u64 {
    last_on(&fs.now().kill()).0
}

fn on_disk(fs: &SlowFs) -> u64 {
    last_on(&fs.now().power_cut(Keep::Nothing)).0
}

#[test]
fn a_notification_reaches_who_waits() {
    in_every_order(None, || {
        let shared = Arc::new((Event::default(), AtomicBool::new(false)));
        explore();
        let other = shared.clone();
        let waiter = spawn(move || other.0.wait(|| other.1.load(Ordering::Relaxed)));
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify();
        waiter.join().unwrap();
    });
}

#[test]
fn a_notification_reaches_two_who_wait() {
    in_every_order(Some(3), || {
        let shared = Arc::new((Event::default(), AtomicBool::new(false)));
        explore();
        let waiters = [shared.clone(), shared.clone()]
            .map(|other| spawn(move || other.0.wait(|| other.1.load(Ordering::Relaxed))));
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// Wakes a thread of the model.
struct Unpark(loom::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until it is ready, asleep in between.
fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(loom::thread::current())));
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => loom::thread::park(),
        }
    }
}

#[test]
fn a_notification_reaches_a_future() {
    in_every_order(None, || {
        let shared = Arc::new((Event::default(), AtomicBool::new(false)));
        explore();
        let other = shared.clone();
        let waiter = spawn(move || {
            block_on(|context| {
                other.0.register(context.waker());
                match other.1.load(Ordering::Relaxed) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
        });
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify();
        waiter.join().unwrap();
    });
}

/// LSNs have no gap, a group has neighbours, and whoever sees the number of what was appended may
/// count on its being in the buffer.
#[test]
fn numbers_have_no_gaps() {
    in_every_order(None, || {
        let (log, fs) = log(true);
        explore();
        let other = log.clone();
        let two = spawn(move || other.append(&group(2)).unwrap());
        let other = log.clone();
        let cut = spawn(move || (other.appended(), other.cut().0));
        let one = log.append(&group(1)).unwrap();
        let (seen, cut) = cut.join().unwrap();
        let two = two.join().unwrap();
        stop_exploring();
        assert!(matches!((one, two), (2, 4) | (4, 3)), "{one} {two}");
        assert!(seen <= cut, "a number may be old, but only rises");
        assert!(cut == 1 || cut == 4 || cut == one.min(two), "never inside a group: {cut}");
        assert_eq!((log.appended(), log.cut().0), (4, 4));
        log.sync().unwrap();
        assert_eq!(on_disk(&fs), 4);
    });
}

/// Who waits for `Process` returns when the system has the frame, and returns.
#[test]
fn writers_share_the_role() {
    in_every_order(Some(3), || {
        let (log, fs) = log(true);
        explore();
        let (other, disk) = (log.clone(), fs.clone());
        let write = |log: &Log, fs: &SlowFs| {
            let lsn = log.append(&group(1)).unwrap();
            log.wait(lsn, Durability::Process).unwrap();
            assert!(in_the_system(fs) >= lsn, "{lsn} was acknowledged");
        };
        let second = spawn(move || write(&other, &disk));
        write(&log, &fs);
        second.join().unwrap();
        assert_eq!(log.written(), 3);
    });
}

/// What is called durable is on disk, at every moment: it was written before the sync began.
#[test]
fn durable_is_what_was_written_before() {
    in_every_order(Some(2), || {
        let (log, fs) = log(true);
        explore();
        let (other, disk) = (log.clone(), fs.clone());
        let syncing = spawn(move || {
            let lsn = other.append(&group(1)).unwrap();
            other.wait(lsn, Durability::Power).unwrap();
            assert!(on_disk(&disk) >= lsn, "{lsn} was acknowledged");
        });
        let (other, disk) = (log.clone(), fs.clone());
        let looking = spawn(move || {
            let (durable, written) = (other.durable(), other.written());
            assert!(written >= durable);
            assert!(on_disk(&disk) >= durable, "{durable} is called durable");
            assert!(in_the_system(&disk) >= written, "{written} is called written");
        });
        let lsn = log.append(&group(1)).unwrap();
        log.wait(lsn, Durability::Process).unwrap();
        syncing.join().unwrap();
        looking.join().unwrap();
        stop_exploring();
        let (last, claimed) = last_on(&fs.now().kill());
        assert!(last == 3 && claimed <= on_disk(&fs), "{claimed} is claimed on disk");
    });
}

/// Two who wait for `Power` share the syncs; the second group goes with the second sync.
#[test]
fn syncers_share_the_role() {
    in_every_order(Some(3), || {
        let (log, fs) = log(true);
        explore();
        let (other, disk) = (log.clone(), fs.clone());
        let sync = |log: &Log, fs: &SlowFs| {
            let lsn = log.append(&group(1)).unwrap();
            log.wait(lsn, Durability::Power).unwrap();
            assert!(on_disk(fs) >= lsn, "{lsn} was acknowledged");
        };
        let second = spawn(move || sync(&other, &disk));
        sync(&log, &fs);
        second.join().unwrap();
    });
}

/// A sync fails while two wait: both are told, and neither waits for ever.
#[test]
fn a_failed_sync_reaches_everybody() {
    in_every_order(Some(4), || {
        let (log, fs) = log(true);
        // The write, then the sync.
        fs.now().fail(Fault { call: 2, failure: Failure::Io, lasting: true });
        explore();
        let (other, disk) = (log.clone(), fs.clone());
        let sync = |log: &Log, fs: &SlowFs| {
            let lsn = log.append(&group(1)).unwrap();
            match log.wait(lsn, Durability::Power) {
                Ok(()) => assert!(on_disk(fs) >= lsn, "{lsn} was acknowledged"),
                Err(error) => assert!(error.is_unknown()),
            }
        };
        let second = spawn(move || sync(&other, &disk));
        sync(&log, &fs);
        second.join().unwrap();
        assert!(log.is_poisoned());
    });
}

/// A frame is refused, or it is durable after the close's sync.
#[test]
fn appended_before_the_close_or_refused() {
    in_every_order(None, || {
        let (log, fs) = log(true);
        explore();
        let other = log.clone();
        let appended = spawn(move || other.append(&group(1)));
        log.close();
        let last = log.appended();
        log.sync().unwrap();
        let appended = appended.join().unwrap();
        stop_exploring();
        match appended {
            Ok(lsn) => assert!(lsn == 2 && last == 2 && on_disk(&fs) == 2),
            Err(error) => assert!(error.is_closed() && last == 1 && on_disk(&fs) == 1),
        }
    });
}

/// A future that waits is woken by the log's own threads, and they end when they are told to.
#[test]
fn a_future_is_served_by_the_threads() {
    in_every_order(Some(3), || {
        let (log, fs) = log(false);
        let threads = log.start(std::time::Duration::from_secs(1)).unwrap();
        explore();
        let lsn = log.append(&group(1)).unwrap();
        block_on(|context| log.poll(lsn, Durability::Power, context)).unwrap();
        assert!(on_disk(&fs) >= lsn, "{lsn} was acknowledged");
        log.stop();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
