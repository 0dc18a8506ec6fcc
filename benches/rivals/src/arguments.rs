//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::Result;
use crate::alone;
use crate::works::{Entry, PLAN, When};

pub const HELP: &str = r#"Measures sessile against its rivals, in interleaved pairs.

usage: rivals [--quick | --full] [--json] [--only WORK[,WORK]]
              [--rival NAME[,NAME]] [--dir DIR]
              [--record FILE] [--plot DIR [--from FILE]]

  --quick   100,000 sessions, the works and rivals that matter most, within 5 minutes (the default)
  --full    1,000,000 sessions, every work against every rival, about an hour
  --json    one JSON object for each measurement, instead of a table
  --only    these works alone, against every rival that they have
  --rival   these rivals alone; "sessile" runs it against itself and shows the noise
  --dir     where the stores lie while they are measured (default: the system's temporary
            folder); on a disk, not in memory, or insert-power means nothing
  --record  appends the results, and what was measured on, to this file of CSV
  --plot    draws the results into this folder, as SVG
  --from    measures nothing and draws what this file of CSV holds
"#;

/// What was asked for.
pub struct Arguments {
    pub full: bool,
    pub json: bool,
    pub help: bool,
    /// Empty means all.
    pub works: Vec<String>,
    /// Empty means all but sessile itself.
    pub rivals: Vec<String>,
    pub dir: PathBuf,
    pub record: Option<PathBuf>,
    pub plot: Option<PathBuf>,
    pub from: Option<PathBuf>,
}

impl Arguments {
    /// # Errors
    /// On an unknown option, work or rival; the message lists those that there are.
    pub fn parse() -> Result<Self> {
        let mut asked = Arguments {
            full: false,
            json: false,
            help: false,
            works: Vec::new(),
            rivals: Vec::new(),
            dir: std::env::temp_dir(),
            record: None,
            plot: None,
            from: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => asked.full = false,
                Long("full") => asked.full = true,
                Long("json") => asked.json = true,
                Long("help") | Short('h') => asked.help = true,
                Long("only") => asked.works.extend(names(&mut parser)?),
                Long("rival") => asked.rivals.extend(names(&mut parser)?),
                Long("dir") => asked.dir = parser.value()?.into(),
                Long("record") => asked.record = Some(parser.value()?.into()),
                Long("plot") => asked.plot = Some(parser.value()?.into()),
                Long("from") => asked.from = Some(parser.value()?.into()),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if asked.from.is_some() && asked.plot.is_none() {
            return Err("--from says what to draw; --plot must say where".into());
        }
        let works = || PLAN.iter().map(|e| e.work).chain(alone::PLAN.iter().map(|e| e.work));
        let rivals = || PLAN.iter().map(|e| e.rival).chain(alone::PLAN.iter().map(|e| e.rival));
        asked.works.iter().try_for_each(|name| known(name, "work", works()))?;
        asked.rivals.iter().try_for_each(|name| known(name, "rival", rivals()))?;
        Ok(asked)
    }

    /// Whether this measurement is among those asked for.
    pub fn wants(&self, entry: &Entry) -> bool {
        let due = match entry.when {
            When::Quick => true,
            When::Full => self.full || !self.rivals.is_empty(),
            When::Named => false,
        };
        let rival = match self.rivals.as_slice() {
            [] => !entry.is_control(),
            rivals => rivals.iter().any(|name| name == entry.rival),
        };
        self.wants_work(entry.work, due) && rival
    }

    /// The same for a work that is set beside itself.
    pub fn wants_alone(&self, entry: &alone::Entry) -> bool {
        let due = self.full || !self.rivals.is_empty();
        let rival = self.rivals.is_empty() || self.rivals.iter().any(|name| name == entry.rival);
        self.wants_work(entry.work, due) && rival
    }

    /// Whether it is named, or nothing is and it is `due`.
    fn wants_work(&self, work: &str, due: bool) -> bool {
        match self.works.as_slice() {
            [] => due,
            works => works.iter().any(|name| name == work),
        }
    }
}

/// The names in an option's value, which commas separate.
fn names(parser: &mut lexopt::Parser) -> Result<Vec<String>> {
    Ok(parser.value()?.string()?.split(',').map(str::to_owned).collect())
}

fn known(name: &str, what: &str, all: impl Iterator<Item = &'static str>) -> Result<()> {
    let mut names: Vec<_> = all.collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!("no {what} is called {name}; there are {}", names.join(", ")).into())
}
