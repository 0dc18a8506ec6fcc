//! What is printed: one line of JSON for each measurement, or a table.

use crate::measure::Pair;

/// What a measurement counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    OpsPerS,
    Milliseconds,
    BytesPerSession,
}

/// One measurement: sessile against one rival.
pub struct Line {
    pub work: &'static str,
    pub rival: &'static str,
    pub threads: usize,
    pub unit: Unit,
    pub ours: f64,
    pub theirs: f64,
    /// Quartiles of the ratio over the rounds, and how many there were.
    pub spread: Option<(f64, f64, usize)>,
    /// What else was measured, of sessile alone.
    pub more: Vec<(&'static str, f64)>,
}

impl Unit {
    /// The names of sessile's figure and the rival's.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Unit::OpsPerS => ("ops_per_s", "rival_ops_per_s"),
            Unit::Milliseconds => ("milliseconds", "rival_milliseconds"),
            Unit::BytesPerSession => ("bytes_per_session", "rival_bytes_per_session"),
        }
    }

    pub fn short(self) -> &'static str {
        match self {
            Unit::OpsPerS => "/s",
            Unit::Milliseconds => "ms",
            Unit::BytesPerSession => "B/session",
        }
    }
}

impl Line {
    pub fn of_pair(
        work: &'static str,
        rival: &'static str,
        threads: usize,
        unit: Unit,
        pair: &Pair,
    ) -> Self {
        let (ours, theirs) = pair.medians();
        let (low, high) = pair.spread();
        let spread = Some((low, high, pair.rounds()));
        Line { work, rival, threads, unit, ours, theirs, spread, more: Vec::new() }
    }

    /// Sessile's figure over the rival's. More is better for rates, less for the rest.
    pub fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }

    /// One JSON object, on one line. Every name and string in it is ours and needs no escape.
    pub fn json(&self) -> String {
        let (ours, theirs) = self.unit.names();
        let mut text = format!(
            r#"{{"work": "{}", "rival": "{}", "threads": {}, "{ours}": {}, "{theirs}": {}, "ratio_sessile_over_rival": {:.3}"#,
            self.work,
            self.rival,
            self.threads,
            number(self.ours),
            number(self.theirs),
            self.ratio(),
        );
        if let Some((low, high, rounds)) = self.spread {
            text += &format!(r#", "ratio_quartiles": [{low:.3}, {high:.3}], "rounds": {rounds}"#);
        }
        for (name, value) in &self.more {
            text += &format!(r#", "{name}": {}"#, number(*value));
        }
        text + "}"
    }

    /// One row of the table under [`HEAD`].
    pub fn row(&self) -> String {
        let spread =
            self.spread.map_or(String::new(), |(low, high, _)| format!("{low:.2}–{high:.2}"));
        let mut row = format!(
            "{:<15} {:<21} {:>7} {:>14} {:>14} {:<10} {:>7.2}  {spread}",
            self.work,
            self.rival,
            self.threads,
            grouped(self.ours),
            grouped(self.theirs),
            self.unit.short(),
            self.ratio(),
        );
        for (name, value) in &self.more {
            row += &format!("  {name} {}", grouped(*value));
        }
        row
    }
}

/// The titles of the table's columns.
pub fn head() -> String {
    format!(
        "{:<15} {:<21} {:>7} {:>14} {:>14} {:<10} {:>7}  quartiles",
        "work", "rival", "threads", "sessile", "rival", "", "ratio"
    )
}

pub fn number(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Thousands apart, for people.
pub fn grouped(value: f64) -> String {
    if value.abs() < 1000.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_with_the_agreed_names() {
        let line = Line {
            work: "get-warm",
            rival: "dashmap",
            threads: 2,
            unit: Unit::OpsPerS,
            ours: 4_500_000.0,
            theirs: 5_000_000.0,
            spread: None,
            more: vec![("anonymous_bytes", 12.5)],
        };
        assert_eq!(
            line.json(),
            r#"{"work": "get-warm", "rival": "dashmap", "threads": 2, "ops_per_s": 4500000, "rival_ops_per_s": 5000000, "ratio_sessile_over_rival": 0.900, "anonymous_bytes": 12.500}"#
        );
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(999.0), "999.00");
        assert_eq!(grouped(123_456.0), "123,456");
    }
}
