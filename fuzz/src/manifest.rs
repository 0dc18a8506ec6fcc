//! Which manifest counts, in a directory of files with any names and contents: compared with the
//! rule of the page of the format. And whatever is there, opening works or gives an error, and
//! then nothing has been changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessile::testing::{ManualClock, SimFs, inside};
use sessile::{Background, Recovery, Salvage, Store};

use super::input::{Input, mutate};
use super::scanner::LSN_END;
use super::wire::{self, bytes_at, crc, name, u16_at, u32_at, u64_at};

/// Why a manifest is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Damaged,
    Newer,
}

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        let (name, bytes) = file(&mut input);
        files.insert(name, bytes);
    }
    for recovery in [
        Recovery::Strict,
        Recovery::Salvage(Salvage::DropOlder),
        Recovery::Salvage(Salvage::KeepOlder),
        Recovery::StartFresh,
    ] {
        check(&files, recovery);
    }
}

fn number(input: &mut Input<'_>) -> u64 {
    match input.u8() {
        few @ 0..224 => u64::from(few % 16),
        _ => input.odd(),
    }
}

fn file(input: &mut Input<'_>) -> (String, Vec<u8>) {
    let kind = input.u8();
    let number = number(input);
    match kind % 16 {
        0 => (name("base", number), input.bytes(9).to_vec()),
        1 => (name("log", number), input.bytes(9).to_vec()),
        2 => (format!("{}.tmp", name("manifest", number)), input.bytes(9).to_vec()),
        3 => (format!("manifest.{number}"), input.bytes(9).to_vec()),
        4 => (name("manifest", number), input.bytes(usize::from(kind / 4)).to_vec()),
        _ => (name("manifest", number), manifest(number, kind / 16, input)),
    }
}

fn manifest(number: u64, kind: u8, input: &mut Input<'_>) -> Vec<u8> {
    let mut manifest = wire::Manifest {
        version: (1, 0),
        uuid: [7; 16],
        seed: [9; 16],
        number,
        times: (1_790_000_000_000, 1_790_000_000_000 + i64::from(input.u8())),
        lsns: (input.odd(), input.odd()),
        counts: (input.odd(), input.odd()),
        ..wire::Manifest::default()
    };
    let bases = input.u8() % 4;
    let base = |_| (u64::from(input.u8() % 16), input.odd(), input.odd() as i64);
    manifest.bases = (0..bases).map(base).collect();
    match kind {
        0 => manifest.number = input.odd(),
        1 => manifest.version = (input.u16() % 4, input.u16()),
        2 => manifest.flags = (input.u32(), input.u32() & 1),
        3 => manifest.claimed = Some(input.odd() as u32),
        4 => manifest.added = input.bytes(12).to_vec(),
        5 => manifest.times = (input.u64() as i64, input.u64() as i64),
        _ => {}
    }
    let mut bytes = manifest.bytes();
    if kind > 12 {
        mutate(&mut bytes, input, 128);
    }
    bytes
}

/// "A reader checks, in this order …"
fn read(bytes: &[u8], number: u64) -> Result<inside::Manifest, Flaw> {
    let flaw_unless = |sound: bool| if sound { Ok(()) } else { Err(Flaw::Damaged) };
    flaw_unless(bytes.len() >= 4)?;
    let (fields, stored) = bytes.split_at(bytes.len() - 4);
    flaw_unless(fields.starts_with(b"\x93SSMAN\r\n"))?;
    flaw_unless(crc(fields, 0) == u32_at(stored, 0))?;
    flaw_unless(fields.len() >= 10)?;
    if u16_at(fields, 8) > 1 {
        return Err(Flaw::Newer);
    }
    // Shorter ones verify only if somebody has put the checksum there.
    flaw_unless(fields.len() >= 24)?;
    if u32_at(fields, 20) != 0 {
        return Err(Flaw::Newer);
    }
    flaw_unless(fields.len() >= 116)?;
    flaw_unless(u64_at(fields, 56) == number)?;
    flaw_unless(u64_at(fields, 72).max(u64_at(fields, 80)) < LSN_END)?;
    let count = u32_at(fields, 112) as usize;
    flaw_unless(count <= 4096)?;
    flaw_unless(fields.len() >= 116 + 24 * count)?;
    let base = |index: usize| {
        let at = 116 + 24 * index;
        (u64_at(fields, at), u64_at(fields, at + 8), u64_at(fields, at + 16) as i64)
    };
    Ok(inside::Manifest {
        uuid: bytes_at(fields, 24),
        seed: bytes_at(fields, 40),
        epoch_ms: u64_at(fields, 64) as i64,
        cut: u64_at(fields, 72),
        watermark: u64_at(fields, 80),
        mark_ms: u64_at(fields, 88) as i64,
        first_segment: u64_at(fields, 96),
        count: u64_at(fields, 104),
        bases: (0..count).map(base).collect(),
    })
}

/// The number in a name, if it is spelt as the store spells it.
fn numbered(file: &str, kind: &str) -> Option<u64> {
    let number = file.strip_prefix(kind)?.strip_prefix('.')?.parse().ok()?;
    (number < 1 << 63 && name(kind, number) == file).then_some(number)
}

type Choice = Result<Option<(u64, inside::Manifest)>, Flaw>;

/// "The manifest with the highest number counts."
fn choose(files: &BTreeMap<String, Vec<u8>>, recovery: Recovery) -> Choice {
    let mut all: Vec<(u64, &Vec<u8>)> = files
        .iter()
        .filter_map(|(file, bytes)| Some((numbered(file, "manifest")?, bytes)))
        .collect();
    all.sort_unstable();
    let salvage = matches!(recovery, Recovery::Salvage(_));
    for (number, bytes) in all.iter().rev() {
        match read(bytes, *number) {
            Ok(manifest) => return Ok(Some((*number, manifest))),
            Err(Flaw::Damaged) if salvage => {}
            Err(flaw) => return Err(flaw),
        }
    }
    let is_data = |file: &String| numbered(file, "base").or(numbered(file, "log")).is_some();
    if all.is_empty() && !files.keys().any(is_data) { Ok(None) } else { Err(Flaw::Damaged) }
}

fn check(files: &BTreeMap<String, Vec<u8>>, recovery: Recovery) {
    let fs = SimFs::new(0);
    files.iter().for_each(|(name, bytes)| fs.put(name, bytes));
    let expected = choose(files, recovery);
    let chosen = inside::choose_manifest(&fs, recovery);
    match (&expected, chosen) {
        (Ok(expected), Ok(chosen)) => {
            assert_eq!(*expected, chosen);
            if let Some((number, manifest)) = chosen {
                check_written(number, &manifest);
            }
        }
        (Err(Flaw::Damaged), Err(error)) => assert!(error.is_corrupt(), "{error:?}"),
        (Err(Flaw::Newer), Err(error)) => assert!(error.is_mismatch(), "{error:?}"),
        (expected, chosen) => panic!("{expected:?} was expected, not {chosen:?}"),
    }
    let clock = ManualClock::new();
    let store = Store::<String>::builder()
        .background(Background::Callers)
        .clock(clock)
        .random_seed(1)
        .recovery(recovery)
        .open_fs(Arc::new(fs.clone()));
    match store {
        Ok(store) => {
            assert!(expected.is_ok() || recovery == Recovery::StartFresh);
            drop(store);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if recovery != Recovery::StartFresh {
                let now = |name: &String| fs.bytes(name);
                let same = files.iter().all(|(name, bytes)| now(name).as_ref() == Some(bytes));
                assert!(same, "a refused opening has changed something: {error:?}");
            }
        }
    }
}

/// What a store publishes is, to the byte, what the page says.
fn check_written(number: u64, manifest: &inside::Manifest) {
    if number == 0 {
        return;
    }
    let fs = SimFs::new(0);
    let written = inside::publish_manifest(&fs, manifest, number - 1).expect("there is room");
    assert_eq!(written, number);
    let expected = wire::Manifest {
        version: (1, 0),
        flags: (0, 0),
        uuid: manifest.uuid,
        seed: manifest.seed,
        number,
        times: (manifest.epoch_ms, manifest.mark_ms),
        lsns: (manifest.cut, manifest.watermark),
        counts: (manifest.first_segment, manifest.count),
        claimed: None,
        bases: manifest.bases.clone(),
        added: Vec::new(),
    };
    assert_eq!(fs.bytes(&name("manifest", number)), Some(expected.bytes()));
}
