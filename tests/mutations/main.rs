//! The lists of mutations still fit the sources, and `docs/durability.md` names tests and mutations
//! that exist. Breaking the store is the work of `run`, beside this file.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    if path.is_file() && path.to_str().unwrap().ends_with(ending) {
        found.push(path.to_path_buf());
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().for_each(|path| files(path, ending, found));
}

#[derive(Default)]
struct Mutation {
    name: String,
    tests: Vec<String>,
    is_equivalent: bool,
    /// File, old text, new text.
    edits: Vec<[String; 3]>,
}

/// The mutations of all lists. The format is described in `run`.
fn mutations() -> Vec<Mutation> {
    let mut lists = Vec::new();
    files(&root().join("tests/mutations"), ".list", &mut lists);
    let (mut found, mut part): (Vec<Mutation>, _) = (Vec::new(), 0);
    for line in lists.iter().flat_map(|list| {
        let text = fs::read_to_string(list).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    }) {
        if let Some(code) = line.strip_prefix('|') {
            let edit = found.last_mut().and_then(|mutation| mutation.edits.last_mut()).unwrap();
            edit[part].push_str(code);
            edit[part].push('\n');
            continue;
        }
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let rest = rest.trim().to_owned();
        if word == "mutation" {
            found.push(Mutation { name: rest, ..Mutation::default() });
            continue;
        }
        let Some(mutation) = found.last_mut() else { continue };
        match word {
            "test" => mutation.tests.push(rest),
            "equivalent" => mutation.is_equivalent = true,
            "file" => mutation.edits.push([rest, String::new(), String::new()]),
            "old" => part = 1,
            "new" => part = 2,
            _ => {}
        }
    }
    found
}

/// The names of all test functions under a path, whatever their module.
fn test_names(path: &str) -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(&root().join(path), ".rs", &mut sources);
    let texts = sources.iter().map(|source| fs::read_to_string(source).unwrap());
    let mut names = BTreeSet::new();
    for text in texts {
        // Tests that a macro makes stand as `name: "history",`.
        let made = text.lines().filter_map(|line| line.trim().split_once(": \""));
        names.extend(made.map(|(name, _)| name.to_owned()));
        let functions = text.split("fn ").skip(1);
        names.extend(functions.map(|rest| {
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        }));
    }
    names
}

/// The part of a path of modules that is the beginning of a test's name.
fn last(filter: &str) -> &str {
    filter.rsplit("::").next().unwrap()
}

#[test]
fn every_mutation_still_applies() {
    let mutations = mutations();
    let mut wrong = Vec::new();
    for mutation in &mutations {
        for [file, old, new] in &mutation.edits {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            let count = format!("\n{text}").matches(&format!("\n{old}")).count();
            if old.is_empty() || old == new || count != 1 {
                wrong.push(format!("{}: its text is {count} times in {file}", mutation.name));
            }
        }
        if mutation.edits.is_empty() || mutation.tests.is_empty() != mutation.is_equivalent {
            wrong.push(format!("{}: it needs an edit, and tests or a reason", mutation.name));
        }
    }
    let names: BTreeSet<_> = mutations.iter().map(|mutation| &mutation.name).collect();
    assert_eq!(names.len(), mutations.len(), "two have the same name");
    assert!(mutations.len() > 150);
    assert!(wrong.is_empty(), "the code has moved on, bring the lists up to it:\n{wrong:#?}");
}

#[test]
fn every_mutation_names_tests_that_exist() {
    let mut wrong = Vec::new();
    for mutation in mutations() {
        for test in &mutation.tests {
            // Before the binary may stand the cfg that it is built with.
            let mut words = test.split_whitespace().filter(|word| !word.starts_with("cfg="));
            let path = match words.next() {
                Some("--lib") => "src".to_owned(),
                _ => {
                    let target = words.next().unwrap();
                    let file = format!("tests/{target}.rs");
                    if root().join(&file).is_file() { file } else { format!("tests/{target}") }
                }
            };
            let names = test_names(&path);
            let known = |word: &str| {
                // A module's tests: `name::`, or a path of modules of the crate.
                let module = word.trim_end_matches("::");
                let file = format!("{path}/{}", module.replace("::", "/"));
                let is_module = root().join(&file).is_dir() || root().join(file + ".rs").is_file();
                is_module || names.iter().any(|name| name.starts_with(last(word)))
            };
            let unknown = words.filter(|word| !known(word));
            wrong.extend(unknown.map(|word| format!("{}: {path} has no {word}", mutation.name)));
            if names.is_empty() {
                wrong.push(format!("{}: there is no {path}", mutation.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// In the third column of the tables are tests, as `target::test` or a file, in the fourth
/// mutations.
#[test]
fn durability_names_what_exists() {
    let text = fs::read_to_string(root().join("docs/durability.md")).unwrap();
    let mutations: BTreeSet<String> =
        mutations().into_iter().map(|mutation| mutation.name).collect();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for line in text.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [_, _, tests, breaks] = cells[..] else {
            wrong.push(format!("a row has {} cells: {line}", cells.len()));
            continue;
        };
        rows += 1;
        let quoted = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        if quoted(tests).is_empty() {
            wrong.push(format!("no test: {line}"));
        }
        for test in quoted(tests) {
            let (target, name) = test.split_once("::").unwrap_or((&test, ""));
            let paths = match target {
                "lib" => vec!["src".to_owned()],
                _ => vec![format!("tests/{target}.rs"), format!("tests/{target}")],
            };
            let path = paths.iter().find(|path| root().join(path).exists());
            let is_there =
                path.is_some_and(|path| name.is_empty() || test_names(path).contains(last(name)));
            if !is_there && !root().join(&test).exists() {
                wrong.push(format!("no test `{test}`"));
            }
        }
        let unknown = quoted(breaks).into_iter().filter(|name| !mutations.contains(name));
        wrong.extend(unknown.map(|name| format!("no mutation `{name}`")));
    }
    assert!(rows > 20, "{rows} rows");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
