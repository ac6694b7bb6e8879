use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::{
    BreakerConfig, Bulkhead, BulkheadConfig, CircuitBreaker, Rate, RetryBudget, RetryPolicy,
    RetryShare, TokenBucket,
};

use crate::error::ConfigError;

/// What a [`Policy`](super::Policy) does. Nothing at first; each part is added by its method.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicyConfig {
    pub(super) timeout: Option<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) share: RetryShare,
    pub(super) is_idempotent: bool,
    pub(super) breaker: Option<BreakerConfig>,
    pub(super) rate: Option<Rate>,
    pub(super) bulkhead: Option<BulkheadConfig>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl PolicyConfig {
    /// Operations run once, as they are.
    pub fn new() -> Self {
        Self {
            timeout: None,
            retry: RetryPolicy::NEVER,
            share: RetryShare::default(),
            is_idempotent: false,
            breaker: None,
            rate: None,
            bulkhead: None,
        }
    }

    /// What an operation may take in all: waiting, attempts and the pauses between them. It is dropped
    /// then. More than nothing.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often it is tried, where its error allows that; see [`Verdict`](super::Verdict).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How much of the traffic may be repetitions. 20 of a hundred operations, and one a second beside
    /// them.
    pub fn retry_share(mut self, share: RetryShare) -> Self {
        self.share = share;
        self
    }

    /// Executing an operation twice does no harm: it is also repeated when it may have been executed.
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// Leaves the other side alone for a while when it keeps failing: each time for at least half of
    /// `open_timeout` and at most all of it, at random, so that clients which it failed together do
    /// not try it together.
    pub fn breaker(mut self, config: BreakerConfig) -> Self {
        self.breaker = Some(config);
        self
    }

    /// How many attempts may begin. Those beyond are refused, and the retry policy may try them again
    /// when there is room.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How many attempts may be under way at once, and how many wait for a place.
    pub fn bulkhead(mut self, config: BulkheadConfig) -> Self {
        self.bulkhead = Some(config);
        self
    }

    /// Checks every part.
    ///
    /// # Errors
    /// The first field that makes no sense, by its name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.parts().map(drop)
    }

    pub(super) fn parts(&self) -> Result<Parts, ConfigError> {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(ConfigError::new("timeout", "must be longer than nothing", "0ns"));
        }
        let parts = || -> Result<Parts, LimitError> {
            Ok(Parts {
                budget: RetryBudget::new(self.share)?,
                breaker: self.breaker.map(CircuitBreaker::new).transpose()?,
                bucket: self.rate.map(TokenBucket::new).transpose()?,
                bulkhead: self.bulkhead.map(Bulkhead::new).transpose()?,
            })
        };
        parts().map_err(ConfigError::from)
    }
}

/// The machines of one policy.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) budget: RetryBudget,
    pub(super) breaker: Option<CircuitBreaker>,
    pub(super) bucket: Option<TokenBucket>,
    pub(super) bulkhead: Option<Bulkhead>,
}
