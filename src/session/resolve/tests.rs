//! A live session is found whatever others do to it meanwhile. Beside a store that changes the
//! session between every two looks at it.

use std::sync::Mutex;

use super::*;
use crate::backend::{Backend, Embedded, block_on};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::session::meddler::{Meddle, Meddler, put, settings, shared};
use crate::session::record::Login;
use crate::store::Store;

/// A session under `old` whose new id is `new`, not yet presented.
fn renewed(meddle: impl FnOnce(Body, Key) -> Option<Meddle>) -> (Shared, Key, Key) {
    let (old, new) = (Id::new().unwrap().key(), Id::new().unwrap().key());
    let settings = settings();
    let store = Embedded::new(Store::builder().in_memory().unwrap());
    let (now, place) = (store.now(), Place::from(new));
    let body = Body {
        created: now,
        ends: now.after(settings.absolute),
        saved: now,
        renewed: now,
        told: now,
        expiry: Default::default(),
        owner: None,
        data: Default::default(),
        flashes: Vec::new(),
        next: vec![place],
        first: None,
    };
    put(&store, old, Kind::Session(body.clone()));
    put(&store, new, Kind::Next(Place::from(old)));
    let meddler = Meddler { meddle: Mutex::new(meddle(body, old)), ..Meddler::new(store) };
    (shared(Arc::new(meddler)), old, new)
}

/// Each time somebody else has logged in.
fn another_subject(mut body: Body, old: Key) -> Meddle {
    let mut number = 0;
    Box::new(move |store| {
        number += 1;
        let subject = number.to_string().into_boxed_str();
        body.owner = Some(Box::new(Login { subject, at: Timestamp::from_millis(0) }));
        put(store, old, Kind::Session(body.clone()));
    })
}

#[test]
fn an_id_is_promoted_when_it_is_presented() {
    let (shared, _, new) = renewed(|_, _| None);
    let live = block_on(shared.resolve(new)).unwrap().expect("there is a session");
    assert_eq!((live.key, live.moved, live.promoted), (new, false, true));
}

#[test]
fn a_session_that_changes_all_the_time_is_found_all_the_same() {
    let (shared, old, new) = renewed(|body, old| Some(another_subject(body, old)));
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.moved, live.promoted), (old, true, false));
    assert!(live.body().is_some());
    // The new id is as good as before.
    assert!(block_on(shared.backend.peek(&new)).unwrap().is_some());
}

#[test]
fn a_few_lost_races_are_not_lost_for_good() {
    let (shared, _, new) = renewed(|body, old| {
        let (mut times, mut meddle) = (0, another_subject(body, old));
        Some(Box::new(move |store| {
            times += 1;
            if times < 6 {
                meddle(store);
            }
        }))
    });
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.promoted), (new, true));
}

#[test]
fn a_way_that_does_not_end_is_an_error_and_no_anonymous_visitor() {
    let (shared, old, new) = renewed(|_, _| None);
    let ring = Embedded::new(Store::builder().in_memory().unwrap());
    put(&ring, old, Kind::Moved(Place::from(new)));
    put(&ring, new, Kind::Moved(Place::from(old)));
    let shared = Shared { backend: Arc::new(ring), ..shared };
    assert!(block_on(shared.resolve(old)).is_err_and(|error| error.is_full()));
    let changed = shared.change::<()>(Purpose::Change, old, |_, _| unreachable!());
    assert!(block_on(changed).is_err_and(|error| error.is_full()));
}

#[test]
fn an_id_given_out_beside_a_promotion_leads_to_the_promoted_one() {
    let other = Id::new().unwrap().key();
    let (shared, _, new) = renewed(|mut body, old| {
        let mut times = 0;
        Some(Box::new(move |store| {
            times += 1;
            // Between the promotion's look at the session and its transaction.
            if times == 2 {
                body.next.push(Place::from(other));
                put(store, old, Kind::Session(body.clone()));
                put(store, other, Kind::Next(Place::from(old)));
            }
        }))
    });
    let live = block_on(shared.resolve(new)).unwrap().expect("the session lives");
    assert_eq!((live.key, live.promoted), (new, true));
    let record = block_on(shared.backend.peek(&other)).unwrap().expect("it is good");
    assert!(matches!(record.0, Kind::Next(place) if place == Place::from(new)));
}
