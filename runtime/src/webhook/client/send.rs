use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cndt_core::webhook::{Attempted, Dead, DeliveryPolicy, MessageId, Next};
use http::Method;
use http::header::HeaderMap;

use super::Shared;
use super::answer::WebhookAnswer;
use super::descriptor::{ensure_timeout, header};
use super::detached::Detached;
use super::endpoint::{Endpoint, shown};
use super::error::{WebhookError, WebhookFailure};
use super::exchange::Letter;
use crate::entropy;
use crate::error::ConfigError;

type Sending = Pin<Box<dyn Future<Output = Result<WebhookAnswer, WebhookError>> + Send>>;

/// A webhook that is to be sent: await it. Made by [`WebhookClient::send`](super::WebhookClient::send).
/// Dropping what is awaited cancels it, though it may have arrived.
#[must_use = "nothing is sent before this is awaited or detached"]
pub struct SendWebhook {
    shared: Arc<Shared>,
    body: Result<Bytes, WebhookFailure>,
    id: Option<MessageId>,
    to: Option<String>,
    headers: HeaderMap,
    timeout: Duration,
    policy: DeliveryPolicy,
    wrong: Option<ConfigError>,
}

impl SendWebhook {
    pub(super) fn new(shared: Arc<Shared>, body: Result<Bytes, WebhookFailure>) -> Self {
        let (timeout, policy) = (shared.timeout, shared.policy.clone());
        let headers = shared.headers.clone();
        Self { shared, body, id: None, to: None, headers, timeout, policy, wrong: None }
    }

    /// The id of the delivery, the same for all its attempts. A random one.
    pub fn id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sends it to another URL.
    pub fn to(mut self, url: impl Into<String>) -> Self {
        self.to = Some(url.into());
        self
    }

    /// One more header; see [`WebhookClientDescriptor::header`](super::WebhookClientDescriptor::header).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match header(name, value) {
            Ok((name, value)) => drop(self.headers.insert(name, value)),
            Err(error) => drop(self.wrong.get_or_insert(error)),
        }
        self
    }

    /// What one attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The schedule of this one.
    pub fn policy(mut self, policy: DeliveryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Delivers it, whatever becomes of the caller: it begins at once, and goes on when the handle is
    /// dropped. Await the handle for the outcome.
    ///
    /// # Errors
    /// What is wrong with it, and [`WebhookFailure::Full`].
    pub fn detach(self) -> Result<Detached, WebhookError> {
        let shared = Arc::clone(&self.shared);
        let delivery = self.prepare()?;
        let url = delivery.letter.endpoint.to_string();
        let Some(place) = shared.place() else {
            let max = shared.detached_max;
            return Err(WebhookError::unsent(url, WebhookFailure::Full { max }));
        };
        Ok(Detached::spawn(shared.machine, url, async move {
            let outcome = delivery.run().await;
            drop(place);
            outcome
        }))
    }

    fn prepare(self) -> Result<Prepared, WebhookError> {
        let Self { shared, body, id, to, headers, timeout, policy, wrong } = self;
        let endpoint = match to {
            None => shared.endpoint.clone(),
            Some(url) => Endpoint::parse(&url)
                .map_err(|error| WebhookError::unsent(shown(&url), error.into()))?,
        };
        let fail = |failure| WebhookError::unsent(endpoint.to_string(), failure);
        if let Some(error) = wrong.or(ensure_timeout(timeout).err()) {
            return Err(fail(error.into()));
        }
        let body = body.map_err(fail)?;
        let id = match id {
            Some(id) => id,
            None => MessageId::new(entropy::draw().map_err(|e| fail(WebhookFailure::Entropy(e)))?),
        };
        let letter = Letter { endpoint, method: Method::POST, headers, body, timeout };
        Ok(Prepared { shared, letter, id, policy })
    }
}

impl IntoFuture for SendWebhook {
    type Output = Result<WebhookAnswer, WebhookError>;
    type IntoFuture = Sending;

    fn into_future(self) -> Sending {
        Box::pin(async move { self.prepare()?.run().await })
    }
}

impl std::fmt::Debug for SendWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = self.to.as_deref().map(shown);
        f.debug_struct("SendWebhook").field("id", &self.id).field("to", &to).finish_non_exhaustive()
    }
}

struct Prepared {
    shared: Arc<Shared>,
    letter: Letter,
    id: MessageId,
    policy: DeliveryPolicy,
}

impl Prepared {
    async fn run(self) -> Result<WebhookAnswer, WebhookError> {
        let Self { shared, letter, id, policy } = self;
        let machine = shared.machine;
        let sent = AtomicBool::new(false);
        let mut delivery = policy.begin(machine.unix_millis());
        let unsent = WebhookError::unsent(letter.endpoint.to_string(), WebhookFailure::Expired);
        let mut last = unsent;
        loop {
            let pause = delivery.due_in(machine.unix_millis());
            if !pause.is_zero() {
                machine.sleep_until(machine.now() + pause).await;
            }
            last.attempts = match delivery.attempt(machine.unix_millis()) {
                Ok(number) => number,
                Err(why) => return Err(WebhookError { given_up: Some(why), ..last }),
            };
            let outcome = shared.attempt(&letter, Some(&id), &sent).await;
            let now = machine.unix_millis();
            let how = match outcome {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => last.answered(answer),
                Err(failure) => last.unanswered(failure),
            };
            last.may_have_arrived = sent.load(Ordering::Relaxed);
            tracing::debug!(
                target: "cndt", url = %last.url, %id, attempt = last.attempts,
                failure = %last.failure, "a webhook was not delivered"
            );
            let random = entropy::jitter();
            match delivery.failed(now, how, random) {
                Next::At(_) => {}
                Next::Dead(why) => return Err(WebhookError { given_up: Some(why), ..last }),
                // Only a success makes it so.
                Next::Delivered => {
                    return Err(WebhookError { given_up: Some(Dead::Exhausted), ..last });
                }
            }
        }
    }
}

impl WebhookError {
    fn answered(&mut self, answer: WebhookAnswer) -> Attempted {
        let retry_after = answer.retry_after();
        self.failure = WebhookFailure::Status(answer.status);
        let status = answer.status.as_u16();
        self.answer = Some(Box::new(answer));
        Attempted::Answered { status, retry_after }
    }

    fn unanswered(&mut self, failure: WebhookFailure) -> Attempted {
        let how = match &failure {
            WebhookFailure::Config(_)
            | WebhookFailure::Encode(_)
            | WebhookFailure::Entropy(_)
            | WebhookFailure::Blocked { .. }
            | WebhookFailure::Expired
            | WebhookFailure::Full { .. }
            | WebhookFailure::Stopped => Attempted::Impossible,
            WebhookFailure::Connect(_)
            | WebhookFailure::Proxy(_)
            | WebhookFailure::TimedOut { .. }
            | WebhookFailure::Lost(_)
            | WebhookFailure::Status(_) => Attempted::Unanswered,
        };
        self.failure = failure;
        how
    }
}
