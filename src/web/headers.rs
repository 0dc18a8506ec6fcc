//! Header fields that keep what depends on a session out of shared caches, and clear what a
//! browser keeps. Knows header fields, and not what a session is.

use http::header::{CACHE_CONTROL, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Adds `Cookie` to `Vary`, unless it or `*` is there already: what a handler has set is kept, in
/// one field. Allocates only if there was another `Vary`.
pub fn vary_cookie(headers: &mut HeaderMap) {
    let is_covered = headers.get_all(VARY).iter().any(|field| {
        let is_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"cookie");
        field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(is_it)
    });
    if is_covered {
        return;
    }
    let before = headers.get(VARY).map_or(&[][..], |field| field.as_bytes().trim_ascii());
    let merged = match before {
        [] => None,
        before => HeaderValue::from_bytes(&[before, b", Cookie"].concat()).ok(),
    };
    let field = merged.unwrap_or_else(|| HeaderValue::from_static("Cookie"));
    match headers.get_mut(VARY) {
        // The first of several; the others stay as they are.
        Some(first) => *first = field,
        None => {
            headers.insert(VARY, field);
        }
    }
}

/// Sets `Cache-Control: no-store` in place of what is there, unless `no-store` is a part of that.
/// Allocates nothing.
pub fn no_store(headers: &mut HeaderMap) {
    let is_strict = |field: &HeaderValue| {
        directives(field.as_bytes()).any(|part| part.eq_ignore_ascii_case(b"no-store"))
    };
    if !headers.get_all(CACHE_CONTROL).iter().any(is_strict) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The parts of a list, at commas that stand outside quotes.
fn directives(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = field.split(move |byte| {
        let was_escaped = escaped;
        escaped = quoted && *byte == b'\\' && !was_escaped;
        quoted ^= *byte == b'"' && !was_escaped;
        *byte == b',' && !quoted
    });
    parts.map(<[u8]>::trim_ascii)
}

/// What a browser is asked to forget with [`clear_site_data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteData {
    /// Pages and files in its cache. Slow in some browsers.
    Cache,
    /// All cookies of the registrable domain, those of its other hosts included.
    Cookies,
    /// What scripts have stored.
    Storage,
}

/// Sets `Clear-Site-Data`: for the answer to a logout, if nothing on the device may outlast it.
/// Browsers heed it over HTTPS only. Without any kind nothing is set. One allocation.
pub fn clear_site_data(headers: &mut HeaderMap, kinds: &[SiteData]) {
    let words = [
        (SiteData::Cache, "\"cache\""),
        (SiteData::Cookies, "\"cookies\""),
        (SiteData::Storage, "\"storage\""),
    ];
    let mut field = String::new();
    for (_, word) in words.iter().filter(|(kind, _)| kinds.contains(kind)) {
        field.push_str(if field.is_empty() { "" } else { ", " });
        field.push_str(word);
    }
    if let (false, Ok(field)) = (field.is_empty(), HeaderValue::try_from(field.as_str())) {
        headers.insert(CLEAR_SITE_DATA, field);
    }
}
