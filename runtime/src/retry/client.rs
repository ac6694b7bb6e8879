use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cndt_core::resilience::RetryPolicy;

use super::{Attempts, Repeat};
use crate::ask::Ask;
use crate::client::ClientShared;
use crate::error::CallError;
use crate::owner::Owner;
use crate::race::race;
use crate::rt::Task;

/// How one call of a client is repeated. As long as nothing has failed it costs nothing: what it needs
/// is found by the connection of the call.
pub(crate) struct Retrying {
    /// Whose call it is, where there is no connection to tell.
    client: Option<Arc<ClientShared>>,
    /// What the call says; otherwise its client's descriptor does.
    policy: Option<Box<RetryPolicy>>,
    is_idempotent: bool,
    under_way: Option<Box<UnderWay>>,
}

struct UnderWay {
    client: Arc<ClientShared>,
    attempts: Attempts,
    /// Over when the next attempt begins; taken then.
    pause: Option<Task>,
}

impl Retrying {
    /// Of a call to whoever owns its connection.
    pub(crate) fn new(client: Option<Arc<ClientShared>>) -> Self {
        Self { client, policy: None, is_idempotent: false, under_way: None }
    }

    /// For a call that somebody else repeats.
    pub(crate) fn never() -> Self {
        Self { policy: Some(Box::new(RetryPolicy::NEVER)), ..Self::new(None) }
    }

    pub(crate) fn idempotent(&mut self) {
        self.is_idempotent = true;
    }

    pub(crate) fn policy(&mut self, policy: RetryPolicy) {
        self.policy = Some(Box::new(policy));
    }

    /// What the first attempt may take of the whole.
    pub(crate) fn first_timeout(&self, timeout: Duration) -> Duration {
        self.policy.as_ref().map_or(timeout, |policy| policy.attempt_within(timeout))
    }

    /// An attempt has failed, of a call that may take so much time in all. Begins the pause before
    /// the next one.
    ///
    /// # Errors
    /// The same error, when there is no other attempt.
    pub(crate) fn failed(
        &mut self,
        ask: &Ask,
        method: &str,
        timeout: Duration,
        error: CallError,
    ) -> Result<(), CallError> {
        match self.pause(ask, method, timeout, &error) {
            Some(under_way) => {
                self.under_way = Some(under_way);
                Ok(())
            }
            None => Err(error),
        }
    }

    fn pause(
        &mut self,
        ask: &Ask,
        method: &str,
        timeout: Duration,
        error: &CallError,
    ) -> Option<Box<UnderWay>> {
        let mut under_way = match self.under_way.take() {
            Some(under_way) => under_way,
            None => {
                let client = self.client.take().or_else(|| client_of(ask))?;
                let policy = self.policy.as_deref().copied();
                let policy = policy.unwrap_or_else(|| client.descriptor.retry_policy());
                // A call without a connection was never asked, so it begins now.
                let began = ask.began().unwrap_or_else(|| client.machine.now());
                let attempts = Attempts::new(policy, began, timeout);
                Box::new(UnderWay { client, attempts, pause: None })
            }
        };
        let UnderWay { client, attempts, pause } = &mut *under_way;
        let is_idempotent = self.is_idempotent || client.descriptor.is_idempotent(method);
        let now = client.machine.now();
        let (is_unsent, retry_after) = match Repeat::after(error, is_idempotent) {
            Repeat::No => return None,
            Repeat::Unsent if client.is_over() => return None,
            Repeat::Unsent => (true, None),
            Repeat::Sent { retry_after } => (false, retry_after),
        };
        let at = attempts.failed(now, retry_after)?;
        if !is_unsent && !ask.link().is_some_and(|link| client.repetitions.allow(link, now)) {
            tracing::debug!(target: "cndt", method, %error, "not repeated: too much was");
            return None;
        }
        let (attempt, delay) = (attempts.count(), at.since(now));
        tracing::debug!(target: "cndt", method, attempt, ?delay, %error, "the call is repeated");
        *pause = Some(if is_unsent {
            // What waits for a connection need not wait longer than that takes.
            let waiting = Arc::clone(client);
            Box::pin(async move {
                race(waiting.until_usable(), waiting.machine.sleep_until(at)).await;
            })
        } else {
            client.machine.sleep_until(at)
        });
        Some(under_way)
    }

    /// Waits for the end of the pause, if there is one: what the next attempt asks.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ask>> {
        let Some(UnderWay { client, attempts, pause }) = self.under_way.as_deref_mut() else {
            return Poll::Ready(None);
        };
        let Some(waiting) = pause else { return Poll::Ready(None) };
        ready!(waiting.as_mut().poll(cx));
        *pause = None;
        let left = attempts.timeout(client.machine.now());
        Poll::Ready(Some(Ask::new(client.link(), left)))
    }
}

fn client_of(ask: &Ask) -> Option<Arc<ClientShared>> {
    match &ask.link()?.owner {
        Owner::Client(client) => Some(Arc::clone(client)),
        Owner::Server(_) => None,
    }
}
