use std::io;
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::resilience::Outcome;
use cndt_core::rpc::ErrorCode;

use crate::error::{CallError, ConnectError, ConnectErrorKind, DeliveryError, OnceError};

/// What an error tells: whether the operation may be tried again, and how the other side is.
///
/// ```
/// use cndt_runtime::policy::{Fate, Verdict};
/// use std::time::Duration;
///
/// // The service answered that it is busy.
/// let busy = Verdict::of(Fate::Refused).retry_after(Duration::from_secs(2));
/// assert!(busy.may_repeat(false));
/// // It may have done what it was asked to.
/// assert!(!Verdict::of(Fate::Unknown).may_repeat(false));
/// assert!(Verdict::of(Fate::Unknown).may_repeat(true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How far the operation came.
    pub fate: Fate,
    /// What a circuit breaker makes of it.
    pub health: Outcome,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// How far an operation came that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Nothing of it has left this side.
    Unsent,
    /// The other side was asked, and did not execute it.
    Refused,
    /// The other side may have executed it.
    Unknown,
    /// The other side executed it: its error is the answer.
    Answered,
}

impl Verdict {
    /// With the health that this usually means: what was not answered is a failure, what was refused
    /// for now tells nothing, and an answer is a success.
    pub const fn of(fate: Fate) -> Self {
        let health = match fate {
            Fate::Unsent | Fate::Unknown => Outcome::Failure,
            Fate::Refused => Outcome::Ignored,
            Fate::Answered => Outcome::Success,
        };
        Self { fate, health, retry_after: None }
    }

    /// With another health.
    #[must_use]
    pub const fn health(self, health: Outcome) -> Self {
        Self { health, ..self }
    }

    /// The other side asks to be left alone for so long.
    #[must_use]
    pub fn retry_after(self, span: impl Into<Option<Duration>>) -> Self {
        Self { retry_after: span.into(), ..self }
    }

    /// Whether another attempt does no harm, of an operation that may be executed twice or may not.
    pub const fn may_repeat(&self, is_idempotent: bool) -> bool {
        match self.fate {
            Fate::Unsent | Fate::Refused => true,
            Fate::Unknown => is_idempotent,
            Fate::Answered => false,
        }
    }
}

/// Errors that know what they tell.
pub trait Classify {
    /// What this one tells.
    fn verdict(&self) -> Verdict;
}

impl Classify for CallFailure {
    fn verdict(&self) -> Verdict {
        match self {
            Self::ConnectionLost { sent: false } => Verdict::of(Fate::Unsent),
            Self::ConnectionLost { sent: true } | Self::TimedOut { .. } => {
                Verdict::of(Fate::Unknown)
            }
            Self::Remote(error) => match error.code {
                ErrorCode::RateLimited => {
                    Verdict::of(Fate::Refused).retry_after(error.retry_after())
                }
                ErrorCode::Unknown
                | ErrorCode::Internal
                | ErrorCode::ConnectionError
                | ErrorCode::Timeout => Verdict::of(Fate::Answered).health(Outcome::Failure),
                ErrorCode::Cancelled
                | ErrorCode::Validation
                | ErrorCode::MissingField
                | ErrorCode::InvalidType
                | ErrorCode::AuthRequired
                | ErrorCode::AuthFailed
                | ErrorCode::PermissionDenied
                | ErrorCode::MethodNotFound
                | ErrorCode::InvalidParams
                | ErrorCode::Other(_) => Verdict::of(Fate::Answered),
            },
            Self::Unreadable(_) | Self::Refused => Verdict::of(Fate::Answered),
        }
    }
}

impl Classify for CallError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::NotConnected(_) => Verdict::of(Fate::Unsent),
            Self::Failed(failure) => failure.verdict(),
            // The caller's own mistake, now and at the next attempt.
            Self::Send(_) | Self::Decode(_) => Verdict::of(Fate::Answered).health(Outcome::Ignored),
        }
    }
}

impl Classify for DeliveryError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::NotConnected(_) | Self::TimedOut { .. } => Verdict::of(Fate::Unsent),
            Self::Undelivered(_) => Verdict::of(Fate::Unknown),
            Self::Unacknowledged(failure) => failure.verdict(),
            Self::Send(_) => Verdict::of(Fate::Answered).health(Outcome::Ignored),
        }
    }
}

impl Classify for ConnectError {
    fn verdict(&self) -> Verdict {
        match &self.kind {
            // Connections load the other side's machine: repeating them takes a budget.
            ConnectErrorKind::Io { .. } | ConnectErrorKind::TimedOut { .. } => {
                Verdict::of(Fate::Refused).health(Outcome::Failure)
            }
            // A login that was refused once more counts as an attack sooner or later.
            ConnectErrorKind::Closed { .. } => Verdict::of(Fate::Answered).health(Outcome::Failure),
            ConnectErrorKind::Config(_)
            | ConnectErrorKind::Router(_)
            | ConnectErrorKind::Tls { .. } => Verdict::of(Fate::Answered).health(Outcome::Ignored),
        }
    }
}

impl Classify for OnceError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Connect(error) => error.verdict(),
            Self::Call(error) => error.verdict(),
            Self::Delivery(error) => error.verdict(),
        }
    }
}

impl Classify for io::Error {
    fn verdict(&self) -> Verdict {
        match self.kind() {
            io::ErrorKind::ConnectionRefused => Verdict::of(Fate::Refused).health(Outcome::Failure),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => Verdict::of(Fate::Unsent),
            _ => Verdict::of(Fate::Unknown),
        }
    }
}
