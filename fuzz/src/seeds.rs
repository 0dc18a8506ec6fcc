//! What the fuzzers begin with: files as a store writes them, scripts for the targets that make
//! up their own, and the edges of the formats. The same at every run.

use std::sync::Arc;

use sessile::testing::inside::{Said, encode, write_group, write_page};
use sessile::testing::{ManualClock, Op, Random, SimFs};
use sessile::{Background, Bincode, Error, Json, Key, Postcard, Store};

use super::wire::Manifest;

/// A target, the name of a file, and what is in it.
pub type Seed = (&'static str, String, Vec<u8>);

/// All of them.
pub fn all() -> Vec<Seed> {
    let (log, base) = files().expect("nothing fails");
    [frames(&log), segments(&log), bases(&base), manifests(), codecs(), cookies(), scripts()]
        .concat()
}

fn seed(target: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    (target, name.to_owned(), bytes.into())
}

/// A segment and a base of a small store, without the space allocated ahead.
fn files() -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (fs, clock) = (SimFs::new(0), ManualClock::new());
    let builder = Store::<String>::builder().background(Background::Callers).clock(clock);
    let store = builder.random_seed(3).open_fs(Arc::new(fs.clone()))?;
    for number in 0..6_u8 {
        store.insert(Key::of([number]), "v".repeat(usize::from(number) * 9))?;
    }
    store.flush()?;
    store.insert(Key::of("a"), "in the log".to_owned())?;
    store.rename(&Key::of("a"), &Key::of("b"))?;
    store.remove(&Key::of([1]))?;
    store.insert(Key::of("c"), "not synced".to_owned())?;
    let last = |start: &str| {
        let name = fs.names().into_iter().rfind(|name| name.starts_with(start))?;
        let mut bytes = fs.bytes(&name)?;
        let used = bytes.iter().rposition(|byte| *byte != 0)? + 1;
        bytes.truncate(used.next_multiple_of(8));
        Some(bytes)
    };
    let found = last("log.").zip(last("base."));
    Ok(found.expect("there are both"))
}

fn ops() -> Vec<Said> {
    let (key, terms) = (Key::of("a"), (1_790_000_000_000, 1_790_000_900_000, 480));
    vec![
        Said::Put(key, terms, b"value".to_vec()),
        Said::Remove(key),
        Said::Terms(key, terms),
        Said::Clear,
        Said::Mark(1_790_000_000_000),
    ]
}

fn frames(log: &[u8]) -> Vec<Seed> {
    let salt = u32::from_le_bytes(log[72..76].try_into().expect("four bytes"));
    let stream = |salt: u32, bytes: &[u8]| {
        let head: &[u8] = &[0];
        [head, &salt.to_le_bytes()[..], bytes].concat()
    };
    let group = write_group(&ops(), 9, 4, 7);
    let mut trip = vec![1, 9, 5];
    trip.extend([7, 0, 0, 0, 100, 8, 0, 0, 0, 3, 1, 0, 0, 4]);
    trip.extend([0x80, 1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, b'v', b'a', b'l', b'u', b'e']);
    vec![
        seed("frame", "stream-store", stream(salt, &log[4096..])),
        seed("frame", "stream-group", stream(7, &group)),
        seed("frame", "stream-torn", stream(7, &group[..group.len() - 20])),
        seed("frame", "stream-put-empty", stream(0, &write_group(&ops()[..1], 1, 1, 0))),
        seed("frame", "stream-zeros", stream(0, &[0; 64])),
        seed("frame", "trip-few", trip),
        seed(
            "frame",
            "trip-all",
            [&[1, 200, 3, 3, 7, 7, 7, 9, 9, 9, 9, 9, 1, 7][..], &[4; 90]].concat(),
        ),
    ]
}

fn segments(log: &[u8]) -> Vec<Seed> {
    let head = |mode: u8, rest: &[u8]| [&[mode, 0, 0, 0][..], rest].concat();
    let group = |lsn, durable| write_group(&ops(), lsn, durable, 0x5a17);
    let mut alone = group(1, 0);
    alone.extend(group(6, 5));
    let mut hole = alone.clone();
    hole.drain(..40);
    let mut page = write_page([9; 16], (1, 0), 2, (1, 4096, 0), 77);
    page.extend(write_group(&ops(), 1, 0, 77));
    let unpadded = write_group(&ops()[..1], 1, 0, 0x5a17);
    let script = |bytes: &[u8]| head(2, &[&[0][..], bytes].concat());
    // A group of one is 0, kind, key and, of a put, its length.
    let put = [0, 0, 5, 4, 0, 0, 6, 3];
    vec![
        seed("segment", "store", head(0, log)),
        seed("segment", "page-alone", head(0, &page[..4096])),
        seed("segment", "second", head(0, &page)),
        seed("segment", "frames", head(1, &alone)),
        seed("segment", "frames-hole", head(1, &hole)),
        seed("segment", "frames-cut", head(1, &alone[..alone.len() - 3])),
        // The last frame, above the watermark, lacks a part of its padding.
        seed("segment", "frames-unpadded", head(1, &unpadded[..unpadded.len() - 7])),
        seed("segment", "script-one", script(&put)),
        seed("segment", "script-rotated", script(&[&put[..], &[12, 9], &put, &[9], &put].concat())),
        seed(
            "segment",
            "script-taken-over",
            script(&[&put[..], &[12], &put, &[14], &put].concat()),
        ),
        seed(
            "segment",
            "script-odd",
            script(&[&put[..], &[6, 0x82, 3, 1, 2, 4, 15, 5], &put].concat()),
        ),
        seed(
            "segment",
            "script-garbage",
            script(&[&put[..], &[0x38, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x17], &put].concat()),
        ),
        seed(
            "segment",
            "script-other-chain",
            script(&[&put[..], &[11, 5, 1, 64, 0, 2], &put, &[11, 4, 1, 64, 0, 0], &put].concat()),
        ),
        seed(
            "segment",
            "script-damaged",
            head(2, &[&[1, 0xF4, 0, 40, 0, 0, 0, 0, 0][..], &put, &[12], &put].concat()),
        ),
    ]
}

fn bases(base: &[u8]) -> Vec<Seed> {
    // Damages, expected records, lost ranges, four other keys; then key, size and times of each.
    let head = |mode: u8, damages: u8| {
        let mut bytes = vec![mode, damages];
        bytes.extend([0x40, 0, 0, 0, 0, 0, 0, 0, 1, 0].repeat(damages.into()));
        bytes.extend([20, 0, 0, 1, 2, 3, 170]);
        bytes
    };
    let records = |sizes: &[u8]| {
        let record = |(index, size): (usize, &u8)| {
            let mut record =
                vec![if index % 5 == 4 { 170 + index as u8 % 20 } else { index as u8 }, *size];
            if *size >= 240 {
                record.push(2);
            }
            record.extend([index as u8, 1, 0, 0]);
            record
        };
        sizes.iter().enumerate().flat_map(record).collect::<Vec<u8>>()
    };
    let some = records(&[3, 100, 0, 250, 239, 241, 255, 7, 7, 7, 253, 90]);
    let many = records(&[60; 150]);
    let with = |mode, damages, records: &[u8]| [&head(mode, damages)[..], records].concat();
    let mut lost = vec![1, 0, 20, 0, 1];
    lost.extend([1, 0, 0, 0, 0, 0, 0, 0x40, 240, 0, 0, 0, 0, 0, 0, 0, 0x20, 5, 6, 7, 180]);
    vec![
        seed("base", "store", [&[0][..], base].concat()),
        seed("base", "store-short", [&[0x80][..], &base[..5000]].concat()),
        seed("base", "empty", with(1, 0, &[])),
        seed("base", "some", with(1, 0, &some)),
        seed("base", "many", with(0x81, 0, &many)),
        seed("base", "lost", [&lost[..], &some].concat()),
        seed("base", "twins", with(1, 0, &[165, 200, 1, 0, 0, 0].repeat(40))),
        seed("base", "damaged", with(2, 2, &some)),
        seed("base", "damaged-many", with(0x82, 1, &many)),
        seed("base", "sealed-anew", with(3, 1, &some)),
        seed("base", "sealed-anew-many", with(0x83, 3, &many)),
    ]
}

fn manifests() -> Vec<Seed> {
    let of = |kind: u8, number: u8, rest: &[u8]| [&[kind, number][..], rest].concat();
    let good = |number| of(0xC5, number, &[3, 9, 12, 1, 4, 2, 1, 100, 5, 2, 60, 4]);
    let damaged = |number| of(0xF5, number, &[3, 9, 12, 1, 4, 0, 0, 50, 0, 0, 0, 1]);
    let newer = |number| of(0x15, number, &[3, 9, 12, 1, 4, 0, 2, 0, 0, 0]);
    let files = |all: &[Vec<u8>]| all.concat();
    let plain = Manifest { version: (1, 0), number: 3, ..Manifest::default() }.bytes();
    vec![
        seed("manifest", "none", []),
        seed("manifest", "one", good(1)),
        seed("manifest", "two", files(&[good(1), good(4)])),
        seed("manifest", "newest-damaged", files(&[good(1), damaged(4)])),
        seed("manifest", "older-damaged", files(&[damaged(1), good(4)])),
        seed("manifest", "newer", files(&[good(1), newer(4)])),
        seed("manifest", "log-alone", of(1, 3, b"log bytes")),
        seed(
            "manifest",
            "base-and-temporary",
            files(&[of(0, 3, b"basebytes"), of(2, 9, b"temporary")]),
        ),
        seed("manifest", "short", files(&[good(1), of(0x44, 2, &plain[..17])])),
        seed("manifest", "highest-number", files(&[good(1), of(2, 250, &[200, 0])])),
    ]
}

type Pairs = Vec<(u32, String)>;

fn codecs() -> Vec<Seed> {
    let session = (Some(7_u64), "name".to_owned(), vec![(3_u32, "tea".to_owned())]);
    let mut all = Vec::new();
    let mut put = |codec: u8, name: &str, shape: u8, bytes: Vec<u8>| {
        let bytes = [&[shape * 3 + codec][..], &bytes].concat();
        all.push(seed("codec", &format!("{name}-{shape}"), bytes));
    };
    let text = "text".to_owned();
    let floats = vec![vec![Some(1.5_f64), None], vec![]];
    let table = std::collections::HashMap::from([("k".to_owned(), -3_i64)]);
    let numbers = vec![0_u64, 300, u64::MAX];
    let fine = "what is plain can be encoded";
    put(0, "bincode", 0, encode::<Bincode, _>(&text).expect(fine));
    put(0, "bincode", 3, encode::<Bincode, _>(&numbers).expect(fine));
    put(0, "bincode", 4, encode::<Bincode, _>(&(&session, 0_u8)).expect(fine));
    put(0, "bincode", 5, encode::<Bincode, _>(&floats).expect(fine));
    put(0, "bincode", 6, encode::<Bincode, _>(&table).expect(fine));
    put(1, "postcard", 0, encode::<Postcard, _>(&text).expect(fine));
    put(1, "postcard", 3, encode::<Postcard, _>(&numbers).expect(fine));
    put(1, "postcard", 4, encode::<Postcard, _>(&(&session, 0_u8)).expect(fine));
    put(1, "postcard", 5, encode::<Postcard, _>(&floats).expect(fine));
    put(1, "postcard", 6, encode::<Postcard, _>(&table).expect(fine));
    put(2, "json", 0, encode::<Json, _>(&text).expect(fine));
    put(2, "json", 3, encode::<Json, _>(&numbers).expect(fine));
    put(2, "json", 5, encode::<Json, _>(&floats).expect(fine));
    put(2, "json", 7, br#"{"a":[1,-2.5e3,"\u00e9",null,true,{}],"b":{"c":[]}}"#.to_vec());
    put(
        2,
        "json-session",
        4,
        br#"{"user":7,"name":"n","items":[[3,"tea"]],"state":{"Note":"x"}}"#.to_vec(),
    );
    // Lengths that promise more than there is.
    for shape in 0..8 {
        put(0, "bincode-long", shape, [vec![253], vec![0xFF; 8]].concat());
        put(1, "postcard-long", shape, [vec![0xFF; 9], vec![1]].concat());
    }
    let pairs: Pairs = vec![(1, String::new()); 40];
    put(0, "bincode-pairs", 7, encode::<Bincode, _>(&pairs).expect(fine));
    all
}

fn cookies() -> Vec<Seed> {
    let with = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let id = sessile::Id::parse([b'Q'; 32]).expect("an id");
    let key = sessile::web::SigningKey::new([1; 32]).expect("long enough");
    let signed = sessile::web::Cookie::builder().signed_with([key]).build();
    let signed = signed.expect("a good key").encode(&id);
    let many = b"a=1;".repeat(70);
    // Mode, name.
    let read: [(&str, &[u8], &[u8]); 7] = [
        ("read-one", &[0, 0], b"a=1; __Host-sid=QQQQ; b=2"),
        ("read-blanks", &[0, 1], b" \t sid=v \t ;; sid =w; =x; y"),
        ("read-split", &[0, 1], b"sid=v\na=1\n\nsid=v"),
        ("read-unicode", &[0, 0], "\u{2000}__Host-sid=v; \u{a0}__Host-sid=w".as_bytes()),
        ("read-odd", &[0, 0], b"__Host-sid=\"a%3Bb\"; __host-sid=x; \x0b__Host-sid=y"),
        ("read-many", &[0, 2], &many),
        ("read-version", &[0, 3], b"$Version=1; $Path=/"),
    ];
    // Mode, keys, place and mask of what is flipped.
    let decode: [(&str, &[u8], &[u8]); 4] = [
        ("decode-plain", &[1, 0, 3, 1], &[b'Q'; 32]),
        ("decode-signed", &[1, 1, 40, 4], signed.expose().as_bytes()),
        ("decode-rotated", &[1, 3, 75, 1], signed.expose().as_bytes()),
        ("decode-short", &[1, 2, 0, 0], b"QQQQ.QQQQ"),
    ];
    // Mode, flags, kind; seconds and a part of one; length and letters of each text.
    let options: [(&str, &[u8], &[u8]); 4] = [
        ("options-host", &[2, 0, 4], b"\x03sid"),
        ("options-age", &[2, 1, 4], b"\xf0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\x03sid"),
        ("options-all", &[2, 0x78, 2], b"\x01s\x04shop\x0bexample.com"),
        ("options-evil", &[2, 0x30, 1], b"\x04s; x\x09x; Domain\x03a;b"),
    ];
    let all = read.into_iter().chain(decode).chain(options);
    all.map(|(name, head, rest)| seed("cookie", name, with(head, rest))).collect()
}

/// Inputs that stand for steps.
fn scripts() -> Vec<Seed> {
    let mut random = Random::new(1);
    let mut bytes = |count: usize| {
        let mut bytes = Vec::new();
        bytes.resize_with(count, || random.draw() as u8);
        bytes
    };
    let mut all = Vec::new();
    for (index, choice) in [0, 1, 2, 3 + 64, 4 + 64, 5 + 128, 11, 8].into_iter().enumerate() {
        let input = [&[choice][..], &bytes(60)].concat();
        all.push(seed("open", &format!("damage-{index}"), input));
    }
    all.push(seed("open", "newest-manifest", [1, 3, 0x80, 0x80, 100, 0, 0, 0]));
    for (index, start) in [0_u8, 63, 200, 240].into_iter().enumerate() {
        let input = [&[start][..], &bytes(400)].concat();
        all.push(seed("wheel", &format!("steps-{index}"), input));
    }
    for case in 0..16_u8 {
        let mut input = vec![case * 17];
        for index in 0..40 {
            let trouble = if case < 4 { 0 } else { bytes(1)[0] };
            let op = loop {
                let op: [u8; 8] = bytes(8).try_into().expect("eight bytes");
                // Most histories should have something to lose first.
                if index > 6 || matches!(Op::from_bytes(op), Op::Insert { .. } | Op::Flush) {
                    break op;
                }
            };
            input.extend([trouble, bytes(1)[0]]);
            input.extend(op);
        }
        all.push(seed("history", &format!("random-{case:02}"), input));
    }
    all
}
