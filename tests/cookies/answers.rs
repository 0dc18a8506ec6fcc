//! Header fields of answers: R13, R25.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, VARY};
use sessile::web::headers::{SiteData, clear_site_data, no_store, vary_cookie};

fn fields(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// What the handler said stays, and `Cookie` is added once.
#[test]
fn s75_r13_vary_is_merged_and_never_doubled() {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["Cookie"]),
        (&[""], &["Cookie"]),
        (&["  "], &["Cookie"]),
        (&["Cookie"], &["Cookie"]),
        (&["cookie"], &["cookie"]),
        (&["COOKIE"], &["COOKIE"]),
        (&["*"], &["*"]),
        (&["Accept, *"], &["Accept, *"]),
        (&["Accept-Language"], &["Accept-Language, Cookie"]),
        (&["Accept, Accept-Language"], &["Accept, Accept-Language, Cookie"]),
        (&["Accept,cOOKie ,X"], &["Accept,cOOKie ,X"]),
        (&["Accept", "Cookie"], &["Accept", "Cookie"]),
        (&["Accept", "Origin, cookie"], &["Accept", "Origin, cookie"]),
        (&["Accept", "Origin"], &["Accept, Cookie", "Origin"]),
        (&["Set-Cookie"], &["Set-Cookie, Cookie"]),
        (&["Cookie2"], &["Cookie2, Cookie"]),
        (&["X-Cookie, Cookies"], &["X-Cookie, Cookies, Cookie"]),
    ];
    for (before, after) in cases {
        let mut headers = fields(&VARY, before);
        vary_cookie(&mut headers);
        assert_eq!(values(&headers, &VARY), *after, "{before:?}");
        vary_cookie(&mut headers);
        assert_eq!(values(&headers, &VARY), *after, "{before:?}, twice");
    }
}

#[test]
fn r13_bytes_that_are_no_text_stay_in_vary() {
    let mut headers = HeaderMap::new();
    headers.insert(VARY, http::HeaderValue::from_bytes(b"X\xFF").unwrap());
    vary_cookie(&mut headers);
    assert_eq!(headers[VARY].as_bytes(), b"X\xFF, Cookie");
}

#[test]
fn r13_no_store_replaces_what_is_weaker_and_nothing_else() {
    let kept: &[&[&str]] = &[
        &["no-store"],
        &["No-Store"],
        &["private, no-store"],
        &["no-store,max-age=0"],
        &["private", "no-cache , NO-STORE"],
        &["private=\"a, b\", no-store"],
        &["private=\"a\\\", b\", no-store"],
    ];
    for values_kept in kept {
        let mut headers = fields(&CACHE_CONTROL, values_kept);
        no_store(&mut headers);
        assert_eq!(values(&headers, &CACHE_CONTROL), *values_kept);
    }
    let replaced: &[&[&str]] = &[
        &[],
        &[""],
        &["private"],
        &["no-cache"],
        &["public, max-age=31536000", "immutable"],
        &["no-storex"],
        &["x-no-store"],
        &["no-store=1"],
        // Inside quotes it is a name, and no directive.
        &["private=\"a, no-store, b\""],
        &["private=\"a\\\", no-store, b\""],
        &["private=\"no-store"],
    ];
    for before in replaced {
        let mut headers = fields(&CACHE_CONTROL, before);
        no_store(&mut headers);
        assert_eq!(values(&headers, &CACHE_CONTROL), ["no-store"], "{before:?}");
    }
}

#[test]
fn r25_clear_site_data_golden() {
    let name = HeaderName::from_static("clear-site-data");
    let cases: [(&[SiteData], &[&str]); 4] = [
        (&[], &[]),
        (&[SiteData::Storage], &["\"storage\""]),
        (&[SiteData::Storage, SiteData::Cache], &["\"cache\", \"storage\""]),
        (
            &[SiteData::Cache, SiteData::Cookies, SiteData::Storage, SiteData::Cache],
            &["\"cache\", \"cookies\", \"storage\""],
        ),
    ];
    for (kinds, expected) in cases {
        let mut headers = HeaderMap::new();
        clear_site_data(&mut headers, kinds);
        assert_eq!(values(&headers, &name), expected);
    }
}
