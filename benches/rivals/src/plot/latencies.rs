//! Latencies: for each work two lines, sessile under the work's condition and the other side
//! below it, with a dot at each percentile.

use super::svg::{Anchor, Axis, Svg, short};
use crate::latency::POINTS;
use crate::results::Row;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 200.0;
const TOP: f64 = 62.0;
/// Of one line, and what is added between two works.
const STEP: f64 = 34.0;
const GAP: f64 = 12.0;
/// Texts closer than this would run into each other.
const CLEAR: f64 = 34.0;

/// Both sides of a work, at each of [`POINTS`].
struct Work<'a> {
    name: &'a str,
    rival: &'a str,
    ours: [f64; POINTS.len()],
    theirs: [f64; POINTS.len()],
}

/// `None` if there are no latencies.
pub fn chart(rows: &[Row]) -> Option<String> {
    let works = works(rows);
    if works.is_empty() {
        return None;
    }
    let values = works.iter().flat_map(|work| work.ours.into_iter().chain(work.theirs));
    let axis = Axis::over(LABELS, WIDTH - 40.0, false, values);
    let bottom = TOP + works.len() as f64 * (2.0 * STEP + GAP);
    let mut svg = Svg::new();
    svg.text(16.0, 24.0, "title", Anchor::Start, "Latency at a fixed rate, µs");
    let legend = "from when a call was due to its return · dots: p50, p99, p99.9, the longest · \
                  medians of the rounds · logarithmic";
    svg.text(16.0, 42.0, "dim", Anchor::Start, legend);
    for tick in axis.ticks() {
        svg.line((axis.x(tick), TOP - 6.0), (axis.x(tick), bottom), "line");
        svg.text(axis.x(tick), bottom + 15.0, "dim", Anchor::Middle, &tick.to_string());
    }
    for (index, work) in works.iter().enumerate() {
        let y = TOP + index as f64 * (2.0 * STEP + GAP) + 18.0;
        svg.text(LABELS - 10.0, y + 4.0, "", Anchor::End, work.name);
        svg.text(LABELS - 10.0, y + STEP + 4.0, "dim", Anchor::End, work.rival);
        series(&mut svg, axis, y, &work.ours, "ours", "win");
        series(&mut svg, axis, y + STEP, &work.theirs, "theirs", "other");
    }
    Some(svg.finish(WIDTH, bottom + 26.0, "Percentiles of latency, work by work"))
}

fn series(svg: &mut Svg, axis: Axis, y: f64, points: &[f64; POINTS.len()], line: &str, dot: &str) {
    let (first, last) = (axis.x(points[0]), axis.x(points[POINTS.len() - 1]));
    svg.line((first, y), (last, y), line);
    let mut clear = f64::MIN;
    for value in points {
        let x = axis.x(*value);
        svg.dot(x, y, dot);
        if x >= clear {
            svg.text(x, y - 8.0, "", Anchor::Middle, &short(*value));
            clear = x + CLEAR;
        }
    }
}

/// Every work and rival that has all percentiles, in the order of the rows.
fn works(rows: &[Row]) -> Vec<Work<'_>> {
    let mut works: Vec<Work> = Vec::new();
    for row in rows {
        let Some(rival) = &row.rival else { continue };
        if works.iter().any(|work| work.name == row.work && work.rival == rival) {
            continue;
        }
        let of = |what: &str| {
            let same = |other: &&Row| {
                other.work == row.work
                    && other.rival.as_ref() == Some(rival)
                    && other.what.as_deref() == Some(what)
                    && other.unit == "us"
            };
            rows.iter().find(same).and_then(|row| Some((row.ours, row.theirs?)))
        };
        let Some(points) = POINTS.iter().map(|(what, _)| of(what)).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let (mut ours, mut theirs) = ([0.0; POINTS.len()], [0.0; POINTS.len()]);
        for (at, point) in points.into_iter().enumerate() {
            (ours[at], theirs[at]) = point;
        }
        works.push(Work { name: &row.work, rival, ours, theirs });
    }
    works
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::row;

    #[test]
    fn a_work_with_all_percentiles_is_drawn_and_others_are_not() {
        let mut rows: Vec<Row> =
            POINTS.iter().map(|(what, _)| row("storm", Some(what), "us", 4.0, Some(2.0))).collect();
        rows.push(row("get", None, "/s", 4.0, Some(2.0)));
        rows.push(row("half", Some("p50"), "us", 4.0, Some(2.0)));
        let drawn = chart(&rows).unwrap();
        assert_eq!(drawn.matches("<circle").count(), 2 * POINTS.len());
        assert!(drawn.contains("storm") && !drawn.contains("half"));
        assert_eq!(chart(&rows[4..]), None);
    }
}
