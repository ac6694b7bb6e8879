use serde::Serialize;

/// The middle of several values, the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; between the two middle ones if they are even in number.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of these values; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: (low + high) / 2.0, min, max })
    }
}

/// `ours` over `floor`, round by round: the machine's speed drifts from round to round, and both have
/// drifted alike. Rounds that one of them has not got through are left out.
pub fn ratios(ours: &[Option<f64>], floor: &[Option<f64>]) -> Option<Spread> {
    let pairs = ours.iter().zip(floor);
    Spread::of(pairs.filter_map(|(ours, floor)| Some(ours.as_ref()? / floor.filter(|f| *f > 0.0)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        assert_eq!(Spread::of([]), None);
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(odd, Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).map(|spread| spread.median), Some(2.5));
        let (ours, floor) = ([Some(1.0), None, Some(6.0)], [Some(2.0), Some(1.0), Some(4.0)]);
        let expected = Spread { median: 1.0, min: 0.5, max: 1.5 };
        assert_eq!(ratios(&ours, &floor), Some(expected));
    }
}
