//! What is printed: one line of JSON for each measurement, or a table with the goals beside it.

use crate::measure::Spread;

/// A bound that a figure is to keep.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// The other side of a measurement.
pub struct Rival {
    pub name: &'static str,
    pub figure: f64,
    /// Sessile's figure over the rival's.
    pub ratio: Spread,
    pub goal: Option<Goal>,
}

/// One measurement.
pub struct Line {
    pub work: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    pub figure: Spread,
    pub goal: Option<Goal>,
    pub rival: Option<Rival>,
    /// What else was measured.
    pub more: Vec<(&'static str, f64)>,
}

impl Goal {
    fn is_kept(self, figure: f64) -> bool {
        match self {
            Goal::AtMost(most) => figure <= most,
            Goal::AtLeast(least) => figure >= least,
        }
    }

    fn show(self) -> String {
        match self {
            Goal::AtMost(most) => format!("≤ {}", number(most)),
            Goal::AtLeast(least) => format!("≥ {}", number(least)),
        }
    }

    fn json(self, name: &str, figure: f64) -> String {
        let (sense, bound) = match self {
            Goal::AtMost(bound) => ("at_most", bound),
            Goal::AtLeast(bound) => ("at_least", bound),
        };
        format!(r#", "{name}_{sense}": {}, "{name}_kept": {}"#, number(bound), self.is_kept(figure))
    }
}

/// A goal and whether it was kept, in 12 columns.
fn verdict(goal: Option<Goal>, figure: f64) -> String {
    let Some(goal) = goal else { return String::new() };
    format!("{} {}", goal.show(), if goal.is_kept(figure) { "yes" } else { "NO" })
}

/// The names of the table's columns.
pub fn head() -> String {
    format!(
        "{:<11}{:<31}{:>8} {:<7}{:>17}  {:<12}{:<24}{:>8}  {:>6}{:>13}  goal",
        "work", "what", "sessile", "unit", "quartiles", "goal", "beside", "", "ratio", "quartiles"
    )
}

impl Line {
    pub fn new(work: &'static str, what: &'static str, unit: &'static str, figure: Spread) -> Self {
        Line { work, what, unit, figure, goal: None, rival: None, more: Vec::new() }
    }

    pub fn goal(mut self, goal: Option<Goal>) -> Self {
        self.goal = goal;
        self
    }

    pub fn row(&self) -> String {
        let Spread { median, low, high } = self.figure;
        let mut row = format!(
            "{:<11}{:<31}{:>8} {:<7}{:>17}  {:<12}",
            self.work,
            self.what,
            number(median),
            self.unit,
            format!("{}–{}", number(low), number(high)),
            verdict(self.goal, median),
        );
        if let Some(rival) = &self.rival {
            let Spread { median, low, high } = rival.ratio;
            row += &format!(
                "{:<24}{:>8}  {median:>6.3}{:>13}  {}",
                rival.name,
                number(rival.figure),
                format!("{low:.2}–{high:.2}"),
                verdict(rival.goal, median),
            );
        }
        for (name, value) in &self.more {
            row += &format!("  {name} {}", number(*value));
        }
        row.trim_end().to_owned()
    }

    /// One JSON object, on one line. Every name and string in it is ours and needs no escape.
    pub fn json(&self) -> String {
        let Spread { median, low, high } = self.figure;
        let mut text = format!(
            r#"{{"work": "{}", "what": "{}", "unit": "{}", "sessile": {}, "quartiles": [{}, {}]"#,
            self.work,
            self.what,
            self.unit,
            number(median),
            number(low),
            number(high)
        );
        if let Some(goal) = self.goal {
            text += &goal.json("goal", median);
        }
        if let Some(rival) = &self.rival {
            let Spread { median, low, high } = rival.ratio;
            text += &format!(
                r#", "beside": "{}", "their": {}, "ratio": {median:.3}, "ratio_quartiles": [{low:.3}, {high:.3}]"#,
                rival.name,
                number(rival.figure)
            );
            if let Some(goal) = rival.goal {
                text += &goal.json("ratio", median);
            }
        }
        for (name, value) in &self.more {
            text += &format!(r#", "{name}": {}"#, number(*value));
        }
        text + "}"
    }
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    if !value.is_finite() {
        "null".to_owned()
    } else if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_of_json_and_judges_by_its_goals() {
        let spread = Spread { median: 2.5, low: 2.0, high: 3.0 };
        let rival = Rival {
            name: "other",
            figure: 5.0,
            ratio: Spread { median: 0.5, low: 0.4, high: 0.6 },
            goal: Some(Goal::AtLeast(0.7)),
        };
        let mut line = Line::new("work", "what", "us", spread).goal(Some(Goal::AtMost(2.5)));
        line.rival = Some(rival);
        line.more.push(("more", f64::NAN));
        let json: serde_json::Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!(json["goal_kept"], true);
        assert_eq!(json["ratio_kept"], false);
        assert!(json["more"].is_null());
        assert!(line.row().contains("≤ 2.5 yes") && line.row().ends_with("more null"));
    }
}
