//! Requests of other sites: R10.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Method, Request, Response, StatusCode};
use sessile::web::{CrossSite, CrossSiteLayer};
use tower_layer::Layer;
use tower_service::Service;

/// A handler that says 200 to everything, with a body of its own.
#[derive(Clone)]
pub struct Handler;

impl<B> Service<Request<B>> for Handler {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = Ready<Result<Response<&'static str>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new("handled")))
    }
}

/// The answer to a request.
pub fn answer(service: &mut CrossSite<Handler>, request: Request<()>) -> Response<&'static str> {
    let mut context = Context::from_waker(Waker::noop());
    assert!(Service::<Request<()>>::poll_ready(service, &mut context).is_ready());
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("the handler is always ready");
    };
    response
}

fn layer() -> CrossSiteLayer {
    let origins = ["https://accounts.example.com", "http://localhost:3000", "app://shop"];
    CrossSiteLayer::new().allowed_origins(origins).unwrap()
}

/// Whether a request with these headers (`host` is added unless it is among them) is handled.
fn passes(method: &Method, uri: &str, headers: &[(&str, &[u8])]) -> bool {
    let mut request = Request::builder().method(method).uri(uri);
    if !headers.iter().any(|(name, _)| *name == "host") && uri.starts_with('/') {
        request = request.header("host", "shop.example.com");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = answer(&mut layer().layer(Handler), request.body(()).unwrap());
    match response.status() {
        StatusCode::OK => assert_eq!(*response.body(), "handled"),
        status => {
            assert_eq!((status, *response.body()), (StatusCode::FORBIDDEN, ""));
            assert!(response.headers().is_empty());
        }
    }
    response.status() == StatusCode::OK
}

/// `Sec-Fetch-Site`, `Origin`, whether a `POST` with them passes.
const POSTS: &[(Option<&str>, Option<&str>, bool)] = &[
    (None, None, true),
    (Some("same-origin"), None, true),
    (Some("same-origin"), Some("https://shop.example.com"), true),
    // With `Referrer-Policy: no-referrer` a page's own forms say `null`.
    (Some("same-origin"), Some("null"), true),
    (Some("none"), None, true),
    (Some("same-site"), None, false),
    (Some("same-site"), Some("https://other.example.com"), false),
    (Some("same-site"), Some("https://accounts.example.com"), true),
    (Some("cross-site"), None, false),
    (Some("cross-site"), Some("https://evil.example"), false),
    (Some("cross-site"), Some("null"), false),
    (Some("cross-site"), Some("app://shop"), true),
    // Where a browser says so, the host is not asked.
    (Some("cross-site"), Some("https://shop.example.com"), false),
    (Some(""), None, false),
    (Some("Same-Origin"), None, false),
    (Some("same-origin "), None, true), // `http` has no blanks at the ends of a field
    (Some("same-origin, same-origin"), None, false),
    (Some("something-new"), None, false),
    (None, Some("https://shop.example.com"), true),
    (None, Some("http://shop.example.com"), true),
    (None, Some("https://SHOP.example.com"), true),
    (None, Some("http://localhost:3000"), true),
    (None, Some("https://localhost:3000"), false),
    (None, Some("http://localhost"), false),
    (None, Some("null"), false),
    (None, Some(""), false),
    (None, Some("https://"), false),
    (None, Some("shop.example.com"), false),
    (None, Some("//shop.example.com"), false),
    (None, Some("ftp://shop.example.com"), false),
    (None, Some("https://evil.example"), false),
    (None, Some("https://shop.example.com.evil.example"), false),
    (None, Some("https://evilshop.example.com"), false),
    (None, Some("https://evil@shop.example.com"), false),
    (None, Some("https://shop.example.com:8443"), false),
    (None, Some("https://shop.example.com/"), false),
    (None, Some("https://accounts.example.com/"), false),
    (None, Some("https://accounts.example.com:443"), false),
    (None, Some("HTTPS://accounts.example.com"), false),
    (None, Some("https://shop.example.com https://evil.example"), false),
];

#[test]
fn r10_cross_site_posts_are_refused() {
    for (site, origin, expected) in POSTS {
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        headers.extend(site.map(|site| ("sec-fetch-site", site.trim_end().as_bytes())));
        headers.extend(origin.map(|origin| ("origin", origin.as_bytes())));
        let unsafe_methods =
            [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT];
        let own = ["get", "QUERY", "PROPFIND"].map(|name| Method::from_bytes(name.as_bytes()));
        for method in unsafe_methods.into_iter().chain(own.map(Result::unwrap)) {
            let found = passes(&method, "/cart", &headers);
            assert_eq!(found, *expected, "{method} {site:?} {origin:?}");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(passes(&method, "/cart", &headers), "{method} {site:?} {origin:?}");
        }
    }
}

#[test]
fn r10_header_names_case_and_fields_that_stand_twice() {
    let post = |headers: &[(&str, &[u8])]| passes(&Method::POST, "/", headers);
    assert!(!post(&[("SEC-FETCH-SITE", b"cross-site")]));
    assert!(!post(&[("oRIGIN", b"https://evil.example")]));
    let same: (&str, &[u8]) = ("sec-fetch-site", b"same-origin");
    let origin: (&str, &[u8]) = ("origin", b"https://shop.example.com");
    assert!(post(&[same, origin]));
    assert!(!post(&[same, same]));
    assert!(!post(&[same, ("sec-fetch-site", b"cross-site")]));
    assert!(!post(&[origin, origin]));
    assert!(!post(&[same, origin, origin]));
    assert!(!post(&[origin, ("host", b"shop.example.com"), ("host", b"shop.example.com")]));
    assert!(!post(&[("origin", b"https://shop.example.com\xFF")]));
}

#[test]
fn r10_the_host_is_what_the_request_says_everywhere() {
    let post = |uri: &str, host: Option<&str>, origin: &str| {
        let mut headers = vec![("origin", origin.as_bytes())];
        headers.extend(host.map(|host| ("host", host.as_bytes())));
        passes(&Method::POST, uri, &headers)
    };
    let origin = "https://shop.example.com";
    // HTTP/2 has the host in the URI.
    assert!(post("https://shop.example.com/", None, origin));
    assert!(post("http://shop.example.com/", None, origin), "a proxy took HTTPS off");
    assert!(!post("https://shop.example.com/", None, "http://shop.example.com"));
    assert!(post("http://shop.example.com/", None, "http://shop.example.com"));
    assert!(post("https://shop.example.com/", Some("shop.example.com"), origin));
    assert!(!post("https://shop.example.com/", Some("evil.example"), origin));
    assert!(!post("https://evil.example/", Some("shop.example.com"), origin));
    // Ports that are the scheme's own may be written out in `Host`.
    assert!(post("/", Some("shop.example.com:443"), origin));
    assert!(!post("/", Some("shop.example.com:80"), origin));
    assert!(post("/", Some("shop.example.com:80"), "http://shop.example.com"));
    assert!(!post("/", Some("shop.example.com:443"), "http://shop.example.com"));
    assert!(post("/", Some("shop.example.com:8443"), "https://shop.example.com:8443"));
    assert!(post("/", Some("[::1]:3000"), "http://[::1]:3000"));
    assert!(post("/", Some("Shop.Example.com"), origin));
    assert!(!post("*", None, origin), "no host at all");
    assert!(!post("/", Some(""), "https://"));
}

#[test]
fn r10_origins_that_no_browser_writes_are_refused_at_build() {
    let allowed = |origin: &str| CrossSiteLayer::new().allowed_origins([origin]);
    for origin in [
        "https://example.com",
        "http://localhost:3000",
        "https://xn--bcher-kva.example",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://[2001:db8::1]",
        "chrome-extension://abcdefghijklmnop",
        "https://a_b.example:65535",
    ] {
        allowed(origin).unwrap();
    }
    for origin in [
        "",
        "null",
        "*",
        "example.com",
        "https://",
        "://example.com",
        "https://*.example.com",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?x",
        "https://Example.com",
        "HTTPS://example.com",
        "https://bücher.example",
        "https://user@example.com",
        "https://example.com:443",
        "http://example.com:80",
        "https://example.com:",
        "https://example.com:x",
        "https://example.com:08443",
        "https://example.com:+8443",
        "https://example.com:65536",
        "http://[::1",
        "http://[0::1]",
        "http://[::1]x",
        "http://::1",
        "https://example.com https://example.org",
        " https://example.com",
        "1http://example.com",
    ] {
        let error = allowed(origin).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("origin"), "{origin:?}: {error}");
    }
}
