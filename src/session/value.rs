//! Values as JSON text: self-describing, so that a wrong type is told and not guessed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// # Errors
/// `is_decode` if the value has no form in JSON: a map with keys that are no strings, say.
pub(crate) fn encode<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Box<str>> {
    let text = serde_json::to_string(value).map_err(|error| {
        let message = format!("the value for the session's key {name:?} cannot be JSON");
        Error::new(ErrorKind::Decode, message).caused_by(error)
    })?;
    Ok(text.into_boxed_str())
}

/// # Errors
/// `is_decode` if the text is not a `T`.
pub(crate) fn decode<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let wanted = std::any::type_name::<T>();
        let message = format!(
            "the session's value under {name:?} is not a {wanted}, and has been left as it is"
        );
        Error::new(ErrorKind::Decode, message).caused_by(error)
    })
}
