//! Charts of results, as SVG: `ratios.svg` and `latencies.svg`. The same rows give the same bytes.
//!
//! A chart brings its own background, light or dark as the reader's system prefers, and asks for
//! no font by name: it can be read wherever it is shown.

mod latencies;
mod ratios;
mod svg;

use std::path::Path;

use crate::Result;
use crate::results::Row;

/// Draws what there is into `dir`, which is made if it is missing. A chart without rows is not
/// drawn.
pub fn draw(rows: &[Row], dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let charts = [("ratios.svg", ratios::chart(rows)), ("latencies.svg", latencies::chart(rows))];
    for (name, chart) in charts {
        if let Some(chart) = chart {
            let path = dir.join(name);
            std::fs::write(&path, chart)?;
            eprintln!("drawn: {}", path.display());
        }
    }
    Ok(())
}
