//! Calls that are made again: when that is safe, how often, and after what pause.
//!
//! A call is repeated if its client's descriptor allows several attempts (`retry_count`), or the call
//! itself does, and only
//! - when it cannot have been executed: there was no connection, none of its bytes had left, or the
//!   server refused it with RATE_LIMITED;
//! - or when executing it twice does no harm: the caller said so, by `Call::idempotent` or the
//!   descriptor's `idempotent_methods`. Then it is also repeated after a time-out or a connection that
//!   was lost.
//!
//! Every other error is an answer. Repetitions of calls that reached the server are at most a fifth of
//! what the client sends, and one a second beside it, so that clients do not keep a server down that
//! fails because of its load.
//!
//! ```
//! use cndt_tokio::{Backoff, CallError, ClientHandle, RetryPolicy};
//! use std::time::Duration;
//!
//! # async fn example(client: &ClientHandle) -> Result<(), Box<dyn std::error::Error>> {
//! let delays = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(2));
//! let policy = RetryPolicy::new(5, delays)?.attempt_timeout(Duration::from_secs(1))?;
//! let status: String = client.call("get_status", &()).idempotent().retry(policy).await?;
//! # Ok(())
//! # }
//! ```

mod client;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::{Retry, RetryBudget, RetryPolicy, RetryShare};
use cndt_core::time::Instant;

use crate::entropy;
use crate::link::Link;
use crate::peer::ConnectionId;
use crate::policy::{Classify, Fate};

pub(crate) use client::Retrying;

/// What a failed call allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    No,
    /// Nothing of it has left this side.
    Unsent,
    /// The peer got it, and either did not execute it, or may do so twice.
    Sent {
        /// What the peer asks to wait for.
        retry_after: Option<Duration>,
    },
}

impl Repeat {
    pub(crate) fn after(error: &impl Classify, is_idempotent: bool) -> Self {
        let verdict = error.verdict();
        match verdict.fate {
            Fate::Unsent => Self::Unsent,
            _ if verdict.may_repeat(is_idempotent) => {
                Self::Sent { retry_after: verdict.retry_after }
            }
            Fate::Refused | Fate::Unknown | Fate::Answered => Self::No,
        }
    }
}

/// What the calls of one client may repeat together.
pub(crate) struct Repetitions {
    state: Mutex<State>,
}

struct State {
    budget: RetryBudget,
    /// How much of the traffic of the newest connection the budget has been told of.
    counted: Option<(ConnectionId, u64)>,
}

impl Repetitions {
    pub(crate) fn new() -> Result<Self, LimitError> {
        let state = State { budget: RetryBudget::new(RetryShare::default())?, counted: None };
        Ok(Self { state: Mutex::new(state) })
    }

    /// Whether a call that was made over `link` may be made again.
    pub(crate) fn allow(&self, link: &Link, now: Instant) -> bool {
        let sent = link.lock().connection.stats().messages_sent;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = match state.counted {
            Some((id, counted)) if id == link.id => counted,
            // What the connection before it did since it was last looked at is not counted: that
            // errs on the side of fewer repetitions.
            Some(_) | None => 0,
        };
        state.budget.deposit(sent.saturating_sub(counted));
        let is_allowed = state.budget.withdraw(now);
        // The repetition is traffic as well, but earns nothing.
        let repeated = u64::from(is_allowed);
        state.counted = Some((link.id, sent.max(counted).saturating_add(repeated)));
        is_allowed
    }
}

/// The attempts of one call, from its first failure on.
pub(crate) struct Attempts {
    retry: Retry,
    /// When the time of the call as a whole is over.
    pub(crate) expires: Instant,
}

impl Attempts {
    /// Of a call that began then and has so much time.
    pub(crate) fn new(policy: RetryPolicy, began: Instant, timeout: Duration) -> Self {
        Self { retry: policy.begin(began), expires: began + timeout }
    }

    /// The attempt under way has failed: when the next one begins, if there is one.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
    ) -> Option<Instant> {
        let random = entropy::jitter();
        self.retry.failed(now, retry_after, random).filter(|at| *at < self.expires)
    }

    /// What the attempt that begins now may take.
    pub(crate) fn timeout(&self, now: Instant) -> Duration {
        self.retry.policy().attempt_within(self.expires.since(now))
    }

    pub(crate) fn count(&self) -> u32 {
        self.retry.attempts()
    }
}
