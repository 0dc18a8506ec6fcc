//! For tests of an application that uses the session layer.

use crate::error::{Error, Result};
use crate::session::Sessions;
use crate::web::Cookie;

/// What the `Cookie` field of a request holds whose browser has logged in as `subject`, with the
/// layer's default cookie: a new session is made for it.
///
/// ```
/// use sessile::session::Sessions;
/// use sessile::testing::cookie_for;
///
/// # fn main() -> sessile::Result<()> {
/// let sessions = Sessions::builder().in_memory()?;
/// let cookie = cookie_for(&sessions, "ada")?; // request.header("cookie", cookie)
/// assert_eq!(sessions.list_of("ada")?.len(), 1);
/// # assert!(cookie.starts_with("__Host-sid="));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Session::login`](crate::session::Session::login) and
/// [`Session::save`](crate::session::Session::save).
pub fn cookie_for(sessions: &Sessions, subject: impl AsRef<str>) -> Result<String> {
    cookie_in(sessions, subject, &Cookie::default())
}

/// The same for a layer with another cookie.
///
/// # Errors
/// As [`cookie_for`].
pub fn cookie_in(sessions: &Sessions, subject: impl AsRef<str>, cookie: &Cookie) -> Result<String> {
    let session = sessions.create();
    session.login(subject)?;
    let id = session.save()?.ok_or_else(|| Error::config("a login gives a new id"))?;
    Ok(format!("{}={}", cookie.name(), cookie.encode(&id).expose()))
}
