//! Bases: made of any records, they hold them and nothing else; damaged anywhere, they give the
//! right answer or say that they are damaged; of any bytes, sealed or not, they never panic.
//! Lookups through the directory are compared with the plain reader of `blocks`.

use std::collections::BTreeMap;

use sessile::testing::SimFs;
use sessile::testing::inside::{Answer, OpenBase, Record, Walked, write_base};
use sessile::{Error, Key};

use super::blocks;
use super::input::{Input, mutate};
use super::wire::{bytes_at, u64_at};

const OF: ([u8; 16], u64) = ([3; 16], 7);
const SEED: [u8; 16] = *b"a seed to choose";
const NAME: &str = "base.000000000007";

type Model = BTreeMap<(u64, Key), Record>;

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.u8();
    let mapped = mode & 0x80 == 0;
    if mode.is_multiple_of(4) {
        return any_bytes(input.rest(), mapped);
    }
    let damages = input.u8() % 4;
    let mut damage = Input::new(input.bytes(10 * usize::from(damages)));
    let expected = input.below(300) as u64;
    let lost: Vec<(u64, u64)> = (0..input.u8() % 4).map(|_| range(&mut input)).collect();
    let others: Vec<Key> = (0..4).map(|_| key(&mut input)).collect();
    let model = model(&mut input);
    let fs = SimFs::new(0);
    let records: Vec<Record> = model.values().cloned().collect();
    write_base(&fs, NAME, OF, SEED, expected, &records, &lost).expect("they are in order");
    let whole = fs.bytes(NAME).expect("it was written");
    check_whole(&fs, &whole, &model, &lost, &others, mapped);
    let mut file = whole.clone();
    for _ in 0..damages {
        mutate(&mut file, &mut damage, 8192);
    }
    if mode % 4 == 3 {
        blocks::reseal(&mut file);
        fs.put(NAME, &file);
        return exercise(&fs, OF, model.values().map(|record| record.key), mapped);
    }
    fs.put(NAME, &file);
    check_damaged(&fs, &file, &whole, &model, &others, mapped);
}

fn any_bytes(bytes: &[u8], mapped: bool) {
    let fs = SimFs::new(0);
    fs.put(NAME, bytes);
    let mut of = OF;
    if bytes.len() >= 48 {
        of = (bytes_at(bytes, 24), u64_at(bytes, 40));
    }
    let mut keys = vec![Key::of("a"), Key::of("b"), Key::from_bytes([0; 16])];
    if blocks::has_header(bytes) {
        keys.extend(blocks::records(bytes).into_iter().map(|record| record.key));
    }
    exercise(&fs, of, keys, mapped);
}

fn range(input: &mut Input<'_>) -> (u64, u64) {
    let low = input.u64();
    (low, low.saturating_add(input.odd()))
}

fn key(input: &mut Input<'_>) -> Key {
    match input.u8() {
        few @ 0..160 => Key::of([few % 80]),
        twin @ 160..208 => blocks::twin(SEED, (twin % 24).into()),
        _ => Key::of(input.u16().to_le_bytes()),
    }
}

fn model(input: &mut Input<'_>) -> Model {
    let mut model = Model::new();
    let mut bytes = 0;
    while !input.is_empty() && bytes < 150_000 {
        let (key, size) = (key(input), input.u8());
        let length = match size {
            0..240 => usize::from(size),
            240..250 => 3980 + 8 * usize::from(size - 240) + usize::from(input.u8() % 64),
            250..254 => 4096 * usize::from(size - 249) - 62 + usize::from(input.u8() % 4),
            _ => 1300 + usize::from(input.u8()),
        };
        let times = input.u32();
        let tombstone = size < 128 && times.is_multiple_of(5);
        bytes += length;
        let record = Record {
            value: (!tombstone).then(|| vec![size ^ 0x5A; length]),
            deadline: times % 1000,
            cap: times >> 8,
            idle: times >> 16,
            key,
        };
        model.insert((blocks::hash(SEED, &key), key), record);
    }
    model
}

/// What a lookup must give for a record.
fn answer(record: &Record) -> Answer {
    Answer::Record(match record.value {
        Some(_) => record.clone(),
        None => Record { deadline: 0, cap: 0, idle: 0, ..record.clone() },
    })
}

fn is_lost(lost: &[(u64, u64)], hash: u64) -> bool {
    lost.iter().any(|(low, high)| (*low..=*high).contains(&hash))
}

fn check_whole(
    fs: &SimFs,
    file: &[u8],
    model: &Model,
    lost: &[(u64, u64)],
    others: &[Key],
    mapped: bool,
) {
    assert!(blocks::has_header(file));
    assert!(blocks::records(file).iter().eq(model.values()), "the plain reader reads the same");
    let base = OpenBase::open(fs, NAME, OF, mapped).expect("a base that was written");
    let others = others.iter().map(|key| (blocks::hash(SEED, key), *key));
    for (hash, key) in model.keys().copied().chain(others) {
        assert_eq!(base.hash(&key), hash);
        match (base.find(&key), model.get(&(hash, key))) {
            (found, Some(record)) => {
                assert_eq!(found.expect("it is there"), answer(record));
                assert!(base.contains(hash));
            }
            (Ok(found), None) => {
                assert_eq!((found, is_lost(lost, hash)), (Answer::Absent, false));
            }
            (Err(error), None) => assert!(error.is_corrupt() && is_lost(lost, hash), "{error:?}"),
        }
        let walked = base.walk(hash).expect("the file is sound");
        let expected = model.range((hash, Key::from_bytes([0; 16]))..);
        assert!(walked.into_iter().eq(expected.map(|(_, record)| Walked::Record(record.clone()))));
    }
    let values = model.values().filter(|record| record.value.is_some()).count() as u64;
    assert_eq!(base.live_at(u32::MAX), 0);
    assert!(base.live_at(0) <= values);
    assert_eq!(base.walk(0).expect("the file is sound").len(), model.len());
}

fn check_error(error: &Error) {
    assert!(error.is_corrupt() || error.is_mismatch(), "{error:?}");
    assert!(error.path().is_some(), "{error:?}");
}

fn check_damaged(
    fs: &SimFs,
    file: &[u8],
    whole: &[u8],
    model: &Model,
    others: &[Key],
    mapped: bool,
) {
    let base = match OpenBase::open(fs, NAME, OF, mapped) {
        Ok(base) => base,
        Err(error) => return check_error(&error),
    };
    assert!(blocks::has_header(file) && file.len() == whole.len());
    let readable: Model = blocks::records(file)
        .into_iter()
        .map(|record| ((blocks::hash(SEED, &record.key), record.key), record))
        .collect();
    assert!(readable.iter().all(|(place, record)| model.get(place) == Some(record)));
    // Where only blocks are damaged the directory leads to all others, but for keys whose hash
    // another key has in a damaged block: they might be there.
    let blocks_end = 4096 + u64_at(whole, 160) as usize;
    let led = file[..4096] == whole[..4096] && file[blocks_end..] == whole[blocks_end..];
    let unread = |hash: u64| {
        let same =
            model.range((hash, Key::from_bytes([0; 16]))..=(hash, Key::from_bytes([0xFF; 16])));
        same.into_iter().any(|(place, _)| !readable.contains_key(place))
    };
    for (place, record) in model {
        match base.find(&place.1) {
            Ok(found) => assert_eq!(found, answer(record)),
            Err(error) => {
                check_error(&error);
                assert!(!led || unread(place.0), "{error:?}");
            }
        }
    }
    for key in others.iter().filter(|key| !model.contains_key(&(base.hash(key), **key))) {
        assert!(base.find(key).map_or_else(|error| error.is_corrupt(), |a| a == Answer::Absent));
    }
    check_walk(&base, model, led.then_some(&readable));
}

fn check_walk(base: &OpenBase, model: &Model, must_come: Option<&Model>) {
    let walked = base.walk(0).expect("damage is a step, not an error");
    let (mut came, mut damages, mut last) = (Model::new(), Vec::new(), None);
    for step in walked {
        match step {
            Walked::Damage(low, high) => damages.push((low, high)),
            Walked::Record(record) => {
                let place = (base.hash(&record.key), record.key);
                assert!(last < Some(place), "out of order");
                last = Some(place);
                assert_eq!(model.get(&place), Some(&record));
                came.insert(place, record);
            }
        }
    }
    for (place, _) in model.iter().filter(|(place, _)| !came.contains_key(place)) {
        assert!(is_lost(&damages, place.0), "{place:?} is missing, and nothing is said of it");
        assert!(must_come.is_none_or(|must_come| !must_come.contains_key(place)));
    }
}

/// Nothing is known of what is right: all that counts is that it ends.
fn exercise(fs: &SimFs, of: ([u8; 16], u64), keys: impl IntoIterator<Item = Key>, mapped: bool) {
    let base = match OpenBase::open(fs, NAME, of, mapped) {
        Ok(base) => base,
        Err(error) => return check_error(&error),
    };
    for key in keys {
        let hash = base.hash(&key);
        let _ = (base.find(&key), base.contains(hash), base.walk(hash));
    }
    for tick in [0, 1, 500, 1 << 20, u32::MAX] {
        base.live_at(tick);
    }
    let _ = (base.walk(0), base.walk(u64::MAX));
}
