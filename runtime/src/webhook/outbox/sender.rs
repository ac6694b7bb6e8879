use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use cndt_core::webhook::MessageId;

/// Makes the attempts of an outbox: signs and sends. The keys are its own; none is ever stored.
///
/// Async functions and closures that take an [`Attempt`] and return an [`Outcome`] are senders too.
///
/// ```
/// use cndt_runtime::webhook::outbox::{Attempt, Outcome, Sender};
///
/// struct Log;
///
/// impl Sender for Log {
///     async fn send(&self, attempt: Attempt) -> Outcome {
///         println!("{} to {}", attempt.id, attempt.url);
///         Outcome::Answered { status: 200, retry_after: None }
///     }
/// }
/// ```
pub trait Sender: Send + Sync + 'static {
    /// Makes one attempt, and does not repeat it: that is up to the schedule. It may be dropped half
    /// way, when its time is over. A panic counts as no answer.
    fn send(&self, attempt: Attempt) -> impl Future<Output = Outcome> + Send;
}

impl<F, A> Sender for F
where
    F: Fn(Attempt) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send,
{
    fn send(&self, attempt: Attempt) -> impl Future<Output = Outcome> + Send {
        self(attempt)
    }
}

/// A webhook that is to be sent now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// The same for each attempt: it is what a receiver tells repetitions by.
    pub id: MessageId,
    /// Where to.
    pub url: String,
    /// Headers beside those that HTTP and the signature need; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The type of the payload.
    pub content_type: String,
    /// The payload, always the same bytes.
    pub payload: Bytes,
    /// Which attempt it is, from 1. One whose end could not be recorded does not count.
    pub number: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was an answer. 200 to 299 is delivered; [`Schedule`](super::Schedule) tells the rest.
    Answered {
        /// Its status.
        status: u16,
        /// What its header `Retry-After` asks for, as a span from now on.
        retry_after: Option<Duration>,
    },
    /// There was none: no connection, none in time, or one that was cut.
    Unanswered {
        /// What went wrong, for people. Stored, so it must hold no secret.
        reason: String,
    },
    /// It cannot be sent, and repeating changes nothing: the URL, say, leads where none may.
    Impossible {
        /// What went wrong, for people. Stored, so it must hold no secret.
        reason: String,
    },
}
