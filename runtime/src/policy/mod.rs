//! Resilience for anything that may fail: calls, webhooks, and every async operation of your own.
//!
//! A [`Policy`] is a stack of parts, each of which is there or not. From the outside in:
//!
//! 1. **timeout**: what the whole may take;
//! 2. **retry**: attempts with pauses between them, and a share of the traffic that they may not exceed;
//! 3. **breaker**: leaves the other side alone for a while when it keeps failing;
//! 4. **rate**: how many attempts may begin;
//! 5. **bulkhead**: how many are under way at once, and how many wait.
//!
//! All operations of one policy, and of its clones, share its parts: make one for each thing that fails
//! on its own, such as a service. [`Policies`] keeps them by name. What ten thousand clients under one do
//! to a server that flaps, and what to configure then: `docs/resilience/README.md` in the repository.
//!
//! ```
//! use cndt_tokio::policy::{PolicyConfig, PolicyError};
//! use cndt_tokio::{Backoff, BreakerConfig, Policy, RetryPolicy};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let delays = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5));
//! let config = PolicyConfig::new()
//!     .timeout(Duration::from_secs(30))
//!     .retry(RetryPolicy::new(3, delays)?)
//!     .breaker(BreakerConfig { failure_threshold: 2, ..BreakerConfig::default() });
//! let policy = Policy::new("user-service", config)?;
//!
//! let fetch = || async { Err::<String, _>(std::io::Error::other("it is down")) };
//! for _ in 0..2 {
//!     assert!(matches!(policy.execute(fetch).await, Err(PolicyError::Failed(_))));
//! }
//! // Now it is left alone: `fetch` is not even asked.
//! assert!(matches!(policy.execute(fetch).await, Err(PolicyError::Open { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # Calls and webhooks
//!
//! `policy.execute(|| client.call::<_, i64>("add", &(1, 2)))` does what one would expect, for CNDT and
//! JSON-RPC alike, and so does `policy.execute(|| webhooks.send(&event))`: each attempt goes over whatever connection the client has then. An error says by
//! itself whether repeating is safe ([`Classify`]); what may have been executed is repeated only under
//! [`PolicyConfig::idempotent`].
//!
//! # Errors of your own
//!
//! Implement [`Classify`] for them, or tell by [`Policy::execute_with`] what they mean.

mod config;
mod error;
mod gate;
#[cfg(feature = "tower")]
mod layer;
mod named;
mod verdict;

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::resilience::{BreakerMetrics, BreakerState, Deadline, Outcome, Transition};

use config::Parts;
pub use config::PolicyConfig;
pub use error::PolicyError;
#[cfg(feature = "tower")]
pub use layer::{PolicyLayer, PolicyService};
pub use named::Policies;
pub use verdict::{Classify, Fate, Verdict};

use crate::entropy;
use crate::error::ConfigError;
use crate::race::{First, race};
use crate::rt::{Machine, Runtime};
use gate::{Gate, Refused};

/// See the [module](self). Cheap to clone: clones share everything.
pub struct Policy<R> {
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
}

struct Shared {
    machine: Machine,
    config: PolicyConfig,
    gate: Gate,
}

/// What a policy has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyMetrics {
    /// Operations that were begun.
    pub operations: u64,
    /// Attempts beside their first ones.
    pub repetitions: u64,
    /// Operations that took too long as a whole.
    pub timed_out: u64,
    /// Attempts beyond the rate.
    pub limited: u64,
    /// Attempts that found no place, or none in time.
    pub full: u64,
    /// Attempts that wait for a place now.
    pub waiting: usize,
    /// The breaker's state; closed where there is none.
    pub state: BreakerState,
    /// What the breaker has seen.
    pub breaker: BreakerMetrics,
}

impl Default for PolicyMetrics {
    fn default() -> Self {
        Self {
            operations: 0,
            repetitions: 0,
            timed_out: 0,
            limited: 0,
            full: 0,
            waiting: 0,
            state: BreakerState::Closed,
            breaker: BreakerMetrics::default(),
        }
    }
}

impl<R: Runtime> Policy<R> {
    /// A policy with nothing to remember yet. The name is for the log.
    ///
    /// # Errors
    /// A part of the configuration that makes no sense, by its name.
    pub fn new(name: &str, config: PolicyConfig) -> Result<Self, ConfigError> {
        Ok(Self::of_parts(name, config, config.parts()?))
    }

    fn of_parts(name: &str, config: PolicyConfig, mut parts: Parts) -> Self {
        let machine = Machine::of::<R>();
        // Without randomness, times are as configured.
        if let Ok(entropy) = entropy::draw() {
            let entropy = u64::from_be_bytes(entropy);
            parts.breaker = parts.breaker.map(|breaker| breaker.with_jitter(entropy));
        }
        let gate = Gate::new(machine, name, parts);
        Self { shared: Arc::new(Shared { machine, config, gate }), runtime: PhantomData }
    }
}

impl<R> Policy<R> {
    /// Runs an operation under the policy. `operation` makes one attempt each time that it is called.
    ///
    /// Dropping the future drops the attempt under way, which tells the breaker nothing.
    ///
    /// # Errors
    /// [`PolicyError::Failed`] with the operation's own error, or why it was not begun.
    pub async fn execute<T, E, F, Fut>(&self, operation: F) -> Result<T, PolicyError<E>>
    where
        E: Classify,
        F: FnMut() -> Fut,
        Fut: IntoFuture<Output = Result<T, E>>,
    {
        self.execute_with(E::verdict, operation).await
    }

    /// The same for errors that do not know what they tell.
    ///
    /// ```
    /// use cndt_tokio::policy::{Fate, Policy, PolicyConfig, Verdict};
    /// # async fn example(policy: Policy<cndt_tokio::Tokio>) {
    /// let status = policy.execute_with(
    ///     |status: &u16| match status {
    ///         429 | 503 => Verdict::of(Fate::Refused),
    ///         _ => Verdict::of(Fate::Answered),
    ///     },
    ///     || async { Err::<(), u16>(503) },
    /// );
    /// # let _ = status.await;
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Policy::execute`].
    pub async fn execute_with<T, E, C, F, Fut>(
        &self,
        verdict: C,
        operation: F,
    ) -> Result<T, PolicyError<E>>
    where
        C: Fn(&E) -> Verdict,
        F: FnMut() -> Fut,
        Fut: IntoFuture<Output = Result<T, E>>,
    {
        let Shared { machine, config, gate } = &*self.shared;
        gate.begin();
        let Some(after) = config.timeout else {
            return self.attempts(Deadline::NEVER, verdict, operation).await;
        };
        let deadline = Deadline::after(machine.now(), after);
        let attempts = self.attempts(deadline, verdict, operation);
        match race(attempts, machine.sleep_until(deadline.instant())).await {
            First::Left(outcome) => outcome,
            First::Right(()) => {
                gate.timed_out();
                Err(PolicyError::TimedOut { after })
            }
        }
    }

    async fn attempts<T, E, C, F, Fut>(
        &self,
        deadline: Deadline,
        verdict: C,
        mut operation: F,
    ) -> Result<T, PolicyError<E>>
    where
        C: Fn(&E) -> Verdict,
        F: FnMut() -> Fut,
        Fut: IntoFuture<Output = Result<T, E>>,
    {
        let Shared { machine, config, gate } = &*self.shared;
        let mut retry = config.retry.begin(machine.now());
        let mut before = None;
        loop {
            let error = match self.attempt(deadline, &verdict, &mut operation).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let verdict = match &error {
                PolicyError::Failed(error) => verdict(error),
                PolicyError::TimedOut { .. } => Verdict::of(Fate::Unknown),
                PolicyError::Limited { retry_after } => {
                    Verdict::of(Fate::Unsent).retry_after(*retry_after)
                }
                // They ask to be left alone; what came before tells more than that.
                PolicyError::Open { .. } | PolicyError::Full { .. } => {
                    return Err(before.unwrap_or(error));
                }
            };
            if !verdict.may_repeat(config.is_idempotent) {
                return Err(error);
            }
            let now = machine.now();
            let random = entropy::jitter();
            let Some(at) = retry.failed(now, verdict.retry_after, random) else {
                return Err(error);
            };
            // Nobody is there to hear of it any more.
            if Deadline::at(at) >= deadline && deadline != Deadline::NEVER {
                return Err(error);
            }
            if verdict.fate != Fate::Unsent && !gate.may_repeat() {
                return Err(error);
            }
            gate.repeated();
            before = Some(error);
            machine.sleep_until(at).await;
        }
    }

    async fn attempt<T, E, C, F, Fut>(
        &self,
        deadline: Deadline,
        verdict: &C,
        operation: &mut F,
    ) -> Result<T, PolicyError<E>>
    where
        C: Fn(&E) -> Verdict,
        F: FnMut() -> Fut,
        Fut: IntoFuture<Output = Result<T, E>>,
    {
        let Shared { machine, config, gate } = &*self.shared;
        let mut inside = gate.enter().await.map_err(|refused| match refused {
            Refused::Open(rejected) => {
                PolicyError::Open { state: rejected.state, retry_after: rejected.retry_after }
            }
            Refused::Limited(retry_after) => PolicyError::Limited { retry_after },
            Refused::Full { calls, waiting } => PolicyError::Full { calls, waiting },
        })?;
        inside.expires(deadline.instant());
        let now = machine.now();
        let after = config.retry.attempt_within(Duration::MAX);
        let outcome = if after == Duration::MAX {
            operation().into_future().await
        } else {
            match race(operation().into_future(), machine.sleep_until(now + after)).await {
                First::Left(outcome) => outcome,
                First::Right(()) => {
                    inside.ended(Outcome::Failure);
                    return Err(PolicyError::TimedOut { after });
                }
            }
        };
        inside.ended(
            outcome.as_ref().map_or_else(|error| verdict(error).health, |_| Outcome::Success),
        );
        outcome.map_err(PolicyError::Failed)
    }

    /// What was configured.
    pub fn config(&self) -> &PolicyConfig {
        &self.shared.config
    }

    /// The breaker's state; closed where there is none.
    pub fn state(&self) -> BreakerState {
        self.shared.gate.breaker(|breaker, now| breaker.state(now)).unwrap_or(BreakerState::Closed)
    }

    /// What the policy has done so far.
    pub fn metrics(&self) -> PolicyMetrics {
        self.shared.gate.metrics()
    }

    /// The newest sixteen changes of the breaker's state, oldest first. They are logged as well.
    pub fn transitions(&self) -> Vec<Transition> {
        self.shared.gate.transitions()
    }

    /// Refuses all operations until [`Policy::reset`]. Without a breaker it does nothing.
    #[doc(alias = "isolate")]
    pub fn force_open(&self) {
        self.shared.gate.breaker(|breaker, now| breaker.force_open(now));
    }

    /// Lets all operations through, however they end, until [`Policy::reset`].
    pub fn force_closed(&self) {
        self.shared.gate.breaker(|breaker, now| breaker.force_closed(now));
    }

    /// Closes the breaker and forgets what it counted.
    pub fn reset(&self) {
        self.shared.gate.breaker(|breaker, now| breaker.reset(now));
    }
}

// Derived, it would ask the same of `R`.
impl<R> Clone for Policy<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), runtime: PhantomData }
    }
}

impl<R> std::fmt::Debug for Policy<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("config", &self.shared.config)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
