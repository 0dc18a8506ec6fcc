//! Whether a request may come from another site, judged by its head alone; and what an origin
//! looks like. Knows no services.

use http::header::{HeaderName, ORIGIN};
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri};

use crate::error::{Error, Result};
use crate::web::host::every_authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// See the table of [`CrossSiteLayer`](super::CrossSiteLayer).
pub(super) fn passes(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    allowed: &[Box<[u8]>],
) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method) {
        return true;
    }
    let (Ok(site), Ok(origin)) = (only(headers, &SEC_FETCH_SITE), only(headers, &ORIGIN)) else {
        return false;
    };
    let is_allowed = |origin: &[u8]| allowed.iter().any(|allowed| **allowed == *origin);
    match (site, origin) {
        (None, None) | (Some(b"same-origin" | b"none"), _) => true,
        (Some(_), None) => false,
        (Some(_), Some(origin)) => is_allowed(origin),
        (None, Some(origin)) => {
            let is_same = |authority: &[u8]| is_same_host(origin, authority, uri.scheme());
            is_allowed(origin) || every_authority(uri, headers, is_same)
        }
    }
}

/// The field was there more than once.
struct Twice;

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Twice> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (_, Some(_)) => Err(Twice),
        (field, None) => Ok(field.map(|field| field.as_bytes())),
    }
}

/// Whether host and port of an origin are those that a request was sent to. The scheme counts only
/// if the request tells its own and that is HTTPS: a proxy may have taken HTTPS off.
fn is_same_host(origin: &[u8], authority: &[u8], scheme: Option<&Scheme>) -> bool {
    let (host, default_port) = match (origin.strip_prefix(b"https://"), scheme) {
        (Some(host), _) => (host, &b":443"[..]),
        (None, Some(scheme)) if *scheme == Scheme::HTTPS => return false,
        (None, _) => match origin.strip_prefix(b"http://") {
            Some(host) => (host, &b":80"[..]),
            None => return false,
        },
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    !host.is_empty() && host.eq_ignore_ascii_case(authority)
}

/// Whether a browser could write this into `Origin`; an origin that it could not would be allowed
/// in vain.
pub(super) fn check_origin(origin: &str) -> Result<()> {
    let wrong = |what: &str| {
        Err(Error::config(format!(
            "{origin:?} is no origin as browsers write it: {what}; write it like \
             `https://example.com` or `http://localhost:3000`"
        )))
    };
    let Some((scheme, authority)) = origin.split_once("://") else {
        return wrong("it is a scheme, `://` and a host");
    };
    let is_in_scheme =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
        || !scheme.bytes().all(is_in_scheme)
    {
        return wrong("the scheme is in lower case");
    }
    if authority.ends_with('/') {
        return wrong("there is no `/` at the end");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_in_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_in_name);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Browsers write addresses in the shortest form, as the standard library does.
    let is_address = address.is_some_and(|address| {
        let parsed = address.parse::<std::net::Ipv6Addr>();
        parsed.is_ok_and(|parsed| parsed.to_string() == address)
    });
    if !is_name && !is_address {
        return wrong("the host is ASCII in lower case, and nothing follows but a port");
    }
    let Some(port) = port else { return Ok(()) };
    if !port.parse::<u16>().is_ok_and(|number| number.to_string() == port) {
        return wrong("the port is a number up to 65535");
    }
    if [("https", "443"), ("http", "80")].contains(&(scheme, port)) {
        return wrong("a port that is the scheme's own is left out");
    }
    Ok(())
}
