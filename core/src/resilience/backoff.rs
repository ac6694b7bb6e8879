use core::time::Duration;

use crate::limits::LimitError;

/// No configuration may wait for longer between two attempts: 30 days.
const DELAY_CEILING: Duration = Duration::from_secs(30 * 24 * 3600);

/// How the delay before an attempt is drawn from its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Jitter {
    /// Not at all: the delay is the bound.
    None,
    /// Anywhere between nothing and the bound, so that clients which failed together do not come
    /// back together.
    #[default]
    Full,
    /// Anywhere between the shortest delay and three times the delay before: grows as it likes, and
    /// the multiplier has no say.
    Decorrelated,
}

/// How long to wait before each further attempt: delays that grow from `base` to `max`.
///
/// ```
/// use cndt_core::resilience::{Backoff, Jitter};
/// use core::time::Duration;
///
/// let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(5));
/// let mut delays = Backoff { jitter: Jitter::None, ..backoff }.delays();
/// let seconds: Vec<u64> = (0..4).map(|_| delays.draw(0).as_secs()).collect();
/// assert_eq!(seconds, [1, 2, 4, 5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The bound of the first delay.
    pub base: Duration,
    /// No bound is larger. At least `base`, at most 30 days.
    pub max: Duration,
    /// No delay that is drawn is shorter: even a lucky draw leaves the peer time to breathe. At most
    /// `base`.
    pub min: Duration,
    /// How much larger each bound is than the one before. At least 1.
    pub multiplier: f64,
    /// How a delay is drawn from its bound.
    pub jitter: Jitter,
}

impl Backoff {
    /// Always the same delay.
    pub const fn constant(delay: Duration) -> Self {
        Self { base: delay, max: delay, min: Duration::ZERO, multiplier: 1.0, jitter: Jitter::None }
    }

    /// Bounds that double from `base` to `max`, with full jitter.
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self { base, max, min: Duration::ZERO, multiplier: 2.0, jitter: Jitter::Full }
    }

    /// Delays between `base` and three times the one before, up to `max`.
    pub const fn decorrelated(base: Duration, max: Duration) -> Self {
        Self { base, max, min: base, multiplier: 1.0, jitter: Jitter::Decorrelated }
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), LimitError> {
        let wrong = |field, expected| Err(LimitError { field, expected });
        if self.max > DELAY_CEILING {
            return wrong("backoff.max", "must be at most 30 days");
        }
        if self.base > self.max {
            return wrong("backoff.base", "must be at most backoff.max");
        }
        if self.min > self.base {
            return wrong("backoff.min", "must be at most backoff.base");
        }
        if !self.multiplier.is_finite() || self.multiplier < 1.0 {
            return wrong("backoff.multiplier", "must be a number of at least 1");
        }
        Ok(())
    }

    /// The delays, from the first one on.
    pub const fn delays(self) -> Delays {
        Delays { backoff: self, bound: self.base }
    }

    /// The delays that are left after so many. Decorrelated ones begin anew: they depend on what was
    /// drawn.
    pub fn delays_after(self, count: u32) -> Delays {
        let mut delays = self.delays();
        for _ in 0..count {
            let before = delays.bound;
            delays.grow();
            if delays.bound == before {
                break;
            }
        }
        delays
    }
}

/// The delays of one operation, one after the other. Made by [`Backoff::delays`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delays {
    backoff: Backoff,
    /// Of the next delay.
    bound: Duration,
}

impl Delays {
    /// The next delay. `entropy` is uniformly random.
    pub fn draw(&mut self, entropy: u64) -> Duration {
        let Backoff { base, max, min, jitter, .. } = self.backoff;
        let bound = self.bound.min(max);
        match jitter {
            Jitter::None | Jitter::Full => {
                self.grow();
                if jitter == Jitter::None { bound } else { between(min, bound, entropy) }
            }
            Jitter::Decorrelated => {
                let delay = between(min, bound.saturating_mul(3).min(max), entropy);
                self.bound = delay.max(base);
                delay
            }
        }
    }

    fn grow(&mut self) {
        let Backoff { max, multiplier, .. } = self.backoff;
        let grown = self.bound.as_secs_f64() * multiplier;
        self.bound = Duration::try_from_secs_f64(grown).map_or(max, |grown| grown.min(max));
    }

    /// Begins anew.
    pub const fn reset(&mut self) {
        self.bound = self.backoff.base;
    }
}

/// A point between nothing and `to`, but at least `from`.
fn between(from: Duration, to: Duration, entropy: u64) -> Duration {
    let micros = u64::try_from(to.as_micros()).unwrap_or(u64::MAX);
    // The upper half of the product: uniform without a division, and never beyond `micros`.
    let drawn = (u128::from(micros).saturating_add(1) * u128::from(entropy)) >> u64::BITS;
    Duration::from_micros(u64::try_from(drawn).unwrap_or(micros)).max(from).min(to.max(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nonsense_is_refused_by_name() {
        let field = |backoff: Backoff| backoff.validate().unwrap_err().field;
        let sound = Backoff::exponential(SECOND, 60 * SECOND);
        assert_eq!(sound.validate(), Ok(()));
        assert_eq!(field(Backoff { base: 61 * SECOND, ..sound }), "backoff.base");
        assert_eq!(field(Backoff { min: 2 * SECOND, ..sound }), "backoff.min");
        assert_eq!(field(Backoff { max: Duration::MAX, ..sound }), "backoff.max");
        for multiplier in [0.5, -2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(Backoff { multiplier, ..sound }), "backoff.multiplier");
        }
    }

    #[test]
    fn bounds_grow_up_to_the_cap() {
        let mut delays = Backoff::exponential(2 * SECOND, 60 * SECOND).delays();
        for bound in [2, 4, 8, 16, 32, 60, 60, 60] {
            let delay = delays.draw(u64::MAX);
            assert_eq!(delay, bound * SECOND);
        }
        delays.reset();
        assert_eq!(delays.draw(u64::MAX), 2 * SECOND);
        let backoff = Backoff::exponential(2 * SECOND, 60 * SECOND);
        for (count, bound) in [(0, 2), (3, 16), (5, 60), (u32::MAX, 60)] {
            assert_eq!(backoff.delays_after(count).draw(u64::MAX), bound * SECOND);
        }
        let mut same = Backoff::constant(SECOND).delays();
        assert!((0..100).all(|_| same.draw(7) == SECOND));
    }

    proptest! {
        #[test]
        fn every_delay_lies_within_its_bounds(
            base in 0_u64..10_000_000,
            more in 0_u64..1_000_000_000,
            min_percent in 0_u64..=100,
            multiplier in 1.0_f64..1e300,
            kind in 0_u8..3,
            draws in proptest::collection::vec(any::<u64>(), 1..50),
        ) {
            let jitter = [Jitter::None, Jitter::Full, Jitter::Decorrelated][usize::from(kind)];
            let micros = Duration::from_micros;
            let min = micros(base / 100 * min_percent);
            let (base, max) = (micros(base), micros(base + more));
            let backoff = Backoff { base, max, min, multiplier, jitter };
            prop_assert_eq!(backoff.validate(), Ok(()));
            let mut delays = backoff.delays();
            // The plain model, in its own words.
            let (mut bound, mut previous) = (base, base);
            for entropy in draws {
                let delay = delays.draw(entropy);
                prop_assert!(delay >= min && delay <= max, "{delay:?}");
                match jitter {
                    Jitter::None => prop_assert_eq!(delay, bound),
                    Jitter::Full => prop_assert!(delay <= bound),
                    Jitter::Decorrelated => prop_assert!(delay <= previous.max(base) * 3),
                }
                previous = delay;
                let grown = bound.as_secs_f64() * multiplier;
                bound = Duration::try_from_secs_f64(grown).map_or(max, |grown| grown.min(max));
            }
        }

        #[test]
        fn draws_are_spread_evenly(seed: u64) {
            let backoff = Backoff::exponential(SECOND, SECOND);
            let mut state = seed;
            let mut below = 0_u32;
            for _ in 0..1000 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                below += u32::from(backoff.delays().draw(state) < SECOND / 2);
            }
            prop_assert!((400..600).contains(&below), "{below} of 1000 in the lower half");
        }
    }
}
