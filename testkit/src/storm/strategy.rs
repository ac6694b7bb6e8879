use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::{Backoff, BreakerConfig, Rate, RetryPolicy, RetryShare};

/// What the clients do when the server does not answer: the parts of a policy, each of which is there
/// or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strategy {
    /// For people.
    pub name: &'static str,
    /// What an operation may take in all.
    pub timeout: Duration,
    /// How often it is tried, when, and how long each attempt may take.
    pub retry: RetryPolicy,
    /// How much of the traffic may be repetitions. None: all of it.
    pub share: Option<RetryShare>,
    /// When the server is left alone.
    pub breaker: Option<BreakerConfig>,
    /// How many attempts may begin.
    pub rate: Option<Rate>,
    /// How many attempts may be under way at once; those beyond are refused. None: any number.
    pub calls_max: Option<usize>,
}

/// Five attempts of a second each, within 15 s.
const ATTEMPTS: u32 = 5;
const ATTEMPT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(15);

/// Nothing but a fifth of the operations, and next to nothing saved up: there are many clients.
const SHARE: RetryShare = RetryShare { percent: 20, saved_max: 1, reserve: None };

impl Strategy {
    /// Tries again 200 ms after each failure, whatever happens.
    ///
    /// # Errors
    /// None in truth.
    pub fn naive() -> Result<Self, LimitError> {
        Ok(Self {
            name: "naive",
            timeout: TIMEOUT,
            retry: retry(Backoff::constant(Duration::from_millis(200)))?,
            share: None,
            breaker: None,
            rate: None,
            calls_max: None,
        })
    }

    /// As many attempts, with delays that grow and are drawn at random.
    ///
    /// # Errors
    /// None in truth.
    pub fn backoff() -> Result<Self, LimitError> {
        let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(8));
        Ok(Self { name: "backoff", retry: retry(backoff)?, ..Self::naive()? })
    }

    /// The same, and a budget.
    ///
    /// # Errors
    /// None in truth.
    pub fn budget() -> Result<Self, LimitError> {
        Ok(Self { name: "backoff, budget", share: Some(SHARE), ..Self::backoff()? })
    }

    /// The same, and a breaker, a rate and a bound on what is under way: all parts of a policy.
    ///
    /// # Errors
    /// None in truth.
    pub fn full() -> Result<Self, LimitError> {
        Ok(Self {
            name: "full policy",
            breaker: Some(BreakerConfig {
                open_timeout: Duration::from_secs(2),
                open_timeout_max: Some(Duration::from_secs(8)),
                ..BreakerConfig::default()
            }),
            rate: Some(Rate { per_second: 4, burst: 8 }),
            calls_max: Some(16),
            ..Self::budget()?
        })
    }

    /// All four, from the worst to the best.
    ///
    /// # Errors
    /// None in truth.
    pub fn all() -> Result<[Self; 4], LimitError> {
        Ok([Self::naive()?, Self::backoff()?, Self::budget()?, Self::full()?])
    }
}

fn retry(backoff: Backoff) -> Result<RetryPolicy, LimitError> {
    RetryPolicy::new(ATTEMPTS, backoff)?.attempt_timeout(ATTEMPT)
}
