//! A figure with a bound that it is to keep: for the works that set sessile beside itself under a
//! condition, or beside a number, rather than beside a rival's rate.

use crate::latency::POINTS;
use crate::measure::quantile;
use crate::report::{grouped, number};

/// A bound.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn is_kept(self, figure: f64) -> bool {
        match self {
            Goal::AtMost(most) => figure <= most,
            Goal::AtLeast(least) => figure >= least,
        }
    }

    pub fn show(self) -> String {
        match self {
            Goal::AtMost(most) => format!("≤ {}", grouped(most)),
            Goal::AtLeast(least) => format!("≥ {}", grouped(least)),
        }
    }
}

/// A median, and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Self {
        let at = |share| quantile(values, share);
        Spread { median: at(0.5), low: at(0.25), high: at(0.75) }
    }
}

/// The other side of a finding.
pub struct Beside {
    pub name: &'static str,
    pub figure: f64,
    /// Sessile's figure over this one, round by round.
    pub ratio: Spread,
}

/// One figure, of several rounds.
pub struct Finding {
    pub work: &'static str,
    pub what: &'static str,
    pub threads: usize,
    pub unit: &'static str,
    pub figure: Spread,
    pub rounds: usize,
    pub beside: Option<Beside>,
    /// Of the ratio if there is another side, else of the figure.
    pub goal: Option<Goal>,
}

impl Finding {
    pub fn new(
        work: &'static str,
        what: &'static str,
        threads: usize,
        unit: &'static str,
        rounds: &[f64],
    ) -> Self {
        let figure = Spread::of(rounds);
        let rounds = rounds.len();
        Finding { work, what, threads, unit, figure, rounds, beside: None, goal: None }
    }

    pub fn beside(mut self, name: &'static str, ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let (figure, ratio) = (quantile(theirs, 0.5), Spread::of(&ratios));
        self.beside = Some(Beside { name, figure, ratio });
        self
    }

    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether the goal was kept.
    pub fn kept(&self) -> Option<bool> {
        let judged = self.beside.as_ref().map_or(self.figure, |beside| beside.ratio).median;
        self.goal.map(|goal| goal.is_kept(judged))
    }

    fn verdict(&self) -> String {
        let (Some(goal), Some(kept)) = (self.goal, self.kept()) else { return String::new() };
        format!("{} {}", goal.show(), if kept { "yes" } else { "NO" })
    }

    pub fn row(&self) -> String {
        let Spread { median, low, high } = self.figure;
        let mut row = format!(
            "{:<17} {:<26} {:>2} {:>12} {:<10} {:>19}",
            self.work,
            self.what,
            self.threads,
            grouped(median),
            self.unit,
            format!("{}–{}", grouped(low), grouped(high)),
        );
        if let Some(Beside { name, figure, ratio }) = &self.beside {
            row += &format!(
                "  {name:<17} {:>12} {:>7.2} {:>13}",
                grouped(*figure),
                ratio.median,
                format!("{:.2}–{:.2}", ratio.low, ratio.high),
            );
        }
        format!("{row}  {}", self.verdict()).trim_end().to_owned()
    }

    /// One JSON object, on one line. Every name and string in it is ours and needs no escape.
    pub fn json(&self) -> String {
        let Spread { median, low, high } = self.figure;
        let mut text = format!(
            r#"{{"work": "{}", "what": "{}", "threads": {}, "unit": "{}", "sessile": {}, "quartiles": [{}, {}], "rounds": {}"#,
            self.work,
            self.what,
            self.threads,
            self.unit,
            number(median),
            number(low),
            number(high),
            self.rounds,
        );
        if let Some(Beside { name, figure, ratio }) = &self.beside {
            text += &format!(
                r#", "beside": "{name}", "their": {}, "ratio": {:.3}, "ratio_quartiles": [{:.3}, {:.3}]"#,
                number(*figure),
                ratio.median,
                ratio.low,
                ratio.high,
            );
        }
        if let (Some(goal), Some(kept)) = (self.goal, self.kept()) {
            let (sense, bound) = match goal {
                Goal::AtMost(bound) => ("at_most", bound),
                Goal::AtLeast(bound) => ("at_least", bound),
            };
            text += &format!(r#", "goal_{sense}": {}, "goal_kept": {kept}"#, number(bound));
        }
        text + "}"
    }
}

/// The titles of the table's columns.
pub fn head() -> String {
    format!(
        "{:<17} {:<26} {:>2} {:>12} {:<10} {:>19}  {:<17} {:>12} {:>7} {:>13}  goal",
        "work", "what", "th", "sessile", "", "quartiles", "beside", "", "ratio", "quartiles"
    )
}

/// A finding for each of [`POINTS`]: of all rounds of both sides, in microseconds. `goal` is that
/// of the ratio at p99.9.
pub fn latencies(
    work: &'static str,
    threads: usize,
    beside: &'static str,
    ours: &[[f64; POINTS.len()]],
    theirs: &[[f64; POINTS.len()]],
    goal: Option<Goal>,
) -> Vec<Finding> {
    let column = |rounds: &[[f64; POINTS.len()]], at: usize| -> Vec<f64> {
        rounds.iter().map(|points| points[at]).collect()
    };
    let finding = |(at, (what, _)): (usize, (&'static str, f64))| {
        let (ours, theirs) = (column(ours, at), column(theirs, at));
        let mut finding =
            Finding::new(work, what, threads, "us", &ours).beside(beside, &ours, &theirs);
        finding.goal = goal.filter(|_| what == "p99.9");
        finding
    };
    POINTS.into_iter().enumerate().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_judges_the_ratio_where_there_is_one_and_else_the_figure() {
        let alone = Finding::new("work", "what", 1, "s", &[1.0, 3.0, 2.0]);
        assert_eq!(alone.kept(), None);
        assert_eq!(alone.goal(Goal::AtMost(2.0)).kept(), Some(true));
        let (ours, theirs) = ([6.0, 8.0], [2.0, 4.0]);
        let pair = Finding::new("work", "p99.9", 1, "us", &ours).beside("other", &ours, &theirs);
        let pair = pair.goal(Goal::AtMost(2.0));
        assert_eq!(pair.kept(), Some(false));
        assert!(pair.row().ends_with("≤ 2.00 NO"), "{}", pair.row());
        assert_eq!(
            pair.json(),
            r#"{"work": "work", "what": "p99.9", "threads": 1, "unit": "us", "sessile": 7.000, "quartiles": [6.500, 7.500], "rounds": 2, "beside": "other", "their": 3.000, "ratio": 2.500, "ratio_quartiles": [2.250, 2.750], "goal_at_most": 2.000, "goal_kept": false}"#
        );
    }

    #[test]
    fn only_the_last_of_a_thousand_has_a_goal() {
        let lines =
            latencies("work", 1, "other", &[[1.0; 4]], &[[1.0; 4]], Some(Goal::AtMost(2.0)));
        let goals: Vec<_> = lines.iter().map(|line| (line.what, line.goal.is_some())).collect();
        assert_eq!(goals, [("p50", false), ("p99", false), ("p99.9", true), ("max", false)]);
    }
}
