//! What a store holds, as text: the same that `read.py` prints. Knows no values: they are shown
//! as the bytes that lie on disk, whatever wrote them.

use std::fmt::Write;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use serde::de::value::BytesDeserializer;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sessile::testing::{ManualClock, SimFs};
use sessile::{
    Background, Bincode, Codec, CodecError, Error, Key, Recovery, Salvage, Sink, Store, Timestamp,
    Written,
};

use crate::support::key;

/// A value as it lies on disk.
#[derive(Clone)]
pub struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'a> Deserialize<'a> for Bytes {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl Visitor<'_> for Take {
            type Value = Bytes;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Take)
    }
}

/// Passes for the codec of this number, and shows its bytes as they are.
struct Raw<const ID: u32>;

impl<const CODEC: u32> Codec for Raw<CODEC> {
    const ID: u32 = CODEC;
    const NAME: &'static str = "raw";

    fn encode<T: Serialize>(_: &T, _: &mut Sink<'_>) -> Result<(), CodecError> {
        Err(CodecError::new("nothing is written here"))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let bytes = BytesDeserializer::<serde::de::value::Error>::new(bytes);
        T::deserialize(bytes).map_err(CodecError::new)
    }
}

/// A codec that no directory is written with: every value comes through the migration.
struct Foreign;

impl Codec for Foreign {
    const ID: u32 = 9999;
    const NAME: &'static str = "foreign";

    fn encode<T: Serialize>(value: &T, out: &mut Sink<'_>) -> Result<(), CodecError> {
        Bincode::encode(value, out)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        Bincode::decode(bytes)
    }
}

/// Under which circumstances a directory is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The time.
    pub now: i64,
    /// The keys of the numbers below this one are looked for, whether listed or not.
    pub names: u64,
    /// Codec and schema tag of all values; `None` if they are not the same everywhere.
    pub encoding: Option<(u32, u64)>,
}

/// How to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Strict,
    Drop,
    Keep,
}

impl Way {
    pub const ALL: [Way; 3] = [Way::Strict, Way::Drop, Way::Keep];

    pub fn name(self) -> &'static str {
        match self {
            Way::Strict => "strict",
            Way::Drop => "drop",
            Way::Keep => "keep",
        }
    }

    fn recovery(self) -> Recovery {
        match self {
            Way::Strict => Recovery::Strict,
            Way::Drop => Recovery::Salvage(Salvage::DropOlder),
            Way::Keep => Recovery::Salvage(Salvage::KeepOlder),
        }
    }
}

pub fn open(fs: &SimFs, view: View, way: Way) -> sessile::Result<Store<Bytes>> {
    let builder = Store::<Bytes>::builder()
        .clock(ManualClock::at(Timestamp::from_millis(view.now)))
        .background(Background::Callers)
        .recovery(way.recovery())
        .segment_bytes(4096)
        .max_value_bytes(8 << 20);
    let builder = match view.encoding {
        Some((codec, tag)) => {
            let builder = builder.schema_tag(tag);
            match codec {
                1 => builder.codec::<Raw<1>>(),
                2 => builder.codec::<Raw<2>>(),
                3 => builder.codec::<Raw<3>>(),
                _ => panic!("codec {codec}?"),
            }
        }
        None => builder.codec::<Foreign>().migrate(|written: Written, bytes: &[u8]| {
            let (codec, tag) = (written.codec.to_le_bytes(), written.schema_tag.to_le_bytes());
            Ok(Bytes([&codec[..], &tag, bytes].concat()))
        }),
    };
    builder.open_fs(Arc::new(fs.clone()))
}

/// Opens a copy and says what is found.
pub fn dump(fs: &SimFs, view: View, way: Way) -> String {
    match open(&fs.kill(), view, way) {
        Ok(store) => describe(&store, view),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> String {
    let file = error.path().and_then(|path| path.file_name()).unwrap_or_default();
    let file = file.to_str().unwrap();
    if error.is_mismatch() {
        return format!("refused: {file}\n");
    }
    match error.byte_offset() {
        Some(offset) => format!("damaged: {file} at byte {offset}\n"),
        None => format!("damaged: {file}\n"),
    }
}

fn describe(store: &Store<Bytes>, view: View) -> String {
    let disk = store.stats().disk.unwrap();
    let found = &disk.recovery;
    let mut text = String::new();
    // Salvage, and another encoding, make a new base at once: then these are no longer as found.
    let lost = found.lost.len() + found.lost_bases.len() + found.lost_manifests.len();
    if view.encoding.is_some() && lost == 0 {
        writeln!(text, "cut {}\nlast {}", disk.lsn_cut, disk.lsn_appended).unwrap();
        for base in &disk.bases {
            let (number, records, tombstones) = (base.number, base.records, base.tombstones);
            writeln!(text, "base {number}: {records} records, {tombstones} tombstones").unwrap();
        }
    }
    writeln!(text, "replayed {} frames", found.frames).unwrap();
    writeln!(text, "torn {} frames", found.torn_frames).unwrap();
    for number in &found.lost_manifests {
        writeln!(text, "lost manifest {number}").unwrap();
    }
    found.lost_bases.iter().for_each(|base| writeln!(text, "lost base {base}").unwrap());
    for (first, last) in &found.lost {
        writeln!(text, "lost LSNs {first} to {last}").unwrap();
    }
    let mut strays = found.unknown_files.clone();
    strays.sort();
    strays.iter().for_each(|name| writeln!(text, "stray {name}").unwrap());
    sessions(store, view, &mut text);
    text
}

fn sessions(store: &Store<Bytes>, view: View, text: &mut String) {
    let mut keys: Vec<Key> = (0..view.names).map(key).collect();
    // As far as it goes: what lies behind damage is among the names.
    keys.extend(store.iter().map_while(|found| found.ok()).map(|(key, _)| key));
    keys.sort();
    keys.dedup();
    let mut unknown = String::new();
    for key in keys {
        let hexed = hex(&key.to_bytes());
        match store.peek(&key) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let until = store.deadline(&key).unwrap().unwrap().as_millis();
                let (codec, tag, bytes) = split(&value.0, view);
                let (length, crc) = (bytes.len(), crc32fast::hash(bytes));
                let start = hex(bytes.get(..40).unwrap_or(bytes));
                let terms = format!("until {until}, codec {codec}, tag {tag}");
                writeln!(text, "session {hexed} {terms}: {length} bytes, crc {crc:08x}, {start}")
                    .unwrap();
            }
            Err(error) => {
                assert!(error.is_corrupt() && error.byte_offset().is_some(), "{error:?}");
                writeln!(unknown, "unknown {hexed}").unwrap();
            }
        }
    }
    text.push_str(&unknown);
}

fn split(value: &[u8], view: View) -> (u32, u64, &[u8]) {
    let Some((codec, tag)) = view.encoding else {
        let (codec, rest) = value.split_first_chunk().unwrap();
        let (tag, bytes) = rest.split_first_chunk().unwrap();
        return (u32::from_le_bytes(*codec), u64::from_le_bytes(*tag), bytes);
    };
    (codec, tag, value)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
