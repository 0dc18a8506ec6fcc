//! From an id to its session: directly, through a renewal that the browser has not seen, or
//! through the first presentation of a new id.

use std::sync::Arc;

use crate::backend::Purpose;
use crate::error::Result;
use crate::id::Key;
use crate::limits::RENEWALS_FOLLOWED_MAX;
use crate::record::expiry::Expiry;
use crate::session::record::{Body, Kind, Place, Record, owner_key};
use crate::session::shared::{Shared, contended};
use crate::store::Slots;

/// How often a new id is tried to be made the session's in one request.
const TRIES: usize = 8;

/// A session that was found.
#[derive(Clone)]
pub(crate) struct Live {
    /// Where it is: not always where it was looked for.
    pub(crate) key: Key,
    pub(crate) record: Arc<Record>,
    /// The id that was presented is an old one: the browser has been given another since.
    pub(crate) moved: bool,
    /// It was moved to the id that was presented, just now.
    pub(crate) promoted: bool,
}

impl Live {
    /// The session itself.
    pub(crate) fn body(&self) -> Option<&Body> {
        self.record.session()
    }
}

impl Shared {
    /// The session of an id; `None` if there is none, or no longer. Counts as an access.
    ///
    /// # Errors
    /// Those of the backend. A way that does not end is `is_full`, for a session that is not found
    /// in time is not one that has ended.
    pub(crate) async fn resolve(&self, presented: Key) -> Result<Option<Live>> {
        let (mut key, mut moved, mut promoted) = (presented, false, false);
        for _ in 0..RENEWALS_FOLLOWED_MAX {
            let Some(record) = self.backend.get(&key).await? else { return Ok(None) };
            match &record.0 {
                Kind::Session(_) => return Ok(Some(Live { key, record, moved, promoted })),
                Kind::Moved(to) => (key, moved) = (to.key(), true),
                Kind::Next(from) => match Box::pin(self.present(key, from.key())).await {
                    // Reading goes on where nothing can be written.
                    Err(error)
                        if error.is_full() || error.is_disk_full() || error.is_poisoned() =>
                    {
                        (key, moved) = (from.key(), true);
                    }
                    Err(error) => return Err(error),
                    Ok(promotion) => match promotion {
                        Promotion::Done => promoted = true,
                        Promotion::Follow(to) => key = to,
                        // It is promoted by a later request; this one goes by the id that still counts.
                        Promotion::Again => (key, moved) = (from.key(), true),
                        Promotion::Gone => return Ok(None),
                    },
                },
                _ => return Ok(None),
            }
        }
        Err(contended())
    }

    /// Promotes, against requests that change the session meanwhile.
    async fn present(&self, new: Key, old: Key) -> Result<Promotion> {
        for _ in 0..TRIES {
            let outcome = self.promote(new, old).await?;
            if !matches!(outcome, Promotion::Again) {
                return Ok(outcome);
            }
        }
        Ok(Promotion::Again)
    }

    /// The new id of a session is presented for the first time: from now on it is the session's,
    /// and the old one good for a short grace only.
    async fn promote(&self, new: Key, old: Key) -> Result<Promotion> {
        let Some(record) = self.backend.get(&old).await? else { return Ok(Promotion::Gone) };
        let body = match &record.0 {
            Kind::Session(body) => body,
            Kind::Moved(to) => return Ok(Promotion::Follow(to.key())),
            _ => return Ok(Promotion::Gone),
        };
        let others = body.next.iter().map(|place| place.key()).filter(|key| *key != new);
        let mut keys: Vec<Key> = [new, old].into_iter().chain(others).collect();
        let owner = body.subject().map(owner_key);
        let owner_at = keys.len();
        keys.extend(owner);
        let mut outcome = Promotion::Gone;
        let done = self.transact(Purpose::Change, &keys, |slots| {
            slots.discard();
            let at = owner.map(|_| owner_at);
            outcome = self.promote_in(slots, &keys, body, at);
        });
        match done.await {
            Err(error) if error.is_damage() => {
                for place in body.next.iter().filter(|place| place.key() != new) {
                    self.legible_or_end(&place.key()).await?;
                }
                if let Some(subject) = body.subject() {
                    self.list_of(subject).await?;
                }
                Ok(Promotion::Again)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(outcome),
        }
    }

    fn promote_in(
        &self,
        slots: &mut Slots<Record>,
        keys: &[Key],
        seen: &Body,
        owner: Option<usize>,
    ) -> Promotion {
        let [new, old, ..] = *keys else { return Promotion::Gone };
        let (from, to) = (Place::from(old), Place::from(new));
        match slots.get(0).map(|record| &record.0) {
            Some(Kind::Next(place)) if *place == from => {}
            // Somebody else was first.
            Some(Kind::Session(_)) => return Promotion::Done,
            _ => return Promotion::Gone,
        }
        let mut body = match slots.get(1).map(|record| &record.0) {
            Some(Kind::Session(body)) => body.clone(),
            Some(Kind::Moved(to)) => return Promotion::Follow(to.key()),
            _ => return Promotion::Gone,
        };
        if body.subject() != seen.subject() || body.next != seen.next {
            return Promotion::Again;
        }
        body.next.retain(|place| *place != to);
        body.first.get_or_insert(from);
        for (index, place) in keys.iter().enumerate().skip(2) {
            if Some(index) != owner && body.next.contains(&Place::from(*place)) {
                slots.insert(index, Record(Kind::Next(to)), Expiry::At(body.ends));
            }
        }
        if let Some(index) = owner {
            let mut list = slots.get(index).and_then(Record::owner).cloned().unwrap_or_default();
            list.sessions.iter_mut().filter(|owned| owned.place == from).for_each(|owned| {
                owned.place = to;
            });
            let until = list.until(slots.deadline(index)).unwrap_or(body.ends);
            slots.insert(index, Record(Kind::Owner(list)), Expiry::At(until));
        }
        let terms = body.terms(self.idle_of(&body));
        slots.insert(0, Record(Kind::Session(body)), terms);
        slots.insert(1, Record(Kind::Moved(to)), Expiry::After(self.settings.grace));
        Promotion::Done
    }
}

enum Promotion {
    /// The session is under the new id.
    Done,
    /// It is to be looked for there.
    Follow(Key),
    /// Changed since it was looked at: once more, from the beginning.
    Again,
    Gone,
}

#[cfg(test)]
mod tests;
