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
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use cndt_core::connection::{CallFailure, CallId, SendError};
use cndt_core::message::{Body, BodyError, Typed, from_slice};
use cndt_core::rpc::Reply;
use cndt_core::time::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{CallError, NotConnected};
use crate::link::{Lane, Link, Place, Slot, TurnError};
use crate::telemetry::{CallMeter, Meters};

/// Parameters of a call: any serde value. Nothing at all is sent as an empty map, because methods
/// take their parameters by name.
#[derive(Debug)]
pub struct Arguments<'a, P: ?Sized>(&'a P);

impl<P: Serialize + ?Sized> Body for Arguments<'_, P> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        const NIL: u8 = 0xc0;
        const EMPTY_MAP: u8 = 0x80;
        let start = out.len();
        Typed(self.0).write(out)?;
        if let [only @ NIL] = &mut out[start..] {
            *only = EMPTY_MAP;
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

    /// How long to wait for the answer, time spent waiting for room to send included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.raw.timeout = timeout;
        self
    }

    /// The same call, giving the whole answer undecoded: what stands beside the result as well.
    pub fn raw(self) -> RawCall<'a, Arguments<'a, P>> {
        self.raw
    }
}

impl<P: Serialize + ?Sized, T: DeserializeOwned> Future for Call<'_, P, T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.raw.poll_reply(cx).map(|reply| from_slice(&reply?.data).map_err(CallError::Decode))
    }
}

/// A call whose answer is left as it came. Dropping it cancels the call.
#[must_use = "a call is only sent when it is awaited"]
pub struct RawCall<'a, B> {
    link: Option<Arc<Link>>,
    method: &'a str,
    params: B,
    timeout: Duration,
    /// When it was first polled.
    began: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    New,
    InLine(Place),
    Sent(CallId),
    Done,
}

impl<'a, B> RawCall<'a, B> {
    pub(crate) fn new(
        link: Option<Arc<Link>>,
        method: &'a str,
        params: B,
        timeout: Duration,
    ) -> Self {
        Self { link, method, params, timeout, began: Instant::ZERO, stage: Stage::New }
    }

    /// How long to wait for the answer, time spent waiting for room to send included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<B: Body> RawCall<'_, B> {
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, CallError>> {
        let Some(link) = &self.link else {
            return Poll::Ready(Err(CallError::NotConnected(NotConnected)));
        };
        if let Stage::Sent(id) = self.stage {
            let mut locked = link.lock();
            return match locked.calls.get_mut(&id) {
                Some(Slot::Waiting(waker)) => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                Some(Slot::Done(_)) => {
                    self.stage = Stage::Done;
                    let Some(Slot::Done(outcome)) = locked.calls.remove(&id) else {
                        return Poll::Ready(Err(CallError::NotConnected(NotConnected)));
                    };
                    drop(locked);
                    if Meters::ON {
                        let now = link.machine.now();
                        CallMeter::made(self.method, self.began, now, outcome.as_ref().err());
                    }
                    Poll::Ready(outcome.map_err(CallError::Failed))
                }
                None => Poll::Ready(Err(CallError::NotConnected(NotConnected))),
            };
        }
        let now = link.machine.now();
        if matches!(self.stage, Stage::New) {
            self.began = now;
            self.stage = Stage::InLine(Place::until(now + self.timeout));
        }
        let Stage::InLine(place) = &mut self.stage else {
            return Poll::Ready(Err(CallError::NotConnected(NotConnected)));
        };
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        let left = place.expires.since(now);
        let sent = state.in_turn(Lane::Calls, place, now, cx.waker(), wakes, |connection| {
            connection.call(now, self.method, &self.params, left)
        });
        match sent {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(id)) => {
                state.calls.insert(id, Slot::Waiting(cx.waker().clone()));
                self.stage = Stage::Sent(id);
                Poll::Pending
            }
            Poll::Ready(Err(error)) => {
                self.stage = Stage::Done;
                Poll::Ready(Err(self.refused(error)))
            }
        }
    }

    fn refused(&self, error: TurnError) -> CallError {
        match error {
            TurnError::Expired => CallError::Failed(CallFailure::TimedOut { after: self.timeout }),
            TurnError::Send(SendError::NotOpen(_)) => CallError::NotConnected(NotConnected),
            TurnError::Send(error) => CallError::Send(error),
        }
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
        let Some(link) = &self.link else { return };
        match &mut self.stage {
            Stage::New | Stage::Done => {}
            Stage::InLine(place) => {
                let mut locked = link.lock();
                let (state, wakes) = locked.split();
                state.leave(Lane::Calls, place, wakes);
            }
            Stage::Sent(id) => {
                let mut locked = link.lock();
                if let Some(Slot::Waiting(_)) = locked.calls.remove(id) {
                    let now = link.machine.now();
                    locked.connection.cancel(now, *id);
                    // Its place among the open calls is free for someone who waits.
                    locked.kick();
                }
            }
        }
    }
}
