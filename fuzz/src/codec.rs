//! Codecs: any bytes are a value or an error, what is read can be written and read again, and
//! decoding holds no more memory than [`allowed`] says. The memory is measured where `counting`
//! is the allocator.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sessile::testing::inside::encode;
use sessile::{Bincode, Codec, CodecError, Id, Json, Postcard, Sink};

use super::counting::peak_of;

/// What serde allocates at most on the word of a length alone, for each sequence that is open.
const UNTRUSTED: usize = 1 << 20;
/// Boxes, messages of errors, the scratch of a parser.
const SMALL: usize = 4 << 10;

/// A session as a shop may have it.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    user: Option<u64>,
    name: String,
    items: Vec<(u32, String)>,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
enum State {
    Fresh,
    Ordered { total: i64, currency: [char; 3] },
    Note(String),
}

/// A type to decode as: bytes of memory that one encoded byte may stand for, by the layout of
/// the type, and how many sequences can be open at a time.
struct Shape {
    weight: usize,
    depth: usize,
}

/// Four times the input, for what grows by doubling; times the weight where elements are larger
/// in memory than encoded; and a constant.
fn allowed(shape: &Shape, input: usize) -> usize {
    4 * shape.weight * input + UNTRUSTED * shape.depth + SMALL
}

/// See the module's text. The first byte chooses codec and type.
pub fn run(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => decode_as::<Bincode>(choice / 3, bytes),
        1 => decode_as::<Postcard>(choice / 3, bytes),
        _ => decode_as::<Json>(choice / 3, bytes),
    }
}

fn decode_as<C: Codec>(shape: u8, bytes: &[u8]) {
    let shape_of = |weight, depth| Shape { weight, depth };
    match shape % 9 {
        0 => check::<C, String>(bytes, &shape_of(1, 0)),
        1 => check::<C, Vec<u8>>(bytes, &shape_of(1, 1)),
        2 => check::<C, (u64, String, Option<char>, [i16; 4], f32)>(bytes, &shape_of(1, 0)),
        3 => check::<C, Vec<u64>>(bytes, &shape_of(8, 1)),
        4 => check::<C, Session>(bytes, &shape_of(16, 1)),
        5 => check::<C, Vec<Vec<Option<f64>>>>(bytes, &shape_of(24, 2)),
        // A table of hashes is as large again as its entries, and prepared for twice as many.
        6 => check::<C, HashMap<String, i64>>(bytes, &shape_of(40, 4)),
        7 if C::ID == Json::ID => check::<C, serde_json::Value>(bytes, &shape_of(40, 0)),
        7 => check::<C, Vec<(bool, String)>>(bytes, &shape_of(16, 1)),
        _ => check_id(bytes),
    }
}

fn check<C: Codec, T: Serialize + DeserializeOwned>(bytes: &[u8], shape: &Shape) {
    let (peak, decoded) = peak_of(|| C::decode::<T>(bytes));
    let most = allowed(shape, bytes.len());
    assert!(peak <= most, "{} held {peak} bytes for {}; {most} are allowed", C::NAME, bytes.len());
    let Ok(value) = decoded else { return };
    let encoded = encode::<C, T>(&value).expect("what was decoded can be encoded");
    let again = C::decode::<T>(&encoded);
    // Text has no infinity and no NaN.
    let Ok(again) = again else { return assert_eq!(C::ID, Json::ID, "{:?}", again.err()) };
    let twice = encode::<C, T>(&again).expect("it was encoded before");
    // The order of a hash map is its own affair.
    assert_eq!(twice.len(), encoded.len());
    if shape.depth < 4 {
        assert_eq!(twice, encoded);
    }
}

/// Decodes with a codec as they must not be.
pub fn check_greedy(bytes: &[u8]) {
    struct Greedy;
    impl Codec for Greedy {
        const ID: u32 = 256;
        const NAME: &'static str = "greedy";
        fn encode<T: Serialize>(_: &T, _: &mut Sink<'_>) -> Result<(), CodecError> {
            Err(CodecError::new("there is nothing to write"))
        }
        fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
            let claimed =
                bytes.iter().fold(0, |claimed, byte| claimed << 4 | usize::from(byte % 16));
            Err(CodecError::new(format!("{:?}", Vec::<u64>::with_capacity(claimed))))
        }
    }
    check::<Greedy, String>(bytes, &Shape { weight: 1, depth: 0 });
}

fn check_id(bytes: &[u8]) {
    if let Some(id) = Id::parse(bytes) {
        assert_eq!(id.expose().as_bytes(), bytes);
    }
}
