/// Random numbers that are the same on every machine: integers alone, SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers of their own for each stream of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut streams = Self(seed);
        let mut mixed = Self(streams.next() ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(mixed.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Exponentially distributed, as the gaps between independent events are.
    ///
    /// By von Neumann's comparisons: the first of a falling run of odd length has the right
    /// distribution below 1, and each run of even length adds 1. Logarithms would round differently
    /// elsewhere.
    pub(super) fn exponential(&mut self, mean: u64) -> u64 {
        let mut whole = 0_u64;
        loop {
            let first = self.next();
            let (mut last, mut is_odd) = (first, true);
            loop {
                let next = self.next();
                if next >= last {
                    break;
                }
                (last, is_odd) = (next, !is_odd);
            }
            if is_odd {
                let fraction = (u128::from(mean) * u128::from(first)) >> u64::BITS;
                return mean.saturating_mul(whole).saturating_add(fraction as u64);
            }
            whole += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_and_the_tail_of_their_distribution() {
        let mut random = Random::new(1, 2);
        let gaps: Vec<u64> = (0..100_000).map(|_| random.exponential(1_000_000)).collect();
        let mean = gaps.iter().sum::<u64>() / 100_000;
        assert!((990_000..1_010_000).contains(&mean), "{mean}");
        // e^-1 and e^-3 of them are longer than one and three means.
        for (bound, expected) in [(1_000_000, 36_788), (3_000_000, 4_979)] {
            let longer = gaps.iter().filter(|gap| **gap > bound).count();
            assert!(longer.abs_diff(expected) < 600, "{longer} beyond {bound}");
        }
    }

    #[test]
    fn streams_differ() {
        let draw = |seed, stream| Random::new(seed, stream).next();
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_eq!(draw(3, 4), draw(3, 4));
    }
}
