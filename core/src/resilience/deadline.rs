//! Deadlines that nest: what is done for somebody may take no longer than he waits.
//!
//! ```
//! use cndt_core::resilience::Deadline;
//! use cndt_core::time::Instant;
//! use core::time::Duration;
//!
//! let now = Instant::ZERO;
//! let request = Deadline::after(now, Duration::from_secs(5));
//! // A step may take ten seconds, but the request is over before.
//! let now = now + Duration::from_secs(3);
//! let step = request.within(now, Duration::from_secs(10));
//! assert_eq!(step.left(now), Duration::from_secs(2));
//! assert!(step.is_over(now + Duration::from_secs(2)));
//! ```

use core::time::Duration;

use crate::time::Instant;

/// The point in time from which on nobody waits any more. The earlier one is the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// Later than any clock goes.
    pub const NEVER: Self = Self(Instant::FAR_FUTURE);

    /// At this point.
    pub const fn at(at: Instant) -> Self {
        Self(at)
    }

    /// So long after `now`; [`Deadline::NEVER`] where time ends.
    pub fn after(now: Instant, span: Duration) -> Self {
        Self(now + span)
    }

    /// So long after `now`, but never later than this one.
    pub fn within(self, now: Instant, span: Duration) -> Self {
        self.min(Self::after(now, span))
    }

    /// The point itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// How long it is until then; zero if it is over.
    pub const fn left(self, now: Instant) -> Duration {
        self.0.since(now)
    }

    /// Whether `now` is the deadline, or later. [`Deadline::NEVER`] is never over.
    pub fn is_over(self, now: Instant) -> bool {
        now >= self.0 && self != Self::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_time_is_never_over() {
        let never = Deadline::after(Instant::from_micros(1), Duration::MAX);
        assert_eq!(never, Deadline::NEVER);
        assert!(!never.is_over(Instant::FAR_FUTURE));
        assert_eq!(never.within(Instant::ZERO, Duration::ZERO).left(Instant::ZERO), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_child_outlives_its_parent(
            spans in proptest::collection::vec((0_u64..50, 0_u64..500), 1..20),
            wait in 0_u64..2000,
        ) {
            let (mut now, mut deadline, mut earliest) = (0, Deadline::NEVER, u64::MAX);
            for (step, span) in spans {
                now += step;
                earliest = earliest.min(now + span);
                deadline = deadline.within(Instant::from_micros(now), Duration::from_micros(span));
                prop_assert_eq!(deadline.instant().as_micros(), earliest);
            }
            let later = now + wait;
            let left = Duration::from_micros(earliest.saturating_sub(later));
            prop_assert_eq!(deadline.left(Instant::from_micros(later)), left);
            prop_assert_eq!(deadline.is_over(Instant::from_micros(later)), left.is_zero());
        }
    }
}
