//! A save beside another one of the same request, by a clone, that fails.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::backend::Embedded;
use crate::error::{Error, ErrorKind};
use crate::session::handle::Session;
use crate::session::meddler::{Meddler, shared};
use crate::store::Store;

#[test]
fn a_save_does_not_answer_for_a_clone_that_fails() {
    let meddler = Arc::new(Meddler::new(Embedded::new(Store::builder().in_memory().unwrap())));
    let shared = Arc::new(shared(meddler.clone()));
    let session = Session::new(shared.clone(), None, false);
    session.insert("seen", 1).unwrap();
    let id = session.save().unwrap().expect("a new session has an id");
    session.insert("cart", 5).unwrap();

    let (answer, answers) = channel();
    let answers = Arc::new(Mutex::new(answers));
    let (clone, looks) = (session.clone(), answers.clone());
    // The session's own save has taken the key, and has not failed yet.
    *meddler.fail.lock().unwrap() = Some(Box::new(move || {
        thread::spawn(move || answer.send(clone.save_now()).unwrap());
        let early = looks.lock().unwrap().recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "nothing is saved, and the clone's answer is {early:?}");
        Error::new(ErrorKind::Io, "it cannot be written")
    }));
    assert!(session.save_now().is_err());
    answers.lock().unwrap().recv().unwrap().unwrap();
    let session = Session::new(shared, Some(id), true);
    assert_eq!(session.get::<u32>("cart").unwrap(), Some(5));
}
