//! Something that threads and futures wait for: they are told when it may have come true, and
//! look again themselves.
//!
//! The one who makes it true changes the state first and notifies after; the one who waits
//! registers first and looks after. So no wake-up is lost, and nobody pays who does not wait.

use std::task::Waker;

use crate::sync::atomic::{AtomicUsize, Ordering, fence};
use crate::sync::{Condvar, Mutex};

/// See the module's text.
#[derive(Default)]
pub(crate) struct Event {
    waiting: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    changed: Condvar,
}

impl Event {
    /// Wakes everybody who waits; whether there was anybody. Costs one fence and one load if not.
    pub(crate) fn notify(&self) -> bool {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let wakers = {
            let mut wakers = self.wakers.lock();
            self.waiting.fetch_sub(wakers.len(), Ordering::Relaxed);
            self.changed.notify_all();
            std::mem::take(&mut *wakers)
        };
        for waker in wakers {
            waker.wake();
        }
        true
    }

    /// Blocks until `ready`. It is called under a lock: it may load atomics and nothing else.
    pub(crate) fn wait(&self, ready: impl Fn() -> bool) {
        let mut wakers = self.wakers.lock();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while !ready() {
            self.changed.wait(&mut wakers);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Like [`wait`](Self::wait), for at most `limit`. Returns whether it came true.
    pub(crate) fn wait_for(&self, limit: std::time::Duration, ready: impl Fn() -> bool) -> bool {
        let mut wakers = self.wakers.lock();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.changed.wait_while_for(&mut wakers, |_| !ready(), limit);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        ready()
    }

    /// Has `waker` woken at the next notification. The caller must look again afterwards.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            wakers.push(waker.clone());
        }
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::task::Wake;

    use super::*;

    #[test]
    fn every_waiter_hears_of_every_change() {
        let (event, value) = (Arc::new(Event::default()), Arc::new(AtomicU64::new(0)));
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let (event, value) = (event.clone(), value.clone());
                std::thread::spawn(move || {
                    for target in 1..=500 {
                        event.wait(|| value.load(Ordering::SeqCst) >= target);
                    }
                })
            })
            .collect();
        for target in 1..=500 {
            value.store(target, Ordering::SeqCst);
            event.notify();
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(event.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_waker_is_woken_once_for_each_registration() {
        struct Count(AtomicU64);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (event, count) = (Event::default(), Arc::new(Count(AtomicU64::new(0))));
        let waker = Waker::from(count.clone());
        event.register(&waker);
        event.register(&waker);
        event.notify();
        event.notify();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(event.waiting.load(Ordering::SeqCst), 0);
    }
}
