//! Which host a request was sent to, by its own account. Knows no configuration.

use std::net::Ipv4Addr;

use http::header::HOST;
use http::{HeaderMap, Uri};

/// Whether everything that names the host of a request, the URI's authority and the field `Host`,
/// names a loopback one: `localhost`, a name below it, 127.0.0.0/8 or `[::1]`, with or without a
/// port, in lower case. False if nothing names one, or `Host` stands there twice.
///
/// A client may claim what it likes, and a proxy may put its own words here: many a one says
/// `127.0.0.1` to the server behind it whatever it was asked for. So this tells a developer's
/// machine from a server by mistake; it keeps nobody out.
pub fn is_loopback_request(uri: &Uri, headers: &HeaderMap) -> bool {
    every_authority(uri, headers, is_loopback)
}

/// Whether the request names a host, and everything that names it fits.
pub(super) fn every_authority(
    uri: &Uri,
    headers: &HeaderMap,
    fits: impl Fn(&[u8]) -> bool,
) -> bool {
    let mut fields = headers.get_all(HOST).iter();
    let (host, second) = (fields.next(), fields.next());
    let host = host.map(|host| fits(host.as_bytes()));
    let authority = uri.authority().map(|authority| fits(authority.as_str().as_bytes()));
    second.is_none()
        && (host.is_some() || authority.is_some())
        && host.unwrap_or(true)
        && authority.unwrap_or(true)
}

fn is_loopback(authority: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(authority) else { return false };
    // An address of version 6 has colons of its own, and ends with a bracket.
    let is_port = |port: &str| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        (1..=5).contains(&port.len()) && is_number
    };
    let (host, is_fine) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, is_port(port)),
        _ => (text, true),
    };
    is_fine && (host == "[::1]" || is_local_name(host) || is_local_address(host))
}

/// `localhost`, or labels in front of it.
fn is_local_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        !label.is_empty() && label.bytes().all(is_inside)
    };
    match host.strip_suffix("localhost") {
        Some("") => true,
        Some(before) => {
            before.strip_suffix('.').is_some_and(|labels| labels.split('.').all(is_label))
        }
        None => false,
    }
}

fn is_local_address(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, hosts: &[&[u8]]) -> (Uri, HeaderMap) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.to_vec().try_into().unwrap());
        }
        (uri.parse().unwrap(), headers)
    }

    #[test]
    fn hosts_that_are_loopback_and_hosts_that_look_like_it() {
        let local = [
            "localhost",
            "localhost:80",
            "localhost:65535",
            "shop.localhost",
            "a-1.b_2.localhost:3000",
            "127.0.0.1",
            "127.0.0.1:3000",
            "127.255.255.254",
            "[::1]",
            "[::1]:3000",
        ];
        let other = [
            "",
            ":80",
            "localhost:",
            "localhost:x",
            "localhost:123456",
            "localhost:-1",
            "localhost:80:80",
            "localhost.",
            "Localhost",
            "LOCALHOST",
            " localhost",
            "localhost ",
            ".localhost",
            "a..localhost",
            "A.localhost",
            "evillocalhost",
            "localhost.evil.example",
            "localhost@evil.example",
            "user@localhost",
            "evil.example/localhost",
            "evil.example#.localhost",
            "127.0.0.1.evil.example",
            "127.1",
            "127.0.0.01",
            "0127.0.0.1",
            "2130706433",
            "0x7f.0.0.1",
            "128.0.0.1",
            "126.255.255.255",
            "0.0.0.0",
            "10.0.0.1",
            "::1",
            "::1:80",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::2]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::1%25lo]",
            "example.com",
        ];
        for (hosts, expected) in [(&local[..], true), (&other[..], false)] {
            for host in hosts {
                let (uri, headers) = request("/", &[host.as_bytes()]);
                assert_eq!(is_loopback_request(&uri, &headers), expected, "{host:?}");
            }
        }
        assert!(!is_loopback(b"localhost\xFF"));
    }

    #[test]
    fn everything_that_names_a_host_counts() {
        let cases: [(&str, &[&[u8]], bool); 8] = [
            ("/", &[], false),
            ("*", &[b"localhost"], true),
            ("http://localhost:3000/", &[], true),
            ("http://localhost:3000/", &[b"localhost:3000"], true),
            ("http://example.com/", &[b"localhost"], false),
            ("http://localhost/", &[b"example.com"], false),
            ("/", &[b"localhost", b"localhost"], false),
            ("http://localhost/", &[b"localhost", b"example.com"], false),
        ];
        for (uri, hosts, expected) in cases {
            let (uri, headers) = request(uri, hosts);
            assert_eq!(is_loopback_request(&uri, &headers), expected, "{uri} {hosts:?}");
        }
    }
}
