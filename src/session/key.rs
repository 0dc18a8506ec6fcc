//! The names of a session's values: plain strings, or constants that know their type.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::limits::SESSION_KEY_BYTES_MAX;

/// A key that knows the type of its value, so that nobody has to repeat it.
///
/// ```
/// use sessile::session::SessionKey;
///
/// const CART: SessionKey<Vec<String>> = SessionKey::new("cart");
/// ```
pub struct SessionKey<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> SessionKey<T> {
    /// A key of this name.
    ///
    /// # Panics
    /// If the name is empty, longer than 255 bytes, or begins with an underscore: while it is
    /// compiled, for a constant.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty(), "the name of a session's key is empty");
        assert!(name.len() <= SESSION_KEY_BYTES_MAX, "the name of a session's key is too long");
        assert!(
            !matches!(name.as_bytes().first(), Some(b'_')),
            "names that begin with an underscore are reserved"
        );
        SessionKey { name, of: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for SessionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SessionKey<T> {}

impl<T> AsRef<str> for SessionKey<T> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl<T> fmt::Debug for SessionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:?})", self.name)
    }
}

/// What names a value of type `T`: a string of any, a [`SessionKey`] of its own type.
pub trait Name<T>: sealed::Sealed {
    /// The name itself.
    fn name(&self) -> &str;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl<T> Sealed for super::SessionKey<T> {}
}

impl<T> Name<T> for SessionKey<T> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<T> Name<T> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> Name<T> for &String {
    fn name(&self) -> &str {
        self
    }
}

/// A name that may be used.
///
/// # Errors
/// `is_config`, saying what is wrong with it.
pub(crate) fn check(name: &str) -> Result<&str> {
    if name.starts_with('_') {
        return Err(Error::config(format!(
            "the session's key {name:?} begins with an underscore; these names are reserved"
        )));
    }
    if name.is_empty() || name.len() > SESSION_KEY_BYTES_MAX {
        return Err(Error::config(format!(
            "a session's key has {} bytes; it must have between 1 and {SESSION_KEY_BYTES_MAX}",
            name.len()
        )));
    }
    Ok(name)
}
