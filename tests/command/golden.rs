//! The golden directories: the command finds in them what the store finds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::pack::unpack;
use crate::support::Temp;
use crate::{Ended, at};

/// A golden directory, spilt.
struct Golden {
    name: String,
    now: String,
    temp: Temp,
    /// What the store says of it, keeping all that verifies.
    keep: String,
    strict: String,
}

fn all() -> Vec<Golden> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/golden");
    let folders = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<Golden> = folders.map(|path| read(&path)).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn read(path: &Path) -> Golden {
    let text = fs::read_to_string(path.join("directory.txt")).unwrap();
    let now = text.lines().find_map(|line| line.strip_prefix("# now ")).unwrap().to_owned();
    let (temp, fs) = (Temp::new(), unpack(&text));
    fs::DirBuilder::new().mode(0o700).create(temp.path()).unwrap();
    for name in fs.names().iter().filter(|name| !name.contains('/')) {
        fs::write(temp.path().join(name), fs.bytes(name).unwrap()).unwrap();
    }
    let said = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    Golden { name, now, temp, keep: said("keep.txt"), strict: said("strict.txt") }
}

impl Golden {
    fn run(&self, command: &str, words: &[&str]) -> Ended {
        let before = self.temp.contents();
        let ended =
            at(command, self.temp.path(), &[&["--json", "--at", &self.now], words].concat());
        assert!(self.temp.contents() == before, "{}: {command} has changed it", self.name);
        assert!(self.temp.names("lock").is_empty(), "{}: {command} has locked it", self.name);
        ended
    }

    /// The sessions that the store finds, without those that share a block with one that it does
    /// not: a walk leaves out the whole block. How many are in it, `verify` says.
    fn whole(&self, listed: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let (all, unknown) = (sessions(&self.keep), self.unknown());
        let verdict = self.run("verify", &[]).out;
        if !verdict.contains("a block of records is not as it was written") {
            return all;
        }
        let said = format!(": {} records", all.len() + unknown - listed.len());
        assert!(verdict.contains(&said), "{}: {said}: {verdict}", self.name);
        all.into_iter().filter(|(key, _)| listed.contains_key(key)).collect()
    }

    fn unknown(&self) -> usize {
        self.keep.lines().filter(|line| line.starts_with("unknown ")).count()
    }

    fn is_damaged(&self) -> bool {
        self.strict.starts_with("damaged") || self.keep.contains("\nunknown ")
    }
}

/// `session KEY until DEADLINE, codec C, tag T: N bytes, …` as key and the rest.
fn sessions(keep: &str) -> BTreeMap<String, String> {
    let lines = keep.lines().filter_map(|line| line.strip_prefix("session "));
    let parted = lines.map(|line| {
        let (key, rest) = line.split_once(' ').unwrap();
        (key.to_owned(), rest.split_once(", crc").unwrap().0.to_owned())
    });
    parted.collect()
}

#[test]
fn every_session_is_listed_with_its_deadline_and_size() {
    for golden in all() {
        let ended = golden.run("keys", &[]);
        let lines = ended.lines();
        let listed: BTreeMap<String, String> = lines
            .iter()
            .map(|line| {
                let rest = format!(
                    "until {}, codec {}, tag {}: {} bytes",
                    line["deadline_ms"], line["codec"], line["schema_tag"], line["bytes"]
                );
                (line["key"].as_str().unwrap().to_owned(), rest)
            })
            .collect();
        assert_eq!(listed, golden.whole(&listed), "{}", golden.name);
        assert_eq!(lines.len(), listed.len(), "{}: each once", golden.name);
        assert_eq!(ended.code, i32::from(golden.is_damaged()), "{}: {ended:?}", golden.name);
    }
}

#[test]
fn they_are_counted_as_the_store_counts_them() {
    for golden in all() {
        let ended = golden.run("stat", &[]);
        let report = ended.json();
        let sessions = sessions(&golden.keep).len() as u64;
        let unknown = golden.unknown();
        assert!(unknown > 0 || report["sessions"] == sessions, "{}: {report}", golden.name);
        let replayed = format!("replayed {} frames", report["log"]["frames"]);
        assert!(golden.keep.contains(&replayed), "{}: {replayed}", golden.name);
        let torn = format!("torn {} frames", report["log"]["torn_frames"]);
        assert!(golden.keep.contains(&torn), "{}: {torn}", golden.name);
        let damage = report["damage"].as_array().unwrap();
        assert_eq!(ended.code, i32::from(golden.is_damaged()), "{}: {ended:?}", golden.name);
        assert!(unknown == 0 || !damage.is_empty(), "{}", golden.name);
    }
}

#[test]
fn every_value_is_got() {
    for golden in all() {
        for (key, rest) in sessions(&golden.keep) {
            let report = golden.run("get", &[&key]).json();
            let line = golden.keep.lines().find(|line| line.contains(&key)).unwrap();
            let start = line.rsplit_once(", ").unwrap().1;
            match report["hex"].as_str() {
                Some(hex) => assert!(hex.starts_with(start), "{}: {hex}", golden.name),
                None => assert!(rest.contains("codec 3"), "{}: {report}", golden.name),
            }
        }
    }
}

#[test]
fn damage_is_found_in_those_that_are_damaged_where_the_store_says_it_is() {
    for golden in all() {
        let ended = golden.run("verify", &[]);
        let report = ended.json();
        let damage = report["damage"].as_array().unwrap();
        assert_eq!(ended.code, i32::from(!damage.is_empty()), "{}", golden.name);
        assert!(!golden.is_damaged() || ended.code == 1, "{}: {ended:?}", golden.name);
        let Some(place) = golden.strict.strip_prefix("damaged: ") else {
            let quiet = damage.iter().all(|damage| {
                let lost = damage["lost"].as_str().unwrap();
                lost.starts_with("nothing") || golden.is_damaged()
            });
            assert!(quiet, "{}: {report}", golden.name);
            continue;
        };
        let (file, offset) = place.trim().split_once(" at byte ").unwrap();
        let offset: u64 = offset.parse().unwrap();
        let found =
            damage.iter().any(|damage| damage["file"] == file && damage["offset"] == offset);
        assert!(found, "{}: {place} is not in {report}", golden.name);
    }
}
