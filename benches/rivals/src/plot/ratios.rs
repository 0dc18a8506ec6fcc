//! How sessile compares with each rival in each work: one bar each, from the line at 1. To the
//! right sessile is better, to the left the rival; equal factors are equally long.

use super::svg::{Anchor, Axis, Svg, short};
use crate::results::Row;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 250.0;
const TOP: f64 = 74.0;
const STEP: f64 = 22.0;
const BAR: f64 = 14.0;

/// `None` if no row has a rival.
pub fn chart(rows: &[Row]) -> Option<String> {
    // Latencies have a chart of their own.
    let rows: Vec<(&Row, f64)> = rows
        .iter()
        .filter(|row| row.unit != "us")
        .filter_map(|row| Some((row, row.goodness(row.ratio?))))
        .filter(|(_, ratio)| ratio.is_finite() && *ratio > 0.0)
        .collect();
    if rows.is_empty() {
        return None;
    }
    let ends = |(row, ratio): &(&Row, f64)| [*ratio].into_iter().chain(quartiles(row));
    let axis = Axis::over(LABELS, WIDTH - 60.0, true, rows.iter().flat_map(ends));
    let bottom = TOP + rows.len() as f64 * STEP + 4.0;
    let mut svg = Svg::new();
    svg.text(16.0, 24.0, "title", Anchor::Start, "sessile beside others: how many times as good");
    let legend = "bars: medians · whiskers: quartiles over the rounds · logarithmic · \
                  rates as they are, times and bytes inverted";
    svg.text(16.0, 42.0, "dim", Anchor::Start, legend);
    svg.text(axis.x(1.0) - 8.0, TOP - 10.0, "dim", Anchor::End, "← the other is better");
    svg.text(axis.x(1.0) + 8.0, TOP - 10.0, "dim", Anchor::Start, "sessile is better →");
    for tick in axis.ticks() {
        svg.line((axis.x(tick), TOP - 4.0), (axis.x(tick), bottom), "line");
        svg.text(axis.x(tick), bottom + 15.0, "dim", Anchor::Middle, &tick.to_string());
    }
    for (index, (row, ratio)) in rows.iter().enumerate() {
        draw(&mut svg, axis, TOP + index as f64 * STEP, row, *ratio);
    }
    svg.line((axis.x(1.0), TOP - 4.0), (axis.x(1.0), bottom), "axis");
    Some(svg.finish(WIDTH, bottom + 26.0, "Ratios of sessile to its rivals, work by work"))
}

fn draw(svg: &mut Svg, axis: Axis, y: f64, row: &Row, ratio: f64) {
    let middle = y + BAR / 2.0;
    let threads = if row.threads == 1 { String::new() } else { format!(" ×{}", row.threads) };
    let what = row.what.as_ref().map(|what| format!(" {what}")).unwrap_or_default();
    let label = format!("{}{what}{threads} / {}", row.work, row.rival.as_deref().unwrap_or("?"));
    svg.text(LABELS - 10.0, middle + 4.0, "", Anchor::End, &label);
    let class = if ratio >= 1.0 { "win" } else { "loss" };
    svg.bar(axis.x(1.0), axis.x(ratio), y, BAR, class);
    let ends = quartiles(row);
    if let [low, high] = ends[..] {
        svg.line((axis.x(low), middle), (axis.x(high), middle), "whisker");
        for end in [low, high] {
            svg.line((axis.x(end), middle - 4.0), (axis.x(end), middle + 4.0), "whisker");
        }
    }
    // Behind the bar, whichever way it points.
    let far = ends.into_iter().chain([ratio]);
    if ratio >= 1.0 {
        let x = far.map(|end| axis.x(end)).fold(f64::MIN, f64::max);
        svg.text(x + 6.0, middle + 4.0, "", Anchor::Start, &short(ratio));
    } else {
        let x = far.map(|end| axis.x(end)).fold(f64::MAX, f64::min);
        svg.text(x - 6.0, middle + 4.0, "", Anchor::End, &short(ratio));
    }
}

/// Both quartiles as goodness, or none.
fn quartiles(row: &Row) -> Vec<f64> {
    let ends: Vec<f64> =
        [row.low, row.high].into_iter().flatten().map(|end| row.goodness(end)).collect();
    if ends.len() == 2 && ends.iter().all(|end| end.is_finite() && *end > 0.0) {
        ends
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::row;

    #[test]
    fn a_loss_is_as_long_as_a_win_by_the_same_factor() {
        let rows = [
            row("get", None, "/s", 4.0, Some(2.0)),
            row("insert", None, "/s", 2.0, Some(4.0)),
            row("open", None, "ms", 2.0, Some(4.0)),
        ];
        let chart = chart(&rows).unwrap();
        let widths = |class: &str| -> Vec<String> {
            let end = format!("class=\"{class}\"/>");
            let bars =
                chart.lines().filter(|line| line.starts_with("<rect") && line.ends_with(&end));
            bars.map(|bar| bar.split('"').nth(5).unwrap().to_owned()).collect()
        };
        let (wins, losses) = (widths("win"), widths("loss"));
        assert_eq!((wins.len(), losses.len()), (2, 1));
        assert!(wins.iter().all(|width| *width == losses[0]), "{wins:?} {losses:?}");
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_and_none_give_none() {
        let rows = [row("get", None, "/s", 4.0, Some(2.0))];
        assert_eq!(chart(&rows), chart(&rows));
        assert_eq!(chart(&[row("replay", Some("frames"), "frames/s", 4.0, None)]), None);
    }
}
