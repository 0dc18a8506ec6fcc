//! Where sessions live: what the session layer asks of a store, whichever it is.
//!
//! Knows records by their keys and nothing of what is in them. Every call may take effect at once
//! (the embedded store's do) or be waited for (a store in another process): [`Work`] is either,
//! without an allocation for the first. The futures of a backend must make progress without the
//! caller's executor, for a handler's synchronous call may be waiting for them.

mod embedded;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::Key;
use crate::log::Durability;
use crate::metrics::Stats;
use crate::store::Slots;

pub(crate) use crate::wait::block_on;
pub(crate) use embedded::Embedded;

/// What a change is about to do, for the store's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// It may add a record under this key.
    Add(Key),
    /// It changes what is there.
    Change,
    /// It ends something: always let through. What cannot be read is an empty slot, which can be
    /// removed or replaced.
    End,
}

/// All records, one by one, each with its key.
pub(crate) type Records<V> = Box<dyn Iterator<Item = Result<(Key, Arc<V>)>> + Send>;

/// A store of records that expire.
///
/// Changes take effect when the call returns, for every reader; [`reach`](Self::reach) waits until
/// they last. A record that has ended is never brought back.
pub(crate) trait Backend<V>: Send + Sync + 'static {
    /// The record of `key`, its idle deadline extended.
    fn get(&self, key: &Key) -> Work<'_, Option<Arc<V>>>;

    /// The same, extending nothing.
    fn peek(&self, key: &Key) -> Work<'_, Option<Arc<V>>>;

    /// When the record of `key` ends unless it is touched.
    fn deadline(&self, key: &Key) -> Work<'_, Option<Timestamp>>;

    /// Reads and changes several records as one whole. `decide` may be called more than once: what
    /// counts is what it decided last.
    fn transact<'a>(
        &'a self,
        purpose: Purpose,
        keys: &'a [Key],
        decide: &'a mut (dyn FnMut(&mut Slots<V>) + Send),
    ) -> Work<'a, ()>;

    /// Ends a record that need not be readable. False if there was none.
    fn remove<'a>(&'a self, key: &'a Key) -> Work<'a, bool>;

    /// Ends every record.
    fn clear(&self) -> Work<'_, ()>;

    /// Frees what has expired, as far as that does not happen by itself.
    fn purge(&self) -> Work<'_, ()>;

    /// Returns when everything that took effect before lasts as `level` says.
    fn reach(&self, level: Durability) -> Work<'_, ()>;

    /// Goes through all records, touching none and holding nothing up. May block; after an error
    /// that is about something damaged it goes on.
    fn records(&self) -> Records<V>;

    /// The time as the store sees it.
    fn now(&self) -> Timestamp;

    /// About how many records there are.
    fn len(&self) -> u64;

    /// Whether there is hardly room for more: what is left is for those who log in. Never where room
    /// can be made.
    fn is_nearly_full(&self) -> bool;

    /// Ends the use of the store; what was acknowledged is kept.
    fn close(&self) -> Work<'_, ()>;

    /// The store's figures.
    fn stats(&self) -> Stats;
}

/// A result that is there already, or a future of it; what is a future has not begun before it is
/// polled.
#[must_use = "nothing is known of the result until this is waited for"]
pub(crate) enum Work<'a, T> {
    /// Taken when it is polled.
    Done(Option<Result<T>>),
    /// See the module's text.
    Waiting(Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>),
}

impl<T> Work<'_, T> {
    pub(crate) fn done(result: Result<T>) -> Self {
        Work::Done(Some(result))
    }
}

impl<T: Unpin> Future for Work<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut *self {
            Work::Done(result) => match result.take() {
                Some(result) => Poll::Ready(result),
                None => unreachable!("a future is not polled after it is ready"),
            },
            Work::Waiting(future) => future.as_mut().poll(context),
        }
    }
}
