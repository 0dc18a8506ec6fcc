//! Results as rows, whatever measured them: what the record keeps and the charts are drawn from.

use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::finding::{Beside, Finding};
use crate::machine;
use crate::report::Line;

/// One figure. An empty field of the file is a `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub work: String,
    /// What of the work, where there are several figures: a percentile of latency, for instance.
    pub what: Option<String>,
    pub rival: Option<String>,
    pub threads: usize,
    pub ours: f64,
    pub theirs: Option<f64>,
    pub unit: String,
    /// Sessile's figure over the rival's.
    pub ratio: Option<f64>,
    /// Quartiles over the rounds: of the ratio where there is one, else of the figure.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub rounds: Option<usize>,
    pub goal: Option<String>,
    pub kept: Option<bool>,
}

impl Row {
    /// Whether a larger figure is the better one.
    pub fn is_rate(&self) -> bool {
        self.unit.ends_with("/s")
    }

    /// A ratio as "how many times as good as the rival".
    pub fn goodness(&self, ratio: f64) -> f64 {
        if self.is_rate() { ratio } else { 1.0 / ratio }
    }
}

impl From<&Line> for Row {
    fn from(line: &Line) -> Self {
        Row {
            work: line.work.to_owned(),
            what: None,
            rival: Some(line.rival.to_owned()),
            threads: line.threads,
            ours: digits(line.ours),
            theirs: Some(digits(line.theirs)),
            unit: line.unit.short().to_owned(),
            ratio: Some(digits(line.ratio())),
            low: line.spread.map(|(low, _, _)| digits(low)),
            high: line.spread.map(|(_, high, _)| digits(high)),
            rounds: line.spread.map(|(_, _, rounds)| rounds),
            goal: None,
            kept: None,
        }
    }
}

impl From<&Finding> for Row {
    fn from(finding: &Finding) -> Self {
        let beside = finding.beside.as_ref();
        let spread = beside.map_or(finding.figure, |Beside { ratio, .. }| *ratio);
        Row {
            work: finding.work.to_owned(),
            what: Some(finding.what.to_owned()),
            rival: beside.map(|beside| beside.name.to_owned()),
            threads: finding.threads,
            ours: digits(finding.figure.median),
            theirs: beside.map(|beside| digits(beside.figure)),
            unit: finding.unit.to_owned(),
            ratio: beside.map(|beside| digits(beside.ratio.median)),
            low: Some(digits(spread.low)),
            high: Some(digits(spread.high)),
            rounds: Some(finding.rounds),
            goal: finding.goal.map(|goal| goal.show()),
            kept: finding.kept(),
        }
    }
}

/// Four digits, which is more than a measurement has.
fn digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// What was measured on, at the head of each row of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Context {
    date: String,
    cores: usize,
    processor: String,
    kernel: String,
    file_system: String,
    command: String,
}

/// Puts the rows at the end of a file of CSV, with titles if it is new.
pub fn append(path: &Path, rows: &[Row], dir: &Path) -> Result<()> {
    let words = std::env::args().skip(1);
    let context = Context {
        date: machine::today()?,
        cores: std::thread::available_parallelism()?.get(),
        processor: machine::processor()?,
        kernel: machine::kernel(),
        file_system: machine::file_system(dir)?,
        command: command(words),
    };
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let titles = file.metadata()?.len() == 0;
    let mut writer = csv::WriterBuilder::new().has_headers(titles).from_writer(file);
    for row in rows {
        writer.serialize((&context, row))?;
    }
    Ok(writer.flush()?)
}

/// The command without what says where this machine keeps things.
fn command(words: impl Iterator<Item = String>) -> String {
    let mut words = words;
    let mut kept = vec!["rivals".to_owned()];
    while let Some(word) = words.next() {
        if ["--dir", "--record", "--plot"].contains(&word.as_str()) {
            words.next();
        } else if !["--dir=", "--record=", "--plot="].iter().any(|start| word.starts_with(start)) {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// The rows of a file of CSV. Of several of the same kind the last one counts.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let reader = csv::Reader::from_path(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    rows(reader).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn rows<R: std::io::Read>(mut reader: csv::Reader<R>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row?;
        let kind = |row: &Row| (row.work.clone(), row.what.clone(), row.rival.clone(), row.threads);
        match rows.iter_mut().find(|older| kind(older) == kind(&row)) {
            Some(older) => *older = row,
            None => rows.push(row),
        }
    }
    Ok(rows)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(work: &str, what: Option<&str>, unit: &str, ours: f64, theirs: Option<f64>) -> Row {
        let ratio = theirs.map(|theirs| ours / theirs);
        Row {
            work: work.into(),
            what: what.map(Into::into),
            rival: theirs.map(|_| "rival".into()),
            threads: 1,
            ours,
            theirs,
            unit: unit.into(),
            ratio,
            low: ratio.map(|ratio| ratio * 0.9),
            high: ratio.map(|ratio| ratio * 1.1),
            rounds: Some(3),
            goal: None,
            kept: None,
        }
    }

    #[test]
    fn what_is_appended_is_read_back_and_the_last_of_a_kind_counts() {
        let path = std::env::temp_dir().join(format!("sessile-rivals-csv-{}", std::process::id()));
        let first =
            [row("get", None, "/s", 5.0, Some(2.0)), row("replay", Some("log"), "s", 2.0, None)];
        let mut second = first.clone();
        second[0].ours = 7.0;
        append(&path, &first, &std::env::temp_dir()).unwrap();
        append(&path, &second[..1], &std::env::temp_dir()).unwrap();
        let (text, rows) = (std::fs::read_to_string(&path).unwrap(), read(&path));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(rows.unwrap(), second);
    }

    #[test]
    fn the_command_of_the_record_names_no_folder() {
        let words = ["--full", "--dir", "/x", "--record=/y.csv", "--only", "get-warm"];
        assert_eq!(command(words.into_iter().map(String::from)), "rivals --full --only get-warm");
    }

    #[test]
    fn less_is_better_but_for_rates() {
        assert_eq!(row("get", None, "/s", 4.0, Some(2.0)).goodness(2.0), 2.0);
        assert_eq!(row("open", None, "ms", 4.0, Some(2.0)).goodness(2.0), 0.5);
        assert_eq!(row("memory", None, "B/session", 4.0, Some(2.0)).goodness(2.0), 0.5);
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(
            (digits(123_456.0), digits(0.001_234_56), digits(0.0)),
            (123_500.0, 0.001_235, 0.0)
        );
    }
}
