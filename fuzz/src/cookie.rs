//! The session cookie: the crate's reader says of any bytes what a slow one says, no bytes are
//! taken for an id that does not say so, signed or not, and whatever options are valid make a
//! header that is found again.

#[path = "../../tests/cookies/slow.rs"]
mod slow;

use std::time::Duration;

use sessile::web::{Cookie, Found, SameSite, SigningKey};
use sessile::{Id, Timestamp};

use super::input::Input;
use slow::Slow;

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 3 {
        0 => read(&mut input),
        1 => decode(&mut input),
        _ => options(&mut input),
    }
}

/// Fields end at a line's end, which is in no field.
fn read(input: &mut Input<'_>) {
    let name = ["__Host-sid", "sid", "s", "$Version"][usize::from(input.u8()) % 4];
    let cookie = Cookie::builder().name(name).build().expect("a good name");
    let fields: Vec<&[u8]> = input.rest().split(|byte| *byte == b'\n').collect();
    let found = match cookie.find_in(fields.iter().copied()) {
        Found::None => Slow::Nothing,
        Found::One(value) => Slow::One(value.to_vec()),
        Found::Duplicate => Slow::Duplicate,
        Found::TooMany => Slow::TooMany,
    };
    assert_eq!(found, slow::find(&fields, name.as_bytes()));
}

fn key(byte: u8) -> SigningKey {
    SigningKey::new([byte; 32]).expect("long enough")
}

/// What is an id is spelt as it was; what is signed was signed by one of the keys.
fn decode(input: &mut Input<'_>) {
    let count = input.u8() % 4;
    let mut builder = Cookie::builder();
    if count > 0 {
        builder = builder.signed_with((1..=count).map(key));
    }
    let cookie = builder.build().expect("good keys");
    let place = usize::from(input.u8());
    let flip = input.u8();
    let value = input.rest();
    if let Some(id) = cookie.decode(value) {
        let letters = value.get(..32).expect("an id has 32 letters");
        assert_eq!(id.expose().as_bytes(), letters);
        let by_one = |key_of: u8| {
            let one = Cookie::builder().signed_with([key(key_of)]).build().expect("a good key");
            one.encode(&id).expose().as_bytes() == value
        };
        assert!(if count > 0 { (1..=count).any(by_one) } else { value == letters });
    }
    // An id of our own, and the same with a bit flipped or an end missing.
    let letters: Vec<u8> = (0..32).map(|at| letter(value.get(at).copied().unwrap_or(0))).collect();
    let id = Id::parse(&letters).expect("letters of the alphabet");
    let good = cookie.encode(&id).expose().as_bytes().to_vec();
    assert_eq!(cookie.decode(&good), Some(id.clone()));
    let mut other = good.clone();
    let place = place % good.len();
    other[place] ^= flip;
    let found = cookie.decode(&other);
    assert!(found.is_none() || (count == 0 && found != Some(id.clone())) || flip == 0);
    assert_eq!(cookie.decode(&good[..place]), None);
}

fn letter(byte: u8) -> u8 {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    LETTERS[usize::from(byte % 64)]
}

fn options(input: &mut Input<'_>) {
    let (flags, kind) = (input.u8(), input.u8());
    let age = (flags & 1 != 0).then(|| Duration::new(input.odd(), input.u32() % 1_000_000_000));
    let now = input.odd() as i64;
    let mut text = |most: usize| {
        let length = usize::from(input.u8()) % most;
        String::from_utf8_lossy(input.bytes(length)).into_owned()
    };
    let same_site = [SameSite::Strict, SameSite::Lax, SameSite::None][usize::from(kind % 3)];
    let prefix = ["", "__Host-", "__Secure-", "__Http-"][usize::from(kind / 3 % 4)];
    let mut builder = Cookie::builder()
        .name(format!("{prefix}{}", text(140)))
        .secure(flags & 2 == 0)
        .http_only(flags & 4 == 0)
        .partitioned(flags & 8 != 0)
        .same_site(same_site);
    if flags & 16 != 0 {
        builder = builder.path(format!("/{}", text(256)));
    }
    if flags & 32 != 0 {
        builder = builder.domain(text(256));
    }
    if flags & 64 != 0 {
        builder = builder.signed_with([key(flags)]);
    }
    let Ok(cookie) = builder.build() else { return };
    let id = Id::parse([b'a'; 32]).expect("an id");
    let set = cookie.set(&id, age, Timestamp::from_millis(now));
    let removal = cookie.removal();
    for header in [set.as_bytes(), removal.as_bytes()] {
        assert!(header.len() < 4096 && header.iter().all(|byte| (b' '..=b'~').contains(byte)));
        // Name, value and at most ten attributes: none came in with a name, a path or a domain.
        let semicolons = header.iter().filter(|byte| **byte == b';').count();
        assert!(semicolons <= 10);
    }
    let pair = set.as_bytes().split(|byte| *byte == b';').next().expect("a first part");
    let Found::One(value) = cookie.find_in([pair]) else { panic!("it does not find itself") };
    assert_eq!(cookie.decode(value), Some(id));
}
