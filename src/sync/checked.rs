//! What stands for locks and channels while a checker chooses the order of things.
//!
//! Gives loom's and shuttle's primitives the shape that the rest of the crate knows. Time does not
//! pass here: no wait ends by a timeout, so a wake-up that is lost shows as a deadlock.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LockResult, PoisonError, TryLockError};
use std::time::Duration;

use crossbeam_channel::{RecvError, RecvTimeoutError, TrySendError};

#[cfg(loom)]
use loom as checker;
#[cfg(not(loom))]
use shuttle as checker;

pub(crate) use checker::hint::spin_loop;
pub(crate) use checker::sync::atomic;

/// Threads of the checker.
pub(crate) mod thread {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::checker;
    pub(crate) use checker::thread::yield_now;
    pub(crate) use checker::thread::{Builder, JoinHandle, current};

    /// One: the number of stripes must be the same on every machine.
    pub(crate) fn available_parallelism() -> std::io::Result<NonZeroUsize> {
        Ok(NonZeroUsize::MIN)
    }

    /// Lets the others go on.
    pub(crate) fn sleep(_: Duration) {
        checker::thread::yield_now();
    }
}

/// As `std::thread_local`.
macro_rules! local {
    ($(static $name:ident: $type:ty = $init:expr;)*) => {
        $crate::sync::checker_thread_local! { $(static $name: $type = $init;)* }
    };
}
pub(crate) use local as thread_local;
#[cfg(loom)]
pub(crate) use loom::thread_local as checker_thread_local;
#[cfg(not(loom))]
pub(crate) use shuttle::thread_local as checker_thread_local;

fn whole<G>(locked: LockResult<G>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
}

/// As `parking_lot::Mutex`.
#[derive(Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

/// As `parking_lot::MutexGuard`. Empty only while a [`Condvar`] waits with it.
pub(crate) struct MutexGuard<'a, T>(Option<checker::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(checker::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(whole(self.0.lock())))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard(Some(guard))),
            Err(TryLockError::Poisoned(poisoned)) => Some(MutexGuard(Some(poisoned.into_inner()))),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(guard) => guard,
            None => unreachable!("the guard is with a condition variable"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(guard) => guard,
            None => unreachable!("the guard is with a condition variable"),
        }
    }
}

/// As `parking_lot::Condvar`.
#[derive(Default)]
pub(crate) struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(taken) = guard.0.take() {
            guard.0 = Some(whole(self.0.wait(taken)));
        }
    }

    pub(crate) fn wait_while_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        _: Duration,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }
}

/// As `parking_lot::RwLock`.
pub(crate) struct RwLock<T>(checker::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock(checker::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> checker::sync::RwLockReadGuard<'_, T> {
        whole(self.0.read())
    }

    pub(crate) fn write(&self) -> checker::sync::RwLockWriteGuard<'_, T> {
        whole(self.0.write())
    }
}

/// A channel with room for this many messages.
pub(crate) fn bounded<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Mutex::new(Queue { messages: VecDeque::new(), room, is_open: true });
    let channel = Arc::new(Channel { queue, changed: Condvar::default() });
    (Sender(channel.clone()), Receiver(channel))
}

struct Channel<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

struct Queue<T> {
    messages: VecDeque<T>,
    room: usize,
    /// The sender is still there: there is only one.
    is_open: bool,
}

/// As `crossbeam_channel::Sender`, but not to be cloned.
pub(crate) struct Sender<T>(Arc<Channel<T>>);

/// As `crossbeam_channel::Receiver`.
pub(crate) struct Receiver<T>(Arc<Channel<T>>);

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut queue = self.0.queue.lock();
        if queue.messages.len() >= queue.room {
            return Err(TrySendError::Full(message));
        }
        queue.messages.push_back(message);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // A model that fails is taken apart where nothing can be locked.
        if !std::thread::panicking() {
            self.0.queue.lock().is_open = false;
            self.0.changed.notify_all();
        }
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv(&self) -> Result<T, RecvError> {
        let mut queue = self.0.queue.lock();
        loop {
            match queue.messages.pop_front() {
                Some(message) => return Ok(message),
                None if !queue.is_open => return Err(RecvError),
                None => self.0.changed.wait(&mut queue),
            }
        }
    }

    pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        self.recv().map_err(|RecvError| RecvTimeoutError::Disconnected)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver(self.0.clone())
    }
}

/// Runs `model` in every order that loom knows, with at most so many switches of threads that
/// nothing forces (`LOOM_MAX_PREEMPTIONS` sets another bound). Deterministic: the same command
/// comes to the same failure; `LOOM_LOG=trace LOOM_LOCATION=1` shows the way there.
#[cfg(all(test, loom))]
pub(crate) fn in_every_order(switches: Option<usize>, model: fn()) {
    use std::sync::atomic::{AtomicU64, Ordering};

    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(switches);
    builder.max_branches = 100_000;
    builder.expect_explicit_explore = true;
    let orders = Arc::new(AtomicU64::new(0));
    let count = orders.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        // The stack that loom gives its first thread is small.
        let first = loom::thread::Builder::new().stack_size(1 << 17).spawn(model);
        first.expect("loom starts a thread").join().expect("it says why it fails");
    });
    let bound = builder.preemption_bound;
    println!("{} orders, switches: {bound:?}", orders.load(Ordering::Relaxed));
}

/// A thread of a model, with room for more than loom gives.
#[cfg(all(test, loom))]
pub(crate) fn spawn<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    thread::Builder::new().stack_size(1 << 17).spawn(work).expect("loom starts a thread")
}
