//! Which part of a log counts: recovery against the slow scanner, on logs made up frame by frame
//! and then damaged, and on raw bytes. They must agree on the chain, the place where the reading
//! breaks off, the verdict (clean, torn, damaged) and every frame.

use std::collections::BTreeMap;

use sessile::Error;
use sessile::testing::SimFs;
use sessile::testing::inside::{self, Event, Recovered};

use super::input::{Input, mutate};
use super::scanner::{self, Item, LSN_END, Reading, Start};
use super::wire::{Frame, Header, name, u64_at};

const UUID: [u8; 16] = [7; 16];

/// A log, and what its manifest would say.
struct Case {
    start: Start,
    files: BTreeMap<u64, Vec<u8>>,
}

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.u8();
    let start = Start {
        uuid: UUID,
        // A manifest is not read with others.
        cut: input.odd() % LSN_END,
        watermark: input.odd() % LSN_END,
        first_segment: u64::from(input.u8() % 4),
    };
    let case = match mode % 4 {
        0 => raw(start, &mut input),
        1 => frames_alone(start, &mut input),
        _ => Script::run(start, &mut input),
    };
    check(&case);
}

/// The bytes are a segment, of whatever store they say.
fn raw(mut start: Start, input: &mut Input<'_>) -> Case {
    let bytes = input.rest().to_vec();
    if let Some(uuid) = bytes.get(24..40) {
        start.uuid.copy_from_slice(uuid);
    }
    let number = bytes.get(40..48).map_or(1, |number| u64_at(number, 0));
    Case { start, files: BTreeMap::from([(number, bytes)]) }
}

/// The bytes are what follows a good header.
fn frames_alone(start: Start, input: &mut Input<'_>) -> Case {
    let mut bytes = header(1, (0, 0, 0)).page();
    bytes.extend(input.rest());
    Case { start, files: BTreeMap::from([(1, bytes)]) }
}

fn header(number: u64, previous: (u64, u64, u64)) -> Header {
    let salt = 0x5a17 * number as u32;
    let (version, flags, encoding) = ((1, 0), (0, 0), (1, number % 2));
    Header { version, flags, uuid: UUID, number, previous, salt, encoding }
}

/// Writes a log as the input wants it.
struct Script {
    files: BTreeMap<u64, Vec<u8>>,
    /// The segment that is written to.
    number: u64,
    /// The last LSN, and the last that is known to be on disk.
    lsn: u64,
    durable: u64,
    /// Frames written: segment, offset, end.
    written: Vec<(Frame, u64, usize)>,
}

impl Script {
    fn run(start: Start, input: &mut Input<'_>) -> Case {
        let mutations = input.u8() % 5;
        let mut damage = Input::new(input.bytes(8 * usize::from(mutations)));
        let lsn = start.cut.min(1 << 40);
        let mut script = Script {
            files: BTreeMap::from([(1, header(1, (0, 0, lsn)).page())]),
            number: 1,
            lsn,
            durable: lsn,
            written: Vec::new(),
        };
        for _ in 0..64 {
            if input.is_empty() {
                break;
            }
            script.step(input);
        }
        for _ in 0..mutations {
            script.damage(&mut damage);
        }
        Case { start, files: script.files }
    }

    fn file(&mut self) -> &mut Vec<u8> {
        self.files.entry(self.number).or_default()
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.u8();
        match choice % 16 {
            0..6 => self.group(1 + u16::from(choice / 16 % 4), input),
            6 => self.odd_frame(input),
            7 => {
                let count = 8 * usize::from(choice / 16 + 1);
                self.file().extend(vec![0; count]);
            }
            8 => {
                let garbage = input.bytes(usize::from(choice / 16) * 3);
                self.file().extend(garbage);
                let padded = self.file().len().next_multiple_of(8);
                self.file().resize(padded, 0xA5);
            }
            9 | 10 => self.next_segment(),
            11 => self.odd_segment(input),
            12 | 13 => self.durable = self.lsn,
            14 => self.take_over(),
            _ => self.lsn = self.lsn.wrapping_add(input.odd()),
        }
    }

    fn put(&mut self, frame: Frame) {
        let salt = header(self.number, (0, 0, 0)).salt;
        let bytes = frame.bytes(salt);
        self.file().extend(bytes);
        let end = self.file().len();
        self.written.push((frame, self.number, end));
    }

    /// A group as a store writes it.
    fn group(&mut self, count: u16, input: &mut Input<'_>) {
        for index in 0..count {
            let (kind, key) = (1 + input.u8() % 5, input.u8());
            let length = if kind == 1 { usize::from(input.u8() % 32) } else { 0 };
            let body = match kind {
                1 => 36 + length,
                2 => 16,
                3 => 36,
                4 => 0,
                _ => 8,
            };
            self.lsn = self.lsn.wrapping_add(1);
            let lag = u32::try_from(self.lsn.saturating_sub(self.durable)).unwrap_or(u32::MAX);
            self.put(Frame {
                kind: kind | if index == 0 { 0 } else { 0x80 },
                left: count - 1 - index,
                lsn: self.lsn,
                lag,
                body: vec![key; body],
            });
        }
    }

    /// One with any fields, that verifies all the same.
    fn odd_frame(&mut self, input: &mut Input<'_>) {
        let kind = input.u8();
        let left = input.odd() as u16;
        let lsn = self.lsn.wrapping_add(input.odd());
        let lag = input.odd() as u32;
        let length = usize::from(input.u8() % 48);
        self.put(Frame { kind, left, lsn, lag, body: vec![kind; length] });
    }

    fn begin(&mut self, number: u64, previous: (u64, u64, u64)) {
        self.number = number;
        self.files.insert(number, header(number, previous).page());
    }

    /// The log goes on in a new file.
    fn next_segment(&mut self) {
        let place = (self.number, self.file().len() as u64, self.lsn);
        self.begin(self.number + 1, place);
    }

    /// One that says something odd of its predecessor or itself.
    fn odd_segment(&mut self, input: &mut Input<'_>) {
        let (number, before) = (1 + u64::from(input.u8() % 12), u64::from(input.u8() % 12));
        let end = self.file().len() as u64;
        let ends = end.wrapping_add(input.odd()).wrapping_sub(64);
        let lsn = self.lsn.wrapping_add(input.odd()).wrapping_sub(2);
        let odd = input.u8();
        self.begin(number, (before, ends, lsn));
        let mut header = header(number, (before, ends, lsn));
        match odd % 16 {
            0 => header.uuid = [8; 16],
            1 => header.version.0 = u16::from(odd / 16),
            2 => header.flags = (1, u32::from(odd & 0x10)),
            3 => header.number += 1,
            _ => {}
        }
        self.files.insert(number, header.page());
        if odd % 16 == 4 {
            self.file()[usize::from(odd)] ^= 1;
        }
    }

    /// What an opening after a crash does: a new segment with a copy of all that is not durable.
    fn take_over(&mut self) {
        let durable = self.durable;
        let safe = self.written.iter().rev().find(|(frame, _, _)| frame.lsn == durable);
        let place = safe.map_or((0, 0), |(_, number, end)| (*number, *end as u64));
        let copied: Vec<Frame> = self
            .written
            .iter()
            .map(|(frame, _, _)| frame.clone())
            .filter(|frame| frame.lsn > durable && frame.lsn <= self.lsn)
            .collect();
        self.begin(self.number + 1, (place.0, place.1, durable));
        // Copies of copies must not make the log grow without end.
        copied.into_iter().take(64).for_each(|frame| self.put(frame));
    }

    fn damage(&mut self, input: &mut Input<'_>) {
        let choice = input.u8();
        let numbers: Vec<u64> = self.files.keys().copied().collect();
        let Some(number) = numbers.get(usize::from(choice / 8) % numbers.len().max(1)) else {
            return;
        };
        match choice % 8 {
            0 => drop(self.files.remove(number)),
            1 => {
                let copy = self.files[number].clone();
                self.files.insert(u64::from(input.u8() % 16), copy);
            }
            2 => {
                let other = numbers[usize::from(input.u8()) % numbers.len()];
                let (one, two) = (self.files[number].clone(), self.files[&other].clone());
                self.files.extend([(*number, two), (other, one)]);
            }
            _ => {
                let file = self.files.entry(*number).or_default();
                let frames = file.split_off(file.len().min(4096));
                // Most of the header's page is nothing.
                let (mut page, mut frames) = (std::mem::take(file), frames);
                let at_header = choice % 8 == 3;
                mutate(if at_header { &mut page } else { &mut frames }, input, 128);
                page.extend(frames);
                *file = page;
            }
        }
    }
}

fn check(case: &Case) {
    let fs = SimFs::new(0);
    case.files.iter().for_each(|(number, bytes)| fs.put(&name("log", *number), bytes));
    let numbers: Vec<u64> = case.files.keys().copied().collect();
    let Start { uuid, cut, watermark, first_segment } = case.start;
    let start = inside::Start { uuid, cut, watermark, first_segment };
    for salvage in [false, true] {
        let slow = scanner::read(&case.files, case.start, salvage);
        let fast = inside::recover(&fs, &numbers, start, salvage);
        match (slow, fast) {
            (Err(scanner::Newer), Err(error)) => assert!(error.is_mismatch(), "{error:?}"),
            (Err(scanner::Newer), Ok(_)) => panic!("a newer segment was read"),
            (Ok(slow), Err(error)) => {
                assert!(!salvage && !slow.lost.is_empty(), "{error:?}\n{slow:?}");
                check_damage(&error, &slow);
            }
            (Ok(slow), Ok(fast)) => {
                assert!(salvage || slow.lost.is_empty(), "no damage was seen: {slow:?}");
                check_same(&slow, &fast, &case.start, salvage);
            }
        }
    }
}

fn check_damage(error: &Error, slow: &Reading) {
    assert!(error.is_corrupt() && !error.is_mismatch(), "{error:?}");
    let file = error.path().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    assert!(file.is_some() && error.byte_offset().is_some(), "{error:?}");
    if let Some((number, offset)) = slow.broke_off {
        let said = (file, error.byte_offset());
        assert_eq!(said, (Some(&*name("log", number)), Some(offset as u64)), "{slow:?}");
    }
    let (first, last) = slow.lost[0];
    let range = format!("LSN {first} cannot be read, and everything up to LSN {last} ");
    assert!(error.to_string().contains(&range), "{error:?} {slow:?}");
}

fn check_same(slow: &Reading, fast: &Recovered, start: &Start, salvage: bool) {
    assert_eq!(fast.chain, slow.chain);
    let strays: Vec<String> = slow.strays.iter().map(|number| name("log", *number)).collect();
    let mut found = fast.strays.clone();
    found.sort();
    assert_eq!(found, strays);
    let events = slow.stream.iter().map(|item| match item.clone() {
        Item::Gap => Event::Gap,
        Item::Frame(lsn, codec, schema, said) => Event::Frame(lsn, codec, schema, said),
    });
    assert_eq!(fast.events, events.collect::<Vec<_>>());
    let last = slow.places.last().map_or(start.cut, |place| place.0);
    assert_eq!(fast.last_lsn, last);
    assert_eq!(fast.highest_lsn, slow.highest);
    assert_eq!(fast.watermark, slow.watermark.min(last));
    assert_eq!((fast.torn.0, fast.torn.1 > 0), (slow.torn_frames, slow.torn_bytes));
    let lost: Vec<_> = fast.lost.iter().map(|lost| (lost.0, lost.1)).collect();
    assert_eq!(lost, slow.lost);
    if !salvage {
        check_taking_over(slow, fast, start);
    }
}

/// "The next segment names the place behind the frame with LSN max(W, cut), and begins with a
/// copy of all frames above it, under the same LSNs."
fn check_taking_over(slow: &Reading, fast: &Recovered, start: &Start) {
    let safe = fast.watermark.max(start.cut);
    let place = slow.places.iter().find(|place| place.0 == safe);
    let expected = place.map_or((0, 0, safe), |(lsn, number, end)| (*number, *end as u64, *lsn));
    let gapless = slow.places.iter().zip(start.cut + 1..).all(|(place, lsn)| place.0 == lsn);
    if !gapless {
        // Half a group in the middle: no store has written that.
        return;
    }
    assert_eq!(fast.position, expected, "{slow:?}");
    let mut rest = &fast.carried[..];
    let above = slow.stream.iter().filter_map(|item| match item {
        Item::Frame(lsn, _, _, said) if *lsn > safe => Some((*lsn, said)),
        _ => None,
    });
    for (lsn, said) in above {
        let frame = scanner::frame(rest, 0).unwrap_or_else(|| panic!("LSN {lsn} is not copied"));
        assert_eq!((frame.lsn, &frame.said), (lsn, said));
        rest = rest.get(frame.size..).expect("frames are copied with their padding");
    }
    assert_eq!(rest, [0_u8; 0]);
}
