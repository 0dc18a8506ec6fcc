//! Why a value is not of the type that was asked for, in kinds of values: what a value is, a log
//! is not to learn. Decodes it once more for that, with errors that carry nothing else.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected,
    IntoDeserializer, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// What was expected and what was found.
pub(super) fn explain<T: DeserializeOwned>(text: &str) -> String {
    let Ok(value) = Value::deserialize(&mut serde_json::Deserializer::from_str(text)) else {
        return "it is no JSON".to_owned();
    };
    let found = kind(&value);
    match T::deserialize(Node(value)) {
        Err(Mismatch(Some(why))) => why,
        _ => format!("found {found}, which the type's own `Deserialize` refuses"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Text of the types alone; `None`: what the type says of itself may quote the value.
#[derive(Debug)]
struct Mismatch(Option<String>);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("another type"))
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Mismatch(None)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Mismatch(Some(format!("expected {expected}, found {}", kind_of(found))))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Mismatch(Some(format!("expected {expected}, found another {}", bare(kind_of(found)))))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Mismatch(Some(format!("expected {expected}, found {length} parts")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Mismatch(Some(format!("expected one of {expected:?}, found none of them")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Mismatch(Some(format!("expected no other fields than {expected:?}, found another")))
    }

    fn missing_field(field: &'static str) -> Self {
        Mismatch(Some(format!("expected a field {field:?}, found none")))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Mismatch(Some(format!("expected one field {field:?}, found two")))
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq | Unexpected::Bytes(_) => "a list",
        Unexpected::Map => "a map",
        Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant => "a variant",
        _ => "a value of another kind",
    }
}

fn bare(kind: &'static str) -> &'static str {
    kind.split_once(' ').map_or(kind, |(_, bare)| bare)
}

/// A value that is decoded as JSON is.
struct Node(Value);

impl<'de> IntoDeserializer<'de, Mismatch> for Node {
    type Deserializer = Node;

    fn into_deserializer(self) -> Node {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(is) => visitor.visit_bool(is),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => {
                let mut parts = SeqDeserializer::new(list.into_iter().map(Node));
                let made = visitor.visit_seq(&mut parts)?;
                parts.end().map(|()| made)
            }
            Value::Object(map) => {
                let fields = map.into_iter().map(|(field, value)| (Field(field), Node(value)));
                let mut fields = MapDeserializer::new(fields);
                let made = visitor.visit_map(&mut fields)?;
                fields.end().map(|()| made)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let expected = || Mismatch(Some(format!("expected a variant, found {}", kind(&self.0))));
        let (name, content) = match &self.0 {
            Value::String(name) => (name.clone(), None),
            Value::Object(map) => {
                let mut fields = map.iter();
                let (Some((name, value)), None) = (fields.next(), fields.next()) else {
                    return Err(expected());
                };
                (name.clone(), Some(Node(value.clone())))
            }
            _ => return Err(expected()),
        };
        visitor.visit_enum(Variant(name, content))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A key of a map, which may stand for a number, as in JSON.
struct Field(String);

impl<'de> IntoDeserializer<'de, Mismatch> for Field {
    type Deserializer = Field;

    fn into_deserializer(self) -> Field {
        self
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match serde_json::from_str(&self.0) {
                Ok(number @ Value::Number(_)) => Node(number).deserialize_any(visitor),
                _ => visitor.visit_string(self.0),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Field {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(Variant(self.0, None))
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant's name and content.
struct Variant(String, Option<Node>);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Mismatch;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content), Mismatch> {
        Ok((seed.deserialize(Field(self.0))?, Content(self.1)))
    }
}

struct Content(Option<Node>);

impl Content {
    fn node(self) -> Result<Node, Mismatch> {
        let missing = || Mismatch(Some("expected a variant with content, found none".to_owned()));
        self.0.ok_or_else(missing)
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        self.0.map_or(Ok(()), Deserialize::deserialize)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        seed.deserialize(self.node()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.node()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.node()?.deserialize_any(visitor)
    }
}
