//! The jar by itself, against the rules that browsers keep.

use crate::jar::{Jar, Site};

const NOW: i64 = 1_790_000_000;

fn shop() -> Site {
    Site::new("https", "shop.example")
}

/// Whether a field is kept, set by the page `/a/b` of a site.
fn kept(site: &Site, field: &str) -> bool {
    let mut jar = Jar::default();
    let kept = jar.keep(site, "/a/b", field, NOW);
    assert_eq!(kept, jar.field(site, "/a/b", NOW).is_some(), "{field}");
    kept
}

/// What is sent there after these fields, all set by `/a/b` of the shop.
fn sent(fields: &[&str], site: &Site, path: &str) -> Option<String> {
    let mut jar = Jar::default();
    for field in fields {
        jar.keep(&shop(), "/a/b", field, NOW);
    }
    jar.field(site, path, NOW)
}

#[test]
fn the_prefixes_are_held_to_their_promises() {
    let cases = [
        ("__Host-s=1; Path=/; Secure", true),
        ("__host-s=1; Path=/; Secure", true),
        ("__Host-s=1; Path=/", false),
        ("__Host-s=1; Secure", false),
        ("__Host-s=1; Path=/a; Secure", false),
        ("__Host-s=1; Path=/; Secure; Domain=shop.example", false),
        ("__hOsT-s=1; Path=/", false),
        ("__Secure-s=1; Secure", true),
        ("__Secure-s=1", false),
        ("=__Host-s=1; Path=/; Secure", false),
        ("s=1", true),
    ];
    for (field, expected) in cases {
        assert_eq!(kept(&shop(), field), expected, "{field}");
    }
}

#[test]
fn secure_means_https_or_this_very_machine() {
    let cases = [
        ("https", "shop.example", true),
        ("http", "shop.example", false),
        ("http", "localhost", true),
        ("http", "shop.localhost", true),
        ("http", "127.0.0.1", true),
        ("http", "[::1]", true),
        ("http", "127.0.0.1.example", false),
        ("http", "notlocalhost", false),
    ];
    for (scheme, host, expected) in cases {
        let site = Site::new(scheme, host);
        assert_eq!(kept(&site, "__Host-s=1; Path=/; Secure"), expected, "{scheme} {host}");
        let field = ["__Host-s=1; Path=/; Secure"];
        let mut jar = Jar::default();
        jar.keep(&Site::new("https", host), "/", field[0], NOW);
        assert_eq!(jar.field(&site, "/", NOW).is_some(), expected, "{scheme} {host}");
    }
}

#[test]
fn a_page_without_tls_does_not_replace_a_secure_cookie() {
    let mut jar = Jar::default();
    let plain = Site::new("http", "shop.example");
    assert!(jar.keep(&shop(), "/", "s=1; Secure", NOW));
    assert!(!jar.keep(&plain, "/", "s=2", NOW));
    assert!(!jar.keep(&plain, "/", "s=; Max-Age=0", NOW));
    assert_eq!(jar.field(&shop(), "/", NOW).as_deref(), Some("s=1"));
    assert_eq!(jar.field(&plain, "/", NOW), None);
}

#[test]
fn max_age_comes_before_expires() {
    let (past, future) = ("Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 05 Oct 2026 14:13:20 GMT");
    let cases = [
        (format!("s=1; Max-Age=60; Expires={past}"), Some(60)),
        (format!("s=1; Expires={past}; Max-Age=60"), Some(60)),
        (format!("s=1; Expires={future}; Max-Age=0"), None),
        (format!("s=1; Expires={future}; Max-Age=-5"), None),
        (format!("s=1; Expires={future}; Max-Age=soon"), Some(1_209_600)),
        (format!("s=1; Expires={future}"), Some(1_209_600)),
        ("s=1; Expires=Monday, 05-Oct-26 14:13:20 GMT".to_owned(), Some(1_209_600)),
        ("s=1; Expires=Mon Oct  5 14:13:20 2026".to_owned(), Some(1_209_600)),
        (format!("s=1; Expires={past}"), None),
        ("s=1; Max-Age=99999999999999999999".to_owned(), Some(400 * 86_400)),
    ];
    for (field, lasts) in cases {
        let mut jar = Jar::default();
        jar.keep(&shop(), "/", &field, NOW);
        let until = jar.get("s").map(|cookie| cookie.until.unwrap());
        assert_eq!(until, lasts.map(|seconds| NOW + seconds), "{field}");
        if let Some(until) = until {
            assert!(jar.field(&shop(), "/", until - 1).is_some(), "{field}");
            assert!(jar.field(&shop(), "/", until).is_none(), "{field}");
        }
    }
    let mut jar = Jar::default();
    assert!(jar.keep(&shop(), "/", "s=1; Expires=whenever", NOW));
    assert!(jar.keep(&shop(), "/", "t=1; Max-Age=9", NOW));
    jar.close();
    assert_eq!(jar.field(&shop(), "/", NOW).as_deref(), Some("t=1"), "s was for one sitting");
}

#[test]
fn hosts_and_paths_decide_where_it_goes() {
    let (here, below) = (shop(), Site::new("https", "pay.shop.example"));
    let other = Site::new("https", "evilshop.example");
    assert_eq!(sent(&["s=1; Path=/"], &here, "/").as_deref(), Some("s=1"));
    assert_eq!(sent(&["s=1; Path=/"], &below, "/"), None);
    for domain in ["shop.example", ".shop.example", "SHOP.example"] {
        let field = format!("s=1; Path=/; Domain={domain}");
        assert_eq!(sent(&[&field], &below, "/").as_deref(), Some("s=1"));
        assert_eq!(sent(&[&field], &other, "/"), None);
    }
    assert!(!kept(&here, "s=1; Domain=pay.shop.example"));
    assert!(!kept(&here, "s=1; Domain=other.example"));
    assert!(!kept(&Site::new("http", "127.0.0.1"), "s=1; Domain=0.0.1"));
    let cases = [
        ("s=1", "/a/c", true),
        ("s=1", "/", false),
        ("s=1", "/ab", false),
        ("s=1; Path=x", "/a", true),
        ("s=1; Path=/a/", "/a", false),
        ("s=1; Path=/a/", "/a/x", true),
    ];
    for (field, path, goes) in cases {
        assert_eq!(sent(&[field], &here, path).is_some(), goes, "{field} {path}");
    }
}

#[test]
fn what_is_set_again_is_replaced_and_what_is_removed_is_gone() {
    let here = shop();
    let fields = ["s=1; Path=/", "t=1; Path=/", "s=2; Path=/"];
    assert_eq!(sent(&fields, &here, "/").as_deref(), Some("s=2; t=1"));
    let fields = ["s=1; Path=/", "s=; Path=/; Max-Age=0"];
    assert_eq!(sent(&fields, &here, "/"), None);
    // Another path, or another domain: another cookie.
    let fields = ["s=1; Path=/", "s=2; Path=/a", "s=; Path=/b; Max-Age=0"];
    assert_eq!(sent(&fields, &here, "/a").as_deref(), Some("s=2; s=1"));
    let fields = ["s=1; Path=/", "s=2; Path=/; Domain=shop.example"];
    assert_eq!(sent(&fields, &here, "/").as_deref(), Some("s=1; s=2"));
}

#[test]
fn what_is_no_cookie_is_dropped() {
    for field in ["", "=", ";", "s=\u{1}", "; Path=/", "s=1\r\nt=2"] {
        assert!(!kept(&shop(), field), "{field:?}");
    }
    let fits = format!("s={}", "x".repeat(4095));
    assert!(kept(&shop(), &fits) && !kept(&shop(), &format!("{fits}x")));
    assert_eq!(sent(&[" s = a b ;Path=/"], &shop(), "/").as_deref(), Some("s=a b"));
    assert_eq!(sent(&["bare; Path=/"], &shop(), "/").as_deref(), Some("bare"));
}
