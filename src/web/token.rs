//! The session's token against cross-site requests, for forms that must have been shown before they
//! are sent. Kept in the session under a reserved key; a login draws a new one.

use crate::error::Result;
use crate::session::{CSRF_TOKEN, Session};
use crate::web::csrf::Token;

impl Session {
    /// The session's token, for a hidden field or a header: spelt anew each time. Draws and sets it
    /// if there is none: at once where the session is stored, so that pages that are shown in
    /// parallel have the same.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn csrf_token(&self) -> Result<String> {
        if let Some(token) = self.known_token()? {
            return token.masked();
        }
        drop(self.open()?);
        let drawn = Token::new()?;
        let token = self.update_text(CSRF_TOKEN, |text| {
            let token = text.and_then(parse).unwrap_or_else(|| drawn.clone());
            let text = format!("\"{}\"", token.expose());
            Ok((token, text.into()))
        })?;
        token.masked()
    }

    /// Whether `masked` is the session's token. False if it never had one.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn verify_csrf(&self, masked: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.known_token()?.is_some_and(|token| token.verify(masked.as_ref())))
    }

    fn known_token(&self) -> Result<Option<Token>> {
        let state = self.loaded()?;
        Ok(state.see(CSRF_TOKEN).and_then(parse))
    }
}

/// From JSON, as it is kept.
fn parse(text: &str) -> Option<Token> {
    Token::parse(text.trim_matches('"'))
}
