use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::answer::WebhookAnswer;
use super::error::WebhookError;
use super::send::SendWebhook;

/// Webhooks of a batch that may be under way at once.
const PARALLEL_MAX: usize = 256;

type Outcome = Result<WebhookAnswer, WebhookError>;
type Sending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Webhooks that are to be sent: await them for their outcomes, in the order of the payloads. Made by
/// [`WebhookClient::send_batch`](super::WebhookClient::send_batch).
#[must_use = "nothing is sent before this is awaited"]
pub struct SendBatch<'a> {
    webhooks: Box<dyn Iterator<Item = SendWebhook> + Send + 'a>,
    parallel: usize,
}

impl<'a> SendBatch<'a> {
    pub(super) fn new(webhooks: impl Iterator<Item = SendWebhook> + Send + 'a) -> Self {
        Self { webhooks: Box::new(webhooks), parallel: 1 }
    }

    /// So many at once, 1 to 256. One after the other otherwise.
    pub fn parallel(mut self, count: usize) -> Self {
        self.parallel = count.clamp(1, PARALLEL_MAX);
        self
    }

    async fn run(mut self) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        let mut running: Vec<(usize, Sending)> = Vec::new();
        let mut is_done = false;
        poll_fn(|cx| {
            loop {
                while !is_done && running.len() < self.parallel {
                    match self.webhooks.next() {
                        None => is_done = true,
                        Some(webhook) => {
                            running.push((outcomes.len(), webhook.into_future()));
                            outcomes.push(None);
                        }
                    }
                }
                let before = running.len();
                running.retain_mut(|(at, sending)| match sending.as_mut().poll(cx) {
                    Poll::Pending => true,
                    Poll::Ready(outcome) => {
                        if let Some(place) = outcomes.get_mut(*at) {
                            *place = Some(outcome);
                        }
                        false
                    }
                });
                if running.is_empty() && is_done {
                    return Poll::Ready(());
                }
                // Whoever takes the place of what is done must be polled, too.
                if running.len() == before || is_done {
                    return Poll::Pending;
                }
            }
        })
        .await;
        outcomes.into_iter().flatten().collect()
    }
}

impl<'a> IntoFuture for SendBatch<'a> {
    type Output = Vec<Outcome>;
    type IntoFuture = Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for SendBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch").field("parallel", &self.parallel).finish_non_exhaustive()
    }
}
