//! The session cookie over the network: bytes of others, headers of ours, keys, other sites. The
//! tests are named after the rules that they prove and the accidents that they keep away.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod allocations;
mod answers;
mod bytes;
mod options;
mod signed;
mod sites;
mod slow;
mod written;

use http::HeaderMap;
use http::header::COOKIE;
use proptest::test_runner::{Config, FileFailurePersistence};
use sessile::web::{Cookie, Found, SigningKey};

/// How many cases, and no files left behind.
fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    }
}

/// Request headers with these `Cookie` fields; `None` if `http` refuses the bytes.
fn headers(fields: &[&[u8]]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(COOKIE, field.to_vec().try_into().ok()?);
    }
    Some(headers)
}

/// What a cookie finds in one field, read as bytes; through `http` it is the same, if that takes
/// the bytes at all.
fn find<'a>(cookie: &Cookie, field: &'a [u8]) -> Found<'a> {
    let found = cookie.find_in([field]);
    if let Some(headers) = headers(&[field]) {
        assert_eq!(cookie.find(&headers), found, "{:?}", field.escape_ascii().to_string());
    }
    found
}

fn key(byte: u8) -> SigningKey {
    SigningKey::new([byte; 32]).unwrap()
}
