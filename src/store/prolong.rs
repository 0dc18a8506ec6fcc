//! Keeping a session alive while a write that lets it go on is under way.
//!
//! Such a write has found, under its stripe, that the session lives. A reader takes no lock, and
//! may find a moment later that it has expired, and say so. Then it has ended, and the write must
//! not bring it back: what decides between the two is the deadline in the map's entry, which
//! either the writer moves or the reader ends.

use std::sync::Arc;

use crate::clock::Tick;
use crate::id::Key;
use crate::store::apply::cost;
use crate::store::current::Current;
use crate::store::engine::Engine;
use crate::store::map::State;
use crate::store::read::{INHERITED, Placed};
use crate::store::stripe::Stripe;

impl<V> Engine<V> {
    /// Sees to it that no reader finds the session expired before `until`. False if one has, or
    /// if it has expired: then it has ended. The stripe must be the key's, and `current` what was
    /// found under it. What has to be dropped after the stripe is unlocked goes to `left`.
    pub(crate) fn prolong(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        current: &mut Current<V>,
        until: Tick,
        left: &mut Option<Arc<V>>,
    ) -> bool {
        if self.time.is_suspect() {
            // Nobody ends anything for good.
            return true;
        }
        if !current.in_map {
            self.bring_in(stripe, key, current, left);
        }
        // Read after the entry is there: who found the session expired before that, in the bases,
        // was told this time or an earlier one.
        let now = self.now();
        let generation = self.generation();
        let prolonged =
            self.map.read(key, |entry| entry.is_of(generation) && entry.prolong(now, until));
        prolonged == Some(true)
    }

    /// Puts an entry for a session that only the bases have into the map, its times as they are.
    fn bring_in(
        &self,
        stripe: &mut Stripe,
        key: &Key,
        current: &mut Current<V>,
        left: &mut Option<Arc<V>>,
    ) {
        let life = current.life;
        let placed = self.place(stripe, key, State::Cold, None, life);
        let Some(Placed { slot, left: was_left, .. }) = placed else { return };
        *left = was_left;
        if let Some(node) = stripe.slab.get_mut(slot) {
            node.set_lsn(INHERITED);
            node.logged = life.deadline;
            node.set_bytes(current.bytes);
        }
        let second = self.second_for(life, life.deadline);
        stripe.wheel.insert(&mut stripe.slab, slot, second);
        self.account(0, cost(State::Cold, current.bytes));
        current.in_map = true;
    }
}
