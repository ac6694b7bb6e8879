//! Curves over simulated time, as SVG. Readable on light and on dark ground.
//!
//! ```
//! use cndt_testkit::storm::chart::{Chart, Curve};
//!
//! let chart = Chart {
//!     title: "Goodput",
//!     unit: "operations a second",
//!     curves: vec![Curve { name: "naive", values: vec![0, 10, 5] }],
//!     shaded: vec![(1, 2)],
//! };
//! assert!(chart.svg().starts_with("<svg"));
//! ```

use std::fmt::{self, Write};

/// Curves in one frame, a value for each second.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    /// What is shown.
    pub title: &'a str,
    /// What the values count.
    pub unit: &'a str,
    /// At most four: there are as many colours. Later ones are drawn above earlier ones.
    pub curves: Vec<Curve<'a>>,
    /// Seconds, from and to, in which the server was not well.
    pub shaded: Vec<(u64, u64)>,
}

/// One curve.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// For the legend.
    pub name: &'a str,
    /// One for each second.
    pub values: Vec<u64>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 944.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 350.0;
const COLOURS: usize = 4;

// Colours that also those tell apart who see no red or no green; lines differ by their dashes, too.
const STYLE: &str = "\
.ground{fill:#ffffff}.ink{fill:#1f2328}.axis{stroke:#59636e}.grid{stroke:#d1d9e0}.shade{fill:#eaeef2}
.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}
.c0{stroke:#c2410c}.c1{stroke:#a16207;stroke-dasharray:7 3}
.c2{stroke:#7c3aed;stroke-dasharray:2 2}.c3{stroke:#0369a1;stroke-width:2.4}
text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}
@media (prefers-color-scheme:dark){
.ground{fill:#0d1117}.ink{fill:#e6edf3}.axis{stroke:#9198a1}.grid{stroke:#2a313a}.shade{fill:#1c232c}
.c0{stroke:#fb923c}.c1{stroke:#fde047}.c2{stroke:#c4b5fd}.c3{stroke:#38bdf8}}";

impl Chart<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut svg);
        svg
    }

    fn write(&self, svg: &mut String) -> fmt::Result {
        let title = escaped(self.title);
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>"
        )?;
        writeln!(svg, "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>")?;
        for (from, to) in &self.shaded {
            let (from, to) = (self.x(*from as f64), self.x(*to as f64));
            let (width, height) = (to - from, BOTTOM - TOP);
            writeln!(
                svg,
                "<rect class=\"shade\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{height}\"/>"
            )?;
        }
        self.write_axes(svg)?;
        for (number, curve) in self.curves.iter().enumerate() {
            self.write_curve(svg, number % COLOURS, curve)?;
        }
        text(svg, "title ink", (LEFT, 24.0), "start", self.title)?;
        self.write_legend(svg)?;
        svg.write_str("</svg>\n")
    }

    fn write_axes(&self, svg: &mut String) -> fmt::Result {
        let step = step(self.top());
        for tick in (0..=self.top() / step).map(|tick| tick * step) {
            let y = self.y(tick);
            line(svg, "grid", (LEFT, y), (RIGHT, y))?;
            text(svg, "ink", (LEFT - 8.0, y + 4.0), "end", &grouped(tick))?;
        }
        for tick in (0..=self.seconds()).step_by(30) {
            let x = self.x(tick as f64);
            line(svg, "axis", (x, BOTTOM), (x, BOTTOM + 5.0))?;
            text(svg, "ink", (x, BOTTOM + 20.0), "middle", &tick.to_string())?;
        }
        line(svg, "axis", (LEFT, TOP), (LEFT, BOTTOM))?;
        line(svg, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM))?;
        let middle = (LEFT + RIGHT) / 2.0;
        text(svg, "ink", (middle, BOTTOM + 40.0), "middle", "simulated time, s")?;
        let y = (TOP + BOTTOM) / 2.0;
        let unit = escaped(self.unit);
        writeln!(
            svg,
            "<text class=\"ink\" text-anchor=\"middle\" transform=\"translate(14 {y}) \
             rotate(-90)\">{unit}</text>"
        )
    }

    fn write_curve(&self, svg: &mut String, colour: usize, curve: &Curve<'_>) -> fmt::Result {
        write!(svg, "<polyline class=\"curve c{colour}\" points=\"")?;
        for (second, value) in curve.values.iter().enumerate() {
            // What a second counts stands in its middle.
            write!(svg, "{:.1},{:.1} ", self.x(second as f64 + 0.5), self.y(*value))?;
        }
        svg.write_str("\"/>\n")
    }

    fn write_legend(&self, svg: &mut String) -> fmt::Result {
        let mut x = LEFT;
        for (number, curve) in self.curves.iter().enumerate() {
            let class = format!("curve c{}", number % COLOURS);
            line(svg, &class, (x, 44.0), (x + 28.0, 44.0))?;
            text(svg, "ink", (x + 34.0, 48.0), "start", curve.name)?;
            x += 60.0 + 7.5 * curve.name.chars().count() as f64;
        }
        if !self.shaded.is_empty() {
            writeln!(svg, "<rect class=\"shade\" x=\"{x}\" y=\"37\" width=\"28\" height=\"14\"/>")?;
            text(svg, "ink", (x + 34.0, 48.0), "start", "server not well")?;
        }
        Ok(())
    }

    fn seconds(&self) -> u64 {
        self.curves.iter().map(|curve| curve.values.len()).max().unwrap_or(0).max(1) as u64
    }

    fn top(&self) -> u64 {
        let values = self.curves.iter().flat_map(|curve| &curve.values);
        values.max().copied().unwrap_or(0).max(1)
    }

    fn x(&self, second: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * second / self.seconds() as f64
    }

    fn y(&self, value: u64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value as f64 / self.top() as f64
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    )
}

fn text(
    svg: &mut String,
    class: &str,
    (x, y): (f64, f64),
    anchor: &str,
    words: &str,
) -> fmt::Result {
    let words = escaped(words);
    writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    )
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Between ticks: 1, 2 or 5 and zeros, so that there are three to eight of them.
fn step(top: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 5].map(|digit| unit.saturating_mul(digit)) {
            if top / step <= 8 {
                return step;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", grouped(number / 1000), number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (top, expected) in [(1, 1), (8, 1), (9, 2), (171_000, 20_000), (181_000, 50_000)] {
            let step = step(top);
            assert!(top / step <= 8 && (top < 8 || top / step >= 3), "{step} up to {top}");
            assert_eq!(step, expected, "up to {top}");
        }
        assert_eq!([0, 999, 1000, 1_050_007].map(grouped), ["0", "999", "1,000", "1,050,007"]);
    }

    #[test]
    fn curves_stay_within_the_frame_and_words_are_escaped() {
        let curve = Curve { name: "a < b & \"c\"", values: vec![0, 7, 3] };
        let shaded = vec![(1, 2)];
        let svg = Chart { title: "t", unit: "u", curves: vec![curve], shaded }.svg();
        assert!(svg.contains("points=\"220.7,350.0 510.0,66.0 799.3,228.3 \""), "{svg}");
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
