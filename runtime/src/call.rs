//! A call under way. Nothing is sent before the future is polled; dropping it cancels the call.
//!
//! ```
//! use cndt_tokio::{Client, ClientDescriptor, Params, Server, ServerDescriptor};
//! # use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! let server = Server::new(descriptor)
//!     .rpc("double", |Params(n): Params<(i64,)>| async move { n.0 * 2 })
//!     .start()
//!     .await?;
//! let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret");
//! let client = Client::new(descriptor).connect().await?;
//!
//! let doubled: i64 = client.call("double", &(21,)).timeout(Duration::from_secs(2)).await?;
//! assert_eq!(doubled, 42);
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use cndt_core::connection::CallFailure;
use cndt_core::message::{Body, BodyError, Splices, Typed};
use cndt_core::resilience::RetryPolicy;
use cndt_core::rpc::Reply;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::{Ask, Unanswered};
use crate::error::{CallError, NotConnected};
use crate::link::Link;
use crate::protocol::Protocol;
use crate::retry::Retrying;

/// Parameters of a call: any serde value. Nothing at all is sent as an empty map, because methods
/// take their parameters by name. On JSON-RPC connections they are what serde_json makes of them:
/// readable, with whole numbers of any size; bytes are lists of numbers, what is no number is null.
#[derive(Debug)]
pub struct Arguments<'a, P: ?Sized>(&'a P);

// Derived, they would ask the same of `P`, which is only borrowed.
impl<P: ?Sized> Clone for Arguments<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: ?Sized> Copy for Arguments<'_, P> {}

impl<'a, P: ?Sized> Arguments<'a, P> {
    pub(crate) fn new(params: &'a P) -> Self {
        Self(params)
    }
}

/// No fields, where nothing at all was written.
fn fill_in(written: &mut [u8]) {
    const NIL: u8 = 0xc0;
    const EMPTY_MAP: u8 = 0x80;
    if let [only @ NIL] = written {
        *only = EMPTY_MAP;
    }
}

impl<P: Serialize + ?Sized> Body for Arguments<'_, P> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        let start = out.len();
        Typed(self.0).write(out)?;
        fill_in(&mut out[start..]);
        Ok(())
    }

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        let start = out.len();
        Typed(self.0).write_sharing(out, splices)?;
        fill_in(&mut out[start..]);
        Ok(())
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        let start = out.len();
        Typed(self.0).write_json(out)?;
        if out[start..] == *b"null" {
            out.truncate(start);
            out.extend_from_slice(b"{}");
        }
        Ok(())
    }
}

/// A call whose result is read as `T`. Made by `ClientHandle::call` and `Peer::call`.
#[must_use = "a call is only sent when it is awaited"]
pub struct Call<'a, P: ?Sized, T> {
    raw: RawCall<'a, Arguments<'a, P>>,
    result: PhantomData<fn() -> T>,
}

impl<'a, P: ?Sized, T> Call<'a, P, T> {
    pub(crate) fn new(
        link: Option<Arc<Link>>,
        method: &'a str,
        params: &'a P,
        timeout: Duration,
    ) -> Self {
        Self { raw: RawCall::new(link, method, Arguments(params), timeout), result: PhantomData }
    }

    pub(crate) fn retrying(self, retrying: Retrying) -> Self {
        Self { raw: self.raw.retrying(retrying), ..self }
    }

    /// How long to wait for the answer in all: waiting for room to send, and further attempts with
    /// the pauses between them, included.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { raw: self.raw.timeout(timeout), ..self }
    }

    /// How often the call is tried, instead of what the client's descriptor says; see
    /// [`retry`](crate::retry). Of no effect on calls of a `Peer`, which has only its one connection.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self { raw: self.raw.retry(policy), ..self }
    }

    /// Executing it twice does no harm: where calls are repeated, this one also is when it may have
    /// been executed; see [`retry`](crate::retry).
    pub fn idempotent(self) -> Self {
        Self { raw: self.raw.idempotent(), ..self }
    }

    /// The same call, giving the whole answer undecoded: what stands beside the result as well.
    pub fn raw(self) -> RawCall<'a, Arguments<'a, P>> {
        self.raw
    }
}

impl<P: Serialize + ?Sized, T> Call<'_, P, T> {
    /// Fire and forget: queues the call at once, or refuses it at once, and drops its answer when it
    /// comes. Nothing is cancelled and no time-out applies; whether it succeeded is not told. The
    /// answer counts among `Stats::late_answers`.
    ///
    /// ```
    /// # use cndt_tokio::{CallError, ClientHandle};
    /// # fn example(client: &ClientHandle) -> Result<(), CallError> {
    /// client.call::<_, ()>("refresh_cache", &()).forget()
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CallError::NotConnected`]; [`CallError::Send`] when the parameters cannot be sent, or with
    /// [`SendError::Blocked`](cndt_core::connection::SendError::Blocked) when there is no room in
    /// the send queue or too many calls are open. Nothing was sent then.
    pub fn forget(self) -> Result<(), CallError> {
        self.raw.forget()
    }
}

impl<P: Serialize + ?Sized, T: DeserializeOwned + 'static> Future for Call<'_, P, T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let codec = self.raw.ask.codec();
        let reply = ready!(self.raw.poll_reply(cx))?;
        Poll::Ready(codec.read(&reply.data).map_err(CallError::Decode))
    }
}

/// A call whose answer is left as it came. Dropping it cancels the call.
#[must_use = "a call is only sent when it is awaited"]
pub struct RawCall<'a, B> {
    ask: Ask,
    method: &'a str,
    params: B,
    /// For all attempts together.
    timeout: Duration,
    retrying: Retrying,
}

impl<'a, B> RawCall<'a, B> {
    pub(crate) fn new(
        link: Option<Arc<Link>>,
        method: &'a str,
        params: B,
        timeout: Duration,
    ) -> Self {
        let ask = Ask::new(link, timeout);
        Self { ask, method, params, timeout, retrying: Retrying::new(None) }
    }

    pub(crate) fn retrying(mut self, retrying: Retrying) -> Self {
        self.retrying = retrying;
        self
    }

    /// The connection it goes over.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.ask.link()
    }

    /// As [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.ask.timeout = self.retrying.first_timeout(timeout);
        self
    }

    /// As [`Call::retry`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retrying.policy(policy);
        let timeout = self.timeout;
        self.timeout(timeout)
    }

    /// As [`Call::idempotent`].
    pub fn idempotent(mut self) -> Self {
        self.retrying.idempotent();
        self
    }
}

impl<B: Body> RawCall<'_, B> {
    /// Fire and forget; see [`Call::forget`].
    ///
    /// # Errors
    /// As [`Call::forget`].
    pub fn forget(mut self) -> Result<(), CallError> {
        let timeout = self.ask.timeout;
        let ask = std::mem::replace(&mut self.ask, Ask::new(None, timeout));
        ask.forget(|connection, now, left| connection.call(now, self.method, &self.params, left))
            .map_err(|why| refused(why, timeout))
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, CallError>> {
        loop {
            if let Some(next) = ready!(self.retrying.poll(cx)) {
                self.ask = next;
            }
            match ready!(self.poll_attempt(cx)) {
                Ok(reply) => return Poll::Ready(Ok(reply)),
                Err(error) => self.retrying.failed(&self.ask, self.method, self.timeout, error)?,
            }
        }
    }

    fn poll_attempt(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, CallError>> {
        let Self { ask, method, params, .. } = self;
        let reply =
            ask.poll(cx, |connection, now, left| connection.call(now, method, params, left));
        match &reply {
            Poll::Ready(Ok(_)) => ask.count(method, None),
            Poll::Ready(Err(Unanswered::Failed(failure))) => ask.count(method, Some(failure)),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        reply.map_err(|why| refused(why, self.ask.timeout))
    }
}

pub(crate) fn refused(why: Unanswered, timeout: Duration) -> CallError {
    match why {
        Unanswered::NotConnected => CallError::NotConnected(NotConnected),
        Unanswered::Expired => CallError::Failed(CallFailure::TimedOut { after: timeout }),
        Unanswered::Send(error) => CallError::Send(error),
        Unanswered::Failed(failure) => CallError::Failed(failure),
    }
}

// Nothing in a call is ever pinned.
impl<B> Unpin for RawCall<'_, B> {}

impl<B: Body> Future for RawCall<'_, B> {
    type Output = Result<Reply, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_reply(cx)
    }
}

impl<B> Drop for RawCall<'_, B> {
    fn drop(&mut self) {
        self.ask.give_up(Protocol::cancel);
    }
}

#[cfg(test)]
mod tests;
