//! The futures: polled by hand with a waker that wakes nobody, dropped half-way, sent to threads.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sessile::Id;
use sessile::session::{Redeemed, Sessions};

use crate::{World, get};

/// Polls until it is ready. On a disk whose background work the callers do, that is soon.
pub fn by_hand<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("never ready");
}

fn send<T: Send>(value: T) -> T {
    value
}

async fn a_life(sessions: &Sessions) {
    let session = sessions.create();
    session.insert("k", 1).unwrap();
    send(session.load()).await.unwrap();
    let id = send(session.save_async()).await.unwrap().unwrap();
    let session = send(sessions.load_async(&id)).await.unwrap().unwrap();
    session.login("ada").unwrap();
    let id = send(session.save_async()).await.unwrap().unwrap();
    let infos = send(sessions.list_of_async("ada")).await.unwrap();
    assert_eq!(infos.len(), 1);
    assert_eq!(send(sessions.revoke_others_async("ada", &infos[0].key)).await.unwrap(), 0);
    assert!(send(sessions.revoke_async(&infos[0].key)).await.unwrap());
    assert!(sessions.load_async(&id).await.unwrap().is_none());
    assert_eq!(send(sessions.revoke_owner_async("ada")).await.unwrap(), 0);
    let (ttl, name) = (Duration::from_secs(60), "mail");
    send(sessions.issue_async(name, "right", ttl, 2)).await.unwrap();
    let wrong = send(sessions.redeem_async(name, "wrong")).await.unwrap();
    assert_eq!(wrong, Redeemed::Wrong { left: 1 });
    send(sessions.issue_visible_async(name, "seen", ttl, 2)).await.unwrap();
    assert_eq!(sessions.peek(name).unwrap().as_deref(), Some("seen"));
    assert_eq!(sessions.redeem_async(name, "seen").await.unwrap(), Redeemed::Right);
    send(sessions.revoke_all_async()).await.unwrap();
    send(sessions.close_async()).await.unwrap();
}

#[test]
fn everything_works_when_polled_by_hand() {
    let world = World::new();
    by_hand(send(a_life(&world.sessions)));
    assert!(world.sessions.load(&Id::new().unwrap()).unwrap_err().is_closed());
    let temp = crate::support::Temp::new();
    by_hand(a_life(&Sessions::builder().open(temp.path()).unwrap()));
    by_hand(a_life(&crate::in_memory()));
}

#[test]
fn a_future_that_is_dropped_before_it_is_polled_does_nothing() {
    let world = World::new();
    let session = world.sessions.create();
    session.insert("k", 1).unwrap();
    drop(session.save_async());
    assert_eq!(world.sessions.count().unwrap(), 0);
    let id = session.save().unwrap().unwrap();
    drop(world.sessions.revoke_async(&id.key()));
    assert_eq!(get(&world.load(&id), "k"), Some(1));
}

#[test]
fn handles_may_be_sent_and_shared() {
    fn both<T: Send + Sync + 'static>() {}
    both::<Sessions>();
    both::<sessile::session::Session>();
    both::<sessile::session::SessionInfo>();
    fn sent<T: Send>() {}
    sent::<sessile::session::SessionList>();
    sent::<sessile::session::SessionsBuilder>();
}
