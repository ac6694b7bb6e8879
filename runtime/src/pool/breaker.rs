use std::time::Duration;

use cndt_core::time::Instant;

/// Failures in a row that take a member out.
const FAILURES_MAX: u32 = 3;
/// How long it is out at first.
const FIRST: Duration = Duration::from_secs(1);
/// It is never out for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// A circuit breaker: takes a member out of the choice for a time that grows while it keeps failing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaker {
    failures: u32,
    ejections: u32,
    last: Option<Ejection>,
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    at: Instant,
    until: Instant,
}

impl Breaker {
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call that was made at `begun` failed.
    pub(super) fn failed(&mut self, begun: Instant, now: Instant) {
        // Calls that were under way when the member was taken out tell nothing new: a hundred that
        // fail together are one occasion.
        if self.last.is_some_and(|ejection| begun <= ejection.at) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            let factor = 2_u32.saturating_pow(self.ejections);
            let span = FIRST.saturating_mul(factor).min(LONGEST);
            self.ejections = self.ejections.saturating_add(1);
            self.last = Some(Ejection { at: now, until: now + span });
        }
    }

    /// How long the member is still out; `None` if it is not.
    pub(super) fn ejected_for(&self, now: Instant) -> Option<Duration> {
        let left = self.last?.until.since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn three_failures_in_a_row_take_it_out_for_ever_longer() {
        let mut breaker = Breaker::default();
        breaker.failed(at(1), at(1));
        breaker.failed(at(2), at(2));
        breaker.succeeded();
        breaker.failed(at(3), at(3));
        breaker.failed(at(4), at(4));
        assert_eq!(breaker.ejected_for(at(4)), None, "not in a row");
        let mut now = 10;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            breaker.failed(at(now), at(now));
            let span = Duration::from_secs(seconds);
            assert_eq!(breaker.ejected_for(at(now)), Some(span));
            now += seconds * 1000;
            assert_eq!(breaker.ejected_for(at(now)), None, "{seconds} s are over");
        }
        breaker.succeeded();
        breaker.failed(at(now), at(now));
        assert_eq!(breaker.ejected_for(at(now)), None, "a success starts anew");
    }

    #[test]
    fn calls_that_fail_together_are_one_occasion() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(at(1), at(50));
        }
        assert_eq!(breaker.ejected_for(at(50)), Some(FIRST));
        // Late, but made before the member was taken out.
        breaker.failed(at(49), at(2000));
        assert_eq!(breaker.ejected_for(at(2000)), None);
        breaker.failed(at(1990), at(2000));
        assert_eq!(breaker.ejected_for(at(2000)), Some(FIRST * 2));
    }
}
