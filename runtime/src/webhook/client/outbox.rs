//! Attempts for an outbox.

use std::time::Duration;

use cndt_core::resilience::Backoff;
use cndt_core::webhook::DeliveryPolicy;

use super::{WebhookClient, WebhookError, WebhookFailure};
use crate::webhook::outbox::{Attempt, Outcome, Sender};

/// Sends what is in an outbox, signed by the client's keys, with its headers and through its proxy; each
/// webhook goes to its own URL, and when it is repeated, the outbox says. The client's own URL and
/// `retry_count` are not used.
impl<R: 'static> Sender for WebhookClient<R> {
    async fn send(&self, attempt: Attempt) -> Outcome {
        let Attempt { id, url, headers, content_type, payload, .. } = attempt;
        let Ok(once) = DeliveryPolicy::new(1, Backoff::constant(Duration::ZERO)) else {
            return Outcome::Unanswered { reason: "one attempt is none".to_owned() };
        };
        let mut webhook = self.send_raw(payload).id(id).to(url).policy(once);
        webhook = webhook.header("content-type", &content_type);
        for (name, value) in &headers {
            webhook = webhook.header(name, value);
        }
        match webhook.await {
            Ok(answer) => Outcome::Answered { status: answer.status().as_u16(), retry_after: None },
            Err(error) => outcome(&error),
        }
    }
}

fn outcome(error: &WebhookError) -> Outcome {
    if let Some(status) = error.status() {
        let retry_after = error.answer.as_ref().and_then(|answer| answer.retry_after());
        return Outcome::Answered { status: status.as_u16(), retry_after };
    }
    let reason = error.failure.to_string();
    match error.failure {
        WebhookFailure::Config(_) | WebhookFailure::Encode(_) | WebhookFailure::Blocked { .. } => {
            Outcome::Impossible { reason }
        }
        WebhookFailure::Entropy(_)
        | WebhookFailure::Connect(_)
        | WebhookFailure::Proxy(_)
        | WebhookFailure::TimedOut { .. }
        | WebhookFailure::Lost(_)
        | WebhookFailure::Status(_)
        | WebhookFailure::Expired
        | WebhookFailure::Full { .. }
        | WebhookFailure::Stopped => Outcome::Unanswered { reason },
    }
}
