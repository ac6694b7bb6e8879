use std::fmt::{self, Write};

use super::svg::{self, BOTTOM, LEFT, RIGHT, TOP, line, style_of, text};
use crate::sockets::Spread;

/// Bars side by side, in groups; each with the least and the most as a whisker.
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) unit: String,
    /// What the bars of each group are.
    pub(super) series: Vec<String>,
    /// With a bar for each series that has one.
    pub(super) groups: Vec<(String, Vec<Option<Spread>>)>,
    /// The colour of the first of them; the others follow.
    pub(super) first_style: usize,
    /// A line across, at what all others are compared with.
    pub(super) mark: Option<f64>,
}

impl Bars {
    pub(super) fn svg(&self) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut svg);
        svg
    }

    fn write(&self, svg: &mut String) -> fmt::Result {
        svg::open(svg, &self.title)?;
        svg::upward(svg, &self.unit)?;
        let step = step(self.top());
        let mut tick = 0.0;
        while tick <= self.top() * 1.001 {
            line(svg, "grid", (LEFT, self.y(tick)), (RIGHT, self.y(tick)))?;
            text(svg, "ink", (LEFT - 8.0, self.y(tick) + 4.0), "end", &svg::short(tick))?;
            tick += step;
        }
        let width = (RIGHT - LEFT) / self.groups.len().max(1) as f64;
        for (number, (name, bars)) in self.groups.iter().enumerate() {
            let x = LEFT + width * number as f64;
            self.write_group(svg, x, width, bars)?;
            text(svg, "ink", (x + width / 2.0, BOTTOM + 20.0), "middle", name)?;
        }
        if let Some(mark) = self.mark {
            line(svg, "axis d1", (LEFT, self.y(mark)), (RIGHT, self.y(mark)))?;
        }
        line(svg, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM))?;
        self.write_legend(svg)?;
        svg.write_str("</svg>\n")
    }

    fn write_group(
        &self,
        svg: &mut String,
        x: f64,
        width: f64,
        bars: &[Option<Spread>],
    ) -> fmt::Result {
        let bar = width * 0.8 / self.series.len().max(1) as f64;
        for (number, spread) in bars.iter().enumerate() {
            let Some(Spread { median, min, max }) = spread else { continue };
            let left = x + width * 0.1 + bar * number as f64;
            let (y, middle) = (self.y(*median), left + bar / 2.0);
            writeln!(
                svg,
                "<rect class=\"f{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                style_of(self.first_style + number),
                left + 1.0,
                bar - 2.0,
                BOTTOM - y
            )?;
            if min < max {
                line(svg, "whisker", (middle, self.y(*min)), (middle, self.y(*max)))?;
            }
            let above = self.y(*max) - 4.0;
            text(svg, "ink small", (middle, above), "middle", &svg::short(*median))?;
        }
        Ok(())
    }

    fn write_legend(&self, svg: &mut String) -> fmt::Result {
        let mut x = LEFT;
        for (number, name) in self.series.iter().enumerate() {
            let class = style_of(self.first_style + number);
            writeln!(
                svg,
                "<rect class=\"f{class}\" x=\"{x:.1}\" y=\"38\" width=\"14\" height=\"14\"/>"
            )?;
            text(svg, "ink", (x + 20.0, 50.0), "start", name)?;
            x += 48.0 + 7.5 * name.chars().count() as f64;
        }
        Ok(())
    }

    fn top(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|(_, bars)| bars.iter().flatten());
        let top = bars.map(|spread| spread.max).fold(self.mark.unwrap_or(0.0), f64::max);
        // To the next tick, with room for a number.
        let top = if top > 0.0 { top * 1.05 } else { 1.0 };
        (top / step(top)).ceil() * step(top)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (value / self.top()).clamp(0.0, 1.0)
    }
}

/// Between ticks: 1, 2 or 5 and zeros, so that there are some five of them.
fn step(top: f64) -> f64 {
    let unit = 10_f64.powf((top / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * unit);
    steps.into_iter().find(|step| top / step <= 6.0).unwrap_or(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (top, expected) in [(1.0, 0.2), (1.1, 0.2), (1.3, 0.5), (21_000.0, 5000.0)] {
            assert!((step(top) - expected).abs() < 1e-9, "{} up to {top}", step(top));
        }
    }

    #[test]
    fn every_bar_stands_on_the_ground() {
        let half = Spread { median: 0.5, min: 0.4, max: 1.0 };
        let bars = Bars {
            title: "a < b".into(),
            unit: "x".into(),
            series: vec!["one".into(), "two".into()],
            groups: vec![("W1".into(), vec![Some(half), None])],
            first_style: 0,
            mark: Some(1.0),
        };
        let svg = bars.svg();
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect class=\"f0\"").count(), 2, "a bar and its legend");
        assert_eq!(svg.matches("<rect class=\"f1\"").count(), 1, "a legend alone");
    }
}
