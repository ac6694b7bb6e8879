//! What bars and lines share. Readable on light and on dark ground.

use std::fmt::{self, Write};

pub(super) const WIDTH: f64 = 960.0;
pub(super) const HEIGHT: f64 = 400.0;
pub(super) const LEFT: f64 = 84.0;
pub(super) const RIGHT: f64 = 944.0;
pub(super) const TOP: f64 = 66.0;
pub(super) const BOTTOM: f64 = 346.0;
/// There are as many colours.
pub(super) const SERIES_MAX: usize = 6;

// Colours that also those tell apart who see no red or no green; lines differ by their dashes, too.
const STYLE: &str = "\
.ground{fill:#ffffff}.ink{fill:#1f2328}.axis{stroke:#59636e}.grid{stroke:#d1d9e0}
.whisker{stroke:#1f2328;stroke-width:1}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:#59636e}.s1{stroke:#a16207}.s2{stroke:#0369a1}.s3{stroke:#7c3aed}.s4{stroke:#c2410c}
.s5{stroke:#15803d}.s1,.d1{stroke-dasharray:7 3}.s3{stroke-dasharray:2 2}.s4{stroke-dasharray:9 3 2 3}
.s5{stroke-dasharray:4 4}
.f0{fill:#8c959f}.f1{fill:#ca8a04}.f2{fill:#0284c7}.f3{fill:#8b5cf6}.f4{fill:#ea580c}.f5{fill:#22a652}
text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.small{font-size:11px}
@media (prefers-color-scheme:dark){
.ground{fill:#0d1117}.ink{fill:#e6edf3}.axis{stroke:#9198a1}.grid{stroke:#2a313a}
.whisker{stroke:#e6edf3}
.s0{stroke:#9198a1}.s1{stroke:#fde047}.s2{stroke:#38bdf8}.s3{stroke:#c4b5fd}.s4{stroke:#fb923c}
.s5{stroke:#4ade80}}";

/// Where series, in the order of the results, get their colour from: the same everywhere.
pub(super) fn style_of(series: usize) -> usize {
    series % SERIES_MAX
}

pub(super) fn open(svg: &mut String, title: &str) -> fmt::Result {
    let label = escaped(title);
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{label}\">\n<style>{STYLE}</style>"
    )?;
    writeln!(svg, "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>")?;
    text(svg, "title ink", (LEFT, 24.0), "start", title)
}

/// The name of what goes up, beside its axis.
pub(super) fn upward(svg: &mut String, unit: &str) -> fmt::Result {
    let (y, unit) = ((TOP + BOTTOM) / 2.0, escaped(unit));
    writeln!(
        svg,
        "<text class=\"ink\" text-anchor=\"middle\" transform=\"translate(16 {y}) \
         rotate(-90)\">{unit}</text>"
    )
}

pub(super) fn line(
    svg: &mut String,
    class: &str,
    (x1, y1): (f64, f64),
    (x2, y2): (f64, f64),
) -> fmt::Result {
    writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    )
}

pub(super) fn text(
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

pub(super) fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Short forms of large numbers: 20k, 3M.
pub(super) fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(unit, _)| value >= *unit) {
        Some((unit, letter)) => format!("{}{letter}", rounded(value / unit)),
        None => rounded(value),
    }
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [(0.0, "0"), (0.25, "0.25"), (2e4, "20k"), (1.5e6, "1.5M")] {
            assert_eq!(short(value), expected);
        }
    }
}
