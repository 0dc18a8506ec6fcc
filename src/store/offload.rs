//! Long work for callers that must not block: a thread does it, a future waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::sync::thread::Builder;

struct Shared<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
}

/// The result of work on a thread of its own. Dropping it does not stop the work.
pub(crate) struct Offloaded<T>(Arc<Mutex<Shared<T>>>);

/// Fills in an error if the work ends without a result, that is by a panic.
struct Finish<T>(Arc<Mutex<Shared<T>>>);

impl<T> Finish<T> {
    fn set(&self, result: Result<T>) {
        let waker = {
            let mut shared = self.0.lock();
            shared.result.get_or_insert(result);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        self.set(Err(Error::io("the work was not finished", std::io::Error::other("it panicked"))));
    }
}

/// Runs `work` on a thread of its own. Rare, long operations only: a thread costs about 20 µs.
pub(crate) fn offload<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Offloaded<T> {
    let shared = Arc::new(Mutex::new(Shared { result: None, waker: None }));
    let finish = Finish(shared.clone());
    let spawned = Builder::new().name("sessile-work".into()).spawn(move || {
        let result = work();
        finish.set(result);
    });
    if let Err(error) = spawned {
        // `finish` went with the closure and has set an error; this one says more.
        shared.lock().result = Some(Err(Error::io("no thread could be started", error)));
    }
    Offloaded(shared)
}

impl<T> Future for Offloaded<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut shared = self.0.lock();
        match shared.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
