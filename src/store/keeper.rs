//! The store's own threads, and what they do: time and wheels, flush, merge.
//!
//! With a clock that is moved by hand there are none of them for time; whoever moves the clock
//! does the work.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Listener, thread_busy_ms};
use crate::error::Result;
use crate::limits::{CLOCK_MARK_MS, KEEPER_PERIOD_MS};
use crate::log::frame::{Group, Op};
use crate::metrics::count;
use crate::store::disk::Disk;
use crate::store::engine::Engine;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Builder, JoinHandle};
use crate::sync::{Mutex, Receiver, Sender, bounded};

/// Of every period, the wheels may take a quarter, of one processor.
const WHEEL_MS: u64 = KEEPER_PERIOD_MS / 4;
/// Milliseconds after which a failed flush or merge is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps one store going. Ends its threads when it is stopped.
#[derive(Default)]
pub(crate) struct Keeper {
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Mutex<Option<Sender<()>>>,
    stopping: Arc<AtomicBool>,
}

/// When a mark was last written, and what for.
#[derive(Default)]
pub(crate) struct Marks {
    at_ms: i64,
    expired: u64,
    claimed: u64,
}

impl Keeper {
    /// Starts what the store needs. `sync_every`: `None` starts no threads at all.
    pub(crate) fn start<V>(
        engine: &Arc<Engine<V>>,
        sync_every: Option<Duration>,
    ) -> io::Result<Keeper>
    where
        V: Clone + Send + Sync + 'static,
    {
        let keeper = Keeper::default();
        let started = keeper.start_all(engine, sync_every);
        if started.is_err() {
            keeper.stop(engine);
        }
        started.map(|()| keeper)
    }

    fn start_all<V>(&self, engine: &Arc<Engine<V>>, sync_every: Option<Duration>) -> io::Result<()>
    where
        V: Clone + Send + Sync + 'static,
    {
        let listener: Arc<dyn Listener> = engine.clone();
        let by_hand = engine.time.clock().clone().subscribe(Arc::downgrade(&listener));
        let Some(sync_every) = sync_every else { return Ok(()) };
        let (stop, stopped) = bounded(0);
        *self.stop.lock() = Some(stop);
        if !by_hand {
            let (engine, stopped) = (engine.clone(), stopped.clone());
            self.spawn("sessile-time", move || time_loop(&engine, &stopped))?;
        }
        let Some(disk) = &engine.disk else { return Ok(()) };
        self.threads.lock().extend(disk.log.start(sync_every)?);
        for (name, job) in [("sessile-flush", Job::Flush), ("sessile-merge", Job::Merge)] {
            let (engine, stopped) = (engine.clone(), stopped.clone());
            let stopping = self.stopping.clone();
            self.spawn(name, move || work_loop(&engine, job, &stopped, &stopping))?;
        }
        Ok(())
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = Builder::new().name(name.into()).spawn(body)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Ends the threads and waits for them. A thread of the store's own does not wait for itself.
    pub(crate) fn stop<V>(&self, engine: &Engine<V>) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.stop.lock().take());
        if let Some(disk) = &engine.disk {
            disk.log.stop();
            disk.want_flush();
            disk.want_merge();
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                // One that panicked has said so itself; there is nothing to add here.
                let _ = thread.join();
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Job {
    Flush,
    Merge,
}

fn time_loop<V: Clone>(engine: &Engine<V>, stopped: &Receiver<()>) {
    let clock = engine.time.clock();
    let (mut turn, mut began) = (0, clock.boot_ms());
    loop {
        let passed = clock.boot_ms().saturating_sub(began);
        let rest = Duration::from_millis(KEEPER_PERIOD_MS.saturating_sub(passed));
        if !stopped.recv_timeout(rest).is_err_and(|error| error.is_timeout()) {
            return;
        }
        (turn, began) = (turn + 1, clock.boot_ms());
        // Users' code may panic; time must not stand still for it.
        let _ = catch_unwind(AssertUnwindSafe(|| time_round(engine, turn)));
    }
}

fn time_round<V: Clone>(engine: &Engine<V>, turn: u64) {
    let began = thread_busy_ms();
    engine.shrink_one(turn);
    engine.time.advance();
    engine.tell_who_waits();
    let complete = engine.turn(|| thread_busy_ms().saturating_sub(began) >= WHEEL_MS);
    engine.log_returned();
    engine.sweep(1 << 16);
    if complete {
        engine.mark();
    }
    engine.ask_for_work();
}

fn work_loop<V: Clone>(
    engine: &Engine<V>,
    job: Job,
    stopped: &Receiver<()>,
    stopping: &AtomicBool,
) {
    let Some(disk) = &engine.disk else { return };
    let wanted = match job {
        Job::Flush => disk.flush_wanted(),
        Job::Merge => disk.merge_wanted(),
    };
    loop {
        // Whoever stops the threads asks for work too, after saying so.
        if wanted.recv().is_err() || stopping.load(Ordering::SeqCst) {
            return;
        }
        let done = match job {
            Job::Flush => engine.flush_in_background(disk),
            Job::Merge => engine.merge_if_due(),
        };
        match done {
            Ok(()) => *disk.background_error.lock() = None,
            Err(error) if error.is_closed() => {}
            Err(error) => {
                count(&engine.counters.background_errors);
                *disk.background_error.lock() = Some(error);
                if !stopped.recv_timeout(RETRY).is_err_and(|error| error.is_timeout()) {
                    return;
                }
            }
        }
    }
}

impl<V: Clone> Engine<V> {
    fn flush_in_background(&self, disk: &Disk) -> Result<()> {
        if disk.log.is_poisoned() {
            // Nothing more is acknowledged; the operator must decide to heal.
            return Ok(());
        }
        self.flush()?;
        if self.is_merge_due(disk) {
            disk.want_merge();
        }
        Ok(())
    }

    /// Asks for a flush or merge if one is due, and lets clean values leave a full memory.
    fn ask_for_work(&self) {
        let Some(disk) = &self.disk else { return };
        if disk.log_bytes() >= disk.flush_bytes {
            disk.want_flush();
        }
        if self.is_merge_due(disk) {
            disk.want_merge();
        }
        for _ in 0..64 {
            if !self.is_over_memory() || self.evict(16) == 0 {
                break;
            }
        }
    }

    /// Futures that wait for room look whether their time is over.
    fn tell_who_waits(&self) {
        if let Some(disk) = &self.disk {
            disk.waits.notify();
        }
    }

    fn has_no_bases(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| disk.bases().layers.is_empty())
    }

    /// Writes the time into the log when it says something new: that deadlines have passed, that
    /// what was acknowledged is on disk, or, rarely, only that the store lives.
    fn mark(&self) {
        let Some(log) = self.log() else { return };
        let mut marks = self.marks.lock();
        let now_ms = self.time.wall().as_millis();
        let expired = self.counters.expired.load(Ordering::Relaxed);
        let durable = log.durable();
        // The mark's own frame is not worth another one.
        let unclaimed = durable > marks.claimed && durable == log.appended();
        let passed = now_ms.saturating_sub(marks.at_ms);
        // What is in the bases alone ends too, and nobody files it.
        let lives = || self.map.len() > 0 || !self.has_no_bases();
        let due = unclaimed || expired != marks.expired || (passed >= CLOCK_MARK_MS && lives());
        if !due || self.time.is_suspect() {
            return;
        }
        let mut group = Group::default();
        group.add(&Op::Mark(self.time.mark().as_millis()));
        if let Ok(lsn) = log.append(&group) {
            *marks = Marks { at_ms: now_ms, expired, claimed: lsn };
        }
    }
}

impl<V: Clone + Send + Sync> Listener for Engine<V> {
    fn moved(&self) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        self.tell_who_waits();
        self.look_at_all_due();
        self.log_returned();
        self.sweep(usize::MAX);
        self.mark();
    }
}
