//! Whole files: missing, swapped, twice there, and those of another store.

use sessile::testing::SimFs;

use crate::check::{Tally, copy_of};
use crate::fixture::{Fixture, chain, cleared, closed, whole};

/// All fixtures, and for each another store that was made in the same way.
fn all() -> [(&'static str, Fixture); 4] {
    [("whole", whole()), ("chain", chain()), ("closed", closed()), ("cleared", cleared())]
}

fn case(fixture: &Fixture, fs: &SimFs, changed: &[&str], what: &str, tally: &mut Tally) {
    let durable = fixture.surviving(|name, _, _| !changed.contains(&name));
    fixture.strict(&fs.kill(), durable, what, tally);
    fixture.salvage(fs, durable, what, true, tally);
    fixture.start_fresh(fs, what, tally);
}

#[test]
fn a_file_is_missing() {
    let mut tally = Tally::default();
    for (label, fixture) in all() {
        let names: Vec<String> = fixture.fs.names();
        for (index, name) in names.iter().enumerate() {
            let fs = fixture.fs.kill();
            fs.delete(name);
            case(&fixture, &fs, &[name], &format!("{label} without {name}"), &mut tally);
            for other in names.iter().skip(index + 1) {
                let fs = fs.kill();
                fs.delete(other);
                let what = format!("{label} without {name} and {other}");
                case(&fixture, &fs, &[name, other], &what, &mut tally);
            }
        }
    }
    println!("missing files: {tally:?}");
}

#[test]
fn two_files_are_swapped() {
    let mut tally = Tally::default();
    for (label, fixture) in all() {
        let files = copy_of(&fixture.fs);
        for (index, (one, first)) in files.iter().enumerate() {
            for (other, second) in files.iter().skip(index + 1) {
                let fs = fixture.fs.kill();
                fs.put(one, second);
                fs.put(other, first);
                let what = format!("{label}: {one} and {other} swapped");
                case(&fixture, &fs, &[one, other], &what, &mut tally);
            }
        }
    }
    println!("swapped files: {tally:?}");
}

#[test]
fn a_file_is_there_twice() {
    let mut tally = Tally::default();
    for (label, fixture) in all() {
        for (name, bytes) in copy_of(&fixture.fs) {
            let (kind, number) = name.split_once('.').unwrap();
            let number: u64 = number.parse().unwrap();
            for place in [number + 1, number + 2, 900, number - 1] {
                let copy = format!("{kind}.{place:012}");
                if fixture.fs.bytes(&copy).is_some() {
                    continue;
                }
                let fs = fixture.fs.kill();
                fs.put(&copy, &bytes);
                let what = format!("{label}: {name} also as {copy}");
                case(&fixture, &fs, &[], &what, &mut tally);
            }
        }
    }
    println!("files twice: {tally:?}");
}

/// The same history in another store: other uuid, other seed of the hash.
#[test]
fn a_file_of_another_store_is_there() {
    let mut tally = Tally::default();
    for ((label, fixture), (from, other)) in all().into_iter().flat_map(|one| {
        let others = all().into_iter().filter(move |other| other.0 != one.0);
        let label = one.0;
        let again = move || all().into_iter().find(|found| found.0 == label).unwrap();
        others.map(move |other| (again(), other))
    }) {
        for (name, bytes) in copy_of(&other.fs) {
            let fs = fixture.fs.kill();
            fs.put(&name, &bytes);
            let what = format!("{label}: {name} of the store {from}");
            case(&fixture, &fs, &[&name], &what, &mut tally);
        }
    }
    println!("files of another store: {tally:?}");
}
