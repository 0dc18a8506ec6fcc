//! The list of one owner's sessions: kept in the same transactions as the sessions themselves, and
//! made anew from them if it is damaged.

use std::sync::Arc;

use crate::backend::{Backend, Purpose, Records, block_on};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::Key;
use crate::limits::REVOCATION_MEMORY;
use crate::record::expiry::Expiry;
use crate::session::record::{Kind, Owned, Owner, Place, Record, owner_key};
use crate::session::shared::Shared;
use crate::store::{Slots, offload};

impl Shared {
    /// The list of a subject. One that is damaged is made anew by looking at every record: a list
    /// without a session that lives would be one that no revocation ends.
    pub(crate) async fn list_of(&self, subject: &str) -> Result<Option<Arc<Record>>> {
        let key = owner_key(subject);
        match self.backend.peek(&key).await {
            Err(error) if error.is_damage() => {}
            found => return found,
        }
        let (backend, walking) = (self.backend.clone(), self.walking.clone());
        let subject = subject.to_owned();
        // On a thread of its own: it takes as long as there are records. One at a time, and to the
        // end, so that whoever waits for his turn waits for nobody's executor.
        offload(move || {
            let turn = walking.lock();
            let list = list_anew(&*backend, key, &subject);
            drop(turn);
            list
        })
        .await
    }

    /// The record of a key; one that cannot be read counts as none.
    pub(crate) async fn legible(&self, key: &Key) -> Result<Option<Arc<Record>>> {
        match self.backend.peek(key).await {
            Err(error) if error.is_damage() => Ok(None),
            found => found,
        }
    }

    /// The same, and one that cannot be read ends.
    pub(crate) async fn legible_or_end(&self, key: &Key) -> Result<Option<Arc<Record>>> {
        match self.backend.peek(key).await {
            Err(error) if error.is_damage() => {
                self.backend.remove(key).await?;
                Ok(None)
            }
            found => found,
        }
    }
}

/// The list under `key`, made anew if nobody else has done so. Until it can be read again no
/// session of the subject begins or moves; one that ends meanwhile is listed in vain.
fn list_anew(
    backend: &dyn Backend<Record>,
    key: Key,
    subject: &str,
) -> Result<Option<Arc<Record>>> {
    match block_on(backend.peek(&key)) {
        Err(error) if error.is_damage() => {}
        found => return found,
    }
    let sessions = sessions_of(backend.records(), subject)?;
    let now = backend.now();
    // More than was ever counted: a login under way may be one that was to be refused.
    let generation = u64::try_from(now.as_millis()).unwrap_or(0).max(1);
    let owner = Owner { generation, sessions };
    let decide = &mut |slots: &mut Slots<Record>| {
        slots.discard();
        if slots.get(0).is_none() {
            remember(slots, 0, owner.clone(), now);
        }
    };
    block_on(backend.transact(Purpose::End, &[key], decide))?;
    block_on(backend.peek(&key))
}

/// The sessions of a subject among all records, in the order of their logins. What cannot be read
/// is not among them.
fn sessions_of(records: Records<Record>, subject: &str) -> Result<Vec<Owned>> {
    let mut found = Vec::new();
    for record in records {
        let (key, record) = match record {
            Err(error) if error.is_damage() => continue,
            record => record?,
        };
        let body = record.session().filter(|body| body.subject() == Some(subject));
        found.extend(body.map(|body| {
            let at = body.owner.as_ref().map(|login| login.at);
            (at, Owned { place: key.into(), ends: body.ends })
        }));
    }
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, owned)| owned).collect())
}

/// Stores a list that has been revoked, or may have been: that is remembered for a while, even if
/// no session is left.
pub(crate) fn remember(slots: &mut Slots<Record>, at: usize, owner: Owner, now: Timestamp) {
    let until = now.after(REVOCATION_MEMORY).max(owner.ends().unwrap_or(now));
    slots.insert(at, Record(Kind::Owner(owner)), Expiry::At(until));
}

/// Takes sessions out of the list in slot `at`.
pub(crate) fn unlist(slots: &mut Slots<Record>, at: usize, places: &[Place]) {
    let Some(mut owner) = slots.get(at).and_then(Record::owner).cloned() else { return };
    owner.sessions.retain(|owned| !places.contains(&owned.place));
    match owner.until(slots.deadline(at)) {
        Some(until) => slots.insert(at, Record(Kind::Owner(owner)), Expiry::At(until)),
        None => slots.remove(at),
    }
}

#[cfg(test)]
mod tests;
