//! Every truncation of every file, and ranges of sectors that read as zeros.

use sessile::testing::SimFs;

use crate::check::{Tally, copy_of};
use crate::fixture::{Fixture, chain, cleared, closed, whole};
use crate::is_slow_too;
use crate::support::{Rng, seed};

const SECTOR: usize = 512;

/// One case: the file with these bytes instead; `touched` is what has changed.
fn case(
    fixture: &Fixture,
    (name, bytes): (&str, &[u8]),
    touched: std::ops::Range<usize>,
    slow: bool,
    what: &str,
    tally: &mut Tally,
) {
    let fs = fixture.fs.kill();
    fs.put(name, bytes);
    let is_whole = |other: &str, start: usize, end: usize| {
        other != name || end <= touched.start || touched.end <= start
    };
    // Without either copy of its header a segment does not exist.
    let headless = name.starts_with("log")
        && bytes.get(..112) != fixture.head(name)
        && bytes.get(512..624) != fixture.head(name);
    let durable = fixture
        .surviving(|other, start, end| is_whole(other, start, end) && !(headless && other == name));
    fixture.strict(&fs.kill(), durable, what, tally);
    if slow {
        let is_manifest = name.starts_with("manifest");
        let known = if is_manifest { fixture.surviving(|_, _, _| true) } else { durable };
        fixture.salvage(&fs, known, what, true, tally);
        fixture.start_fresh(&fs, what, tally);
    }
}

impl Fixture {
    fn head(&self, name: &str) -> Option<&[u8]> {
        let found = self.heads.iter().find(|(other, _)| other == name);
        found.map(|(_, head)| &head[..])
    }
}

fn truncations(fixture: &Fixture, label: &str) {
    let (mut tally, mut count) = (Tally::default(), 0);
    for (name, bytes) in copy_of(&fixture.fs) {
        for length in 0..bytes.len() {
            // In stretches of zeros one length is like the next.
            let near = &bytes[length.saturating_sub(8)..(length + 8).min(bytes.len())];
            let alike = near.iter().all(|byte| *byte == 0);
            if alike && !is_slow_too(length, 61) {
                continue;
            }
            count += 1;
            let what = format!("{label}: {name} cut to {length} bytes");
            let slow = is_slow_too(length, 151);
            let file = (&*name, &bytes[..length]);
            case(fixture, file, length..usize::MAX, slow, &what, &mut tally);
        }
    }
    println!("{label}: {count} truncations, {tally:?}");
    assert!(tally.refused > 0);
}

#[test]
fn every_truncation() {
    truncations(&whole(), "whole");
    truncations(&closed(), "closed");
}

/// All ranges of sectors of all files.
fn zeros(fixture: &Fixture, label: &str) {
    let (mut tally, mut count) = (Tally::default(), 0);
    for (name, bytes) in copy_of(&fixture.fs) {
        let sectors = bytes.len().div_ceil(SECTOR);
        for first in 0..sectors {
            for last in first..sectors {
                let range = first * SECTOR..((last + 1) * SECTOR).min(bytes.len());
                if bytes[range.clone()].iter().all(|byte| *byte == 0) {
                    continue;
                }
                // What ends in zeros anyway is the same as the shorter range.
                let tail = &bytes[last * SECTOR..range.end];
                if tail.iter().all(|byte| *byte == 0) && !is_slow_too(count, 7) {
                    continue;
                }
                count += 1;
                let what = format!("{label}: {name}, zeros in {range:?}");
                zero(fixture, &name, &bytes, range, is_slow_too(count, 41), &what, &mut tally);
            }
        }
    }
    println!("{label}: {count} ranges of sectors, {tally:?}");
    assert!(tally.cases > 0);
}

fn zero(
    fixture: &Fixture,
    name: &str,
    bytes: &[u8],
    range: std::ops::Range<usize>,
    slow: bool,
    what: &str,
    tally: &mut Tally,
) {
    let mut changed = bytes.to_vec();
    changed[range.clone()].fill(0);
    case(fixture, (name, &changed), range, slow, what, tally);
}

#[test]
fn zero_filled_sectors() {
    zeros(&whole(), "whole");
    zeros(&chain(), "chain");
    zeros(&cleared(), "cleared");
}

#[test]
fn zero_filled_ranges_anywhere() {
    let mut rng = Rng(seed());
    let mut tally = Tally::default();
    for fixture in [whole(), chain(), closed()] {
        let files = copy_of(&fixture.fs);
        for number in 0..500 {
            let (name, bytes) = &files[rng.below(files.len() as u64) as usize];
            let start = rng.below(bytes.len() as u64) as usize;
            let longest = (bytes.len() - start).min([4, 64, 5000][rng.below(3) as usize]);
            let range = start..start + 1 + rng.below(longest as u64) as usize;
            let what = format!("{name}, zeros in {range:?}");
            zero(&fixture, name, bytes, range, is_slow_too(number, 20), &what, &mut tally);
        }
    }
    println!("ranges anywhere: {tally:?}");
}

#[test]
fn a_directory_that_is_whole_passes() {
    for (fixture, label) in [(whole(), "whole"), (chain(), "chain"), (closed(), "closed")] {
        let mut tally = Tally::default();
        let all = fixture.surviving(|_, _, _| true);
        let fs: SimFs = fixture.fs.kill();
        assert!(fixture.strict(&fs.kill(), all, label, &mut tally), "{label}");
        let last = fixture.states.last().unwrap().0;
        assert!(fixture.strict(&fs, last, label, &mut tally), "{label}: up to the last");
    }
}
