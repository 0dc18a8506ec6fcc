//! What a run of the suite found: a verdict per check, for people and for assertions.

use std::fmt;

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store does what the check's statement says.
    Passed,
    /// It does not; this is what happened instead.
    Failed(String),
    /// The statement is about something that the subject does not offer; this says what.
    NotApplicable(String),
}

/// A check and how it ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The check's name, as one word of code: it stays the same from version to version.
    pub name: &'static str,
    /// What a store must do, in words.
    pub statement: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match &self.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("FAILED", Some(why)),
            Outcome::NotApplicable(why) => ("not applicable", Some(why)),
        };
        write!(f, "{}: {word}: {}", self.name, self.statement)?;
        why.map_or(Ok(()), |why| write!(f, "\n    {why}"))
    }
}

/// What [`check`](super::check) found: every check once, in the order they ran.
#[derive(Clone, Debug)]
#[must_use = "the suite only reports; `assert_all` fails a test"]
pub struct Report {
    pub(super) checks: Vec<Checked>,
}

impl Report {
    /// Every check with its outcome.
    pub fn checks(&self) -> &[Checked] {
        &self.checks
    }

    /// The checks that failed.
    pub fn failures(&self) -> Vec<&Checked> {
        let failed = |checked: &&Checked| matches!(checked.outcome, Outcome::Failed(_));
        self.checks.iter().filter(failed).collect()
    }

    /// How a check ended; `None` if there is no check of that name.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.checks.iter().find(|checked| checked.name == name).map(|checked| &checked.outcome)
    }

    /// Fails the test that calls this unless every check passed or does not apply.
    ///
    /// # Panics
    /// If a check failed; the message has the whole report.
    pub fn assert_all(&self) {
        self.assert_all_but(&[]);
    }

    /// Fails the test that calls this unless exactly these checks failed: for a store whose
    /// defects are known, so that the test says so, and says so again when one is mended.
    ///
    /// # Panics
    /// If another check failed, or one of these did not; the message has the whole report.
    pub fn assert_all_but(&self, known: &[&str]) {
        let failed: Vec<&str> = self.failures().iter().map(|checked| checked.name).collect();
        let new: Vec<_> = failed.iter().filter(|name| !known.contains(name)).collect();
        let mended: Vec<_> = known.iter().filter(|name| !failed.contains(name)).collect();
        assert!(new.is_empty(), "the store does not conform: {new:?}\n{self}");
        assert!(mended.is_empty(), "these should have failed and did not: {mended:?}\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|checked| writeln!(f, "{checked}"))
    }
}
