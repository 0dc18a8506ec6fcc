//! The page on sessions and their safety says what is: its rows are complete, its tests exist, its
//! lifetimes are those of the code. Knows the page's tables and no more of the crate than its text.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/security.md";
const STATEMENTS: usize = 81;
const RULES: usize = 26;
const FAILURES: usize = 35;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_path_buf());
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    entries.for_each(|entry| sources(&entry.unwrap().path(), found));
}

/// The names of all tests: functions after `#[test]` or the like, other attributes between.
fn tests() -> BTreeSet<String> {
    let mut paths = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut paths);
    }
    let mut found = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let (true, Some(function)) = (is_test, function) {
                found.insert(function.split(['(', '<']).next().unwrap().to_owned());
            }
            let goes_on = is_test && (line.starts_with("#[") || line.starts_with("//"));
            is_test = goes_on || line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        }
    }
    found
}

/// The rows of the table under a heading of the page, without its head.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let text = text.split(&format!("\n## {heading}\n")).nth(1).expect(heading);
    let lines = text.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether what is quoted is meant as the name of a test: a long one, of words.
fn names_a_test(text: &str) -> bool {
    text.matches('_').count() >= 2 && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The tests in the last cell, which must exist; without any there must be a reason.
fn check(row: &[String], known: &BTreeSet<String>, wrong: &mut Vec<String>) -> Vec<String> {
    let cell = row.last().unwrap();
    let named: Vec<_> = quoted(cell).filter(|text| names_a_test(text)).map(str::to_owned).collect();
    wrong.extend(
        named
            .iter()
            .filter(|name| !known.contains(*name))
            .map(|name| format!("{}: there is no test `{name}`", row[0])),
    );
    if cell.split_whitespace().count() < 3 && named.is_empty() {
        wrong.push(format!("{}: neither tests nor a reason", row[0]));
    }
    named
}

/// Whether the last cell has more than names.
fn has_reason(row: &[String]) -> bool {
    let outside = row.last().unwrap().split('`').step_by(2);
    outside.collect::<String>().chars().any(char::is_alphabetic)
}

#[test]
fn every_statement_and_every_rule_has_its_row_and_its_tests() {
    let (text, known) = (read(PAGE), tests());
    let mut wrong = Vec::new();
    for (heading, prefix, count) in [("Statements", 's', STATEMENTS), ("Rules", 'r', RULES)] {
        let rows = table(&text, heading);
        let numbers: Vec<_> =
            rows.iter().map(|row| row[0].trim_start_matches('R').to_owned()).collect();
        let expected: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
        assert_eq!(numbers, expected, "{heading}");
        for row in &rows {
            let number: usize = row[0].trim_start_matches('R').parse().unwrap();
            let mark = format!("{prefix}{number:02}_");
            let named = check(row, &known, &mut wrong);
            let refused = row[2].starts_with("not ");
            if named.iter().any(|name| !name.contains(&mark)) {
                wrong.push(format!("{}: a test of another number", row[0]));
            }
            if named.is_empty() != refused {
                wrong.push(format!("{}: tests, or why not", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_failure_of_others_has_its_row_and_tests_that_carry_its_number() {
    let (text, known) = (read(PAGE), tests());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (row, number) in table(&text, "Failures of others").iter().zip(1..) {
        assert_eq!(row[0], number.to_string());
        count += 1;
        let named = check(row, &known, &mut wrong);
        let is_id =
            |word: &&str| ["CVE-", "RUSTSEC-", "GHSA-"].iter().any(|start| word.starts_with(start));
        let ids = row[1].split([',', ' ']).filter(is_id);
        for id in ids.filter(|_| !has_reason(row)) {
            let mark = id.to_lowercase().replace('-', "_");
            if !named.iter().any(|name| name.contains(&mark)) {
                wrong.push(format!("{number}: no test carries {id}"));
            }
        }
    }
    assert_eq!(count, FAILURES);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tests that carry a number nobody can look up, or that the page does not know.
#[test]
fn every_number_in_the_name_of_a_test_is_on_the_page() {
    let rows = table(&read(PAGE), "Failures of others");
    let ids = rows.iter().flat_map(|row| row[1].split([',', ' ']));
    let ids: BTreeSet<String> = ids.map(|id| id.to_lowercase().replace('-', "_")).collect();
    let mut wrong = Vec::new();
    for name in tests() {
        for start in ["cve_", "rustsec_"] {
            for (at, _) in name.match_indices(start) {
                let rest = name[at + start.len()..].split('_').take(2).collect::<Vec<_>>();
                let id = format!("{start}{}", rest.join("_"));
                if !ids.contains(&id) {
                    wrong.push(format!("{name}: {id} is not on the page"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_comparison_in_the_readme_names_tests_that_exist() {
    let (text, known) = (read("README.md"), tests());
    let rows = text.lines().filter(|line| line.starts_with('|') && line.contains("| yes: "));
    let mut count = 0;
    for row in rows {
        let cell = row.split(" | ").nth(1).unwrap();
        let named: Vec<_> = quoted(cell).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            assert!(known.contains(name), "there is no test `{name}`: {row}");
        }
        count += 1;
    }
    assert!(count >= 15, "{count} rows");
}

/// `14 * 24 * 3600`, as seconds.
fn product(text: &str) -> u64 {
    text.split('*').map(|factor| factor.trim().parse::<u64>().unwrap()).product()
}

/// `14 days`, as seconds.
fn seconds(text: &str) -> u64 {
    let (count, unit) = text.split_once(' ').unwrap();
    let unit = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 24 * 3600,
        other => panic!("{other} is no unit of time"),
    };
    count.parse::<u64>().unwrap() * unit
}

/// Every duration among the crate's limits, and those of the presets, in seconds.
fn durations() -> BTreeMap<String, u64> {
    let (limits, builder) = (read("src/limits.rs"), read("src/session/builder.rs"));
    let mut found = BTreeMap::new();
    for constant in limits.split("const ").filter(|text| text.contains(": Duration = ")) {
        let (name, rest) = constant.split_once(':').unwrap();
        let Some(value) = rest.split_once("Duration::from_secs(") else { continue };
        found.insert(name.to_owned(), product(value.1.split(')').next().unwrap()));
    }
    for preset in ["standard", "high"] {
        let body = builder.split(&format!("pub fn {preset}(")).nth(1).unwrap();
        let body = body.split("\n    }").next().unwrap();
        for part in ["idle", "absolute"] {
            let value = body.split(&format!(".{part}(Duration::from_secs(")).nth(1).unwrap();
            found.insert(format!("{preset}.{part}"), product(value.split(')').next().unwrap()));
        }
    }
    found
}

#[test]
fn r19_the_page_tells_every_lifetime() {
    let rows = table(&read(PAGE), "How long what lives");
    let told: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (quoted(&row[2]).next().unwrap().to_owned(), seconds(&row[1])))
        .collect();
    assert_eq!(told.len(), rows.len(), "one is told twice");
    let durations = durations();
    assert!(durations.len() > 10, "{durations:?}");
    assert_eq!(told, durations);
}
