//! Waiting for a future on a thread, without a runtime. Knows no stores.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    thread_local! {
        static OWN: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    // There is none any more where a destructor of the thread waits.
    OWN.try_with(Waker::clone).unwrap_or_else(|_| Arc::new(Unpark(thread::current())).into())
}

/// Drives a future on this thread until it is done; the thread sleeps while it waits, and one that
/// is ready at once costs a poll. There is no runtime: a future that needs one, for its sockets or
/// timers, is not for this.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = waker();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
