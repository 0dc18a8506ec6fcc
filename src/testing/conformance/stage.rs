//! What the checks stand on: the subject's calls as blocking ones, and how a check ends early.

use std::any::Any;
use std::time::Duration;

use super::{Collision, Data, Result, Subject};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);

/// One statement and the code that looks whether it is so.
pub(super) struct Check<S> {
    pub(super) name: &'static str,
    pub(super) statement: &'static str,
    pub(super) run: fn(&mut Stage<S>) -> Verdict,
}

pub(super) type Verdict = std::result::Result<(), Stop>;

/// Why a check ends before its end.
pub(super) enum Stop {
    Failed(String),
    NotApplicable(&'static str),
}

pub(super) type Step<T> = std::result::Result<T, Stop>;

/// Fails the check with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::testing::conformance::stage::Stop::Failed(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// A subject with blocking calls, whose errors end the check.
pub(super) struct Stage<S> {
    pub(super) subject: S,
}

fn done<T>(call: &str, result: Result<T>) -> Step<T> {
    result.map_err(|error| Stop::Failed(format!("`{call}` failed: {error}")))
}

impl<S: Subject> Stage<S> {
    pub(super) fn new(subject: S) -> Self {
        Stage { subject }
    }

    pub(super) fn create(&self, data: &Data, lives: Duration) -> Step<S::Id> {
        done("create", self.subject.block_on(self.subject.create(data, lives)))
    }

    pub(super) fn load(&self, id: &S::Id) -> Step<Option<Data>> {
        done("load", self.subject.block_on(self.subject.load(id)))
    }

    pub(super) fn save(&self, id: &S::Id, data: &Data, lives: Duration) -> Step<S::Id> {
        done("save", self.subject.block_on(self.subject.save(id, data, lives)))
    }

    /// A save that may fail, because the session may be gone. Returns the id that the store says
    /// it goes by, if it says one.
    pub(super) fn save_late(&self, id: &S::Id, data: &Data) -> Option<S::Id> {
        self.subject.block_on(self.subject.save(id, data, LONG)).ok()
    }

    pub(super) fn delete(&self, id: &S::Id) -> Verdict {
        done("delete", self.subject.block_on(self.subject.delete(id)))
    }

    pub(super) fn held(&self) -> Step<u64> {
        let held = done("held", self.subject.block_on(self.subject.held()))?;
        held.ok_or(Stop::NotApplicable("the subject cannot tell how many records it keeps"))
    }

    pub(super) fn collide(&self, id: &S::Id, data: &Data) -> Step<Option<S::Id>> {
        let collision = self.subject.block_on(self.subject.collide(id, data, LONG));
        match done("collide", collision)? {
            Collision::Created(id) => Ok(Some(id)),
            Collision::Refused => Ok(None),
            Collision::NotApplicable => {
                Err(Stop::NotApplicable("the subject cannot make the store draw a certain id"))
            }
        }
    }

    /// `None`: the store said that there was nothing to rotate.
    pub(super) fn try_rotate(&self, id: &S::Id) -> Step<Option<S::Id>> {
        match self.subject.block_on(self.subject.rotate(id)) {
            Ok(Some(id)) => Ok(Some(id)),
            Ok(None) => Err(Stop::NotApplicable("the store gives no session another id")),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn rotate(&self, id: &S::Id) -> Step<S::Id> {
        let rotated = done("rotate", self.subject.block_on(self.subject.rotate(id)))?;
        rotated.ok_or(Stop::NotApplicable("the store gives no session another id"))
    }

    pub(super) fn reopen(&mut self) -> Verdict {
        if done("reopen", self.subject.reopen())? {
            Ok(())
        } else {
            Err(Stop::NotApplicable("the store keeps nothing on disk"))
        }
    }

    /// Lets `count` of the subject's units of time pass.
    pub(super) fn pass(&self, count: u32) {
        self.subject.pass(self.units(count));
    }

    pub(super) fn units(&self, count: u32) -> Duration {
        self.subject.unit() * count
    }

    /// Fails with `when` if anything is there.
    pub(super) fn expect_gone(&self, id: &S::Id, when: &str) -> Verdict {
        let found = self.load(id)?;
        ensure!(found.is_none(), "{when}, the session was there, with {}", show(&found));
        Ok(())
    }

    /// Fails with `when` unless the session holds exactly `data`.
    pub(super) fn expect(&self, id: &S::Id, data: &Data, when: &str) -> Verdict {
        let found = self.load(id)?;
        ensure!(
            found.as_ref().is_some_and(|found| same(found, data)),
            "{when}, the session should hold {}, and there was {}",
            show(&Some(data.clone())),
            show(&found)
        );
        Ok(())
    }
}

/// Whether two sessions hold the same, however the sign of an exponent is spelt.
fn same(found: &Data, data: &Data) -> bool {
    let signless = |value: &str| value.replace("e+", "e");
    let equal = |a: &str, b: &str| a == b || signless(a) == signless(b);
    found.keys().eq(data.keys()) && found.values().zip(data.values()).all(|(a, b)| equal(a, b))
}

/// Data of one value, `name`: `text` as a JSON string. `text` needs no escapes.
pub(super) fn holding(name: &str, text: &str) -> Data {
    Data::from([(name.to_owned(), format!("\"{text}\""))])
}

/// Data for a message: not more of it than one reads.
fn show(data: &Option<Data>) -> String {
    let Some(data) = data else { return "nothing".to_owned() };
    let all = format!("{data:?}");
    let start: String = all.chars().take(400).collect();
    if start.len() < all.len() { format!("{start}… ({} bytes)", all.len()) } else { all }
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}
