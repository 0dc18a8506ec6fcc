//! Codecs: how a user's value becomes bytes and back.
//!
//! Everything else on disk is laid out by hand; a codec touches the values only. Its id stands in
//! every header, so that bytes are never decoded by a codec that did not write them.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A way to encode values. The crate has `Bincode`, `Postcard` and `Json`, each behind the
/// feature of its name.
///
/// An implementation must not allocate by what the bytes claim, only by what they hold, and must
/// refuse bytes that are left over.
pub trait Codec: Send + Sync + 'static {
    /// Stands in the files. Ids below 256 belong to this crate.
    const ID: u32;
    /// For messages.
    const NAME: &'static str;

    /// Writes the encoded value.
    ///
    /// # Errors
    /// Whatever the value's `Serialize` returns.
    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError>;

    /// Reads a value from exactly these bytes.
    ///
    /// # Errors
    /// If they are not an encoded `T`, or more than that.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a value could not be encoded or decoded.
pub struct CodecError(Box<dyn StdError + Send + Sync>);

impl CodecError {
    /// Wraps what the library underneath said.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        CodecError(error.into())
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for CodecError {}

/// bincode: varint integers, little endian. Compact and quick; knows no field names, so a
/// changed struct needs a new schema tag.
#[cfg(feature = "bincode")]
#[derive(Clone, Copy, Debug)]
pub struct Bincode;

#[cfg(feature = "bincode")]
impl Codec for Bincode {
    const ID: u32 = 1;
    const NAME: &'static str = "bincode";

    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError> {
        use bincode::Options;
        bincode::DefaultOptions::new().serialize_into(out, value).map_err(CodecError::new)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        use bincode::Options;
        bincode::DefaultOptions::new()
            .with_limit(bytes.len() as u64)
            .reject_trailing_bytes()
            .deserialize(bytes)
            .map_err(CodecError::new)
    }
}

/// postcard: a documented, stable format; otherwise like bincode.
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, Debug)]
pub struct Postcard;

#[cfg(feature = "postcard")]
impl Codec for Postcard {
    const ID: u32 = 2;
    const NAME: &'static str = "postcard";

    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError> {
        postcard::to_io(value, out).map(drop).map_err(CodecError::new)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let (value, rest) = postcard::take_from_bytes(bytes).map_err(CodecError::new)?;
        if rest.is_empty() { Ok(value) } else { Err(CodecError::new("bytes are left over")) }
    }
}

/// JSON: larger and slower, but it names its fields, so that structs may gain some.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug)]
pub struct Json;

#[cfg(feature = "json")]
impl Codec for Json {
    const ID: u32 = 3;
    const NAME: &'static str = "json";

    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(CodecError::new)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError::new)
    }
}

/// Where a codec writes: takes what fits under the store's limit, and only counts what is beyond
/// it.
pub struct Sink<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
    size: usize,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, limit: usize) -> Self {
        Sink { out, limit, size: 0 }
    }

    /// Bytes that were written, kept or not.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl io::Write for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len();
        if self.size <= self.limit {
            self.out.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A codec made concrete for one type, chosen at run time.
pub(crate) struct Coder<V> {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    encode: fn(&V, &mut Sink<'_>) -> Result<(), CodecError>,
    decode: fn(&[u8]) -> Result<V, CodecError>,
}

impl<V> Clone for Coder<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Coder<V> {}

impl<V: Serialize + DeserializeOwned> Coder<V> {
    pub(crate) fn of<C: Codec>() -> Self {
        Coder {
            id: C::ID,
            name: C::NAME,
            encode: |value, out| C::encode(value, out),
            decode: |bytes| C::decode(bytes),
        }
    }

    /// The codec of a store that was not told one: the first of the features that is on.
    pub(crate) fn default_codec() -> Option<Self> {
        #[cfg(feature = "bincode")]
        return Some(Self::of::<Bincode>());
        #[cfg(all(feature = "postcard", not(feature = "bincode")))]
        return Some(Self::of::<Postcard>());
        #[cfg(all(feature = "json", not(any(feature = "bincode", feature = "postcard"))))]
        return Some(Self::of::<Json>());
        #[cfg(not(any(feature = "bincode", feature = "postcard", feature = "json")))]
        return None;
    }
}

impl<V> Coder<V> {
    pub(crate) fn encode(&self, value: &V, out: &mut Sink<'_>) -> Result<(), CodecError> {
        (self.encode)(value, out)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        (self.decode)(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(dead_code, reason = "used by whichever codecs are on")]
    fn check<C: Codec>() {
        let value = (7_u64, "text".to_owned(), vec![Some(1.5_f64), None], -3_i8);
        let mut bytes = Vec::new();
        C::encode(&value, &mut Sink::new(&mut bytes, usize::MAX)).unwrap();
        assert_eq!(C::decode::<(u64, String, Vec<Option<f64>>, i8)>(&bytes).unwrap(), value);
        bytes.push(1);
        assert!(C::decode::<(u64, String, Vec<Option<f64>>, i8)>(&bytes).is_err(), "left over");
        assert!(C::decode::<(u64, String, Vec<Option<f64>>, i8)>(&bytes[..3]).is_err(), "cut");
    }

    #[test]
    fn every_codec_reads_what_it_writes_and_nothing_else() {
        #[cfg(feature = "bincode")]
        check::<Bincode>();
        #[cfg(feature = "postcard")]
        check::<Postcard>();
        #[cfg(feature = "json")]
        check::<Json>();
    }

    #[test]
    #[cfg(feature = "json")]
    fn a_float_is_the_same_after_a_trip_through_json() {
        // Found by a fuzzer: the quick reading of a decimal number is off by one bit now and then.
        for value in [6e-93_f64, 1e-300, 2.5e-324, f64::MAX, 0.1 + 0.2, 1.0 / 3.0] {
            let mut bytes = Vec::new();
            Json::encode(&value, &mut Sink::new(&mut bytes, usize::MAX)).unwrap();
            assert_eq!(Json::decode::<f64>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn a_value_beyond_the_limit_is_measured_and_not_kept() {
        use std::io::Write;
        let mut out = vec![9];
        let mut bounded = Sink::new(&mut out, 3);
        bounded.write_all(&[1, 2]).unwrap();
        bounded.write_all(&[3, 4]).unwrap();
        bounded.write_all(&[5; 100]).unwrap();
        assert_eq!(bounded.size(), 104);
        assert_eq!(out, [9, 1, 2]);
    }
}
