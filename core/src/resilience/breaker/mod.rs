//! Circuit breakers: whoever keeps failing is left alone for a while, then tried with care.
//!
//! Each call asks for a [`Permit`] and reports how it ended. While the breaker is closed all calls
//! may go; too many failures open it, and calls are refused at once instead of failing slowly. When
//! `open_timeout` is over it is half-open: a few trials go, and either close it or open it again.
//!
//! ```
//! use cndt_core::resilience::{BreakerConfig, BreakerState, CircuitBreaker, Outcome};
//! use cndt_core::time::Instant;
//! use core::time::Duration;
//!
//! let config = BreakerConfig {
//!     failure_threshold: 2,
//!     open_timeout: Duration::from_secs(60),
//!     success_threshold: 1,
//!     ..BreakerConfig::default()
//! };
//! let mut breaker = CircuitBreaker::new(config)?;
//! let now = Instant::ZERO;
//! for _ in 0..2 {
//!     let permit = breaker.acquire(now).expect("it is closed");
//!     breaker.record(now, permit, Outcome::Failure);
//! }
//! let rejected = breaker.acquire(now).unwrap_err();
//! assert_eq!(rejected.retry_after, Some(Duration::from_secs(60)));
//!
//! let now = now + Duration::from_secs(60);
//! assert_eq!(breaker.state(now), BreakerState::HalfOpen);
//! let trial = breaker.acquire(now).expect("a trial may go");
//! breaker.record(now, trial, Outcome::Success);
//! assert_eq!(breaker.state(now), BreakerState::Closed);
//! # Ok::<(), cndt_core::limits::LimitError>(())
//! ```
//!
//! A call that began before the state changed changes nothing when it ends: a hundred that were
//! under way when the breaker opened are one occasion. Times may go back; one before an earlier one
//! counts as that one. Every operation takes constant time, spread over many.

mod config;
mod metrics;
#[cfg(test)]
mod tests;
mod transition;
mod window;

use alloc::collections::VecDeque;
use core::time::Duration;

pub use config::{BreakerConfig, Counting, Window};
pub use metrics::BreakerMetrics;
pub use transition::{BreakerState, Transition, Why};

use crate::limits::LimitError;
use crate::time::Instant;
use window::{Seen, Sliding};

/// Transitions that wait to be polled; beyond it the oldest is dropped and counted.
const TRANSITIONS_MAX: usize = 16;

/// How a call ended, as far as the other side's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is well: it answered, if only to refuse what was wrong with the request.
    Success,
    /// It is not: no answer, or one that says so.
    Failure,
    /// Nothing can be told.
    Ignored,
}

/// Leave for one call. Hand it back by [`CircuitBreaker::record`], or by
/// [`CircuitBreaker::release`] when the call was given up: a trial's place is taken until then.
#[must_use = "the place of a call that is neither reported nor released stays taken"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
    begun: Instant,
}

impl Permit {
    /// When it was given.
    pub fn begun(&self) -> Instant {
        self.begun
    }
}

/// The call may not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is {state}: ask again later, or elsewhere")]
pub struct Rejected {
    /// Open, half-open with all trials under way, or forced open.
    pub state: BreakerState,
    /// After which time trials begin. None when no time is set: trials are under way, or somebody
    /// must reset the breaker.
    pub retry_after: Option<Duration>,
}

/// One circuit breaker; see the [module](self).
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    config: BreakerConfig,
    phase: Phase,
    /// Counts up whenever older calls cease to matter.
    generation: u64,
    /// The latest time seen.
    now: Instant,
    window: Sliding,
    /// How often it has opened without closing in between.
    openings: u32,
    /// Of the next draw, if times are drawn.
    jitter: Option<u64>,
    metrics: BreakerMetrics,
    transitions: VecDeque<Transition>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures_in_a_row: u32 },
    Open { until: Instant },
    HalfOpen { trials: u32, successes: u32 },
    ForcedOpen,
    ForcedClosed,
}

const CLOSED: Phase = Phase::Closed { failures_in_a_row: 0 };

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
            Self::ForcedOpen => BreakerState::ForcedOpen,
            Self::ForcedClosed => BreakerState::ForcedClosed,
        }
    }
}

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// As [`BreakerConfig::validate`].
    pub fn new(config: BreakerConfig) -> Result<Self, LimitError> {
        config.validate()?;
        Ok(Self {
            config,
            phase: CLOSED,
            generation: 0,
            now: Instant::ZERO,
            window: Sliding::new(&config),
            openings: 0,
            jitter: None,
            metrics: BreakerMetrics::default(),
            transitions: VecDeque::new(),
        })
    }

    /// Stays open for a random time each time: between half of what is configured and all of it.
    /// Breakers that opened together then do not try together. `entropy` is uniformly random.
    #[must_use]
    pub fn with_jitter(mut self, entropy: u64) -> Self {
        self.jitter = Some(entropy);
        self
    }

    /// Allows a call that begins `now`, or refuses it.
    ///
    /// # Errors
    /// It is open, or half-open and enough trials are under way.
    pub fn acquire(&mut self, now: Instant) -> Result<Permit, Rejected> {
        self.advance(now);
        let retry_after = match &mut self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed => return Ok(self.permit()),
            Phase::HalfOpen { trials, .. } if *trials < self.config.half_open_calls_max => {
                *trials = trials.saturating_add(1);
                return Ok(self.permit());
            }
            Phase::HalfOpen { .. } | Phase::ForcedOpen => None,
            Phase::Open { until } => Some(until.since(self.now)),
        };
        self.metrics.rejected = self.metrics.rejected.saturating_add(1);
        Err(Rejected { state: self.phase.state(), retry_after })
    }

    /// Takes note of how a call ended. How long it took counts from when its permit was given.
    pub fn record(&mut self, now: Instant, permit: Permit, outcome: Outcome) {
        self.advance(now);
        let slow = self.config.is_slow(self.now.since(permit.begun));
        let metrics = &mut self.metrics;
        metrics.under_way = metrics.under_way.saturating_sub(1);
        let is_late = permit.generation != self.generation;
        let failed = match outcome {
            Outcome::Ignored => {
                metrics.ignored_count = metrics.ignored_count.saturating_add(1);
                if !is_late {
                    self.end_trial();
                }
                return;
            }
            Outcome::Success => {
                metrics.success_count = metrics.success_count.saturating_add(1);
                false
            }
            Outcome::Failure => {
                metrics.failure_count = metrics.failure_count.saturating_add(1);
                true
            }
        };
        metrics.slow_count = metrics.slow_count.saturating_add(slow.into());
        if is_late {
            metrics.late_count = metrics.late_count.saturating_add(1);
            return;
        }
        self.end_trial();
        self.judge(Seen { failed, slow });
    }

    /// Gives a permit back whose call was given up, for no reason that tells of the other side.
    pub fn release(&mut self, now: Instant, permit: Permit) {
        self.record(now, permit, Outcome::Ignored);
    }

    /// The state as of `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Open { until } if until <= now.max(self.now) => BreakerState::HalfOpen,
            phase => phase.state(),
        }
    }

    /// When it changes by itself: it is open until then. Nobody has to tell it that the time is
    /// over.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { until } => Some(until),
            Phase::Closed { .. }
            | Phase::HalfOpen { .. }
            | Phase::ForcedOpen
            | Phase::ForcedClosed => None,
        }
    }

    /// Refuses all calls until it is reset or forced closed.
    #[doc(alias = "isolate")]
    pub fn force_open(&mut self, now: Instant) {
        self.force(now, Phase::ForcedOpen);
    }

    /// Allows all calls, however they end, until it is reset or forced open.
    pub fn force_closed(&mut self, now: Instant) {
        self.force(now, Phase::ForcedClosed);
    }

    /// Closes it and forgets what was counted. Calls that are under way do not count any more.
    pub fn reset(&mut self, now: Instant) {
        self.advance(now);
        self.openings = 0;
        self.change(self.now, CLOSED, Why::Reset);
    }

    /// As [`CircuitBreaker::reset`], and another configuration from now on.
    ///
    /// # Errors
    /// As [`BreakerConfig::validate`]; nothing has changed then.
    pub fn reconfigure(&mut self, now: Instant, config: BreakerConfig) -> Result<(), LimitError> {
        config.validate()?;
        self.reset(now);
        self.config = config;
        self.window = Sliding::new(&config);
        Ok(())
    }

    /// What was configured.
    pub fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// What it has seen.
    pub fn metrics(&self) -> BreakerMetrics {
        self.metrics
    }

    /// The next change of the state up to `now` that was not told yet.
    pub fn poll_transition(&mut self, now: Instant) -> Option<Transition> {
        self.advance(now);
        self.transitions.pop_front()
    }

    fn permit(&mut self) -> Permit {
        self.metrics.under_way = self.metrics.under_way.saturating_add(1);
        Permit { generation: self.generation, begun: self.now }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if let Phase::Open { until } = self.phase
            && until <= self.now
        {
            self.change(until, Phase::HalfOpen { trials: 0, successes: 0 }, Why::TimeIsOver);
        }
    }

    fn end_trial(&mut self) {
        if let Phase::HalfOpen { trials, .. } = &mut self.phase {
            *trials = trials.saturating_sub(1);
        }
    }

    fn judge(&mut self, seen: Seen) {
        match &mut self.phase {
            Phase::Closed { failures_in_a_row } => {
                *failures_in_a_row =
                    if seen.failed { failures_in_a_row.saturating_add(1) } else { 0 };
                let in_a_row = *failures_in_a_row;
                if let Some(why) = self.tripped(in_a_row, seen) {
                    self.open(why);
                }
            }
            // Who answers slowly has not recovered if that is what it was left alone for.
            Phase::HalfOpen { .. } if seen.failed || seen.slow => self.open(Why::TrialFailed),
            Phase::HalfOpen { successes, .. } => {
                *successes = successes.saturating_add(1);
                if *successes >= self.config.success_threshold {
                    self.openings = 0;
                    self.change(self.now, CLOSED, Why::TrialsSucceeded);
                }
            }
            // No call that begins while it is open can end in time.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    /// Takes the call into the window and tells which threshold is reached, if any.
    fn tripped(&mut self, failures_in_a_row: u32, seen: Seen) -> Option<Why> {
        let tally = self.window.add(self.now, seen);
        let failures = match self.config.counting {
            Counting::InARow => u64::from(failures_in_a_row),
            Counting::InWindow => tally.failures,
            Counting::Never => 0,
        };
        if failures >= u64::from(self.config.failure_threshold) {
            return Some(Why::Failures);
        }
        if tally.calls < u64::from(self.config.minimum_calls) {
            return None;
        }
        let reaches = |part, percent: u8| tally.reaches(part, percent);
        if self.config.failure_rate_percent.is_some_and(|rate| reaches(tally.failures, rate)) {
            return Some(Why::FailureRate);
        }
        let is_slow = self.config.slow_call_duration.is_some()
            && reaches(tally.slow, self.config.slow_call_rate_percent);
        is_slow.then_some(Why::SlowCalls)
    }

    fn open(&mut self, why: Why) {
        let longest = self.config.open_span(self.openings);
        let span = self.jitter.as_mut().map_or(longest, |jitter| shortened(longest, jitter));
        let until = self.now + span;
        self.openings = self.openings.saturating_add(1);
        self.change(self.now, Phase::Open { until }, why);
    }

    fn force(&mut self, now: Instant, to: Phase) {
        self.advance(now);
        if self.phase.state() != to.state() {
            self.openings = 0;
            self.change(self.now, to, Why::Forced);
        }
    }

    fn change(&mut self, at: Instant, to: Phase, why: Why) {
        let (from, phase) = (self.phase.state(), to);
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        self.window.clear();
        let to = phase.state();
        if from == to {
            return;
        }
        self.metrics.state_transitions = self.metrics.state_transitions.saturating_add(1);
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.transitions.pop_front();
            self.metrics.transitions_dropped = self.metrics.transitions_dropped.saturating_add(1);
        }
        self.transitions.push_back(Transition { from, to, at, why });
    }
}

/// Half of a time, and a random part of the other half. Draws by a linear congruential generator: it
/// spreads clients, and hides nothing.
fn shortened(span: Duration, state: &mut u64) -> Duration {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let half = u64::try_from(span.as_micros() / 2).unwrap_or(u64::MAX);
    // The upper half of the product: from nothing to `half`.
    let drawn = (u128::from(half).saturating_add(1) * u128::from(*state)) >> u64::BITS;
    let least = span.saturating_sub(Duration::from_micros(half));
    least.saturating_add(Duration::from_micros(u64::try_from(drawn).unwrap_or(half)))
}
