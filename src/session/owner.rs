//! The list of one owner's sessions: kept in the same transactions as the sessions themselves.

use crate::clock::Timestamp;
use crate::record::expiry::Expiry;
use crate::session::record::{Kind, Place, Record};
use crate::store::Slots;

/// Takes sessions out of the list in slot `at`.
pub(crate) fn unlist(slots: &mut Slots<Record>, at: usize, places: &[Place]) {
    let Some(mut owner) = slots.get(at).and_then(Record::owner).cloned() else { return };
    owner.sessions.retain(|owned| !places.contains(&owned.place));
    let kept_until = slots.deadline(at);
    match (owner.ends(), owner.generation) {
        (Some(ends), _) => relist(slots, at, owner, ends),
        // That there was a revocation is still to be remembered.
        (None, generation) if generation > 0 => {
            let until = kept_until.unwrap_or(Timestamp::from_millis(0));
            relist(slots, at, owner, until);
        }
        (None, _) => slots.remove(at),
    }
}

fn relist(
    slots: &mut Slots<Record>,
    at: usize,
    owner: crate::session::record::Owner,
    until: Timestamp,
) {
    slots.insert(at, Record(Kind::Owner(owner)), Expiry::At(until));
}
