//! Waiting for futures without a runtime. Knows no stores.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread until it is done; the thread sleeps while it waits. There is no
/// runtime: a future that needs one, for its sockets or timers, is not for this.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// What `future` returns, or `None` if it is still waiting after `limit`. Works under any
/// executor; costs a thread.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let late = Arc::new(AtomicBool::new(false));
    // Dropping this end tells the watch that it may go.
    let mut watch: Option<mpsc::Sender<()>> = None;
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if late.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        if watch.is_none() {
            let (sender, receiver) = mpsc::channel();
            watch = Some(sender);
            let (late, waker) = (late.clone(), context.waker().clone());
            thread::spawn(move || {
                if receiver.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    late.store(true, Ordering::Release);
                    waker.wake();
                }
            });
        }
        Poll::Pending
    })
    .await
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
