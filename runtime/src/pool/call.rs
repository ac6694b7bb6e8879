use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::message::Body;
use cndt_core::resilience::RetryPolicy;
use cndt_core::rpc::Reply;
use cndt_core::time::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::choice::Ended;
use super::{PoolShared, Trial};
use crate::call::{Arguments, RawCall};
use crate::client::ClientHandle;
use crate::error::{CallError, NotConnected};
use crate::link::Link;
use crate::retry::{Attempts, Repeat};
use crate::rt::Task;

/// A call through a pool, whose result is read as `T`. Made by `PoolHandle::call`.
///
/// The member is chosen, and the call sent, when the future is polled first; dropping it cancels the
/// call. What is repeated and what is not stands in the [module](super).
#[must_use = "a call is only sent when it is awaited"]
pub struct PoolCall<'a, P: ?Sized, T> {
    raw: PoolRawCall<'a, Arguments<'a, P>>,
    result: PhantomData<fn() -> T>,
}

impl<'a, P: ?Sized, T> PoolCall<'a, P, T> {
    pub(super) fn new(pool: &Arc<PoolShared>, method: &'a str, params: &'a P) -> Self {
        let raw = PoolRawCall::new(pool, method, Arguments::new(params));
        Self { raw, result: PhantomData }
    }

    /// How long to wait for the answer in all: waiting for room to send, and further attempts with
    /// the pauses between them, included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.raw.timeout = timeout;
        self
    }

    /// As [`Call::retry`](crate::Call::retry).
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self { raw: self.raw.retry(policy), ..self }
    }

    /// As [`Call::idempotent`](crate::Call::idempotent).
    pub fn idempotent(self) -> Self {
        Self { raw: self.raw.idempotent(), ..self }
    }

    /// The same call, giving the whole answer undecoded: what stands beside the result as well.
    pub fn raw(self) -> PoolRawCall<'a, Arguments<'a, P>> {
        self.raw
    }
}

impl<P: Serialize + ?Sized, T> PoolCall<'_, P, T> {
    /// Fire and forget; see [`Call::forget`](crate::Call::forget). The member's standing in the pool
    /// does not depend on it.
    ///
    /// # Errors
    /// As [`Call::forget`](crate::Call::forget).
    pub fn forget(self) -> Result<(), CallError> {
        self.raw.forget()
    }
}

impl<P: Serialize + ?Sized, T: DeserializeOwned + 'static> Future for PoolCall<'_, P, T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = Pin::new(&mut self.raw).poll(cx);
        let codec = self.raw.pool.codec();
        reply.map(|reply| codec.read(&reply?.data).map_err(CallError::Decode))
    }
}

/// A call through a pool whose answer is left as it came; see [`PoolCall`].
#[must_use = "a call is only sent when it is awaited"]
pub struct PoolRawCall<'a, B> {
    pool: Arc<PoolShared>,
    method: &'a str,
    params: B,
    timeout: Duration,
    /// What the call says; otherwise the pool's template does.
    policy: Option<Box<RetryPolicy>>,
    is_idempotent: bool,
    attempts: Option<Box<Attempts>>,
    /// When it was first polled.
    began: Instant,
    stage: Stage<'a, B>,
}

enum Stage<'a, B> {
    New,
    Asking(Attempt<'a, B>),
    /// Before the next attempt.
    Pausing(Task),
    Done,
}

/// The call on one member.
struct Attempt<'a, B> {
    /// If it does not leave, another member gets it at once.
    may_move: bool,
    trial: Trial,
    call: RawCall<'a, B>,
}

impl<'a, B> PoolRawCall<'a, B> {
    pub(super) fn new(pool: &Arc<PoolShared>, method: &'a str, params: B) -> Self {
        Self {
            pool: Arc::clone(pool),
            method,
            params,
            timeout: pool.descriptor.rpc_timeout,
            policy: None,
            is_idempotent: pool.descriptor.is_idempotent(method),
            attempts: None,
            began: Instant::ZERO,
            stage: Stage::New,
        }
    }

    /// As [`PoolCall::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// As [`PoolCall::retry`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// As [`PoolCall::idempotent`].
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    fn policy(&self) -> RetryPolicy {
        let own = self.policy.as_deref().copied();
        own.unwrap_or_else(|| self.pool.descriptor.retry_policy())
    }
}

impl<'a, B: Body + Copy> PoolRawCall<'a, B> {
    /// Fire and forget; see [`PoolCall::forget`].
    ///
    /// # Errors
    /// As [`Call::forget`](crate::Call::forget).
    pub fn forget(self) -> Result<(), CallError> {
        match self.stage {
            Stage::Asking(attempt) => return attempt.call.forget(),
            Stage::Done => return Ok(()),
            Stage::New | Stage::Pausing(_) => {}
        }
        let queue = |(member, client): (usize, &ClientHandle)| {
            let call = client.call_body(self.method, self.params, self.timeout);
            call.forget().map_err(|error| (member, error))
        };
        let Some(first) = self.pool.choose(None) else { return Err(NotConnected.into()) };
        match queue(first) {
            Ok(()) => Ok(()),
            Err((member, error)) if has_not_left(&error) => self
                .pool
                .choose(Some(member))
                .map_or(Err(error), |second| queue(second).map_err(|(_, error)| error)),
            Err((_, error)) => Err(error),
        }
    }

    /// Begins an attempt on a member, one that is not `except`. `None` when there is none, or no
    /// time.
    fn begin(&self, except: Option<usize>) -> Option<Attempt<'a, B>> {
        let begun = self.pool.machine.now();
        let left = (self.began + self.timeout).since(begun);
        if left.is_zero() && (except.is_some() || self.attempts.is_some()) {
            return None;
        }
        let (member, client) = self.pool.choose(except)?;
        let timeout = self.policy().attempt_within(left);
        let call = client.call_body(self.method, self.params, timeout);
        let trial = self.pool.begin(member, begun);
        Some(Attempt { trial, may_move: except.is_none(), call })
    }

    /// What follows after an attempt of the policy has failed, over that connection if there was one.
    fn again(&mut self, error: &CallError, link: Option<&Link>) -> Option<Task> {
        let machine = self.pool.machine;
        let now = machine.now();
        let (is_unsent, retry_after) = match Repeat::after(error, self.is_idempotent) {
            Repeat::No => return None,
            Repeat::Unsent => (true, None),
            Repeat::Sent { retry_after } => (false, retry_after),
        };
        let attempts = Attempts::new(self.policy(), self.began, self.timeout);
        let attempts = self.attempts.get_or_insert_with(|| Box::new(attempts));
        let at = attempts.failed(now, retry_after)?;
        if !is_unsent && !link.is_some_and(|link| self.pool.repetitions.allow(link, now)) {
            return None;
        }
        tracing::debug!(target: "cndt", method = self.method, %error, "the call is repeated");
        Some(machine.sleep_until(at))
    }

    /// Notes how one attempt ended, and takes what it has to say of the whole call.
    fn judge(&self, trial: &mut Trial, outcome: &mut Result<Reply, CallError>) {
        trial.ended = match outcome {
            Ok(_) => Ended::Answered,
            Err(CallError::Failed(failure)) => match failure {
                CallFailure::Remote(_) | CallFailure::Unreadable(_) | CallFailure::Refused => {
                    Ended::Answered
                }
                CallFailure::ConnectionLost { .. } => Ended::Failed,
                CallFailure::TimedOut { after } => {
                    *after = self.timeout;
                    Ended::Failed
                }
            },
            // It never came to a question.
            Err(CallError::NotConnected(_) | CallError::Send(_) | CallError::Decode(_)) => {
                Ended::GivenUp
            }
        };
    }
}

/// The peer cannot have seen any of it.
fn has_not_left(error: &CallError) -> bool {
    matches!(
        error,
        CallError::NotConnected(_) | CallError::Failed(CallFailure::ConnectionLost { sent: false })
    )
}

// Nothing in a call is ever pinned.
impl<B> Unpin for PoolRawCall<'_, B> {}

impl<B: Body + Copy> Future for PoolRawCall<'_, B> {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.stage, Stage::New) {
            self.began = self.pool.machine.now();
            self.stage = self.begin(None).map_or(Stage::Done, Stage::Asking);
        }
        loop {
            let (error, link) = match &mut self.stage {
                Stage::New | Stage::Done => (NotConnected.into(), None),
                Stage::Pausing(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.stage = self.begin(None).map_or(Stage::Done, Stage::Asking);
                    continue;
                }
                Stage::Asking(attempt) => {
                    let mut outcome = ready!(Pin::new(&mut attempt.call).poll(cx));
                    let stage = std::mem::replace(&mut self.stage, Stage::Done);
                    let Stage::Asking(attempt) = stage else { return Poll::Ready(outcome) };
                    let Attempt { mut trial, may_move, call } = attempt;
                    let member = trial.member;
                    self.judge(&mut trial, &mut outcome);
                    drop(trial);
                    let error = match outcome {
                        Ok(reply) => return Poll::Ready(Ok(reply)),
                        Err(error) => error,
                    };
                    let moves = may_move && has_not_left(&error);
                    if let Some(second) = moves.then(|| self.begin(Some(member))).flatten() {
                        self.stage = Stage::Asking(second);
                        continue;
                    }
                    (error, call.link().cloned())
                }
            };
            match self.again(&error, link.as_deref()) {
                Some(pause) => self.stage = Stage::Pausing(pause),
                None => return Poll::Ready(Err(error)),
            }
        }
    }
}
