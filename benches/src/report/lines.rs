use std::fmt::{self, Write};

use super::svg::{self, BOTTOM, LEFT, RIGHT, TOP, line, style_of, text};

/// Curves on logarithmic axes: what grows alike has the same slope everywhere.
pub(super) struct Lines {
    pub(super) title: String,
    pub(super) unit: String,
    pub(super) across: String,
    /// Names, and points by rising x. All numbers are positive.
    pub(super) curves: Vec<(String, Vec<(f64, f64)>)>,
}

impl Lines {
    pub(super) fn svg(&self) -> String {
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut svg);
        svg
    }

    fn write(&self, svg: &mut String) -> fmt::Result {
        svg::open(svg, &self.title)?;
        svg::upward(svg, &self.unit)?;
        let (x, y) = (self.scale(|point| point.0), self.scale(|point| point.1).wider());
        for tick in y.ticks() {
            let at = y.place(tick, BOTTOM, TOP);
            line(svg, "grid", (LEFT, at), (RIGHT, at))?;
            text(svg, "ink", (LEFT - 8.0, at + 4.0), "end", &svg::short(tick))?;
        }
        for tick in self.places() {
            let at = x.place(tick, LEFT, RIGHT);
            line(svg, "axis", (at, BOTTOM), (at, BOTTOM + 5.0))?;
            text(svg, "ink", (at, BOTTOM + 20.0), "middle", &binary(tick))?;
        }
        for (number, (_, points)) in self.curves.iter().enumerate() {
            write!(svg, "<polyline class=\"curve s{}\" points=\"", style_of(number))?;
            for (across, up) in points {
                let place = (x.place(*across, LEFT, RIGHT), y.place(*up, BOTTOM, TOP));
                write!(svg, "{:.1},{:.1} ", place.0, place.1)?;
            }
            svg.write_str("\"/>\n")?;
        }
        line(svg, "axis", (LEFT, TOP), (LEFT, BOTTOM))?;
        line(svg, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM))?;
        text(svg, "ink", ((LEFT + RIGHT) / 2.0, BOTTOM + 42.0), "middle", &self.across)?;
        self.write_legend(svg)?;
        svg.write_str("</svg>\n")
    }

    fn write_legend(&self, svg: &mut String) -> fmt::Result {
        let mut x = LEFT;
        for (number, (name, _)) in self.curves.iter().enumerate() {
            let class = format!("curve s{}", style_of(number));
            line(svg, &class, (x, 44.0), (x + 28.0, 44.0))?;
            text(svg, "ink", (x + 34.0, 48.0), "start", name)?;
            x += 60.0 + 7.5 * name.chars().count() as f64;
        }
        Ok(())
    }

    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.curves.iter().flat_map(|(_, points)| points)
    }

    /// Every x once.
    fn places(&self) -> Vec<f64> {
        let mut places: Vec<f64> = self.points().map(|point| point.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    fn scale(&self, of: impl Fn(&(f64, f64)) -> f64) -> Scale {
        let (mut min, mut max) = (f64::INFINITY, 0.0_f64);
        for value in self.points().map(of) {
            (min, max) = (min.min(value), max.max(value));
        }
        if min < max { Scale { min, max } } else { Scale { min: 1.0, max: 10.0 } }
    }
}

/// A logarithmic axis.
#[derive(Debug, Clone, Copy)]
struct Scale {
    min: f64,
    max: f64,
}

impl Scale {
    /// To the next tick below and above.
    fn wider(self) -> Self {
        let digits = |value: f64| 10_f64.powf(value.log10().floor());
        let (low, high) = (digits(self.min), digits(self.max));
        let below = [5.0, 2.0, 1.0].map(|digit| digit * low);
        let above = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * high);
        Self {
            min: below.into_iter().find(|tick| *tick <= self.min).unwrap_or(low),
            max: above.into_iter().find(|tick| *tick >= self.max).unwrap_or(high * 10.0),
        }
    }

    fn place(self, value: f64, from: f64, to: f64) -> f64 {
        let part = (value / self.min).ln() / (self.max / self.min).ln();
        from + (to - from) * part.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut unit = 10_f64.powf(self.min.log10().floor());
        while unit <= self.max {
            let fits = |tick: &f64| (self.min * 0.999..=self.max * 1.001).contains(tick);
            ticks.extend([1.0, 2.0, 5.0].map(|digit| digit * unit).into_iter().filter(fits));
            unit *= 10.0;
        }
        ticks
    }
}

/// Powers of two as such: 64Ki.
fn binary(value: f64) -> String {
    let units = [(1024.0 * 1024.0, "Mi"), (1024.0, "Ki")];
    let whole = units.into_iter().find(|(unit, _)| value % unit == 0.0 && value > 0.0);
    whole.map_or_else(|| svg::short(value), |(unit, name)| format!("{}{name}", value / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_ticks() {
        let scale = Scale { min: 30.0, max: 1500.0 }.wider();
        assert_eq!(scale.ticks(), [20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(scale.place(20.0, 0.0, 10.0), 0.0);
        assert_eq!(scale.place(2000.0, 0.0, 10.0), 10.0);
        assert!((scale.place(200.0, 0.0, 10.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn powers_of_two_are_named() {
        for (value, expected) in [(16.0, "16"), (1024.0, "1Ki"), (4_194_304.0, "4Mi"), (3e3, "3k")]
        {
            assert_eq!(binary(value), expected);
        }
    }
}
