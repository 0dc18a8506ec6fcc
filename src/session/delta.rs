//! What a request has changed and not yet saved: merged key by key into whatever is there then.
//!
//! Never carries a value that the request did not set, so parallel requests do not lose each
//! other's keys, and a save can bring nothing back.

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{FLASHES_MAX, SESSION_KEYS_MAX};
use crate::session::dict::Dict;
use crate::session::record::{Body, Flash, SessionExpiry};

/// See the module's text.
#[derive(Clone, Default)]
pub(crate) struct Delta {
    /// Everything that was there went first.
    pub(crate) cleared: bool,
    /// Sorted by key; `None` takes the key out.
    sets: Vec<(Box<str>, Option<Box<str>>)>,
    pub(crate) flashes: Vec<Flash>,
    pub(crate) expiry: Option<SessionExpiry>,
}

/// What a delta knows of a key.
#[derive(PartialEq, Eq)]
pub(crate) enum Known<'a> {
    Set(&'a str),
    Gone,
    /// What the record says counts.
    Unknown,
}

impl Delta {
    /// Whether it would put nothing into a new session.
    pub(crate) fn is_vacant(&self) -> bool {
        self.flashes.is_empty() && self.sets.iter().all(|(_, value)| value.is_none())
    }

    /// Whether it gives the session another expiry.
    pub(crate) fn expires(&self) -> bool {
        self.cleared || self.expiry.is_some()
    }

    pub(crate) fn known(&self, key: &str) -> Known<'_> {
        match self.find(key).ok().and_then(|index| self.sets.get(index)) {
            Some((_, Some(value))) => Known::Set(value),
            Some((_, None)) => Known::Gone,
            None if self.cleared => Known::Gone,
            None => Known::Unknown,
        }
    }

    /// What it does to a key, if that was set by itself.
    pub(crate) fn entry(&self, key: &str) -> Option<&Option<Box<str>>> {
        self.find(key).ok().and_then(|index| self.sets.get(index)).map(|(_, value)| value)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.sets.binary_search_by(|(found, _)| (**found).cmp(key))
    }

    pub(crate) fn set(&mut self, key: &str, value: Option<Box<str>>) {
        match self.find(key) {
            Ok(index) => {
                if let Some(slot) = self.sets.get_mut(index) {
                    slot.1 = value;
                }
            }
            Err(index) => self.sets.insert(index, (key.into(), value)),
        }
    }

    /// What was decided of a key is no longer to be saved: it has been done.
    pub(crate) fn forget(&mut self, key: &str) {
        if let Ok(index) = self.find(key) {
            self.sets.remove(index);
        }
    }

    /// This, and then `later`.
    pub(crate) fn then(mut self, later: Delta) -> Delta {
        if later.cleared {
            return later;
        }
        for (key, value) in later.sets {
            self.set(&key, value);
        }
        self.flashes.extend(later.flashes);
        Delta { expiry: later.expiry.or(self.expiry), ..self }
    }

    /// Keys and bytes that it can add at most.
    pub(crate) fn at_most(&self) -> (usize, usize) {
        let bytes = |(key, value): &(Box<str>, Option<Box<str>>)| {
            value.as_deref().map_or(0, |value| Dict::cost(key, value))
        };
        let flashes: usize = self.flashes.iter().map(Flash::size).sum();
        (self.sets.len(), self.sets.iter().map(bytes).sum::<usize>() + flashes)
    }

    pub(crate) fn clear(&mut self) {
        *self = Delta { cleared: true, ..Delta::default() };
    }

    /// The dictionary that `data` becomes by this.
    pub(crate) fn over(&self, data: &Dict) -> Dict {
        let changes = self.sets.iter().map(|(key, value)| (&**key, value.as_deref()));
        if self.cleared { Dict::default().merged(changes) } else { data.merged(changes) }
    }

    /// Does to a session what the request did.
    ///
    /// # Errors
    /// `is_too_large` for too many keys, or more than `most` bytes in all; `body` is of no use then.
    pub(crate) fn apply(&self, body: &mut Body, most: usize) -> Result<()> {
        let before = body.size();
        let data = self.over(&body.data);
        check_count(data.len())?;
        body.data = data;
        if self.cleared {
            body.flashes.clear();
            body.expiry = SessionExpiry::Default;
        }
        body.flashes.extend(self.flashes.iter().cloned());
        let surplus = body.flashes.len().saturating_sub(FLASHES_MAX);
        body.flashes.drain(..surplus);
        body.expiry = self.expiry.unwrap_or(body.expiry);
        check_growth("the session", before, body.size(), most)
    }
}

/// # Errors
/// `is_too_large` for more keys than a session may have.
pub(crate) fn check_count(keys: usize) -> Result<()> {
    if keys > SESSION_KEYS_MAX {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the session would have {keys} keys; at most {SESSION_KEYS_MAX} are allowed"),
        ));
    }
    Ok(())
}

/// The one limit of what a record may become. What is larger already, because the limit was, may
/// still shrink and stay.
///
/// # Errors
/// `is_too_large`, naming the limit.
pub(crate) fn check_growth(what: &str, before: usize, after: usize, most: usize) -> Result<()> {
    if after > most && after > before {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "{what} would have {after} bytes and the limit is {most}: store less, or raise \
                 `max_value_bytes`"
            ),
        ));
    }
    Ok(())
}
