use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::answer::WebhookAnswer;
use super::error::{WebhookError, WebhookFailure};
use crate::rt::Machine;
use crate::watched::Watched;

type Outcome = Result<WebhookAnswer, WebhookError>;

/// A webhook that is delivered whatever becomes of this handle. Awaited, it tells the outcome.
#[derive(Debug)]
pub struct Detached(Arc<Watched<Option<Outcome>>>);

impl Detached {
    pub(super) fn spawn(
        machine: Machine,
        url: String,
        delivery: impl Future<Output = Outcome> + Send + 'static,
    ) -> Self {
        let handle = Self(Arc::new(Watched::new(None)));
        let mut told = Told { outcome: Arc::clone(&handle.0), url };
        machine.spawn(async move {
            let outcome = delivery.await;
            if let Err(error) = &outcome {
                tracing::warn!(target: "cndt", %error, "a webhook that nobody waits for");
            }
            told.tell(outcome);
        });
        handle
    }
}

impl Future for Detached {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.poll_take(cx, Option::take)
    }
}

/// Tells an outcome, even if the task ends without one.
struct Told {
    outcome: Arc<Watched<Option<Outcome>>>,
    url: String,
}

impl Told {
    fn tell(&mut self, outcome: Outcome) {
        self.outcome.change(|told| *told = Some(outcome));
        self.url.clear();
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if self.url.is_empty() {
            return;
        }
        let mut error =
            WebhookError::unsent(std::mem::take(&mut self.url), WebhookFailure::Stopped);
        error.may_have_arrived = true;
        self.tell(Err(error));
    }
}
