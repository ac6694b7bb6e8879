use std::time::Duration;

use cndt_core::resilience::{BreakerConfig, BreakerState, CircuitBreaker, Outcome, Permit};
use cndt_core::time::Instant;

/// Takes a member out of the choice for a time that grows while it keeps failing. Afterwards
/// everyone may try it, and one answer puts it back.
const CONFIG: BreakerConfig = BreakerConfig {
    failure_threshold: 3,
    open_timeout: Duration::from_secs(1),
    open_timeout_max: Some(Duration::from_secs(30)),
    success_threshold: 1,
    half_open_calls_max: u32::MAX,
    ..BreakerConfig::DEFAULT
};

/// The circuit breaker of one member. It advises and forbids nothing: a member that is out is still
/// called when there is no other.
#[derive(Debug, Clone)]
pub(super) struct Breaker(CircuitBreaker);

impl Breaker {
    pub(super) fn new() -> Option<Self> {
        CircuitBreaker::new(CONFIG).ok().map(Self)
    }

    /// A call begins. None while the member is out: then only an answer means anything.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Permit> {
        self.0.acquire(now).ok()
    }

    pub(super) fn answered(&mut self, now: Instant, permit: Option<Permit>) {
        if let Some(permit) = permit {
            self.0.record(now, permit, Outcome::Success);
        }
        // Any answer puts the member back, one to a call from before it was taken out included.
        if self.0.state(now) != BreakerState::Closed {
            self.0.reset(now);
        }
    }

    pub(super) fn failed(&mut self, now: Instant, permit: Option<Permit>) {
        if let Some(permit) = permit {
            self.0.record(now, permit, Outcome::Failure);
        }
    }

    /// Nobody knows how the call would have ended.
    pub(super) fn given_up(&mut self, now: Instant, permit: Option<Permit>) {
        if let Some(permit) = permit {
            self.0.release(now, permit);
        }
    }

    /// How long the member is still out; `None` if it is not.
    pub(super) fn ejected_for(&self, now: Instant) -> Option<Duration> {
        let left = self.0.next_deadline()?.since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn fail(breaker: &mut Breaker, now: Instant) {
        let permit = breaker.begin(now);
        breaker.failed(now, permit);
    }

    fn answer(breaker: &mut Breaker, now: Instant) {
        let permit = breaker.begin(now);
        breaker.answered(now, permit);
    }

    #[test]
    fn three_failures_in_a_row_take_it_out_for_ever_longer() {
        let mut breaker = Breaker::new().unwrap();
        fail(&mut breaker, at(1));
        fail(&mut breaker, at(2));
        answer(&mut breaker, at(2));
        fail(&mut breaker, at(3));
        fail(&mut breaker, at(4));
        assert_eq!(breaker.ejected_for(at(4)), None, "not in a row");
        let mut now = 10;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            fail(&mut breaker, at(now));
            let span = Duration::from_secs(seconds);
            assert_eq!(breaker.ejected_for(at(now)), Some(span));
            now += seconds * 1000;
            assert_eq!(breaker.ejected_for(at(now)), None, "{seconds} s are over");
        }
        answer(&mut breaker, at(now));
        fail(&mut breaker, at(now));
        assert_eq!(breaker.ejected_for(at(now)), None, "a success starts anew");
    }

    #[test]
    fn calls_that_fail_together_are_one_occasion() {
        let mut breaker = Breaker::new().unwrap();
        let mut together: Vec<_> = (0..101).map(|_| breaker.begin(at(1))).collect();
        let last = together.pop().unwrap();
        together.into_iter().for_each(|permit| breaker.failed(at(50), permit));
        assert_eq!(breaker.ejected_for(at(50)), Some(Duration::from_secs(1)));
        let tried = breaker.begin(at(1990));
        // Late, but made before the member was taken out.
        breaker.failed(at(2000), last);
        assert_eq!(breaker.ejected_for(at(2000)), None);
        breaker.failed(at(2000), tried);
        assert_eq!(breaker.ejected_for(at(2000)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn any_answer_puts_it_back() {
        for is_late in [true, false] {
            let mut breaker = Breaker::new().unwrap();
            let late = breaker.begin(at(0));
            (0..3).for_each(|_| fail(&mut breaker, at(1)));
            let permit = if is_late { late } else { breaker.begin(at(2)) };
            assert_eq!(permit.is_some(), is_late);
            breaker.answered(at(3), permit);
            assert_eq!(breaker.ejected_for(at(3)), None);
            (0..2).for_each(|_| fail(&mut breaker, at(4)));
            assert_eq!(breaker.ejected_for(at(4)), None, "it begins anew");
        }
    }
}
