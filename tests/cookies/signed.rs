//! Signatures and their keys.

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sessile::Id;
use sessile::web::{Cookie, SigningKey};
use sha2::Sha256;

use crate::{config, key};

fn signed(name: &str, keys: &[u8]) -> Cookie {
    let keys = keys.iter().map(|byte| key(*byte));
    Cookie::builder().name(name).signed_with(keys).build().unwrap()
}

#[test]
fn a_signature_is_what_the_documents_say() {
    let id = Id::parse("dGhlIHF1aWNrIGJyb3duIGZveCBqdW1w").unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&[1; 32]).unwrap();
    let text = [b"sessile/cookie/v1\0__Host-sid\0", id.expose().as_bytes()].concat();
    let mac = mac.chain_update(text).finalize().into_bytes();
    let value = signed("__Host-sid", &[1]).encode(&id);
    let (letters, signature) = value.expose().split_once('.').unwrap();
    assert_eq!((letters, signature.len()), (id.expose(), 43));
    // base64url, bit by bit.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let places = signature.chars().map(|letter| alphabet.find(letter).unwrap());
    let bits: String = places.map(|place| format!("{place:06b}")).collect();
    let expected: String = mac.iter().map(|byte| format!("{byte:08b}")).collect();
    assert_eq!(bits, expected + "00");
}

#[test]
fn every_flipped_bit_of_a_signed_value_is_refused() {
    let cookie = signed("__Host-sid", &[1, 2]);
    let id = Id::new().unwrap();
    let value = cookie.encode(&id).expose().as_bytes().to_vec();
    assert_eq!(cookie.decode(&value), Some(id));
    for bit in 0..value.len() * 8 {
        let mut flipped = value.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(cookie.decode(&flipped), None, "bit {bit}");
    }
    for byte in 0..=255 {
        let last = value.len() - 1;
        let mut other = value.clone();
        if std::mem::replace(&mut other[last], byte) != byte {
            assert_eq!(cookie.decode(&other), None, "spare bits of the last letter: {byte:#x}");
        }
    }
}

#[test]
fn every_other_length_of_a_signed_value_is_refused() {
    let cookie = signed("__Host-sid", &[1]);
    let value = cookie.encode(&Id::new().unwrap()).expose().to_owned();
    for end in 0..value.len() {
        assert_eq!(cookie.decode(&value[..end]), None, "cut at {end}");
        assert_eq!(cookie.decode(&value[end + 1..]), None, "begun at {end}");
    }
    for more in ["A", ".", "=", " ", &value] {
        assert_eq!(cookie.decode(format!("{value}{more}")), None, "{more} behind");
        assert_eq!(cookie.decode(format!("{more}{value}")), None, "{more} before");
    }
}

#[test]
fn unsigned_is_refused_where_there_are_keys_and_signed_where_there_are_none() {
    let (plain, signed) = (Cookie::default(), signed("__Host-sid", &[1]));
    let id = Id::new().unwrap();
    assert_eq!(signed.decode(plain.encode(&id).expose()), None);
    assert_eq!(plain.decode(signed.encode(&id).expose()), None);
    assert_eq!(signed.decode(format!("{}.", id.expose())), None);
}

#[test]
fn a_signature_holds_for_one_name() {
    let id = Id::new().unwrap();
    for (one, other) in [("__Host-sid", "__Host-sie"), ("a", "ab"), ("sid", "SID")] {
        let (one, other) = (signed(one, &[1]), signed(other, &[1]));
        assert_eq!(other.decode(one.encode(&id).expose()), None);
        assert_eq!(one.decode(other.encode(&id).expose()), None);
    }
}

/// A new key in front signs; what the old ones have signed is good until they are dropped.
#[test]
fn keys_are_rotated_without_a_logout() {
    let id = Id::new().unwrap();
    let old = signed("sid", &[1]).encode(&id);
    let both = signed("sid", &[2, 1]);
    assert_eq!(both.decode(old.expose()), Some(id.clone()));
    let new = both.encode(&id);
    assert_eq!(new.expose(), signed("sid", &[2]).encode(&id).expose());
    assert_eq!(signed("sid", &[2]).decode(new.expose()), Some(id.clone()));
    assert_eq!(signed("sid", &[3, 2]).decode(old.expose()), None);
    assert_eq!(signed("sid", &[3, 2]).decode(new.expose()), Some(id));
}

#[test]
fn weak_keys_and_wrong_numbers_of_keys_are_refused() {
    for length in 0..32 {
        let error = SigningKey::new(vec![7; length]).unwrap_err();
        assert!(error.is_config() && error.to_string().contains("32"), "{error}");
    }
    for length in [32, 33, 64, 65, 1000] {
        SigningKey::new(vec![7; length]).unwrap();
    }
    for count in [0, 9, 20] {
        let error = Cookie::builder().signed_with((0..count).map(key)).build().unwrap_err();
        assert!(error.is_config() && error.to_string().contains("key"), "{error}");
    }
    Cookie::builder().signed_with((0..8).map(key)).build().unwrap();
}

/// Leaked keys were found in dumps of configuration.
#[test]
fn cve_2018_15133_cve_2024_55556_keys_are_never_printed() {
    let secret = "an all too telling secret, 32 of them";
    let key = SigningKey::new(secret).unwrap();
    let builder = Cookie::builder().signed_with([key.clone()]);
    let shown = format!("{key:?} {builder:?} {:#?}", builder.clone().build().unwrap());
    assert!(!shown.contains("telling"), "{shown}");
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!shown.contains(&bytes[1..20]), "{shown}");
    assert_eq!(format!("{key:?}"), "SigningKey(…)");
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn no_bytes_are_taken_for_a_signed_id(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        letters in "[A-Za-z0-9_-]{32}\\.[A-Za-z0-9_-]{43}",
    ) {
        let cookie = signed("sid", &[1, 2, 3]);
        prop_assert_eq!(cookie.decode(&bytes), None);
        prop_assert_eq!(cookie.decode(&letters), None);
    }
}
