//! What comes in: R11, and the accidents with other readers.

use std::iter::repeat_n;

use proptest::prelude::*;
use sessile::Id;
use sessile::web::{Cookie, Found};

use crate::slow::{self, Slow};
use crate::{config, find, headers};

const ID: &str = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1w";

/// Field, and the value that is found; `None` for nothing.
#[rustfmt::skip]
const TABLE: &[(&[u8], Option<&[u8]>)] = &[
    (b"__Host-sid=v", Some(b"v")),
    (b"a=1; __Host-sid=v; b=2", Some(b"v")),
    (b"a=1;__Host-sid=v;b=2", Some(b"v")),
    (b" \t __Host-sid=v \t ", Some(b"v")),
    (b"a=1;\t__Host-sid=v\t;b=2", Some(b"v")),
    (b"__Host-sid=", Some(b"")),
    (b"__Host-sid=v;", Some(b"v")),
    (b";;; ;__Host-sid=v;; ;", Some(b"v")),
    // The value is what it is, up to the next semicolon.
    (b"__Host-sid=a=b==", Some(b"a=b==")),
    (b"__Host-sid= v", Some(b" v")),
    (b"__Host-sid=a b", Some(b"a b")),
    (b"__Host-sid=\"q\"", Some(b"\"q\"")),
    (b"__Host-sid=\"a;b\"", Some(b"\"a")),
    (b"__Host-sid=a%3Bb", Some(b"a%3Bb")),
    (b"__Host-sid=a,b", Some(b"a,b")),
    (b"__Host-sid=\xFF\x80", Some(b"\xFF\x80")),
    (b"__Host-sid=v\xE2\x80\x80", Some(b"v\xE2\x80\x80")),
    (b"__Host-sid=v\xC2\xA0", Some(b"v\xC2\xA0")),
    // Other names, among them those that readers have taken for ours.
    (b"", None),
    (b"=", None),
    (b"=v", None),
    (b"==v", None),
    (b"=__Host-sid=v", None),
    (b"__Host-sid", None),
    (b"__Host-si=v", None),
    (b"__Host-sidx=v", None),
    (b"x__Host-sid=v", None),
    (b"sid=v", None),
    (b"__host-sid=v", None),
    (b"__HOST-SID=v", None),
    (b"__Host-Sid=v", None),
    (b"__Host-sid =v", None),
    (b"__Host-sid\t=v", None),
    (b"\xE2\x80\x80__Host-sid=v", None), // U+2000
    (b"\xC2\xA0__Host-sid=v", None),     // U+00A0
    (b"\xC2\x85__Host-sid=v", None),     // U+0085
    (b"\xA0__Host-sid=v", None),
    (b"\x85__Host-sid=v", None),
    (b"\xE3\x80\x80__Host-sid=v", None), // U+3000
    (b"\xEF\xBB\xBF__Host-sid=v", None), // U+FEFF
    (b"\x0B__Host-sid=v", None),
    (b"\x0C__Host-sid=v", None),
    (b"\r\n__Host-sid=v", None),
    (b"\0__Host-sid=v", None),
    (b"__Host-sid\0=v", None),
    (b"%5F_Host-sid=v", None),
    (b"__Host%2Dsid=v", None),
    (b"\"__Host-sid\"=v", None),
    (b"$Version=1, __Host-sid=v", None),
    (b"a=1, __Host-sid=v", None),
    (b"a=1&__Host-sid=v", None),
    (b"a=\"; b=\", __Host-sid=v", None),
];

#[test]
fn r11_cookie_bytes_are_untrusted() {
    let cookie = Cookie::default();
    for (field, value) in TABLE {
        let expected = value.map_or(Found::None, Found::One);
        assert_eq!(find(&cookie, field), expected, "{}", field.escape_ascii());
        let slow = slow::find(&[field], b"__Host-sid");
        assert_eq!(slow, value.map_or(Slow::Nothing, |v| Slow::One(v.to_vec())));
    }
}

#[test]
fn s61_the_id_is_the_raw_value_under_the_configured_name() {
    let field = format!("__Host-sid={ID}; shop={}", ID.replace('d', "e"));
    for (name, id) in [("__Host-sid", ID.to_owned()), ("shop", ID.replace('d', "e"))] {
        let cookie = Cookie::builder().name(name).build().unwrap();
        let Found::One(value) = find(&cookie, field.as_bytes()) else { panic!("{name}") };
        assert_eq!(cookie.decode(value).unwrap().expose(), id);
    }
}

/// Every byte that can stand before the name, between the name and `=`, or inside it.
#[test]
fn r11_one_byte_more_makes_another_name() {
    let cookie = Cookie::default();
    for byte in (0..=255).filter(|byte| *byte != b';') {
        let before = [&[byte][..], b"__Host-sid=v"].concat();
        let stripped = byte == b' ' || byte == b'\t';
        let expected = if stripped { Found::One(b"v") } else { Found::None };
        assert_eq!(find(&cookie, &before), expected, "{byte:#x} before");
        let behind = [b"__Host-sid", &[byte][..], b"=v"].concat();
        let expected = if byte == b'=' { Found::One(b"=v") } else { Found::None };
        assert_eq!(find(&cookie, &behind), expected, "{byte:#x} behind");
        for place in 0..b"__Host-sid".len() {
            let mut other = *b"__Host-sid=v";
            if std::mem::replace(&mut other[place], byte) != byte {
                assert_eq!(find(&cookie, &other), Found::None, "{byte:#x} at {place}");
            }
        }
    }
}

#[test]
fn r11_header_names_case() {
    let cookie = Cookie::default();
    for name in ["cookie", "Cookie", "COOKIE", "cOoKiE"] {
        let mut headers = http::HeaderMap::new();
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, "__Host-sid=v".parse().unwrap());
        assert_eq!(cookie.find(&headers), Found::One(b"v"));
        headers.append("cookie2", "__Host-sid=w".parse().unwrap());
        headers.append("set-cookie", "__Host-sid=w".parse().unwrap());
        assert_eq!(cookie.find(&headers), Found::One(b"v"));
    }
}

/// A site below ours can plant a second cookie that we cannot overwrite; which one is ours cannot
/// be told, so neither is.
#[test]
fn cve_2011_4718_a_planted_duplicate_is_no_session() {
    let cookie = Cookie::default();
    let ways: [&[&[u8]]; 6] = [
        &[b"__Host-sid=a; __Host-sid=b"],
        &[b"__Host-sid=a; __Host-sid=a"],
        &[b"__Host-sid=a; x=1; __Host-sid="],
        &[b"__Host-sid=a", b"__Host-sid=b"],
        &[b"x=1", b"__Host-sid=a", b"", b"y=2; __Host-sid=a"],
        &[b"__Host-sid=a; __Host-sid=b; __Host-sid=c"],
    ];
    for fields in ways {
        assert_eq!(cookie.find_in(fields.iter().copied()), Found::Duplicate, "{fields:?}");
        assert_eq!(cookie.find(&headers(fields).unwrap()), Found::Duplicate, "{fields:?}");
    }
    // HTTP/2 splits what is one.
    let split = headers(&[b"a=1", b"__Host-sid=v", b"b=2"]).unwrap();
    assert_eq!(cookie.find(&split), Found::One(b"v"));
}

/// Thousands of cookies cost one look at most, and what stands among them does not count.
#[test]
fn cve_2025_69230_too_many_cookies_are_not_looked_at() {
    let cookie = Cookie::default();
    let many = |count: usize| {
        let mut pairs: Vec<String> = (1..count).map(|number| format!("c{number}=x")).collect();
        pairs.insert(count / 2, "__Host-sid=v".to_owned());
        pairs
    };
    for count in [1, 2, 63, 64, 65, 66, 1000, 100_000] {
        let expected = if count <= 64 { Found::One(b"v") } else { Found::TooMany };
        let pairs = many(count);
        assert_eq!(find(&cookie, pairs.join("; ").as_bytes()), expected, "{count} in one field");
        let split = pairs.iter().map(|pair| pair.as_bytes());
        assert_eq!(cookie.find_in(split), expected, "{count} in as many fields");
        let blank = pairs.join(";; ; \t;");
        if blank.len() < 16 << 10 {
            assert_eq!(find(&cookie, blank.as_bytes()), expected, "blank pieces are no cookies");
        }
    }
    // Duplicates do not end the counting.
    let twice = ["__Host-sid=v"; 65].join(";");
    assert_eq!(find(&cookie, twice.as_bytes()), Found::TooMany);
}

#[test]
fn r11_8_kib_of_junk_hide_nothing_and_16_kib_are_the_end() {
    let cookie = Cookie::default();
    let junk = |size: usize, byte: u8| repeat_n(byte, size).collect::<Vec<u8>>();
    for byte in [b'x', b'=', b' ', b'"', b'%', b',', 0x80, 0xFF] {
        let field = [&junk(8192, byte)[..], b"; __Host-sid=v; j=", &junk(1000, byte)].concat();
        assert_eq!(find(&cookie, &field), Found::One(b"v"), "{byte:#x}");
    }
    let pair = b";__Host-sid=v";
    for (size, expected) in [(16 << 10, Found::One(&b"v"[..])), ((16 << 10) + 1, Found::TooMany)] {
        let field = [&junk(size - pair.len(), b'x')[..], pair].concat();
        assert_eq!(find(&cookie, &field), expected);
        let (one, two) = field.split_at(size - pair.len());
        assert_eq!(cookie.find_in([one, two]), expected, "in two fields");
        assert_eq!(cookie.find_in([two, one]), expected, "what comes later counts as well");
    }
    assert_eq!(find(&cookie, &junk(1 << 20, b';')), Found::TooMany);
}

/// Malformed is the same as absent.
#[test]
fn r02_a_value_that_is_no_id_is_no_session() {
    let cookie = Cookie::default();
    assert_eq!(cookie.decode(ID).unwrap().expose(), ID);
    let values = [
        "".to_owned(),
        ID[1..].to_owned(),
        format!("{ID}A"),
        format!("{ID}."),
        format!(" {ID}"),
        format!("\"{ID}\""),
        ID.replace('d', "%64"),
        ID.replace('d', "+"),
        ID.replace('d', "/"),
        ID.replace('d', "="),
        ID.replace('d', "é"),
        ID.repeat(500),
        // What a store keeps is no id, in whatever spelling.
        format!("{:?}", Id::parse(ID).unwrap().key()),
        Id::parse(ID).unwrap().key().fingerprint(),
    ];
    for value in values {
        assert!(cookie.decode(&value).is_none(), "{value}");
    }
    for byte in 0..=255 {
        let mut value = ID.to_owned().into_bytes();
        value[31] = byte;
        let is_letter = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert_eq!(cookie.decode(&value).is_some(), is_letter, "{byte:#x}");
    }
}

#[test]
fn r15_debug_of_what_was_found_shows_no_value() {
    assert_eq!(format!("{:?}", Found::One(ID.as_bytes())), "One(…)");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("__Host-sid".to_owned()), Just("s".to_owned()), "[a-z!#$%&'*+.^_`|~-]{1,12}"]
}

/// Fields that are nearly right, most of the time.
fn fields(name: String) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let near = name.clone();
    let text = |text: &str| Just(text.as_bytes().to_vec());
    let piece = prop_oneof![
        6 => Just(name.clone().into_bytes()),
        6 => Just(format!("{name}=v").into_bytes()),
        2 => (0..=near.len(), any::<u8>()).prop_map(move |(place, byte)| {
            let mut bytes = near.clone().into_bytes();
            bytes.insert(place, byte);
            bytes
        }),
        8 => text(";"),
        4 => text("; "),
        4 => text("="),
        2 => text(" "),
        2 => text("\t"),
        1 => text("\u{2000}"),
        1 => text("a=1;").prop_map(|pair| pair.repeat(30)),
        1 => (0_usize..9000).prop_map(|size| vec![b'j'; size]),
        2 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    let field = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    proptest::collection::vec(field, 0..4)
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn r11_the_reader_reads_what_a_slow_one_reads(
        (name, fields) in name().prop_flat_map(|name| (Just(name.clone()), fields(name))),
    ) {
        let cookie = Cookie::builder().name(name.clone()).build().unwrap();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let expected = slow::find(&fields, name.as_bytes());
        let found = |found: Found<'_>| match found {
            Found::None => Slow::Nothing,
            Found::One(value) => Slow::One(value.to_vec()),
            Found::Duplicate => Slow::Duplicate,
            Found::TooMany => Slow::TooMany,
        };
        prop_assert_eq!(found(cookie.find_in(fields.iter().copied())), expected.clone());
        if let Some(headers) = headers(&fields) {
            prop_assert_eq!(found(cookie.find(&headers)), expected);
        }
    }
}
