//! The store of this crate as a backend: every change takes effect inside the call.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Backend, Purpose, Records, Work};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::Key;
use crate::log::Durability;
use crate::metrics::Stats;
use crate::store::{Admission, Class, Need, Slots, Store};

/// A [`Store`], whose changes are not waited for until [`Backend::reach`] is called.
pub(crate) struct Embedded<V: Clone + Send + Sync + 'static>(Store<V>);

impl<V: Clone + Send + Sync + 'static> Embedded<V> {
    pub(crate) fn new(store: Store<V>) -> Self {
        Embedded(store.at(Durability::Memory))
    }
}

impl<V> Backend<V> for Embedded<V>
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    fn get(&self, key: &Key) -> Work<'_, Option<Arc<V>>> {
        Work::done(self.0.get(key))
    }

    fn peek(&self, key: &Key) -> Work<'_, Option<Arc<V>>> {
        Work::done(self.0.peek(key))
    }

    fn deadline(&self, key: &Key) -> Work<'_, Option<Timestamp>> {
        Work::done(self.0.deadline(key))
    }

    fn transact<'a>(
        &'a self,
        purpose: Purpose,
        keys: &'a [Key],
        decide: &'a mut (dyn FnMut(&mut Slots<V>) + Send),
    ) -> Work<'a, ()> {
        let engine = self.0.engine();
        let (class, need) = match purpose {
            Purpose::Add(key) => (Class::New(key), Need::Value),
            Purpose::Change => (Class::Change, Need::Value),
            Purpose::End => (Class::Removal, Need::Legible),
        };
        let mut admission = Admission::new(class);
        let level = Some(Durability::Memory);
        let change = move || engine.transact_with(keys, need, decide, level)?.wait();
        at_once_or(
            move |context| engine.poll_admit(&mut admission, context),
            move |admitted| admitted.and_then(|()| change()),
        )
    }

    fn remove<'a>(&'a self, key: &'a Key) -> Work<'a, bool> {
        Work::done(self.0.remove(key))
    }

    fn clear(&self) -> Work<'_, ()> {
        // Not here: it may wait for a flush that is syncing.
        let store = self.0.clone();
        Work::Waiting(Box::pin(async move { store.clear_async().await }))
    }

    fn purge(&self) -> Work<'_, ()> {
        self.0.engine().look_at_all_due();
        Work::done(Ok(()))
    }

    fn reach(&self, level: Durability) -> Work<'_, ()> {
        match self.0.engine().reach(level) {
            Ok(mut pending) => at_once_or(
                move |context| std::pin::Pin::new(&mut pending).poll(context),
                |reached| reached,
            ),
            Err(error) => Work::done(Err(error)),
        }
    }

    fn records(&self) -> Records<V> {
        Box::new(self.0.iter_legible())
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn is_nearly_full(&self) -> bool {
        self.0.engine().is_nearly_full()
    }

    fn close(&self) -> Work<'_, ()> {
        let store = self.0.clone();
        Work::Waiting(Box::pin(async move { store.close_async().await }))
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }
}

/// Polls once; what is not ready then becomes a future.
fn at_once_or<'a, A: Send + 'a, T: Send + 'a>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<A>> + Send + 'a,
    then: impl FnOnce(Result<A>) -> Result<T> + Send + 'a,
) -> Work<'a, T> {
    // Nobody is woken by this waker: the future polls again with its own before it waits.
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Work::done(then(result)),
        Poll::Pending => Work::Waiting(Box::pin(async move { then(poll_fn(poll).await) })),
    }
}
