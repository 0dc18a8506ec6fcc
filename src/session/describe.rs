//! A stored value as JSON, for a person to read: any that describes itself, and this layer's own.
//!
//! Knows bytes and no store. Says which kind of record it is; places in it are keys, never ids.

use serde_json::{Map, Value, json};

use super::builder::SCHEMA_TAG;
use super::dict::Dict;
use super::record::{Kind, Place, Record};
#[cfg(feature = "bincode")]
use crate::record::codec::Bincode;
#[cfg(feature = "postcard")]
use crate::record::codec::Postcard;
use crate::record::codec::{Codec, Json};

/// The value as JSON; `None` if its bytes do not say what they are, or are none of ours.
pub(crate) fn describe(codec: u32, schema_tag: u64, bytes: &[u8]) -> Option<Value> {
    if schema_tag == SCHEMA_TAG
        && let Some(record) = decode(codec, bytes)
    {
        return Some(show(record.0));
    }
    (codec == Json::ID).then(|| serde_json::from_slice(bytes).ok()).flatten()
}

fn decode(codec: u32, bytes: &[u8]) -> Option<Record> {
    match codec {
        #[cfg(feature = "bincode")]
        Bincode::ID => Bincode::decode(bytes).ok(),
        #[cfg(feature = "postcard")]
        Postcard::ID => Postcard::decode(bytes).ok(),
        Json::ID => Json::decode(bytes).ok(),
        _ => None,
    }
}

fn show(record: Kind) -> Value {
    match record {
        Kind::Session(body) => json!({
            "kind": "session",
            "created_ms": body.created,
            "ends_ms": body.ends,
            "saved_ms": body.saved,
            "renewed_ms": body.renewed,
            "expiry": body.expiry,
            "subject": body.owner.as_ref().map(|login| &*login.subject),
            "authenticated_ms": body.owner.as_ref().map(|login| login.at),
            "data": dictionary(&body.data),
            "flashes": body.flashes,
            "next": body.next.iter().map(|place| hex(*place)).collect::<Vec<_>>(),
        }),
        Kind::Next(place) => json!({ "kind": "next", "of": hex(place) }),
        Kind::Moved(place) => json!({ "kind": "moved", "to": hex(place) }),
        Kind::Owner(owner) => json!({
            "kind": "owner",
            "generation": owner.generation,
            "sessions": owner.sessions.iter().map(|owned| hex(owned.place)).collect::<Vec<_>>(),
        }),
        // Neither what was issued nor its digest: whoever has it can redeem it.
        Kind::OneShot(one) => json!({
            "kind": "one-shot",
            "visible": one.visible.is_some(),
            "attempts": one.attempts,
        }),
        Kind::Foreign(bytes) => {
            let value = serde_json::from_slice::<Value>(&bytes).ok();
            json!({ "kind": "foreign", "bytes": bytes.len(), "value": value })
        }
    }
}

fn dictionary(dict: &Dict) -> Value {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    Value::Object(
        dict.iter().map(|(key, text)| (key.to_owned(), parsed(text))).collect::<Map<_, _>>(),
    )
}

fn hex(place: Place) -> String {
    place.key().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
