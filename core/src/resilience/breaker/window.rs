use alloc::collections::VecDeque;

use super::config::{BreakerConfig, Window};
use crate::time::Instant;

/// Into how many steps a window of time is cut.
const STEPS: u64 = 60;

/// What the calls of the window came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

/// How one call counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// The calls that are looked back at.
#[derive(Debug, Clone)]
pub(super) struct Sliding {
    tally: Tally,
    past: Past,
}

#[derive(Debug, Clone)]
enum Past {
    /// Nobody asks.
    Nothing,
    Calls {
        size: usize,
        seen: VecDeque<Seen>,
    },
    /// Steps in which anything ended, each with its number since the origin of time.
    Time {
        step_micros: u64,
        steps: VecDeque<(u64, Tally)>,
    },
}

impl Tally {
    fn add(&mut self, seen: Seen) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(seen.failed.into());
        self.slow = self.slow.saturating_add(seen.slow.into());
    }

    fn subtract(&mut self, gone: Self) {
        self.calls = self.calls.saturating_sub(gone.calls);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }

    /// Whether `part` of the calls are at least so many percent.
    pub(super) fn reaches(&self, part: u64, percent: u8) -> bool {
        part.saturating_mul(100) >= self.calls.saturating_mul(percent.into())
    }
}

impl Sliding {
    pub(super) fn new(config: &BreakerConfig) -> Self {
        let past = match config.window {
            _ if !config.has_window() => Past::Nothing,
            Window::Calls(calls) => {
                let size = usize::try_from(calls).unwrap_or(usize::MAX);
                Past::Calls { size, seen: VecDeque::new() }
            }
            Window::Time(span) => {
                let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
                let step_micros = micros.div_ceil(STEPS).max(1);
                Past::Time { step_micros, steps: VecDeque::new() }
            }
        };
        Self { tally: Tally::default(), past }
    }

    /// Takes note of a call that ended `now`, and tells what the window has come to.
    pub(super) fn add(&mut self, now: Instant, new: Seen) -> Tally {
        match &mut self.past {
            Past::Nothing => return Tally::default(),
            Past::Calls { size, seen } => {
                if seen.len() >= *size
                    && let Some(oldest) = seen.pop_front()
                {
                    let mut gone = Tally::default();
                    gone.add(oldest);
                    self.tally.subtract(gone);
                }
                seen.push_back(new);
            }
            Past::Time { step_micros, steps } => {
                let current = now.as_micros() / *step_micros;
                while let Some((number, gone)) = steps.front()
                    && number.saturating_add(STEPS) <= current
                {
                    self.tally.subtract(*gone);
                    steps.pop_front();
                }
                match steps.back_mut() {
                    Some((number, step)) if *number == current => step.add(new),
                    Some(_) | None => {
                        let mut step = Tally::default();
                        step.add(new);
                        steps.push_back((current, step));
                    }
                }
            }
        }
        self.tally.add(new);
        self.tally
    }

    pub(super) fn clear(&mut self) {
        self.tally = Tally::default();
        match &mut self.past {
            Past::Nothing => {}
            Past::Calls { seen, .. } => seen.clear(),
            Past::Time { steps, .. } => steps.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::breaker::Counting;
    use core::time::Duration;

    const FAILED: Seen = Seen { failed: true, slow: false };
    const FINE: Seen = Seen { failed: false, slow: false };

    fn sliding(window: Window) -> Sliding {
        let counting = Counting::InWindow;
        Sliding::new(&BreakerConfig { window, counting, ..BreakerConfig::default() })
    }

    #[test]
    fn calls_leave_in_the_order_in_which_they_came() {
        let mut window = sliding(Window::Calls(3));
        let failures = [FAILED, FINE, FAILED, FINE, FINE, FINE]
            .map(|seen| window.add(Instant::ZERO, seen).failures);
        assert_eq!(failures, [1, 1, 2, 1, 1, 0]);
        assert_eq!(window.add(Instant::ZERO, FINE).calls, 3);
    }

    #[test]
    fn time_is_forgotten_in_steps() {
        let mut window = sliding(Window::Time(Duration::from_secs(60)));
        let mut calls = |millis: u64| window.add(Instant::from_micros(millis * 1000), FINE).calls;
        assert_eq!(calls(999), 1);
        assert_eq!(calls(1000), 2);
        assert_eq!(calls(59_999), 3);
        assert_eq!(calls(60_000), 3, "the first second is over");
        assert_eq!(calls(61_000), 3);
        assert_eq!(calls(1_000_000), 1);
    }

    #[test]
    fn memory_is_that_of_the_window() {
        let mut window = sliding(Window::Time(Duration::from_micros(1)));
        let mut calls = sliding(Window::Calls(10));
        for micros in 0..100_000 {
            window.add(Instant::from_micros(micros), FINE);
            calls.add(Instant::from_micros(micros), FINE);
        }
        assert!(matches!(&window.past, Past::Time { steps, .. } if steps.capacity() <= 64));
        assert!(matches!(&calls.past, Past::Calls { seen, .. } if seen.capacity() <= 16));
    }
}
