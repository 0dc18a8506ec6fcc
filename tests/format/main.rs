//! What is on disk stays readable: golden directories, and a second reader that knows nothing but
//! `FORMAT.md`. See `README.md` beside this.
#![cfg(all(feature = "bincode", feature = "postcard", feature = "json", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod dump;
mod histories;
mod make;
mod newer;
mod pack;
mod reader;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dump::{View, Way, dump};
use pack::{pack, unpack};
use sessile::testing::SimFs;
use support::{Rng, Temp};

/// Random directories that both readers look at; of three, one is damaged.
const HISTORIES: u64 = 24;

/// Number and seed of those that the readers once differed on: no segment is left; a base and the
/// log are both damaged, since the newest manifest is missing; a damaged page of a directory still
/// leads to a record; a gap ends within a group.
const FOUND: [(u64, u64); 4] = [
    (5, 8_676_791_171_368_109_750),
    (17, 1_869_543_297_546_307_209),
    (23, 11_573_371_123_066_921_252),
    (23, 1_647_494_696_433_905_639),
];

/// The golden directories.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/golden")
}

/// A golden directory as it lies in the sources.
struct Case {
    name: String,
    view: View,
    fs: SimFs,
}

impl Case {
    fn all() -> Vec<Case> {
        let folders = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<String> =
            folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names.into_iter().map(Case::read).collect()
    }

    fn read(name: String) -> Case {
        let text = fs::read_to_string(golden().join(&name).join("directory.txt")).unwrap();
        let field = |name: &str| {
            let start = format!("# {name} ");
            text.lines().find_map(|line| line.strip_prefix(&start)).unwrap()
        };
        let encoding = field("encoding").split_once(' ');
        let encoding = encoding.map(|(codec, tag)| (codec.parse().unwrap(), tag.parse().unwrap()));
        let now = field("now").parse().unwrap();
        let view = View { now, names: field("names").parse().unwrap(), encoding };
        Case { name, view, fs: unpack(&text) }
    }

    fn expected(&self, what: &str) -> String {
        fs::read_to_string(golden().join(&self.name).join(what).with_extension("txt")).unwrap()
    }
}

#[test]
fn the_golden_directories_are_read_as_ever() {
    let cases = Case::all();
    for case in &cases {
        let text = fs::read_to_string(golden().join(&case.name).join("directory.txt")).unwrap();
        let body = text.lines().filter(|line| !line.starts_with('#'));
        let body: String = body.map(|line| format!("{line}\n")).collect();
        assert_eq!(pack(&case.fs), body, "{}: packing it gives another text", case.name);
        for way in Way::ALL {
            let found = dump(&case.fs, case.view, way);
            assert_eq!(found, case.expected(way.name()), "{}, {way:?}", case.name);
        }
    }
    println!("{} golden directories", cases.len());
}

#[test]
fn a_second_reader_agrees_on_the_golden_directories() {
    if !reader::is_there() {
        return;
    }
    let mut wrong = Vec::new();
    let cases = Case::all();
    for way in Way::ALL {
        for (case, said) in cases.iter().zip(read_all(&cases, way, false)) {
            let expected = reader::comparable(&case.expected(way.name()), case.view);
            wrong.extend(difference(&case.name, way, &said, &expected));
        }
    }
    for (case, said) in cases.iter().zip(read_all(&cases, Way::Keep, true)) {
        wrong.extend(difference(&case.name, Way::Keep, &said, &case.expected("frames")));
    }
    assert!(wrong.is_empty(), "the readers differ:\n{}", wrong.concat());
}

/// What `read.py` says of each case, or which frames it finds.
fn read_all(cases: &[Case], way: Way, frames: bool) -> Vec<String> {
    let temp = Temp::new();
    let mut runs: Vec<(View, Vec<String>)> = Vec::new();
    for case in cases {
        reader::spill(&case.fs, &case.name, &temp);
        let is_same = |view: &View| (view.now, view.names) == (case.view.now, case.view.names);
        match runs.iter_mut().find(|(view, _)| is_same(view)) {
            Some((_, names)) => names.push(case.name.clone()),
            None => runs.push((case.view, vec![case.name.clone()])),
        }
    }
    let read = |(view, names): &(View, Vec<String>)| {
        let said = reader::read(&temp, names, *view, way, frames);
        names.iter().cloned().zip(said).collect::<Vec<_>>()
    };
    let said: BTreeMap<String, String> = runs.iter().flat_map(read).collect();
    let text = |case: &Case| match frames {
        true => only_frames(&said[&case.name]),
        false => reader::comparable(&said[&case.name], case.view),
    };
    cases.iter().map(text).collect()
}

fn only_frames(said: &str) -> String {
    let frames = said.lines().filter(|line| line.contains(": LSN "));
    frames.map(|line| format!("{line}\n")).collect()
}

/// The lines that only one of the two has.
fn difference(name: &str, way: Way, said: &str, expected: &str) -> Option<String> {
    let only = |sign: char, one: &str, other: &str| -> String {
        let lines = one.lines().filter(|line| !other.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    let differs = said != expected;
    differs.then(|| {
        let (ours, theirs) = (only('-', expected, said), only('+', said, expected));
        format!("{name}, {way:?}: the crate (-), read.py (+)\n{ours}{theirs}")
    })
}

#[test]
fn unknown_flags_that_must_be_known_are_refused_and_others_ignored() {
    let golden = Case::read("several-bases".to_owned());
    let mut cases = Vec::new();
    for kind in ["manifest", "base", "log"] {
        for change in newer::Change::ALL {
            let fs = newer::change(&golden.fs, kind, change);
            let found = dump(&fs, golden.view, Way::Strict);
            let what = format!("{kind}-{change:?}");
            if change.may_be_ignored() {
                assert_eq!(found, golden.expected("strict"), "{what}");
            } else {
                assert!(found.starts_with(&format!("refused: {kind}.")), "{what}: {found}");
                for way in [Way::Drop, Way::Keep] {
                    assert_eq!(dump(&fs, golden.view, way), found, "{what}: never salvaged");
                }
            }
            let case = Case { name: what, view: golden.view, fs };
            cases.push((case, found));
        }
    }
    if reader::is_there() {
        let (cases, found): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
        for ((case, said), found) in
            cases.iter().zip(read_all(&cases, Way::Strict, false)).zip(found)
        {
            assert_eq!(said, found, "{}", case.name);
        }
    }
}

#[test]
fn a_second_reader_agrees_on_random_histories() {
    let mut rng = Rng(support::seed());
    let random = (0..HISTORIES).map(|number| (number, rng.next()));
    let cases: Vec<Case> = (FOUND.into_iter().chain(random))
        .map(|(number, seed)| {
            let (view, fs) = histories::directory(seed, number);
            Case { name: format!("history-{number}-of-seed-{seed}"), view, fs }
        })
        .collect();
    let mut refused = 0;
    let mut wrong = Vec::new();
    for way in Way::ALL {
        let found: Vec<String> = cases.iter().map(|case| dump(&case.fs, case.view, way)).collect();
        refused += found.iter().filter(|found| found.starts_with("damaged")).count();
        if !reader::is_there() {
            continue;
        }
        for ((case, said), found) in cases.iter().zip(read_all(&cases, way, false)).zip(&found) {
            let found = reader::comparable(found, case.view);
            wrong.extend(difference(&case.name, way, &said, &found));
        }
    }
    println!("{} histories, each opened in three ways; {refused} of them refused", cases.len());
    assert!(wrong.is_empty(), "the readers differ:\n{}", wrong.concat());
}

/// Makes the golden directories anew: `SESSILE_MAKE=golden`. See `README.md` for when.
#[test]
#[ignore = "writes into the sources"]
fn make_the_golden_directories() {
    if std::env::var("SESSILE_MAKE").as_deref() != Ok("golden") {
        return;
    }
    for made in make::all() {
        let folder = golden().join(made.name);
        fs::create_dir_all(&folder).unwrap();
        let View { now, names, encoding } = made.view;
        let encoding = encoding.map_or("mixed".into(), |(codec, tag)| format!("{codec} {tag}"));
        let head =
            format!("# {}\n# now {now}\n# names {names}\n# encoding {encoding}\n", made.about);
        fs::write(folder.join("directory.txt"), head + &pack(&made.fs)).unwrap();
        for way in Way::ALL {
            let text = dump(&made.fs, made.view, way);
            fs::write(folder.join(way.name()).with_extension("txt"), text).unwrap();
        }
        let temp = Temp::new();
        reader::spill(&made.fs, made.name, &temp);
        let said = reader::read(&temp, &[made.name.to_owned()], made.view, Way::Keep, true);
        fs::write(folder.join("frames.txt"), only_frames(&said[0])).unwrap();
    }
}
