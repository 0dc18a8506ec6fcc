//! A change that has been made and is on its way to the level its caller asked for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Result;
use crate::log::{Durability, Log};

/// A result that is valid once `lsn` has reached `level`: waited for by a thread or as a future.
/// Dropping it undoes nothing.
#[must_use = "the change is made, but nothing is known of its durability until this is waited for"]
pub(crate) struct Pending<'a, T> {
    log: Option<&'a Log>,
    lsn: u64,
    level: Durability,
    result: Option<T>,
}

impl<'a, T> Pending<'a, T> {
    pub(crate) fn new(log: Option<&'a Log>, lsn: u64, level: Durability, result: T) -> Self {
        Pending { log, lsn, level, result: Some(result) }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Pending<'a, U> {
        let Pending { log, lsn, level, result } = self;
        Pending { log, lsn, level, result: result.map(change) }
    }

    /// Blocks until the level is reached.
    pub(crate) fn wait(mut self) -> Result<T> {
        if let Some(log) = self.log {
            log.wait(self.lsn, self.level)?;
        }
        Ok(self.take())
    }

    fn take(&mut self) -> T {
        match self.result.take() {
            Some(result) => result,
            None => unreachable!("a future is not polled after it is ready"),
        }
    }
}

impl<T: Unpin> Future for Pending<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let Some(log) = self.log {
            match log.poll(self.lsn, self.level, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(self.take()))
    }
}
