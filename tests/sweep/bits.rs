//! Every single bit of a small log, of bases and of manifests flipped; in stretches of zeros that
//! nothing is in, some of them.

use sessile::Recovery;
use sessile::testing::{ReadFault, SimFs};

use crate::check::{Tally, copy_of};
use crate::fixture::{Fixture, closed, open, small_log, whole};
use crate::is_slow_too;

/// How often the slower ways are gone, in bits: all bits of a byte have their turn.
const SLOW: usize = 97;

/// A copy in which reading gives this bit flipped.
fn rotten(fs: &SimFs, name: &str, bit: usize) -> SimFs {
    let copy = fs.kill();
    copy.set_read_fault(name, (bit / 4096) as u64, ReadFault::BitRot((bit % 4096) as u16));
    copy
}

/// A copy in which this bit is flipped.
fn flipped(fs: &SimFs, name: &str, bit: usize) -> SimFs {
    let copy = fs.kill();
    let mut bytes = copy.bytes(name).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    copy.put(name, &bytes);
    copy
}

/// Whether the bit lies in one of more than 64 bytes of zeros.
fn is_in_the_void(bytes: &[u8], bit: usize) -> bool {
    let at = bit / 8;
    bytes[at.saturating_sub(32)..(at + 32).min(bytes.len())].iter().all(|byte| *byte == 0)
}

fn sweep(fixture: &Fixture, kind: &str, bits_of: impl Fn(&[u8]) -> usize) {
    let mut tally = Tally::default();
    let mut count = 0;
    for (name, bytes) in files(fixture, kind) {
        for bit in 0..bits_of(&bytes) {
            if is_in_the_void(&bytes, bit) && !is_slow_too(bit + 1, SLOW) {
                continue;
            }
            count += 1;
            let what = format!("{name}, bit {bit}");
            let is_whole = |other: &str, start: usize, end: usize| {
                other != name || !(start..end).contains(&(bit / 8))
            };
            let durable = fixture.surviving(is_whole);
            let opened =
                fixture.strict(&rotten(&fixture.fs, &name, bit), durable, &what, &mut tally);
            // A manifest that cannot be read is known to be missing.
            let is_manifest = kind == "manifest";
            let known = if is_manifest { fixture.surviving(|_, _, _| true) } else { durable };
            if is_slow_too(bit, SLOW) {
                let fs = flipped(&fixture.fs, &name, bit);
                fixture.salvage(&fs, known, &what, true, &mut tally);
                fixture.start_fresh(&fs, &what, &mut tally);
            } else if !opened && is_slow_too(bit, 11) {
                let again = |_| rotten(&fixture.fs, &name, bit);
                fixture.salvage_with(again, known, &what, false, &mut tally);
            }
        }
    }
    println!("{kind}: {count} bits flipped, {tally:?}");
    assert!(tally.refused > 0);
}

fn files(fixture: &Fixture, kind: &str) -> Vec<(String, Vec<u8>)> {
    copy_of(&fixture.fs).into_iter().filter(|(name, _)| name.starts_with(kind)).collect()
}

#[test]
fn every_bit_of_a_log() {
    sweep(&small_log(), "log", |bytes| bytes.len() * 8);
}

#[test]
fn every_bit_of_the_manifests() {
    sweep(&whole(), "manifest", |bytes| bytes.len() * 8);
    sweep(&closed(), "manifest", |bytes| bytes.len() * 8);
}

/// The header, of which opening reads all; the rest of a base is read later.
#[test]
fn every_bit_of_the_headers_of_bases() {
    sweep(&whole(), "base", |_| 8 * 764);
}

/// Every bit of bases that are open already: what is read later is verified then.
#[test]
fn every_bit_of_bases_while_they_are_read() {
    let fixture = whole();
    let durable = fixture.surviving(|_, _, _| true);
    let mut tally = Tally::default();
    let mut count = 0;
    let fs = fixture.fs.kill();
    let store = open(&fs, Recovery::Strict).unwrap();
    for (name, bytes) in files(&fixture, "base") {
        for bit in 0..bytes.len() * 8 {
            if is_in_the_void(&bytes, bit) && !is_slow_too(bit + 1, SLOW) {
                continue;
            }
            fs.repair();
            fs.set_read_fault(&name, (bit / 4096) as u64, ReadFault::BitRot((bit % 4096) as u16));
            fixture.is_true(&store, durable, &format!("{name}, bit {bit}"), &mut tally);
            count += 1;
        }
    }
    println!("bases: {count} bits flipped while open, {tally:?}");
    assert!(tally.unknown > 0);
}
