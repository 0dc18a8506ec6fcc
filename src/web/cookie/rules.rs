//! Which cookies a browser takes as they are meant: RFC 6265, its revision, and the prefixes of
//! names. Knows options, and neither requests nor values.

use super::builder::CookieBuilder;
use super::sign::VALUE_BYTES_MAX;
use crate::error::{Error, Result};
use crate::limits::{COOKIE_DOMAIN_BYTES_MAX, COOKIE_NAME_BYTES_MAX, COOKIE_PATH_BYTES_MAX};

/// With which requests of other sites a browser sends the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With none, not even when somebody follows a link.
    Strict,
    /// When somebody follows a link, and not with posts, frames and scripts of other sites.
    Lax,
    /// With all. Needs `Secure`.
    None,
}

impl SameSite {
    pub(super) fn attribute(self) -> &'static str {
        match self {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        }
    }
}

/// Everything but name, value, path and domain, at its longest.
const ATTRIBUTES: &str = "=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=; Domain=\
                          ; Secure; HttpOnly; SameSite=Strict; Partitioned";

// Whatever is valid is below what every browser stores.
const _: () = assert!(
    COOKIE_NAME_BYTES_MAX
        + VALUE_BYTES_MAX
        + COOKIE_PATH_BYTES_MAX
        + COOKIE_DOMAIN_BYTES_MAX
        + ATTRIBUTES.len()
        < 4096
);

pub(super) fn check(options: &CookieBuilder) -> Result<()> {
    name(&options.name)?;
    path(&options.path)?;
    if let Some(written) = &options.domain {
        domain(written)?;
    }
    prefix(options)?;
    let needs_secure = [
        (options.same_site == SameSite::None, "`SameSite::None`"),
        (options.partitioned, "`partitioned`"),
    ];
    if let Some((_, what)) = needs_secure.iter().find(|(is_set, _)| *is_set && !options.secure) {
        return Err(Error::config(format!(
            "{what} needs `secure`: browsers drop such a cookie without it"
        )));
    }
    Ok(())
}

/// A token of RFC 6265.
fn name(name: &str) -> Result<()> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > COOKIE_NAME_BYTES_MAX || !name.bytes().all(is_token) {
        return Err(Error::config(format!(
            "{name:?} cannot be the name of a cookie: a name has 1 to {COOKIE_NAME_BYTES_MAX} \
             ASCII letters, digits or !#$%&'*+-.^_`|~"
        )));
    }
    Ok(())
}

fn path(path: &str) -> Result<()> {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if !path.starts_with('/') || path.len() > COOKIE_PATH_BYTES_MAX || !path.bytes().all(is_fine) {
        return Err(Error::config(format!(
            "{path:?} cannot be the path of a cookie: it begins with `/`, has at most \
             {COOKIE_PATH_BYTES_MAX} bytes, and is ASCII without blanks, control characters and `;`"
        )));
    }
    Ok(())
}

fn domain(domain: &str) -> Result<()> {
    let is_label = |label: &str| {
        let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_inside)
    };
    if domain.len() > COOKIE_DOMAIN_BYTES_MAX || !domain.split('.').all(is_label) {
        return Err(Error::config(format!(
            "{domain:?} cannot be the domain of a cookie: write a host's name without a leading \
             dot, scheme or port, other than ASCII in its `xn--` form"
        )));
    }
    Ok(())
}

/// What a prefix promises must hold, or browsers drop the cookie. Compared as they do, without
/// regard to case.
fn prefix(options: &CookieBuilder) -> Result<()> {
    let name = options.name.to_ascii_lowercase();
    let is_host = name.starts_with("__host-");
    let is_http = name.starts_with("__http-") || name.starts_with("__host-http-");
    let is_any = is_host || is_http || name.starts_with("__secure-");
    let wrong = [
        (is_any && !options.secure, "needs `secure`"),
        (is_http && !options.http_only, "needs `http_only`"),
        (is_host && options.domain.is_some(), "has no `domain`"),
        (is_host && options.path != "/", "has the path `/`"),
    ];
    if let Some((_, what)) = wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        return Err(Error::config(format!(
            "a cookie called {:?} {what}, as its prefix promises; browsers drop it otherwise",
            options.name
        )));
    }
    Ok(())
}
