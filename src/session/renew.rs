//! Another id every so often, for whoever goes on using a session: it is given out with a save, and
//! becomes the session's when it is first presented.

use std::sync::Arc;

use crate::backend::Purpose;
use crate::error::Result;
use crate::id::{Id, Key};
use crate::limits::NEXT_IDS_MAX;
use crate::record::expiry::Expiry;
use crate::session::act::Taken;
use crate::session::commit::Asked;
use crate::session::events::{EventKind, Rotation};
use crate::session::handle::Session;
use crate::session::record::{Kind, Place, Record};
use crate::session::resolve::Live;

impl Session {
    /// Saves, and gives out an id that is to follow this one when it is first presented.
    pub(crate) async fn renew(&self, live: Live, asked: Asked) -> Result<bool> {
        let shared = self.shared();
        let now = shared.now();
        let Some(seen) = live.body() else { return Ok(true) };
        let id = Id::new()?;
        // An id that was given out long ago and never presented makes room.
        let surplus = seen.next.len() + 1 > NEXT_IDS_MAX;
        let oldest = seen.next.first().filter(|_| surplus).map(|place| place.key());
        if let Some(key) = &oldest {
            // It goes in any case, read or unread.
            shared.legible_or_end(key).await?;
        }
        let keys: Vec<Key> = [live.key, id.key()].into_iter().chain(oldest).collect();
        let (mut result, mut taken) = (Ok(false), Taken::new(self));
        let done = shared.transact(Purpose::Add(id.key()), &keys, |slots| {
            slots.discard();
            result = Ok(false);
            let mut state = self.state();
            taken.take_back(&mut state);
            let Some(Kind::Session(body)) = slots.get(0).map(|record| &record.0) else { return };
            // Somebody else has renewed it meanwhile.
            if body.renewed != seen.renewed || body.next != seen.next || slots.get(1).is_some() {
                return;
            }
            // What is set after a login is not for whoever knows the old id.
            if state.turn.is_some() {
                return;
            }
            let mut body = body.clone();
            if let Err(error) = state.delta.apply(&mut body, shared.settings.max_value_bytes) {
                result = Err(error);
                return;
            }
            (body.saved, body.renewed, body.told) = (now, now, now);
            if oldest.is_some() {
                body.next.remove(0);
                slots.remove(2);
            }
            body.next.push(Place::from(id.key()));
            let (terms, ends) = (body.terms(shared.idle_of(&body)), body.ends);
            let record = Arc::new(Record(Kind::Session(body)));
            let shown = state.save(live.key, live.key, &record);
            slots.set_shared(0, record, shown.delta.expires().then_some(terms));
            taken.put(shown);
            let next = Record(Kind::Next(Place::from(live.key)));
            slots.insert(1, next, Expiry::At(ends));
            result = Ok(true);
        });
        if let Err(error) = done.await {
            if error.is_unknown() {
                let shown = taken.keep();
                self.state().saved(&shown);
                return Err(error);
            }
            drop(taken);
            // There is no room for another id; what is there can be saved all the same.
            return if error.is_full() { self.save_live(live, asked).await } else { Err(error) };
        }
        if !result? {
            return self.save_live(live, asked).await;
        }
        let shown = taken.keep();
        let level = shared.level_of(&shown.delta);
        let mut state = self.state();
        state.saved(&shown);
        state.give(id);
        state.wait_for(level);
        drop(state);
        shared.tell(EventKind::Rotated(Rotation::Renewal), Some(live.key));
        Ok(true)
    }
}
