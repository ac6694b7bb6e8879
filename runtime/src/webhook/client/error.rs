use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use cndt_core::resilience::Outcome;
use cndt_core::webhook::Dead;

use super::answer::WebhookAnswer;
use crate::error::{ConfigError, ConnectErrorKind};
use crate::policy::{Classify, Fate, Verdict};

/// Why a webhook was not delivered.
#[derive(Debug)]
pub struct WebhookError {
    /// Where to, without user, password and query.
    pub url: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt came to.
    pub failure: WebhookFailure,
    /// Why there was no further attempt; `None` where there was none at all.
    pub given_up: Option<Dead>,
    /// The last answer, if there was one: its body tells more, and is bounded by `response_max`.
    pub answer: Option<Box<WebhookAnswer>>,
    /// Whether an attempt may have reached the receiver.
    pub may_have_arrived: bool,
}

/// What an attempt came to that did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFailure {
    /// A setting is wrong: the URL, a header, the proxy.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The payload cannot be written as JSON.
    #[error("the payload is not JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// The operating system gave no random bytes for an id.
    #[error("no random numbers from the operating system: {0}")]
    Entropy(io::Error),
    /// All addresses of the host are private, and `block_private_addresses` is on.
    #[error("{host} has no public address, and private ones are blocked")]
    Blocked {
        /// The host.
        host: String,
    },
    /// There is no connection to the receiver, or to the proxy.
    #[error("no connection: {0}")]
    Connect(ConnectErrorKind),
    /// The proxy makes no tunnel.
    #[error("the proxy makes no tunnel: {0}")]
    Proxy(String),
    /// There was no whole answer in time. A connection counts, too.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// `timeout`.
        after: Duration,
    },
    /// The connection ended before there was a whole answer.
    #[error("the connection ended before there was an answer: {0}")]
    Lost(hyper::Error),
    /// An answer that is no success.
    #[error("status {0}")]
    Status(http::StatusCode),
    /// The delivery's time was over before its first attempt.
    #[error("its time was over before it was sent")]
    Expired,
    /// There are `detached_max` webhooks under way that nobody waits for.
    #[error("{max} webhooks are under way already; wait for some of them, or raise detached_max")]
    Full {
        /// `detached_max`.
        max: usize,
    },
    /// The runtime has been shut down, or the task has panicked.
    #[error("the task that delivers it has ended")]
    Stopped,
}

impl WebhookError {
    /// Before anything was tried.
    pub(super) fn unsent(url: String, failure: WebhookFailure) -> Self {
        Self { url, attempts: 0, failure, given_up: None, answer: None, may_have_arrived: false }
    }

    /// The last answer's status.
    pub fn status(&self) -> Option<http::StatusCode> {
        self.answer.as_ref().map(|answer| answer.status())
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the webhook to {} was not delivered", self.url)?;
        match self.attempts {
            0 | 1 => {}
            count => write!(f, " in {count} attempts")?,
        }
        write!(f, ": {}", self.failure)?;
        match self.given_up {
            // The status says the same.
            Some(Dead::Refused(_) | Dead::Impossible | Dead::Exhausted) | None => Ok(()),
            Some(why @ (Dead::Redirected(_) | Dead::Gone | Dead::Expired)) => write!(f, "; {why}"),
        }
    }
}

impl Error for WebhookError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.failure)
    }
}

impl Classify for WebhookError {
    /// Statuses 429 and 503 are refusals; 408, 425, 500, 502, 504 and answers that are missing leave
    /// open whether the receiver has done its work. Each attempt of one delivery
    /// has the same id, so receivers can tell.
    fn verdict(&self) -> Verdict {
        let retry_after = self.answer.as_ref().and_then(|answer| answer.retry_after());
        let verdict = match &self.failure {
            WebhookFailure::Config(_)
            | WebhookFailure::Encode(_)
            | WebhookFailure::Blocked { .. }
            | WebhookFailure::Connect(
                ConnectErrorKind::Config(_)
                | ConnectErrorKind::Router(_)
                | ConnectErrorKind::Tls { .. },
            ) => Verdict::of(Fate::Answered).health(Outcome::Ignored),
            WebhookFailure::Connect(
                ConnectErrorKind::Io { .. }
                | ConnectErrorKind::TimedOut { .. }
                | ConnectErrorKind::Closed { .. },
            )
            | WebhookFailure::Proxy(_) => Verdict::of(Fate::Unsent),
            WebhookFailure::Entropy(_) | WebhookFailure::Full { .. } | WebhookFailure::Expired => {
                Verdict::of(Fate::Unsent).health(Outcome::Ignored)
            }
            WebhookFailure::TimedOut { .. } if !self.may_have_arrived => Verdict::of(Fate::Unsent),
            WebhookFailure::TimedOut { .. } | WebhookFailure::Lost(_) => Verdict::of(Fate::Unknown),
            WebhookFailure::Stopped => Verdict::of(Fate::Unknown).health(Outcome::Ignored),
            WebhookFailure::Status(status) => match status.as_u16() {
                429 => Verdict::of(Fate::Refused).retry_after(retry_after),
                503 => Verdict::of(Fate::Refused).health(Outcome::Failure).retry_after(retry_after),
                408 | 425 | 500 | 502 | 504 => Verdict::of(Fate::Unknown).retry_after(retry_after),
                500..=599 => Verdict::of(Fate::Answered).health(Outcome::Failure),
                _ => Verdict::of(Fate::Answered),
            },
        };
        // What failed before it left may still follow an attempt that did not.
        match verdict.fate {
            Fate::Unsent if self.may_have_arrived => Verdict { fate: Fate::Unknown, ..verdict },
            Fate::Unsent | Fate::Refused | Fate::Unknown | Fate::Answered => verdict,
        }
    }
}
