//! What the builder refuses: R8, and names from hostile places.

use sessile::web::{Cookie, CookieBuilder, SameSite};

fn named(name: &str) -> CookieBuilder {
    Cookie::builder().name(name)
}

fn refused(builder: CookieBuilder, word: &str) {
    let shown = format!("{builder:?}");
    let error = builder.build().expect_err(&shown);
    assert!(error.is_config(), "{error}");
    assert!(error.to_string().contains(word), "{error} does not speak of {word}");
}

#[test]
fn r08_prefixes_promise_what_the_builder_holds() {
    for name in ["__Host-sid", "__host-sid", "__HOST-SID", "__Host-Http-sid", "__hOsT-hTtP-sid"] {
        named(name).build().unwrap();
        refused(named(name).secure(false), "secure");
        refused(named(name).domain("example.com"), "domain");
        refused(named(name).path("/shop"), "path");
        refused(named(name).secure(false).allow_plain_http(), "secure");
    }
    for name in ["__Secure-sid", "__secure-sid", "__Http-sid", "__hTTP-sid"] {
        named(name).domain("example.com").path("/shop").build().unwrap();
        refused(named(name).secure(false), "secure");
    }
    for name in ["__Http-sid", "__http-sid", "__Host-Http-sid", "__HOST-HTTP-sid"] {
        refused(named(name).http_only(false), "http_only");
    }
    for name in ["__Host-sid", "__Secure-sid", "sid"] {
        named(name).http_only(false).build().unwrap();
    }
    for name in ["sid", "__Hostsid", "__Host", "_Host-sid", "Host-sid", "__Secure_sid", "x__Host-"]
    {
        named(name).secure(false).path("/shop").domain("example.com").build().unwrap();
    }
}

#[test]
fn r08_what_browsers_drop_without_secure_is_refused() {
    let plain = || named("sid").secure(false);
    refused(plain().same_site(SameSite::None), "SameSite::None");
    refused(plain().partitioned(true), "partitioned");
    plain().same_site(SameSite::Strict).build().unwrap();
    named("sid").same_site(SameSite::None).partitioned(true).build().unwrap();
}

/// Text from elsewhere cannot add an attribute, a cookie or a header.
#[test]
fn cve_2024_47764_names_are_validated() {
    let separators = b"()<>@,;:\\\"/[]?={} \t";
    for byte in 0..=127_u8 {
        let name = format!("a{}b", char::from(byte));
        let is_token = byte.is_ascii_graphic() && !separators.contains(&byte);
        assert_eq!(named(&name).build().is_ok(), is_token, "{name:?}");
        let path = format!("/a{}b", char::from(byte));
        let is_path = byte.is_ascii_graphic() && byte != b';';
        assert_eq!(named("sid").path(path).build().is_ok(), is_path, "path with {byte:#x}");
        let domain = format!("a{}b.example", char::from(byte));
        let is_domain = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        assert_eq!(named("sid").domain(domain).build().is_ok(), is_domain, "domain, {byte:#x}");
    }
    for name in ["", "naïve", "sid=x; Domain=evil.example", "sid\r\nSet-Cookie: a=b"] {
        refused(named(name), "name");
    }
    for path in ["", "shop", "/ä", "/; Domain=evil.example", "/\r\nSet-Cookie: a=b"] {
        refused(named("sid").path(path), "path");
    }
    for domain in
        ["", ".", ".example.com", "example.com.", "a..b", "https://a", "a:80", "é.example", "a;b"]
    {
        refused(named("sid").domain(domain), "domain");
    }
}

#[test]
fn r12_what_is_too_long_is_refused() {
    named(&"n".repeat(128)).build().unwrap();
    refused(named(&"n".repeat(129)), "128");
    let path = |length: usize| named("sid").path("/".repeat(length));
    path(1024).build().unwrap();
    refused(path(1025), "1024");
    let domain = |length: usize| named("sid").domain("a.".repeat(length / 2) + "a");
    domain(253).build().unwrap();
    refused(domain(255), "domain");
    refused(named("sid").domain("a".repeat(64)), "domain");
}

/// `Secure` is what was configured, whatever a request or a proxy says.
#[test]
fn cve_2023_28708_secure_is_configuration() {
    let header = |host: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        headers.insert("x-forwarded-proto", "http".parse().unwrap());
        headers
    };
    let uri = |uri: &str| uri.parse::<http::Uri>().unwrap();
    let cookie = Cookie::default();
    assert!(cookie.is_secure());
    for host in ["localhost", "example.com", "10.0.0.1:80"] {
        assert!(cookie.is_allowed_for(&uri("/"), &header(host)));
    }
    let local = Cookie::local_dev();
    assert_eq!((local.name(), local.is_secure()), ("sid", false));
    assert!(local.is_allowed_for(&uri("/"), &header("localhost:3000")));
    assert!(local.is_allowed_for(&uri("http://[::1]:3000/"), &http::HeaderMap::new()));
    for host in ["example.com", "192.168.0.7:3000", "localhost.example.com", ""] {
        assert!(!local.is_allowed_for(&uri("/"), &header(host)), "{host}");
    }
    assert!(!local.is_allowed_for(&uri("/"), &http::HeaderMap::new()));
    let acknowledged = named("sid").secure(false).allow_plain_http().build().unwrap();
    assert!(acknowledged.is_allowed_for(&uri("/"), &header("192.168.0.7:3000")));
}
