use core::fmt;

use crate::time::Instant;

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing, until its time is over.
    Open,
    /// A few trials, which decide what comes next.
    HalfOpen,
    /// Nothing, until somebody resets it. Others call it isolated.
    ForcedOpen,
    /// Everything, until somebody resets it.
    ForcedClosed,
}

impl BreakerState {
    /// `closed`, `open`, `half_open`, `forced_open` or `forced_closed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A change of the state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The state that ended.
    pub from: BreakerState,
    /// The state that began.
    pub to: BreakerState,
    /// When. What a time-out changes has changed when it was over, however late it was noticed.
    pub at: Instant,
    /// What changed it.
    pub why: Why,
}

/// What changed the state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// `failure_threshold` was reached.
    Failures,
    /// `failure_rate_percent` was reached.
    FailureRate,
    /// `slow_call_rate_percent` was reached.
    SlowCalls,
    /// It had been open for its time.
    TimeIsOver,
    /// A trial failed, or was slow.
    TrialFailed,
    /// `success_threshold` trials succeeded.
    TrialsSucceeded,
    /// `force_open` or `force_closed`.
    Forced,
    /// `reset` or `reconfigure`.
    Reset,
}
