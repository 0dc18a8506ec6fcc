//! What the cookie's value says: the letters of an id, and behind them, where keys are set, a
//! signature. Knows no headers.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::id::Id;
use crate::limits::{SIGNING_KEYS_MAX, SIGNING_SECRET_BYTES_MIN};
use crate::web::base64;

/// Separates these signatures from every other use of the same secret.
const DOMAIN: &[u8] = b"sessile/cookie/v1\0";
const ID_LETTERS: usize = 32;
const SIGNATURE_BYTES: usize = 32;
const SIGNATURE_LETTERS: usize = base64::letters(SIGNATURE_BYTES);
/// Letters of an id, a dot, letters of a signature.
pub(super) const VALUE_BYTES_MAX: usize = ID_LETTERS + 1 + SIGNATURE_LETTERS;

/// A key that signs cookies: see [`CookieBuilder::signed_with`](super::CookieBuilder::signed_with).
///
/// It holds no copy of the secret, only what HMAC-SHA-256 makes of it, and prints nothing.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// A key from a secret: at least 32 bytes that nobody can guess, the same in all processes
    /// that read the same cookies. Draw them at random (`openssl rand -base64 48`); a sentence is
    /// no secret, and neither is what stands in a repository.
    ///
    /// # Errors
    /// `is_config` if it is shorter.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self> {
        let secret = secret.as_ref();
        if secret.len() < SIGNING_SECRET_BYTES_MIN {
            return Err(Error::config(format!(
                "a signing key is made of at least {SIGNING_SECRET_BYTES_MIN} random bytes, and \
                 this secret has {}",
                secret.len()
            )));
        }
        let key = Hmac::new_from_slice(secret).map_err(|error| {
            Error::config("the secret of a signing key is refused").caused_by(error)
        })?;
        Ok(SigningKey(key))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The keys of one cookie. Each has the name in it already, so a request pays for the id alone.
#[derive(Clone)]
pub(super) struct Keys {
    first: Hmac<Sha256>,
    older: Box<[Hmac<Sha256>]>,
}

impl Keys {
    /// The first signs, all verify.
    pub(super) fn new(keys: &[SigningKey], name: &str) -> Result<Self> {
        let [first, older @ ..] = keys else {
            return Err(Error::config("`signed_with` needs a key, and got none"));
        };
        if keys.len() > SIGNING_KEYS_MAX {
            return Err(Error::config(format!(
                "a cookie has at most {SIGNING_KEYS_MAX} signing keys, and got {}: drop the \
                 oldest",
                keys.len()
            )));
        }
        // A name is a token and holds no zero byte, so no two of these run together.
        let with_name = |key: &SigningKey| {
            key.0.clone().chain_update(DOMAIN).chain_update(name).chain_update([0])
        };
        Ok(Keys { first: with_name(first), older: older.iter().map(with_name).collect() })
    }

    fn sign(&self, id: &Id) -> [u8; SIGNATURE_BYTES] {
        self.first.clone().chain_update(id.expose()).finalize().into_bytes().into()
    }

    /// Takes the same time wherever a wrong signature is wrong.
    fn verify(&self, id: &Id, signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let mut keys = std::iter::once(&self.first).chain(&self.older);
        keys.any(|key| key.clone().chain_update(id.expose()).verify_slice(signature).is_ok())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", 1 + self.older.len())
    }
}

/// A cookie's value: letters, digits, `-`, `_` and, where it is signed, one dot. As secret as the
/// id in it; it has no `Display`, and its `Debug` shows nothing.
#[derive(Clone)]
pub struct Value {
    bytes: [u8; VALUE_BYTES_MAX],
    length: usize,
}

impl Value {
    pub(super) fn encode(id: &Id, keys: Option<&Keys>) -> Self {
        let mut bytes = [0; VALUE_BYTES_MAX];
        let (letters, rest) = bytes.split_at_mut(ID_LETTERS);
        letters.iter_mut().zip(id.expose().bytes()).for_each(|(to, from)| *to = from);
        let mut length = ID_LETTERS;
        if let (Some(keys), [dot, signature @ ..]) = (keys, rest) {
            *dot = b'.';
            base64::encode(&keys.sign(id), signature);
            length = VALUE_BYTES_MAX;
        }
        Value { bytes, length }
    }

    /// The value, to be put into a cookie and nowhere else.
    pub fn expose(&self) -> &str {
        // All of it is ASCII, so this cannot fail.
        std::str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(…)")
    }
}

/// The id that a value carries. Malformed is absent, unsigned where keys are set is absent, and
/// signed where none are is absent.
pub(super) fn decode(value: &[u8], keys: Option<&Keys>) -> Option<Id> {
    let Some(keys) = keys else { return Id::parse(value) };
    let (letters, rest) = value.split_at_checked(ID_LETTERS)?;
    let [b'.', signed @ ..] = rest else { return None };
    let mut signature = [0; SIGNATURE_BYTES];
    let id = Id::parse(letters)?;
    (base64::decode(signed, &mut signature) && keys.verify(&id, &signature)).then_some(id)
}
