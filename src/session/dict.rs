//! A session's dictionary as it is kept: keys and encoded values in one piece of memory.
//!
//! Sorted by key: `[bytes of the key: u8] [bytes of the value: u32, little endian] key value`, and
//! so on. A copy is one allocation, encoding it one copy, looking a key up a walk over a cache line
//! or two. Knows nothing of what the values mean; each is JSON text.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::limits::{SESSION_KEY_BYTES_MAX, SESSION_KEYS_MAX};

/// Bytes before each key.
const HEAD: usize = 5;

/// See the module's text.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Dict(Box<[u8]>);

impl Dict {
    pub(crate) fn iter(&self) -> Entries<'_> {
        Entries(&self.0)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let mut rest = &*self.0;
        while let Some((found, value, after)) = split(rest) {
            if found == key.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
            rest = after;
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        let mut rest = &*self.0;
        let mut count = 0;
        while let Some((_, _, after)) = split(rest) {
            (rest, count) = (after, count + 1);
        }
        count
    }

    /// Bytes that it takes, in memory and on disk.
    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    /// Bytes that one key with its value takes.
    pub(crate) fn cost(key: &str, value: &str) -> usize {
        HEAD + key.len() + value.len()
    }

    /// This dictionary with `key` set to `value`, or without it.
    pub(crate) fn with(&self, key: &str, value: Option<&str>) -> Dict {
        self.merged([(key, value)].into_iter())
    }

    /// This dictionary with changes made to it: sorted by key, each key once; `None` takes it out.
    pub(crate) fn merged<'a>(
        &self,
        changes: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Dict {
        // Packed where most dictionaries fit, so that what is kept is allocated once and of its size.
        let mut packed = Packed(SmallVec::new());
        let mut changes = changes.peekable();
        for (key, value) in self.iter() {
            while let Some((changed, new)) = changes.next_if(|(changed, _)| *changed < key) {
                packed.add(changed, new);
            }
            match changes.next_if(|(changed, _)| *changed == key) {
                Some((_, new)) => packed.add(key, new),
                None => packed.add(key, Some(value)),
            }
        }
        changes.for_each(|(key, new)| packed.add(key, new));
        Dict(packed.0.as_slice().into())
    }

    /// A dictionary that was packed by [`Dict::merged`], and nothing else.
    fn check(bytes: &[u8]) -> Result<(), &'static str> {
        let (mut rest, mut last, mut count) = (bytes, None, 0);
        while !rest.is_empty() {
            let Some((key, value, after)) = split(rest) else { return Err("it is cut off") };
            let Ok(key) = std::str::from_utf8(key) else { return Err("a key is not UTF-8") };
            if std::str::from_utf8(value).is_err() {
                return Err("a value is not UTF-8");
            }
            if last.is_some_and(|last| last >= key) {
                return Err("its keys are not in order");
            }
            (rest, last) = (after, Some(key));
            count += 1;
        }
        if count > SESSION_KEYS_MAX { Err("it has too many keys") } else { Ok(()) }
    }
}

struct Packed(SmallVec<[u8; 512]>);

impl Packed {
    fn add(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let (Ok(key_bytes), Ok(value_bytes)) =
            (u8::try_from(key.len()), u32::try_from(value.len()))
        else {
            debug_assert!(false, "the key or the value was not checked");
            return;
        };
        let [a, b, c, d] = value_bytes.to_le_bytes();
        self.0.extend_from_slice(&[key_bytes, a, b, c, d]);
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }
}

/// The first key, its value, and what comes after them.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [key, a, b, c, d] = *head;
    let (key, rest) = rest.split_at_checked(usize::from(key))?;
    let value = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let (value, rest) = rest.split_at_checked(value)?;
    Some((key, value, rest))
}

/// The keys and values of a [`Dict`], in the order of the keys.
#[derive(Clone)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value, rest) = split(self.0)?;
        self.0 = rest;
        // Both were checked when they came in.
        Some((std::str::from_utf8(key).ok()?, std::str::from_utf8(value).ok()?))
    }
}

impl fmt::Debug for Dict {
    /// The keys only: values are nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Dict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_map(Reader)
        } else {
            deserializer.deserialize_byte_buf(Reader)
        }
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Dict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the dictionary of a session")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Dict, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Dict, E> {
        Dict::check(&bytes).map_err(E::custom)?;
        Ok(Dict(bytes.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dict, A::Error> {
        let mut entries = std::collections::BTreeMap::<String, String>::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if key.len() > SESSION_KEY_BYTES_MAX || entries.len() == SESSION_KEYS_MAX {
                return Err(A::Error::custom("a key is too long, or there are too many"));
            }
            entries.insert(key, value);
        }
        let entries = entries.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
        Ok(Dict::default().merged(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Map = BTreeMap<String, String>;

    fn dict(map: &Map) -> Dict {
        Dict::default().merged(map.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))))
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            map in proptest::collection::btree_map("[a-e]{0,3}", ".{0,6}", 0..12),
            changes in proptest::collection::btree_map("[a-e]{0,3}", proptest::option::of(".{0,6}"), 0..12),
        ) {
            let mut expected = map.clone();
            let merged = dict(&map)
                .merged(changes.iter().map(|(key, value)| (key.as_str(), value.as_deref())));
            for (key, value) in &changes {
                match value {
                    Some(value) => drop(expected.insert(key.clone(), value.clone())),
                    None => drop(expected.remove(key)),
                }
            }
            let found: Map =
                merged.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(merged.len(), expected.len());
            for key in map.keys().chain(changes.keys()) {
                prop_assert_eq!(merged.get(key), expected.get(key).map(String::as_str));
            }
            prop_assert!(Dict::check(&merged.0).is_ok());
            let json = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(serde_json::from_str::<Dict>(&json).unwrap(), merged);
        }

        #[test]
        fn other_bytes_are_refused_or_are_a_dictionary(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if Dict::check(&bytes).is_ok() {
                let map: Map = Dict(bytes.clone().into())
                    .iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect();
                prop_assert_eq!(&*dict(&map).0, &bytes[..]);
            }
        }
    }
}
