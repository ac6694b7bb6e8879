use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::message::{Body, from_slice};
use cndt_core::rpc::Reply;
use cndt_core::time::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::PoolShared;
use crate::call::{Arguments, RawCall};
use crate::client::ClientHandle;
use crate::error::{CallError, NotConnected};

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

    /// How long to wait for the answer in all: waiting for room to send and a second attempt
    /// included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.raw.timeout = timeout;
        self
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

impl<P: Serialize + ?Sized, T: DeserializeOwned> Future for PoolCall<'_, P, T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = Pin::new(&mut self.raw).poll(cx);
        reply.map(|reply| from_slice(&reply?.data).map_err(CallError::Decode))
    }
}

/// A call through a pool whose answer is left as it came; see [`PoolCall`].
#[must_use = "a call is only sent when it is awaited"]
pub struct PoolRawCall<'a, B> {
    pool: Arc<PoolShared>,
    method: &'a str,
    params: B,
    timeout: Duration,
    stage: Stage<'a, B>,
}

enum Stage<'a, B> {
    New,
    First(Attempt<'a, B>),
    Second(Attempt<'a, B>),
    Done,
}

/// The call on one member.
struct Attempt<'a, B> {
    member: usize,
    begun: Instant,
    /// When the time of the call as a whole is over.
    expires: Instant,
    call: RawCall<'a, B>,
}

impl<'a, B> PoolRawCall<'a, B> {
    pub(super) fn new(pool: &Arc<PoolShared>, method: &'a str, params: B) -> Self {
        let timeout = pool.rpc_timeout;
        Self { pool: Arc::clone(pool), method, params, timeout, stage: Stage::New }
    }

    /// As [`PoolCall::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<'a, B: Body + Copy> PoolRawCall<'a, B> {
    /// Fire and forget; see [`PoolCall::forget`].
    ///
    /// # Errors
    /// As [`Call::forget`](crate::Call::forget).
    pub fn forget(self) -> Result<(), CallError> {
        match self.stage {
            Stage::First(attempt) | Stage::Second(attempt) => return attempt.call.forget(),
            Stage::Done => return Ok(()),
            Stage::New => {}
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

    /// Begins on a member that is not `except`; `None` when there is none, or no time.
    fn begin(&self, expires: Instant, except: Option<usize>) -> Option<Attempt<'a, B>> {
        let begun = self.pool.machine.now();
        let left = expires.since(begun);
        if except.is_some() && left.is_zero() {
            return None;
        }
        let (member, client) = self.pool.choose(except)?;
        let call = client.call_body(self.method, self.params, left);
        Some(Attempt { member, begun, expires, call })
    }

    /// Notes how one attempt ended, and takes what it has to say of the whole call.
    fn judge(&self, attempt: &Attempt<'_, B>, outcome: &mut Result<Reply, CallError>) {
        let answered = match outcome {
            Ok(_) => true,
            Err(CallError::Failed(failure)) => match failure {
                CallFailure::Remote(_) | CallFailure::Unreadable(_) | CallFailure::Refused => true,
                CallFailure::ConnectionLost { .. } => false,
                CallFailure::TimedOut { after } => {
                    *after = self.timeout;
                    false
                }
            },
            // It never came to a question.
            Err(CallError::NotConnected(_) | CallError::Send(_) | CallError::Decode(_)) => return,
        };
        self.pool.record(attempt.member, attempt.begun, answered);
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
            let expires = self.pool.machine.now() + self.timeout;
            self.stage = self.begin(expires, None).map_or(Stage::Done, Stage::First);
        }
        loop {
            let (Stage::First(attempt) | Stage::Second(attempt)) = &mut self.stage else {
                return Poll::Ready(Err(NotConnected.into()));
            };
            let Poll::Ready(mut outcome) = Pin::new(&mut attempt.call).poll(cx) else {
                return Poll::Pending;
            };
            let stage = std::mem::replace(&mut self.stage, Stage::Done);
            let (attempt, may_repeat) = match stage {
                Stage::First(attempt) => (attempt, true),
                Stage::Second(attempt) => (attempt, false),
                Stage::New | Stage::Done => return Poll::Ready(outcome),
            };
            self.judge(&attempt, &mut outcome);
            let unsent = outcome.as_ref().is_err_and(has_not_left);
            if !(may_repeat && unsent) {
                return Poll::Ready(outcome);
            }
            match self.begin(attempt.expires, Some(attempt.member)) {
                Some(second) => self.stage = Stage::Second(second),
                None => return Poll::Ready(outcome),
            }
        }
    }
}
