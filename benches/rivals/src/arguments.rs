//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::Result;
use crate::works::{Entry, PLAN, When};

pub const HELP: &str = r#"Measures sessile against its rivals, in interleaved pairs.

usage: rivals [--quick | --full] [--json] [--only WORK[,WORK]]
              [--rival NAME[,NAME]] [--dir DIR]

  --quick   100,000 sessions, the works and rivals that matter most, within 5 minutes (the default)
  --full    1,000,000 sessions, every work against every rival, about an hour
  --json    one JSON object for each measurement, instead of a table
  --only    these works alone, against every rival that they have
  --rival   these rivals alone; "sessile" runs it against itself and shows the noise
  --dir     where the stores lie while they are measured (default: the system's temporary
            folder); on a disk, not in memory, or insert-power means nothing
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
                _ => return Err(argument.unexpected().into()),
            }
        }
        asked.works.iter().try_for_each(|name| known(name, "work", PLAN.iter().map(|e| e.work)))?;
        asked
            .rivals
            .iter()
            .try_for_each(|name| known(name, "rival", PLAN.iter().map(|e| e.rival)))?;
        Ok(asked)
    }

    /// Whether this measurement is among those asked for.
    pub fn wants(&self, entry: &Entry) -> bool {
        let named = self.works.iter().any(|name| name == entry.work);
        let due = match entry.when {
            When::Quick => true,
            When::Full => self.full || !self.rivals.is_empty(),
            When::Named => false,
        };
        let rival = match self.rivals.as_slice() {
            [] => !entry.is_control(),
            rivals => rivals.iter().any(|name| name == entry.rival),
        };
        (named || self.works.is_empty() && due) && rival
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
