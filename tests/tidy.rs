//! The house rules as a test: who may import whom, and what may stand where.
//!
//! Reads the sources as text and knows only as much Rust as it takes to tell code from comments
//! and literals. A rule that is in the way is changed here, where the change can be seen.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules at the bottom, which know each other and nothing else.
const BOTTOM: &[&str] =
    &["error", "limits", "clock", "entropy", "id", "hash", "metrics", "sync", "wait"];

/// What each module may import besides itself and the bottom. Imports point down only; a module
/// that is not listed here is not known to anybody.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("limits", &[]),
    ("clock", &[]),
    ("entropy", &[]),
    ("id", &[]),
    ("hash", &[]),
    ("metrics", &[]),
    ("sync", &[]),
    ("wait", &[]),
    ("record", &[]),
    ("fs", &[]),
    ("log", &["fs"]),
    ("base", &["fs"]),
    ("store", &["record", "fs", "log", "base"]),
    ("backend", &["record", "log", "store"]),
    ("session", &["record", "fs", "log", "store", "backend"]),
    ("inspect", &["record", "fs", "log", "base", "store"]),
    ("command", &["fs", "log", "store", "session", "inspect"]),
    ("bin", &[]),
    ("testing", &["record", "fs", "log", "base", "store", "session", "web"]),
    ("web", &["record", "log", "store", "session"]),
    ("adapters", &["record", "log", "store", "backend", "session"]),
    ("format", &[]),
];

/// Modules that may name what `lib.rs` exports, as a user of the crate would.
const USERS: &[&str] = &["testing", "web"];

const UNSAFE_IN: &str = "src/fs/mmap.rs";
const FILES_IN: &str = "src/fs/";
const CLOCKS_IN: &str = "src/clock.rs";
const LOCKS_IN: &str = "src/sync";
const NAMES_IN: &str = "src/fs/layout.rs";
const LINES_MAX: usize = 500;

/// Locks and waits that hold nothing up and that nothing else rests on.
const DO_WITHOUT_CHECKERS: &[&str] = &["src/fs/", "src/testing/", "src/wait.rs"];

/// Folders and files that belong to the project.
const PROJECT: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".deny.toml",
    "CHANGELOG.md",
    "Cargo.toml",
    "README.md",
    "benches",
    "docs",
    "examples",
    "fuzz",
    "src",
    "tests",
];

/// Words of somebody's desk, not of the project. Backwards, or this file would hold them.
const ELSEWHERE: &[&str] =
    &["/krow/", "/toor/", "/emoh/", "-tegrat/pmt/", "edualc", "ciporhtna", "tpgtahc", "tolipoc"];

/// A source file, and what its parts are.
struct Source {
    /// From the root of the crate, with `/`.
    path: String,
    text: String,
    /// Without comments, and literals emptied; lines are kept.
    code: String,
    /// What the string literals outside tests say, with their lines.
    literals: Vec<(usize, String)>,
    /// Compiled for tests only.
    is_test: bool,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `path` but build outputs, in order.
fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_path_buf());
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !path.ends_with("target")) {
        files(path, found);
    }
}

/// The Rust files under the given folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        files(&root().join(folder), &mut paths);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut sources: Vec<_> = paths.iter().map(|path| Source::read(path)).collect();
    let test_only: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let stem = source.path.trim_end_matches(".rs");
        source.is_test = test_only.iter().any(|test| {
            stem == test || stem.strip_prefix(test).is_some_and(|rest| rest.starts_with('/'))
        });
    }
    sources
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = fs::read_to_string(path).unwrap();
        let relative = path.strip_prefix(root()).unwrap();
        let path = relative.to_str().unwrap().replace('\\', "/");
        let (mut code, mut literals) = split(&text);
        // By convention the tests of a file are its end.
        if let Some(start) = code.find("#[cfg(test)]\nmod tests {") {
            code.truncate(start);
            let lines = code.lines().count();
            literals.retain(|(line, _)| *line <= lines);
        }
        Source { path, text, code, literals, is_test: false }
    }

    /// Paths, without `.rs`, of the modules that this file declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.trim_end_matches(".rs") {
            path if path.ends_with("/mod") => path.trim_end_matches("/mod").to_owned(),
            "src/lib" => "src".to_owned(),
            path => path.to_owned(),
        };
        let mut lines = self.code.lines().peekable();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            let declared = lines.peek().and_then(|next| next.trim().strip_suffix(';'));
            let name = declared.and_then(|next| next.rsplit_once("mod ")).map(|(_, name)| name);
            let for_tests = ["#[cfg(test)]", "#[cfg(all(test, loom))]"].contains(&line.trim());
            if let (true, Some(name)) = (for_tests, name) {
                found.push(format!("{folder}/{name}"));
            }
        }
        found
    }

    /// The module directly under the root that this file belongs to.
    fn module(&self) -> &str {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').next().unwrap()
    }

    /// How many `super::` lead from this file to the root of the crate.
    fn depth(&self) -> usize {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.trim_end_matches("/mod").split('/').count()
    }

    fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// The lines on which `word` stands in the code as a word of its own.
    fn lines_with(&self, word: &str) -> Vec<usize> {
        let is_part =
            |letter: Option<char>| letter.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let alone = |offset: &usize| {
            let (before, after) = (&self.code[..*offset], &self.code[offset + word.len()..]);
            !is_part(before.chars().next_back()) && !is_part(after.chars().next())
        };
        let offsets = self.code.match_indices(word).map(|(offset, _)| offset);
        offsets.filter(alone).map(|offset| self.line_of(offset)).collect()
    }

    /// The lines on which a group like `std::{fs, io}` takes in `name`.
    fn lines_with_group(&self, prefix: &str, name: &str) -> Vec<usize> {
        let groups = self
            .code
            .match_indices(prefix)
            .map(|(at, _)| (at, &self.code[at + prefix.len() - 1..]));
        let taken =
            groups.filter(|(_, group)| names_in_braces(group).iter().any(|found| found == name));
        taken.map(|(at, _)| self.line_of(at)).collect()
    }

    /// What this file names directly under the root of the crate, with the lines.
    fn imports(&self) -> Vec<(usize, String)> {
        let climb = "super::".repeat(self.depth());
        let mut found = Vec::new();
        for (start, prefix) in
            ["crate::", &climb].into_iter().flat_map(|prefix| self.code.match_indices(prefix))
        {
            let rest = &self.code[start + prefix.len()..];
            let names =
                if rest.starts_with('{') { names_in_braces(rest) } else { vec![word(rest)] };
            // From an inline module `super` is this file, so only known modules count.
            let known = |name: &str| prefix == "crate::" || allowed(name).is_some();
            let line = self.line_of(start);
            found.extend(names.into_iter().filter(|name| known(name)).map(|name| (line, name)));
        }
        found
    }
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    MAY_IMPORT.iter().find(|(name, _)| *name == module).map(|(_, may)| *may)
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The first names in `{a, b::{c, d}, e}`: a, b, e.
fn names_in_braces(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), false);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && matches!(letter, '{' | ',') {
            fresh = true;
        } else if fresh && !letter.is_whitespace() {
            names.push(word(&text[at..]));
            fresh = false;
        }
    }
    names
}

/// Takes comments and the insides of literals out of a source; returns the string literals too.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let (mut code, mut literals) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let size = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some((size, inside)) = string(rest, &code) {
            literals.push((code.matches('\n').count() + 1, inside.to_owned()));
            code.push_str("\"\"");
            size
        } else if let Some(size) = character(rest) {
            size
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        };
        let (taken, after) = rest.split_at(size);
        code.extend(taken.chars().filter(|letter| *letter == '\n'));
        rest = after;
    }
    (code, literals)
}

/// The string literal, raw or not, at the beginning of `text`: its size and its inside.
fn string<'a>(text: &'a str, before: &str) -> Option<(usize, &'a str)> {
    let in_word = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = text.strip_prefix('r').filter(|_| !in_word || before.ends_with(['b', 'c']));
    if let Some(raw) = raw {
        let hashes = raw.chars().take_while(|letter| *letter == '#').count();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = inside.find(&format!("\"{}", "#".repeat(hashes)))?;
        return Some((1 + hashes + 1 + end + 1 + hashes, &inside[..end]));
    }
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, letter) in inside.char_indices() {
        match letter {
            '"' if !escaped => return Some((at + 2, &inside[..at])),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// The size of the character literal at the beginning of `text`; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return inside[2..].find('\'').map(|end| end + 4);
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// Fails with every complaint there is, not with the first.
fn report(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

/// Lines of the crate's code, tests left out, that hold one of `words` outside `place`.
fn outside(place: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        if source.is_test || source.path.starts_with(place) {
            continue;
        }
        for word in words {
            let lines = source.lines_with(word);
            found.extend(lines.iter().map(|line| format!("{}:{line}: `{word}`", source.path)));
        }
    }
    found
}

#[test]
fn imports_point_down_only() {
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        let module = source.module();
        if source.is_test || module == "lib" {
            continue;
        }
        let Some(may) = allowed(module) else {
            found.push(format!("{}: the table does not know `{module}`", source.path));
            continue;
        };
        let is_user = USERS.contains(&module);
        for (line, name) in source.imports() {
            let known = allowed(&name).is_some();
            let fine = name == module || may.contains(&&*name) || BOTTOM.contains(&&*name);
            if !fine && (known || !is_user) {
                found.push(format!("{}:{line}: `{module}` imports `{name}`", source.path));
            }
        }
    }
    report("a module imports what the table does not allow", &found);
}

#[test]
fn unsafe_code_is_in_one_file() {
    report("`unsafe` elsewhere", &outside(UNSAFE_IN, &["unsafe"]));
}

#[test]
fn files_are_touched_through_the_port_only() {
    let mut found = outside(FILES_IN, &["std::fs", "rustix::fs"]);
    for source in sources(&["src"]) {
        let is_free = source.is_test || source.path.starts_with(FILES_IN);
        for prefix in ["std::{", "rustix::{"].iter().filter(|_| !is_free) {
            let lines = source.lines_with_group(prefix, "fs");
            found.extend(lines.iter().map(|line| format!("{}:{line}: `{prefix}fs`", source.path)));
        }
    }
    report("a file system call outside the port", &found);
}

#[test]
fn clocks_are_read_in_one_file() {
    let words = ["SystemTime::now", "Instant::now", "clock_gettime", "UNIX_EPOCH.elapsed"];
    report("a clock is read elsewhere", &outside(CLOCKS_IN, &words));
}

#[test]
fn locks_and_threads_come_from_one_file() {
    let mut found = outside(LOCKS_IN, &["parking_lot", "crossbeam_channel", "std::thread"]);
    found.retain(|line| !DO_WITHOUT_CHECKERS.iter().any(|path| line.starts_with(path)));
    for source in sources(&["src/log", "src/store"]) {
        for atomic in ["Bool", "U8", "U32", "U64", "Usize", "I64"] {
            let name = format!("Atomic{atomic}");
            let lines = source.lines_with_group("std::sync::atomic::{", &name);
            let lines = if source.is_test { Vec::new() } else { lines };
            found.extend(lines.iter().map(|line| format!("{}:{line}: `{name}`", source.path)));
        }
    }
    report("what the checkers of concurrency would not see", &found);
}

#[test]
fn names_on_disk_are_spelled_in_one_file() {
    let is_name = |text: &str| {
        let starts = ["manifest.", "base.", "log.", "quarantine/"];
        matches!(text, "lock" | "quarantine")
            || text.contains(".tmp")
            || starts.iter().any(|s| text.starts_with(s))
    };
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        if source.is_test || source.path == NAMES_IN {
            continue;
        }
        let names = source.literals.iter().filter(|(_, text)| is_name(text));
        found.extend(names.map(|(line, text)| format!("{}:{line}: {text:?}", source.path)));
    }
    report("a file name is spelled elsewhere", &found);
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut found = Vec::new();
    for source in sources(&["src", "tests", "benches", "examples", "fuzz"]) {
        if !source.text.starts_with("//!") {
            found.push(format!("{}: does not begin with `//!`", source.path));
        }
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{}: {lines} lines, at most {LINES_MAX} are allowed", source.path));
        }
    }
    report("a file is out of shape", &found);
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut paths = Vec::new();
    for path in PROJECT {
        files(&root().join(path), &mut paths);
    }
    let words: Vec<String> = ELSEWHERE.iter().map(|word| word.chars().rev().collect()).collect();
    let mut found = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let text = text.to_lowercase();
        let held = words.iter().filter(|word| text.contains(&***word));
        found.extend(held.map(|word| format!("{}: {word}", path.display())));
    }
    report("a word that does not belong here", &found);
}

#[test]
fn the_documents_name_files_that_are_there() {
    let folders = ["src/", "tests/", "benches/", "docs/", "examples/", ".ci/"];
    let mut found = Vec::new();
    for document in [
        "README.md",
        "CHANGELOG.md",
        "docs/dependencies.md",
        "docs/durability.md",
        "docs/security.md",
        "docs/switching.md",
        "src/lib.rs",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let paths = quoted.filter(|quoted| folders.iter().any(|folder| quoted.starts_with(folder)));
        let gone = paths.filter(|path| !root().join(path).exists());
        found.extend(gone.map(|path| format!("{document}: `{path}`")));
    }
    report("a document names a file that is not there", &found);
}

#[test]
fn the_reader_of_sources_tells_code_from_the_rest() {
    let text = "use crate::{a::B, c}; // crate::d\nlet x = \"crate::e \\\" \"; let y = '\"';\nr#\"unsafe\"#";
    let (code, literals) = split(text);
    assert_eq!(code, "use crate::{a::B, c}; \nlet x = \"\"; let y = ;\n\"\"");
    assert_eq!(literals, [(2, "crate::e \\\" ".to_owned()), (3, "unsafe".to_owned())]);
    assert_eq!(names_in_braces("{a::{x, y}, b, self::c}"), ["a", "b", "self"]);
}
