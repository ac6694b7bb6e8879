use std::time::Duration;

use cndt_core::resilience::{BreakerState, Outcome};

use super::verdict::{Classify, Fate, Verdict};

/// Why an operation under a [`Policy`](super::Policy) came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError<E> {
    /// The operation's own error, of its last attempt.
    #[error(transparent)]
    Failed(E),
    /// The operation, or its last attempt, took too long and was dropped. It may have been executed.
    #[error("not done within {after:?}; it may have been executed")]
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
    /// The circuit breaker refused it: the other side keeps failing. It was not begun.
    #[error("the circuit breaker is {state}{}", retry_words(.retry_after))]
    Open {
        /// The breaker's state.
        state: BreakerState,
        /// When the breaker looks again; `None` if that is not known.
        retry_after: Option<Duration>,
    },
    /// Too many were begun; this one was not.
    #[error("beyond the rate that the policy allows; try again in {retry_after:?}")]
    Limited {
        /// When there is room.
        retry_after: Duration,
    },
    /// Too many are under way, and too many wait; this one was not begun, or waited for too long.
    #[error(
        "{calls} are under way and {waiting} wait; try again later, or let the policy allow more"
    )]
    Full {
        /// Attempts that are under way.
        calls: usize,
        /// Attempts that wait.
        waiting: usize,
    },
}

fn retry_words(retry_after: &Option<Duration>) -> String {
    retry_after.map(|span| format!("; try again in {span:?}")).unwrap_or_default()
}

/// So that policies nest.
impl<E: Classify> Classify for PolicyError<E> {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Failed(error) => error.verdict(),
            Self::TimedOut { .. } => Verdict::of(Fate::Unknown),
            Self::Open { retry_after, .. } => {
                Verdict::of(Fate::Unsent).health(Outcome::Ignored).retry_after(*retry_after)
            }
            Self::Limited { retry_after } => {
                Verdict::of(Fate::Unsent).health(Outcome::Ignored).retry_after(*retry_after)
            }
            Self::Full { .. } => Verdict::of(Fate::Unsent).health(Outcome::Ignored),
        }
    }
}
