//! The few elements that the charts are made of, and a logarithmic axis.

use std::fmt::Write;

/// Both colours of each pair have a contrast of more than three to one on their own background.
const STYLE: &str = "<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}.dim{fill:#59636e}.title{font-weight:600;font-size:14px}
.back{fill:#fff;stroke:#d1d9e0}.line{stroke:#d1d9e0}.axis{stroke:#1f2328;stroke-width:1.5}
.win{fill:#0969da}.loss{fill:#bc4c00}.other{fill:#6e7781}.whisker{stroke:#1f2328}
.ours{stroke:#0969da}.theirs{stroke:#6e7781}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.dim{fill:#9198a1}.back{fill:#0d1117;stroke:#3d444d}
.line{stroke:#3d444d}.axis{stroke:#f0f6fc}.win{fill:#4493f8}.loss{fill:#db6d28}.other{fill:#9198a1}
.whisker{stroke:#f0f6fc}.ours{stroke:#4493f8}.theirs{stroke:#9198a1}}
</style>";

/// Where a text's given place is.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows downwards.
pub struct Svg(String);

impl Svg {
    pub fn new() -> Self {
        Svg(String::new())
    }

    /// Numbers with one digit: the same everywhere, and finer than a pixel.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    /// A bar between two x, whichever comes first.
    pub fn bar(&mut self, from: f64, to: f64, y: f64, height: f64, class: &str) {
        let (x, width) = (from.min(to), (to - from).abs());
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{class}"/>"#
        ));
    }

    pub fn dot(&mut self, x: f64, y: f64, class: &str) {
        self.add(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" class="{class}"/>"#));
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.0, "{element}");
    }

    /// The whole document; `label` is what a screen reader says.
    pub fn finish(self, width: f64, height: f64, label: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">\n{STYLE}\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"6\" class=\"back\"/>\n{}</svg>\n",
            escaped(label),
            width - 1.0,
            height - 1.0,
            self.0
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A logarithmic axis from `left` to `right`, for values from `least` to `most`.
#[derive(Clone, Copy)]
pub struct Axis {
    pub left: f64,
    pub right: f64,
    least: f64,
    most: f64,
}

impl Axis {
    /// One that has room for all `values`, and for 1 if `one` says so. Values that no logarithm
    /// has are left out.
    pub fn over(left: f64, right: f64, one: bool, values: impl Iterator<Item = f64>) -> Self {
        let values =
            values.filter(|value| value.is_finite() && *value > 0.0).chain(one.then_some(1.0));
        let (least, most) = values
            .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        if least > most {
            return Axis { left, right, least: 1.0, most: 10.0 };
        }
        Axis { left, right, least: least / 1.3, most: most * 1.3 }
    }

    pub fn x(self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        let share = (value / self.least).ln() / (self.most / self.least).ln();
        self.left + share * (self.right - self.left)
    }

    /// Round numbers on it: 1, 2 and 5 of each power of ten, or fewer if they come too close.
    pub fn ticks(self) -> Vec<f64> {
        let decades = (self.most / self.least).log10();
        let steps: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        powers
            .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
            .filter(|tick| (self.least..=self.most).contains(tick))
            .collect()
    }
}

/// Two digits that mean something.
pub fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 9.95 => format!("{value:.0}"),
        middle if middle >= 0.995 => format!("{value:.1}"),
        small if small >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_all_and_puts_factors_at_equal_distances() {
        let axis = Axis::over(100.0, 500.0, true, [0.1, 10.0, f64::NAN, 0.0].into_iter());
        assert!((axis.x(1.0) - 300.0).abs() < 0.01);
        assert!(axis.x(0.1) > 100.0 && axis.x(10.0) < 500.0);
        assert_eq!(axis.ticks().len(), 7, "{:?}", axis.ticks());
        assert_eq!(Axis::over(0.0, 1.0, false, std::iter::empty()).x(10.0), 1.0);
    }

    #[test]
    fn what_would_be_markup_is_text() {
        let mut svg = Svg::new();
        svg.text(1.0, 2.0, "dim", Anchor::Start, "a<b & \"c\"");
        let text = svg.finish(10.0, 10.0, "a\"b");
        assert!(text.contains("a&lt;b &amp; &quot;c&quot;") && text.contains("a&quot;b"));
    }
}
