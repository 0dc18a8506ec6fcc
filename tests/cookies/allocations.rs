//! What each path allocates: a count for every thread, made by the allocator of this binary.
#![allow(unsafe_code, reason = "an allocator is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use http::header::{COOKIE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request};
use sessile::web::csrf::Token;
use sessile::web::headers::{no_store, vary_cookie};
use sessile::web::{Cookie, CrossSiteLayer, Found};
use sessile::{Id, Timestamp};
use tower_layer::Layer;

use crate::key;
use crate::sites::{Handler, answer};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it came. `realloc` is the trait's own,
// which calls `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often this thread allocates during `work`.
fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let result = work();
    (COUNT.with(Cell::get) - before, result)
}

#[test]
fn reading_a_cookie_allocates_nothing_and_writing_one_once() {
    assert_eq!(count(|| std::hint::black_box(Box::new(1))).0, 1, "it counts");
    let id = Id::new().unwrap();
    for cookie in [Cookie::default(), Cookie::builder().signed_with([key(1)]).build().unwrap()] {
        let pairs = format!("a=1; b=2; __Host-sid={}; c=3", cookie.encode(&id).expose());
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::try_from(pairs).unwrap());
        headers.append(COOKIE, HeaderValue::from_static("d=4"));
        let (allocated, found) = count(|| match cookie.find(&headers) {
            Found::One(value) => cookie.decode(value),
            _ => None,
        });
        assert_eq!((allocated, found), (0, Some(id.clone())));
        assert_eq!(count(|| cookie.encode(&id)).0, 0);
        assert_eq!(count(|| cookie.set(&id, Some(Duration::from_secs(1_209_600)), NOW)).0, 1);
        assert_eq!(count(|| cookie.set(&id, None, NOW)).0, 1);
        drop(cookie.removal());
        assert_eq!(count(|| cookie.removal()).0, 0);
        assert_eq!(count(|| cookie.clone()).0, 0);
        let uri = "/".parse().unwrap();
        assert_eq!(count(|| cookie.is_allowed_for(&uri, &headers)).0, 0);
    }
}

#[test]
fn header_fields_of_answers_are_not_copied_unless_they_are_merged() {
    let mut headers = HeaderMap::with_capacity(8);
    assert_eq!(count(|| vary_cookie(&mut headers)).0, 0, "there was none");
    assert_eq!(count(|| vary_cookie(&mut headers)).0, 0, "there is one");
    assert_eq!(count(|| no_store(&mut headers)).0, 0);
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    assert!(count(|| vary_cookie(&mut headers)).0 <= 2, "the bytes, and those of the header");
}

#[test]
fn a_request_of_ones_own_site_passes_without_an_allocation() {
    let layer = CrossSiteLayer::new().allowed_origins(["https://a.example"]).unwrap();
    let mut service = layer.layer(Handler);
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://a.example"),
        ("origin", "https://shop.example"),
        ("x-other", "1"),
    ] {
        let request = Request::builder().method(Method::POST).uri("/");
        let request = request.header("host", "shop.example").header(name, value);
        let request = request.body(()).unwrap();
        assert_eq!(count(|| answer(&mut service, request)).0, 0, "{name}: {value}");
    }
    assert_eq!(count(|| layer.layer(Handler)).0, 0);
}

#[test]
fn a_token_is_verified_without_an_allocation() {
    let token = Token::new().unwrap();
    let (allocated, masked) = count(|| token.masked().unwrap());
    assert_eq!(allocated, 1);
    assert_eq!(count(|| token.verify(masked.as_bytes())), (0, true));
}
