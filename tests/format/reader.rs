//! Runs `read.py`, the second reader.

use std::fs;
use std::path::Path;
use std::process::Command;

use sessile::testing::SimFs;

use crate::dump::{View, Way};
use crate::support::Temp;

/// Whether there is a Python to run it. Where there must be one its absence is a failure.
pub fn is_there() -> bool {
    let found = Command::new("python3").arg("--version").output();
    if found.is_ok_and(|found| found.status.success()) {
        return true;
    }
    let required = std::env::var("SESSILE_REQUIRE").unwrap_or_default();
    assert!(!required.contains("python3"), "python3 is required and not there");
    println!("skipped: there is no python3");
    false
}

/// Writes the files where Python can read them.
pub fn spill(fs: &SimFs, name: &str, to: &Temp) {
    let folder = to.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    for name in fs.names().iter().filter(|name| !name.contains('/')) {
        fs::write(folder.join(name), fs.bytes(name).unwrap()).unwrap();
    }
}

/// What it says of each of these directories.
pub fn read(folder: &Temp, names: &[String], view: View, way: Way, frames: bool) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/read.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script);
    command.args(["--now", &view.now.to_string(), "--names", &view.names.to_string()]);
    if way != Way::Strict {
        command.args(["--salvage", way.name()]);
    }
    if frames {
        command.arg("--frames");
    }
    let output = command.args(names.iter().map(|name| folder.path().join(name))).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "read.py failed: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let parts = text.split("== ").skip(1);
    let said: Vec<_> =
        parts.map(|part| part.split_once('\n').unwrap_or_default().1.to_owned()).collect();
    assert_eq!(said.len(), names.len(), "{text}");
    said
}

/// What can be compared with the crate: after salvage, and where values are in several encodings,
/// the crate makes new bases at once, and then says how many there are now. Where in a manifest or
/// base the damage is said to lie is not part of the format.
pub fn comparable(said: &str, view: View) -> String {
    let salvaged = ["\nlost LSNs", "\nlost base", "\nlost manifest"];
    let rewritten = view.encoding.is_none() || salvaged.iter().any(|start| said.contains(start));
    let is_kept = |line: &&str| {
        !rewritten || !["cut ", "last ", "base "].iter().any(|start| line.starts_with(start))
    };
    let line = |line: &str| match line.split_once(" at byte ") {
        Some((start, _)) if !start.contains(" log.") => format!("{start}\n"),
        _ => format!("{line}\n"),
    };
    said.lines().filter(is_kept).map(line).collect()
}
