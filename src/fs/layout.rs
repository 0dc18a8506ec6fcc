//! The names of files on disk: printed, parsed, nowhere else spelled.
//!
//! All kinds share one counter, and a number is never used twice, so a name says which of two
//! files is younger.

use std::sync::atomic::{AtomicU64, Ordering};

/// The lock file. Never deleted.
pub(crate) const LOCK: &str = "lock";
/// Where files are moved that a person should look at.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The highest number of a file of ours: there is always a next one.
const NUMBER_MAX: u64 = (1 << 63) - 1;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Says which bases and which part of the log make up the store.
    Manifest,
    /// An immutable snapshot.
    Base,
    /// A segment of the log.
    Log,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Manifest, Kind::Base, Kind::Log];

    fn word(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::Base => "base",
            Kind::Log => "log",
        }
    }

    /// The name of the finished file.
    pub(crate) fn name(self, number: u64) -> String {
        format!("{}.{number:012}", self.word())
    }

    /// The name under which the file is written before it is renamed.
    pub(crate) fn temporary(self, number: u64) -> String {
        format!("{}.{number:012}.tmp", self.word())
    }
}

/// What a name in the directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A finished file of ours.
    Ours(Kind, u64),
    /// A temporary file of ours, left over.
    Temporary(u64),
    /// The lock file or the quarantine.
    Fixed,
    /// Not ours.
    Unknown,
}

/// Reads a name; only the spelling that we print ourselves counts as ours.
pub(crate) fn parse(name: &str) -> Name {
    if name == LOCK || name == QUARANTINE {
        return Name::Fixed;
    }
    for kind in Kind::ALL {
        let Some(rest) = name.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let digits = rest.strip_suffix(".tmp").unwrap_or(rest);
        let Some(number) = digits.parse().ok().filter(|number| *number <= NUMBER_MAX) else {
            return Name::Unknown;
        };
        if kind.name(number) == name {
            return Name::Ours(kind, number);
        }
        if kind.temporary(number) == name {
            return Name::Temporary(number);
        }
    }
    Name::Unknown
}

/// Gives out file numbers, each once.
#[derive(Debug)]
pub(crate) struct Numbers(AtomicU64);

impl Numbers {
    /// Begins after the highest number seen in any name.
    pub(crate) fn after(highest: u64) -> Self {
        Numbers(AtomicU64::new(highest.saturating_add(1)))
    }

    /// No file has this number or a higher one yet.
    pub(crate) fn upcoming(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_they_are_printed() {
        for kind in Kind::ALL {
            for number in [0, 1, 999_999_999_999, 1_000_000_000_000, NUMBER_MAX] {
                assert_eq!(parse(&kind.name(number)), Name::Ours(kind, number));
                assert_eq!(parse(&kind.temporary(number)), Name::Temporary(number));
            }
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in
            ["", "log", "log.", "log.1", "log.+00000000001", "log.000000000001.bak", ".DS_Store"]
        {
            assert_eq!(parse(name), Name::Unknown, "{name}");
        }
        // There would be no number after it.
        assert_eq!(parse(&Kind::Log.name(u64::MAX)), Name::Unknown);
        assert_eq!(parse("lock"), Name::Fixed);
    }
}
