//! What is stored, byte by byte: who changes it gives it another schema tag.

use super::*;
use crate::record::codec::Codec;
#[cfg(any(feature = "bincode", feature = "postcard", feature = "json"))]
use crate::record::codec::Sink;
use crate::session::builder::SCHEMA_TAG;

/// One record of each kind, with something in every field.
fn records() -> [Kind; 6] {
    let place = |byte| Place([byte; 16]);
    let at = Timestamp::from_millis;
    let body = Body {
        created: at(1),
        ends: at(2),
        saved: at(3),
        renewed: at(4),
        told: at(5),
        expiry: SessionExpiry::Idle(Duration::new(6, 7)),
        owner: Some(Box::new(Login { subject: "ada".into(), at: at(8) })),
        data: Dict::default().with("k", Some("9")).with("l", Some("\"x\"")),
        flashes: vec![Flash { level: "info".to_owned(), message: "hi".to_owned() }],
        next: vec![place(10)],
        first: Some(place(11)),
    };
    let one = OneShot { salt: [12; 16], digest: [13; 32], visible: Some("v".into()), attempts: 14 };
    let owned = Owned { place: place(15), ends: at(16) };
    [
        Kind::Session(body),
        Kind::Next(place(17)),
        Kind::Moved(place(18)),
        Kind::Owner(Owner { generation: 19, sessions: vec![owned] }),
        Kind::OneShot(one),
        Kind::Foreign(Box::new([20, 21])),
    ]
}

/// The records as a codec writes them, each on a line.
fn stored<C: Codec>() -> String {
    let mut lines = String::new();
    for kind in records() {
        let mut bytes = Vec::new();
        C::encode(&Record(kind), &mut Sink::new(&mut bytes, 4096)).unwrap();
        let again: Record = C::decode(&bytes).unwrap();
        let mut twice = Vec::new();
        C::encode(&again, &mut Sink::new(&mut twice, 4096)).unwrap();
        assert_eq!(bytes, twice);
        let spell = |byte: &u8| match byte {
            0x20..0x7f => char::from(*byte).to_string(),
            byte => format!("<{byte:02x}>"),
        };
        lines.extend(bytes.iter().map(spell));
        lines.push('\n');
    }
    lines
}

const WHY: &str = "what is stored has changed: give `SCHEMA_TAG` another value, or records that are \
                   there are read as what they are not; then write down here what is stored now";

#[test]
fn the_tag_is_that_of_what_is_written_down_here() {
    assert_eq!(SCHEMA_TAG.to_be_bytes(), *b"session1", "{WHY}");
}

#[test]
#[cfg(feature = "bincode")]
fn what_bincode_stores_is_as_it_was() {
    assert_eq!(
        stored::<crate::record::codec::Bincode>(),
        include_str!("golden/bincode.txt"),
        "{WHY}"
    );
}

#[test]
#[cfg(feature = "postcard")]
fn what_postcard_stores_is_as_it_was() {
    assert_eq!(
        stored::<crate::record::codec::Postcard>(),
        include_str!("golden/postcard.txt"),
        "{WHY}"
    );
}

#[test]
#[cfg(feature = "json")]
fn what_json_stores_is_as_it_was() {
    assert_eq!(stored::<crate::record::codec::Json>(), include_str!("golden/json.txt"), "{WHY}");
}
