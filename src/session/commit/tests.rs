//! Saves that fail: a clone's beside this one's, and those that nobody asked for.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::backend::{Embedded, block_on};
use crate::error::{Error, ErrorKind};
use crate::session::commit::Wish;
use crate::session::handle::Session;
use crate::session::meddler::{Meddler, shared};
use crate::store::Store;

/// What comes of `end`, for a clone, while the session's own save has taken a key and not failed yet.
fn beside_one_that_fails<R: Send + std::fmt::Debug + 'static>(
    end: impl FnOnce(&Session) -> R + Send + 'static,
) -> R {
    let meddler = Arc::new(Meddler::new(Embedded::new(Store::builder().in_memory().unwrap())));
    let shared = Arc::new(shared(meddler.clone()));
    let session = Session::new(shared.clone(), None, false);
    session.insert("seen", 1).unwrap();
    let id = session.save().unwrap().expect("a new session has an id");
    session.insert("cart", 5).unwrap();

    let (answer, answers) = channel();
    let answers = Arc::new(Mutex::new(answers));
    let (clone, looks) = (session.clone(), answers.clone());
    *meddler.fail.lock().unwrap() = Some(Box::new(move || {
        thread::spawn(move || answer.send(end(&clone)).unwrap());
        let early = looks.lock().unwrap().recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "nothing is saved, and the clone's answer is {early:?}");
        Error::new(ErrorKind::Io, "it cannot be written")
    }));
    assert!(session.save_now().is_err());
    let answer = answers.lock().unwrap().recv().unwrap();
    let session = Session::new(shared, Some(id), true);
    assert_eq!(session.get::<u32>("cart").unwrap(), Some(5));
    answer
}

#[test]
fn a_save_does_not_answer_for_a_clone_that_fails() {
    beside_one_that_fails(|clone| clone.save_now()).unwrap();
}

#[test]
#[cfg(feature = "tower")]
fn a_response_does_not_answer_for_a_clone_that_fails() {
    let finished = beside_one_that_fails(|clone| {
        let finished = clone.finish_at_once(true, Wish::default());
        finished.unwrap_or_else(|rest| block_on(clone.finish(rest)))
    });
    assert!(finished.error.is_none());
}

#[test]
fn a_save_that_only_time_asks_for_is_tried_once() {
    let meddler = Arc::new(Meddler::new(Embedded::new(Store::builder().in_memory().unwrap())));
    let session = Session::new(Arc::new(shared(meddler.clone())), None, false);
    session.insert("seen", 1).unwrap();
    session.save().unwrap();

    fn fail(meddler: &Arc<Meddler>, tries: Arc<Mutex<u32>>) {
        let again = meddler.clone();
        *meddler.fail.lock().unwrap() = Some(Box::new(move || {
            *tries.lock().unwrap() += 1;
            if *tries.lock().unwrap() < 100 {
                fail(&again, tries);
            }
            Error::new(ErrorKind::TooLarge, "the limit was higher when it was begun")
        }));
    }
    let tries = Arc::new(Mutex::new(0));
    fail(&meddler, tries.clone());
    block_on(session.commit(Wish { save_after: Some(Duration::ZERO) })).unwrap();
    assert_eq!(*tries.lock().unwrap(), 1);
}
