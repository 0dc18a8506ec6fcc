//! What goes out: R8, R9, R12, R15.

use std::time::Duration;

use proptest::prelude::*;
use sessile::web::{Cookie, CookieBuilder, Found, SameSite};
use sessile::{Id, Timestamp};

use crate::{config, key};

const ID: &str = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1w";
const DAYS_400: u64 = 400 * 24 * 3600;

/// The first instant of 2026.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn id() -> Id {
    Id::parse(ID).unwrap()
}

fn set(cookie: &Cookie, seconds: Option<u64>) -> String {
    let header = cookie.set(&id(), seconds.map(Duration::from_secs), NOW);
    header.to_str().unwrap().to_owned()
}

fn removal(cookie: &Cookie) -> String {
    cookie.removal().to_str().unwrap().to_owned()
}

fn built(options: CookieBuilder) -> Cookie {
    options.build().unwrap()
}

#[test]
fn r08_cookie_attributes_golden() {
    let cookie = Cookie::default();
    let rest = "Path=/; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(set(&cookie, None), format!("__Host-sid={ID}; {rest}"));
    assert_eq!(
        set(&cookie, Some(1_209_600)),
        format!("__Host-sid={ID}; Max-Age=1209600; Expires=Thu, 15 Jan 2026 00:00:00 GMT; {rest}")
    );
    let ended = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(removal(&cookie), format!("__Host-sid=; {ended}; {rest}"));

    let local = Cookie::local_dev();
    assert_eq!(set(&local, None), format!("sid={ID}; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(removal(&local), format!("sid=; {ended}; Path=/; HttpOnly; SameSite=Lax"));

    let all = Cookie::builder().name("__Secure-s").path("/shop").domain("example.com");
    let all = built(all.same_site(SameSite::None).partitioned(true).http_only(false));
    let rest = "Path=/shop; Domain=example.com; Secure; SameSite=None; Partitioned";
    let lasts = "Max-Age=5; Expires=Thu, 01 Jan 2026 00:00:05 GMT";
    assert_eq!(set(&all, Some(5)), format!("__Secure-s={ID}; {lasts}; {rest}"));
    assert_eq!(removal(&all), format!("__Secure-s=; {ended}; {rest}"));
}

#[test]
fn s73_the_defaults_are_strict() {
    let cookie = Cookie::default();
    assert_eq!((cookie.name(), cookie.is_secure()), ("__Host-sid", true));
    let expected = ["path=/", "secure=", "httponly=", "samesite=Lax"];
    let found = attributes(&set(&cookie, None));
    let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn r09_same_site_is_always_written_out() {
    for (same_site, text) in [
        (SameSite::Strict, "; SameSite=Strict"),
        (SameSite::Lax, "; SameSite=Lax"),
        (SameSite::None, "; SameSite=None"),
    ] {
        let cookie = built(Cookie::builder().same_site(same_site));
        assert!(set(&cookie, None).ends_with(text) && removal(&cookie).ends_with(text));
    }
    assert!(set(&built(Cookie::builder()), None).ends_with("; SameSite=Lax"));
}

#[test]
fn rustsec_2017_0005_an_enormous_max_age_does_not_panic() {
    let cookie = Cookie::default();
    let long = format!("; Max-Age={DAYS_400};");
    for age in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(DAYS_400 + 1)] {
        assert!(cookie.set(&id(), Some(age), NOW).to_str().unwrap().contains(&long));
    }
    for (millis, text) in [(0, "=0;"), (1, "=0;"), (999, "=0;"), (1000, "=1;"), (59_999, "=59;")] {
        let header = cookie.set(&id(), Some(Duration::from_millis(millis)), NOW);
        assert!(header.to_str().unwrap().contains(&format!("; Max-Age{text}")), "{millis} ms");
    }
}

/// Whatever the clock says, there is a date that browsers can read.
#[test]
fn s72_expires_at_the_ends_of_time() {
    let cookie = Cookie::default();
    let age = Duration::from_secs(60);
    for (now, date) in [
        (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (0, "Thu, 01 Jan 1970 00:01:00 GMT"),
        (1_709_164_800_999 - 60_000, "Thu, 29 Feb 2024 00:00:00 GMT"),
        (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let header = cookie.set(&id(), Some(age), Timestamp::from_millis(now));
        let text = header.to_str().unwrap();
        assert!(text.contains(&format!("; Max-Age=60; Expires={date}; ")), "{text}");
    }
}

#[test]
fn r15_set_cookie_is_sensitive() {
    for cookie in [Cookie::default(), built(Cookie::builder().signed_with([key(1)]))] {
        let header = cookie.set(&id(), None, NOW);
        assert!(header.is_sensitive());
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert!(!format!("{:?} {cookie:?}", cookie.encode(&id())).contains(ID));
    }
}

/// Attributes as a browser reads them: name in lower case, value.
fn attributes(header: &str) -> Vec<(String, String)> {
    let parts = header.split(';').skip(1).map(|part| {
        let (name, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
        (name.to_ascii_lowercase(), value.to_owned())
    });
    parts.collect()
}

/// Any options, valid or not.
fn options() -> impl Strategy<Value = CookieBuilder> {
    let prefix = prop_oneof![
        Just(""),
        Just("__Host-"),
        Just("__Secure-"),
        Just("__hTTp-"),
        Just("__Host-Http-")
    ];
    let name = (prefix, "[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,120}").prop_map(|(p, n)| format!("{p}{n}"));
    let path = prop_oneof![Just("/".to_owned()), "/[!-:<-~]{0,1030}"];
    let domain = proptest::option::of("[a-z0-9-]{1,40}(\\.[a-z0-9-]{1,40}){0,7}");
    let same_site = prop_oneof![Just(SameSite::Strict), Just(SameSite::Lax), Just(SameSite::None)];
    let keys = 0_u8..10;
    (name, path, domain, same_site, any::<[bool; 3]>(), keys).prop_map(
        |(name, path, domain, same_site, [secure, http_only, partitioned], keys)| {
            let mut options = Cookie::builder().name(name).path(path).same_site(same_site);
            if let Some(domain) = domain {
                options = options.domain(domain);
            }
            if keys > 0 {
                options = options.signed_with((0..keys).map(key));
            }
            options.secure(secure).http_only(http_only).partitioned(partitioned)
        },
    )
}

proptest! {
    #![proptest_config(config(2000))]

    /// Whatever can be configured fits into what browsers store, says what it says once, and is
    /// found again.
    #[test]
    fn r12_sizes_and_lifetimes_are_limited(
        options in options(),
        age in proptest::option::of(prop_oneof![any::<u64>(), 0..2 * DAYS_400]),
    ) {
        let Ok(cookie) = options.build() else { return Ok(()) };
        let (set, removal) = (set(&cookie, age), removal(&cookie));
        let name = cookie.name();
        let (pair, _) = set.split_once(';').unwrap();
        prop_assert!(set.len() < 4096 && removal.len() < 4096);
        prop_assert!(pair.len() <= name.len() + 1 + 76);
        prop_assert!(set.bytes().chain(removal.bytes()).all(|byte| (b' '..=b'~').contains(&byte)));

        let of_set = attributes(&set);
        let seconds = of_set.iter().find(|(name, _)| name == "max-age");
        prop_assert_eq!(
            seconds.map(|(_, value)| value.parse::<u64>().unwrap()),
            age.map(|age| age.min(DAYS_400))
        );
        prop_assert!(of_set.iter().all(|(_, value)| value.len() <= 1024));
        let mut names: Vec<_> = of_set.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), of_set.len(), "an attribute is there twice");

        // The removal repeats all that tells one cookie from another.
        let rest = |all: &[(String, String)]| {
            let is_time = |name: &str| name == "max-age" || name == "expires";
            all.iter().filter(|(name, _)| !is_time(name)).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(rest(&of_set), rest(&attributes(&removal)));
        let empty = format!("{name}=;");
        prop_assert!(removal.starts_with(&empty));

        let Found::One(value) = cookie.find_in([pair.as_bytes()]) else {
            return Err(TestCaseError::fail("it does not find itself"));
        };
        prop_assert_eq!(cookie.decode(value), Some(id()));
    }
}
