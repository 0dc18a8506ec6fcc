//! Values that are refused, and what the errors say of them: kinds, and never what they are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sessile::session::Session;

use crate::World;

/// Some text of a value that no error may repeat.
const SECRET: &str = "hunter2";

/// Refuses everything, and says what it was given.
#[derive(Debug, Serialize)]
struct Talkative;

impl<'de> Deserialize<'de> for Talkative {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("invalid type: {text}, expected {text}")))
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Choice {
    One(u8),
    Two { inner: u8 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    inner: Vec<HashMap<String, u32>>,
}

fn tells_nothing(
    value: impl Serialize,
    decode: impl Fn(&Session) -> sessile::Error,
    parts: &[&str],
) {
    let world = World::new();
    let session = world.sessions.create();
    session.insert("k", value).unwrap();
    let error = decode(&session);
    assert!(error.is_decode());
    let mut texts = vec![error.to_string(), format!("{error:?}")];
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        texts.extend([cause.to_string(), format!("{cause:?}")]);
        source = cause.source();
    }
    for text in &texts {
        assert!(!text.contains(SECRET) && !text.contains("4711"), "{text}");
    }
    for part in parts {
        assert!(texts[0].contains(part), "{part} is not in: {}", texts[0]);
    }
}

#[test]
fn an_error_says_what_kind_of_value_was_found_and_never_which() {
    use serde_json::json;
    tells_nothing(SECRET, |s| s.get::<u32>("k").unwrap_err(), &["u32", "a string"]);
    tells_nothing(-4711, |s| s.get::<u32>("k").unwrap_err(), &["u32", "integer"]);
    tells_nothing(4711, |s| s.get::<String>("k").unwrap_err(), &["a string", "an integer"]);
    tells_nothing(4711.5, |s| s.get::<u8>("k").unwrap_err(), &["u8", "a number with a fraction"]);
    tells_nothing(SECRET, |s| s.get::<char>("k").unwrap_err(), &["a character", "string"]);
    tells_nothing(SECRET, |s| s.get::<Talkative>("k").unwrap_err(), &["Talkative", "a string"]);
    tells_nothing(SECRET, |s| s.get::<Choice>("k").unwrap_err(), &["One", "Two"]);
    tells_nothing(json!({SECRET: 1}), |s| s.get::<Choice>("k").unwrap_err(), &["One", "Two"]);
    let one = json!({"One": SECRET});
    tells_nothing(one, |s| s.get::<Choice>("k").unwrap_err(), &["u8", "a string"]);
    let two = json!({"Two": {"inner": [SECRET]}});
    tells_nothing(two, |s| s.get::<Choice>("k").unwrap_err(), &["u8", "a list"]);
    let nested = json!({"inner": [{"a": 1}, {"b": SECRET}]});
    tells_nothing(nested, |s| s.get::<Strict>("k").unwrap_err(), &["u32", "a string"]);
    let other = json!({"inner": [], SECRET: 1});
    tells_nothing(other, |s| s.get::<Strict>("k").unwrap_err(), &["inner"]);
    tells_nothing(json!({}), |s| s.get::<Strict>("k").unwrap_err(), &["inner"]);
    let numbered = json!({SECRET: 1});
    tells_nothing(numbered, |s| s.get::<HashMap<u8, u8>>("k").unwrap_err(), &["u8"]);
    let range = json!({"1": SECRET});
    tells_nothing(range, |s| s.get::<HashMap<u8, u8>>("k").unwrap_err(), &["u8", "a string"]);
    tells_nothing(SECRET, |s| s.update("k", |n: &mut u8| *n += 1).unwrap_err(), &["a string"]);
    tells_nothing(SECRET, |s| s.pop::<u8>("k").unwrap_err(), &["a string"]);
    tells_nothing(SECRET, |s| s.get_or_insert_with("k", || 1_u8).unwrap_err(), &["a string"]);
}

/// Cannot be encoded, and says what it is.
struct Loud;

impl Serialize for Loud {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(SECRET))
    }
}

#[test]
fn a_value_that_refuses_to_be_encoded_is_not_quoted() {
    let session = World::new().sessions.create();
    let error = session.insert("k", Loud).unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("\"k\""));
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

type Setting = Box<dyn FnOnce(&Session) -> sessile::Result<()>>;

/// One that is anywhere in a value.
fn not_finite(number: f64) -> Vec<Setting> {
    #[derive(Serialize)]
    struct Part(f64);
    #[derive(Serialize)]
    enum Form {
        New(f64),
        Tuple(u8, f64),
        Struct { number: f64 },
    }
    let map = HashMap::from([("a", Some(number))]);
    vec![
        Box::new(move |s| s.insert("k", number)),
        Box::new(move |s| s.insert("k", number as f32)),
        Box::new(move |s| s.insert("k", Some(vec![1.0, number]))),
        Box::new(move |s| s.insert("k", (1, Part(number)))),
        Box::new(move |s| s.insert("k", map)),
        Box::new(move |s| s.insert("k", Form::New(number))),
        Box::new(move |s| s.insert("k", Form::Tuple(1, number))),
        Box::new(move |s| s.insert("k", [Form::Struct { number }])),
        Box::new(move |s| s.update("k", |k: &mut f64| *k = number)),
    ]
}

#[test]
fn a_number_that_is_not_finite_is_refused_wherever_it_is() {
    let world = World::new();
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for session in [world.load(&world.saved(1)), world.sessions.create()] {
            session.insert("k", 1.5).unwrap();
            for set in not_finite(number) {
                let error = set(&session).unwrap_err();
                assert!(error.is_decode(), "{error}");
                assert!(error.to_string().contains("\"k\""), "{error}");
            }
            assert!(session.get_or_insert_with("new", || number).unwrap_err().is_decode());
            assert_eq!(session.get("k").unwrap(), Some(1.5));
            assert!(!session.contains("new").unwrap());
            // What is null is not a number.
            session.insert("k", (None::<f64>, Some(f64::MAX), (), "null")).unwrap();
        }
    }
}
