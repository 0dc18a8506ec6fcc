//! A codec of the application that fails, or panics, when everything else has been decided: what was
//! to be saved is as it was before, and is saved once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sessile::session::{Session, Sessions};
use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Codec, CodecError, Sink};

use crate::support::within;
use crate::{HOUR, LONG, SECOND, get};

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Error,
    Panic,
}

thread_local! {
    static TROUBLE: Cell<Trouble> = const { Cell::new(Trouble::None) };
}

struct Fragile;

impl Codec for Fragile {
    const ID: u32 = 4711;
    const NAME: &'static str = "fragile";

    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError> {
        match TROUBLE.get() {
            Trouble::None => serde_json::to_writer(out, value).map_err(CodecError::new),
            Trouble::Error => Err(CodecError::new("it is broken")),
            Trouble::Panic => panic!("it is broken"),
        }
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError::new)
    }
}

/// Does it with a codec that is broken, and returns when it has failed.
fn fails<T>(trouble: Trouble, work: impl FnOnce() -> sessile::Result<T>) {
    TROUBLE.set(trouble);
    let failed = catch_unwind(AssertUnwindSafe(work)).map(|result| result.is_err());
    TROUBLE.set(Trouble::None);
    assert_eq!(failed.ok(), (trouble == Trouble::Error).then_some(true));
}

#[test]
fn what_a_broken_codec_did_not_write_is_saved_once_by_the_next_save() {
    let work: [fn(&Session) -> sessile::Result<()>; 4] = [
        |session| session.insert("l", 1),
        |session| session.cycle_id(),
        |session| session.login("ada"),
        |session| session.login("ada").and_then(|()| session.insert("l", 1)),
    ];
    within(LONG, move || {
        let each = [Trouble::Error, Trouble::Panic].into_iter().flat_map(|trouble| {
            [(trouble, true, false), (trouble, true, true), (trouble, false, false)]
        });
        for (trouble, stored, renewed) in each {
            for (index, work) in work.iter().enumerate() {
                let clock = ManualClock::new();
                let builder = Sessions::builder().renew_every(HOUR).store(|store| {
                    let clock = clock.clone();
                    store.codec::<Fragile>().clock(clock).background(Background::Callers)
                });
                let sessions = builder.open_fs(Arc::new(SimFs::new(1))).unwrap();
                let session = sessions.create();
                session.insert("k", 1).unwrap();
                session.insert("n", 1).unwrap();
                session.flash("info", "hello").unwrap();
                let id = stored.then(|| session.save().unwrap().unwrap());
                clock.advance(if renewed { HOUR } else { SECOND });
                session.insert("n", 5).unwrap();
                if stored {
                    fails(trouble, || session.update("n", |n: &mut i64| *n += 1));
                    fails(trouble, || session.pop::<i64>("k"));
                    fails(trouble, || session.take_flashes());
                }
                work(&session).unwrap();
                fails(trouble, || session.save());
                fails(trouble, || session.save());
                assert_eq!((get(&session, "k"), get(&session, "n")), (Some(1), Some(5)));
                assert_eq!(session.key().unwrap(), id.as_ref().map(|id| id.key()));
                assert_eq!(session.is_new().unwrap(), !stored);
                let id = session.save().unwrap().or(id).unwrap();
                let next = sessions.load(&id).unwrap().unwrap();
                assert_eq!(sessions.count().unwrap(), 1);
                assert_eq!((get(&next, "k"), get(&next, "n")), (Some(1), Some(5)));
                assert_eq!(get(&next, "l"), [0, 3].contains(&index).then_some(1));
                assert_eq!(next.subject().unwrap().is_some(), index >= 2);
                assert_eq!(next.take_flashes().unwrap().len(), 1);
                session.logout().unwrap();
                assert_eq!(sessions.count().unwrap(), 0);
            }
        }
    });
}
