//! Values as JSON text: self-describing, so that a wrong type is told and not guessed.
//!
//! What an error says is read in logs, so it names keys, types and kinds of values, and never
//! what a value is: neither in its text nor in a source.

mod finite;
mod mismatch;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind, Result};

/// # Errors
/// `is_decode` if the value has no form in JSON: a map with keys that are no strings, a number that
/// is not finite.
pub(crate) fn encode<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Box<str>> {
    let refused = |why: &str| {
        let message = format!("the value for the session's key {name:?} cannot be JSON: {why}");
        Error::new(ErrorKind::Decode, message)
    };
    // Written where most values fit, so that what is kept is allocated once and of its size.
    let mut text = SmallVec::<[u8; 256]>::new();
    serde_json::to_writer(&mut text, value).map_err(|_| {
        refused("a map in it has keys that are no strings, or its own `Serialize` refuses it")
    })?;
    let text = std::str::from_utf8(&text).map_err(|_| refused("it is not UTF-8"))?;
    // What JSON has no number for is written as `null`, and would be another value when it is read.
    if text.contains("null") && !finite::is_finite(value) {
        return Err(refused(
            "a number in it is infinite or NaN; set an `Option` or a text instead",
        ));
    }
    Ok(text.into())
}

/// # Errors
/// `is_decode` if the text is not a `T`.
pub(crate) fn decode<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| {
        let wanted = std::any::type_name::<T>();
        let why = mismatch::explain::<T>(text);
        let message = format!(
            "the session's value under {name:?} is not a {wanted}, and has been left as it is: {why}"
        );
        Error::new(ErrorKind::Decode, message)
    })
}
