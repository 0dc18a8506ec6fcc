//! A list that cannot be read is made anew once, however many ask for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use crate::backend::{Embedded, block_on};
use crate::session::meddler::{Meddler, shared};
use crate::session::record::{Record, owner_key};
use crate::store::Store;

#[test]
fn many_requests_at_a_damaged_list_go_through_all_records_once() {
    let meddler = Arc::new(Meddler::new(Embedded::new(Store::builder().in_memory().unwrap())));
    *meddler.unreadable.lock().unwrap() = Some(owner_key("ada"));
    let shared = shared(meddler.clone());
    let mut requests: Vec<_> = (0..8).map(|_| Box::pin(shared.list_of("ada"))).collect();
    let turn = shared.walking.lock();
    for request in &mut requests {
        assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(turn);
    // The first of them is left alone: nobody may have to wait for its executor.
    let lists: Vec<Option<Arc<Record>>> =
        requests.into_iter().rev().map(|request| block_on(request).unwrap()).collect();
    assert_eq!(meddler.walks.load(Ordering::SeqCst), 1);
    let generation = |list: &Option<Arc<Record>>| list.as_ref()?.owner().map(|it| it.generation);
    assert!(generation(&lists[0]).is_some());
    assert!(lists.iter().all(|list| generation(list) == generation(&lists[0])));
}
