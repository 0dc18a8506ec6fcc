//! The shop's cookie: a strict reader and two writers. Knows the header, not what an id stands for.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use axum::http::header::{COOKIE, HeaderMap};
use sessile::Id;

const NAME: &[u8] = b"shop_sid";
/// Seconds that a browser keeps the cookie: as long as a session can last. When it ends is the
/// store's decision.
const MAX_AGE_S: u64 = 30 * 24 * 3600;
/// Cookies of one request that are looked at; more are as good as none.
const COOKIE_COUNT_MAX: usize = 64;

/// The id in the request's cookie. Malformed is absent, and so are two of our name: at least one
/// of them is not ours.
pub fn read(headers: &HeaderMap) -> Option<Id> {
    let mut found = None;
    let pairs = headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';').map(trim));
    for (count, pair) in pairs.enumerate() {
        if count == COOKIE_COUNT_MAX {
            return None;
        }
        let Some(value) = pair.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(b"=")) else {
            continue;
        };
        if found.replace(value).is_some() {
            return None;
        }
    }
    Id::parse(found?)
}

/// The two white spaces of the standard and no others: a browser that does not strip a character
/// must not be second-guessed.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `Set-Cookie` for a new id. Not `Secure`: the example speaks plain HTTP, on loopback.
pub fn issue(id: &Id) -> Option<HeaderValue> {
    header(id.expose(), MAX_AGE_S)
}

/// `Set-Cookie` that removes it.
pub fn remove() -> Option<HeaderValue> {
    header("", 0)
}

fn header(value: &str, max_age_s: u64) -> Option<HeaderValue> {
    let mut text = String::from_utf8_lossy(NAME).into_owned();
    write!(text, "={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}").ok()?;
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1w";

    #[track_caller]
    fn check(lines: &[&str], found: bool) {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = line.replace("ID", ID);
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        assert_eq!(read(&headers).is_some_and(|id| id.expose() == ID), found, "{lines:?}");
        assert_eq!(read(&headers).is_some(), found, "{lines:?}");
    }

    #[test]
    fn our_cookie_is_found_among_others() {
        check(&["shop_sid=ID"], true);
        check(&["a=b; shop_sid=ID;\tc=d"], true);
        check(&["a=b", "shop_sid=ID"], true);
        check(&["shop_sid2=x; xshop_sid=y; shop_sid=ID"], true);
    }

    #[test]
    fn what_is_not_exactly_ours_is_absent() {
        check(&[], false);
        check(&["shop_sid=ID; shop_sid=ID"], false);
        check(&["shop_sid=ID", "shop_sid="], false);
        check(&["SHOP_SID=ID"], false);
        check(&["shop_sid =ID"], false);
        check(&["shop_sid= ID"], false);
        check(&["shop_sid=\"ID\""], false);
        check(&["shop_sid=IDx"], false);
        check(&["shop_sid=%41GhlIHF1aWNrIGJyb3duIGZveCBqdW1w"], false);
        check(&["\u{a0}shop_sid=ID"], false);
        check(&["\u{2000}shop_sid=ID"], false);
        check(&["shop_sid"], false);
        check(&[&("a=b;".repeat(COOKIE_COUNT_MAX) + "shop_sid=ID")], false);
    }

    #[test]
    fn the_header_is_as_promised() {
        let id = Id::parse(ID).unwrap();
        let expected = format!("shop_sid={ID}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000");
        assert_eq!(issue(&id).unwrap(), expected);
        assert!(!format!("{:?}", issue(&id)).contains(ID));
        assert_eq!(remove().unwrap(), "shop_sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
