//! `churn`: sessions come and go, create and remove in turn, at a constant population, in memory.

use super::Bench;
use super::traffic::Mix;
use super::web::pair;
use crate::Result;
use crate::heap;
use crate::report::Line;
use crate::rivals::{Change, Level, Rival};

const MIX: Mix = Mix { visits: 0, updates: 0 };
const THREADS: [usize; 2] = [1, 2];

pub fn churn<R: Rival>(bench: &Bench) -> Result<Vec<Line>>
where
    R::Client: Change,
{
    let mut lines = Vec::new();
    for threads in THREADS {
        lines.push(pair::<R>(bench, "churn", MIX, Level::Memory, threads)?);
        heap::tidy();
    }
    Ok(lines)
}
