//! The list of one owner's sessions: kept in the same transactions as the sessions themselves.

use crate::record::expiry::Expiry;
use crate::session::record::{Kind, Place, Record};
use crate::store::Slots;

/// Takes sessions out of the list in slot `at`.
pub(crate) fn unlist(slots: &mut Slots<Record>, at: usize, places: &[Place]) {
    let Some(mut owner) = slots.get(at).and_then(Record::owner).cloned() else { return };
    owner.sessions.retain(|owned| !places.contains(&owned.place));
    match owner.until(slots.deadline(at)) {
        Some(until) => slots.insert(at, Record(Kind::Owner(owner)), Expiry::At(until)),
        None => slots.remove(at),
    }
}
