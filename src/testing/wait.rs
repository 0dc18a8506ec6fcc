//! Waiting for futures without a runtime. Knows no stores.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// Drives a future on this thread until it is done; the thread sleeps while it waits. There is no
/// runtime: a future that needs one, for its sockets or timers, is not for this.
pub fn block_on<F: Future>(future: F) -> F::Output {
    crate::wait::block_on(future)
}

/// What `future` returns, or `None` if it is still waiting after `limit`. Works under any
/// executor; costs a thread.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let late = Arc::new(AtomicBool::new(false));
    // The waker of the last poll; dropping the other end tells the watch that it may go.
    let mut watch: Option<(Arc<Mutex<Waker>>, mpsc::Sender<()>)> = None;
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if let Some((waker, _)) = &watch {
            lock(waker).clone_from(context.waker());
            // The watch may have woken the one before, just now.
            return if late.load(Ordering::Acquire) { Poll::Ready(None) } else { Poll::Pending };
        }
        let (sender, receiver) = mpsc::channel();
        let waker = Arc::new(Mutex::new(context.waker().clone()));
        watch = Some((waker.clone(), sender));
        let late = late.clone();
        thread::spawn(move || {
            if receiver.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                late.store(true, Ordering::Release);
                lock(&waker).wake_by_ref();
            }
        });
        Poll::Pending
    })
    .await
}

fn lock(waker: &Mutex<Waker>) -> MutexGuard<'_, Waker> {
    waker.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_another_thread_is_waited_for() {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let waking = thread::spawn(move || receiver.recv().unwrap().wake());
        let mut asked = false;
        let future = std::future::poll_fn(move |context| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(7);
            }
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        });
        assert_eq!(block_on(within(Duration::from_secs(60), future)), Some(7));
        waking.join().unwrap();
    }

    #[test]
    fn what_waits_for_ever_is_given_up() {
        let never = std::future::pending::<()>();
        assert_eq!(block_on(within(Duration::from_millis(5), never)), None);
    }
}
