//! Changing the live session, while what the request has not saved yet is a part of it.
//!
//! What a change takes from the request's own state, and what it makes of the session, is set in
//! that state while the change is decided, under the lock of the record: whatever clones of the
//! session do at the same time, a value that was set counts once. Inside the record's lock the
//! state's may be taken, never the other way round.
//!
//! Saves, new sessions and new ids do the same: what is to be saved is taken when it is written, not
//! before, and a session under a new id is shown before anybody can miss it under the old one.

use std::sync::Arc;

use crate::backend::{Purpose, block_on};
use crate::error::Result;
use crate::id::Key;
use crate::session::delta::Delta;
use crate::session::handle::Session;
use crate::session::record::{Body, Kind, Record};
use crate::session::resolve::Live;
use crate::session::shared::{Changed, Verdict};
use crate::session::state::{State, Turn};

/// What the request itself has set under a key and not saved yet; a value that is `None` is to be
/// taken out.
#[derive(PartialEq, Eq)]
pub(crate) struct Unsaved<'a> {
    name: &'a str,
    set: Option<Option<Box<str>>>,
    /// The same before a login that is to come with the response.
    set_before: Option<Option<Box<str>>>,
}

impl Unsaved<'_> {
    /// What the request sees, given what the session has.
    pub(crate) fn or<'a>(&'a self, saved: Option<&'a str>) -> Option<&'a str> {
        match self.set.as_ref().or(self.set_before.as_ref()) {
            Some(set) => set.as_deref(),
            None => saved,
        }
    }
}

/// What a change has done to the request's state: to be taken back if it fails after all.
#[derive(Default)]
pub(crate) struct Shown {
    /// What the session was, and is.
    live: Option<(Option<Live>, Arc<Record>)>,
    /// What was taken to be saved.
    pub(crate) delta: Delta,
    turn: Option<Box<Turn>>,
    dirty: bool,
    /// Counted among those who save.
    pub(crate) saves: bool,
    /// It is to have another id, and had vanished or not.
    moves: Option<bool>,
    /// How many sessions the request had ended.
    ends: u32,
}

/// The same with what was used up. Dropped, it takes everything back: after a failure, and where the
/// application's codec panics.
pub(crate) struct Taken<'a> {
    session: &'a Session,
    taken: Option<(Shown, Option<Unsaved<'a>>)>,
}

impl<'a> Taken<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Taken { session, taken: None }
    }

    pub(crate) fn put(&mut self, shown: Shown) {
        self.taken = Some((shown, None));
    }

    pub(crate) fn take_back(&mut self, state: &mut State) {
        let Some((shown, used)) = self.taken.take() else { return };
        let used = used.filter(|_| shown.ends == state.ends);
        state.withdraw(shown);
        used.into_iter().for_each(|used| state.put_back(used));
    }

    /// It is done, or may be.
    pub(crate) fn keep(mut self) -> Shown {
        self.taken.take().map(|(shown, _)| shown).unwrap_or_default()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.taken.is_some() {
            let session = self.session;
            self.take_back(&mut session.state());
        }
    }
}

impl State {
    fn before(&mut self) -> Option<&mut Delta> {
        match self.turn.as_deref_mut() {
            Some(Turn::Login(login)) => Some(&mut login.before),
            _ => None,
        }
    }

    fn unsaved<'a>(&mut self, name: &'a str) -> Unsaved<'a> {
        let set = self.delta.entry(name).cloned();
        let set_before = self.before().and_then(|before| before.entry(name).cloned());
        Unsaved { name, set, set_before }
    }

    /// It is in the session. False if it has been set anew since: that is still to be saved.
    fn use_up(&mut self, unsaved: &Unsaved<'_>) -> bool {
        if self.unsaved(unsaved.name) != *unsaved {
            return false;
        }
        self.delta.forget(unsaved.name);
        if let Some(before) = self.before() {
            before.forget(unsaved.name);
        }
        true
    }

    /// It is not in the session after all.
    fn put_back(&mut self, unsaved: Unsaved<'_>) {
        let Unsaved { name, mut set, set_before } = unsaved;
        let now = self.unsaved(name);
        if now.set.is_some() || now.set_before.is_some() {
            return;
        }
        match (self.before(), set_before) {
            (Some(before), Some(value)) => before.set(name, value),
            (_, value) => set = set.or(value),
        }
        if let Some(value) = set {
            self.delta.set(name, value);
        }
    }

    /// The session is this by now, under `key`, having been looked for under `target`.
    fn show(&mut self, target: Key, key: Key, record: &Arc<Record>, shown: &mut Shown) {
        // A clone may have ended it meanwhile, or begun another.
        let same = |live: &&mut Live| live.key == target || live.key == key;
        let Some(live) = self.live.as_mut().filter(same) else { return };
        shown.live = Some((Some(live.clone()), record.clone()));
        live.moved |= live.key != key;
        (live.key, live.record) = (key, record.clone());
    }

    /// The same, with everything that is to be saved: it is in the record.
    pub(crate) fn save(&mut self, target: Key, key: Key, record: &Arc<Record>) -> Shown {
        let mut shown = Shown { saves: true, ..self.take() };
        self.saving += 1;
        self.show(target, key, record, &mut shown);
        shown
    }

    fn take(&mut self) -> Shown {
        Shown {
            delta: std::mem::take(&mut self.delta),
            dirty: std::mem::take(&mut self.dirty),
            ends: self.ends,
            ..Shown::default()
        }
    }

    /// The same for a session that begins, or is given another id.
    pub(crate) fn move_to(&mut self, key: Key, record: &Arc<Record>) -> Shown {
        let live = Live { key, record: record.clone(), moved: false, promoted: false };
        let moves = Some(std::mem::take(&mut self.vanished));
        self.moving += 1;
        let live = Some((self.live.replace(live), record.clone()));
        Shown { live, turn: self.turn.take(), moves, ..self.take() }
    }

    /// It has failed.
    fn withdraw(&mut self, shown: Shown) {
        self.saved(&shown);
        self.moving -= u32::from(shown.moves.is_some());
        self.put_back = self.put_back.wrapping_add(1);
        if let (Some((before, record)), Some(live)) = (shown.live, self.live.as_ref())
            && Arc::ptr_eq(&record, &live.record)
        {
            self.live = before;
            self.vanished |= shown.moves == Some(true);
        }
        // What concerned a session that a clone has ended since does not concern the next one.
        if shown.ends != self.ends {
            return;
        }
        let delta = match self.turn.as_deref_mut() {
            // Nor somebody else, whom a clone has logged in since.
            Some(Turn::Login(login)) if login.anew => return,
            Some(Turn::Login(login)) => &mut login.before,
            _ => &mut self.delta,
        };
        *delta = shown.delta.then(std::mem::take(delta));
        self.turn = self.turn.take().or(shown.turn);
        self.dirty |= shown.dirty;
    }
}

/// What came of a change that acts at once.
pub(crate) enum Acted<R> {
    Done(R),
    /// The session has ended meanwhile.
    Gone,
    /// A clone has emptied it, or logs somebody else in, or has given it another id: it is to be
    /// looked at anew.
    Aimless,
}

impl Session {
    /// Changes the live session. `aim` says whether there is still something to act upon; `change`
    /// is given what is unsaved of `name`, and says whether it has used that up.
    pub(crate) fn act<R: Send>(
        &self,
        target: Key,
        name: &str,
        aim: fn(&State) -> Option<Key>,
        mut change: impl FnMut(&mut Body, &Unsaved<'_>) -> Result<(Verdict<R>, bool)> + Send,
    ) -> Result<Acted<R>> {
        let shared = self.shared();
        let mut taken = Taken::new(self);
        let changed = block_on(shared.change(Purpose::Change, target, |key, mut body| {
            let unsaved = {
                let mut state = self.state();
                taken.take_back(&mut state);
                if aim(&state).is_none() {
                    let record = Arc::new(Record(Kind::Session(body)));
                    return Ok((Verdict::Keep(None), record));
                }
                state.unsaved(name)
            };
            let (verdict, uses_up) = change(&mut body, &unsaved)?;
            let record = Arc::new(Record(Kind::Session(body)));
            let mut state = self.state();
            let mut shown = Shown { ends: state.ends, ..Shown::default() };
            state.show(target, key, &record, &mut shown);
            let used = (uses_up && state.use_up(&unsaved)).then_some(unsaved);
            state.modified |= uses_up;
            taken.taken = Some((shown, used));
            Ok((verdict.map(Some), record))
        }));
        match changed {
            Ok(Changed::Done(None, _)) => Ok(Acted::Aimless),
            Ok(Changed::Done(Some(result), _)) => {
                taken.keep();
                self.state().wait_for(shared.settings.write_level);
                block_on(self.wait_if_late())?;
                Ok(Acted::Done(result))
            }
            Ok(Changed::Gone) => {
                drop(taken);
                Ok(if self.vanished(target) { Acted::Gone } else { Acted::Aimless })
            }
            Err(error) => {
                // Of what is unknown the change is visible.
                if error.is_unknown() {
                    taken.keep();
                }
                Err(error)
            }
        }
    }
}
