//! Futures of messages on their way out, and of pings.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::connection::{SendError, SendId};
use cndt_core::message::{Body, Typed};
use cndt_core::time::Instant;
use serde::Serialize;

use crate::ask::{Ask, Unanswered};
use crate::error::{DeliveryError, NotConnected};
use crate::line::Ticket;
use crate::link::{Lane, Link, Place, TurnError};
use crate::protocol::Protocol;

/// A message on its way to the operating system. Made by `ClientHandle::send` and `Peer::send`.
///
/// Nothing is queued before the future is polled. Once it is queued, dropping the future does not
/// take it back.
#[must_use = "a message is only sent when it is awaited"]
pub struct SendMessage<'a, T: ?Sized> {
    link: Option<Arc<Link>>,
    name: &'a str,
    data: &'a T,
    timeout: Duration,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    New,
    InLine(Place),
    Queued(SendId),
    Done,
}

impl<'a, T: ?Sized> SendMessage<'a, T> {
    pub(crate) fn new(
        link: Option<Arc<Link>>,
        name: &'a str,
        data: &'a T,
        timeout: Duration,
    ) -> Self {
        Self { link, name, data, timeout, stage: Stage::New }
    }

    /// How long to wait for room in the send queue.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<'a, T: Serialize + ?Sized> SendMessage<'a, T> {
    /// Asks the peer to acknowledge the message; see [`AckedMessage`]. To be called before the future
    /// is polled: a message that is queued already is not sent again, and fails with `NotConnected`.
    ///
    /// ```
    /// # use cndt_tokio::{ClientHandle, DeliveryError};
    /// # async fn example(client: &ClientHandle) -> Result<(), DeliveryError> {
    /// client.send("order", &42).acked().await
    /// # }
    /// ```
    pub fn acked(mut self) -> AckedMessage<'a, T> {
        // A place in line is not taken over: an acknowledged message waits among the calls.
        let link =
            self.link.clone().filter(|_| !matches!(self.stage, Stage::Queued(_) | Stage::Done));
        self.leave_line();
        AckedMessage { ask: Ask::new(link, self.timeout), name: self.name, data: self.data }
    }
}

impl<T: Serialize + ?Sized> Future for SendMessage<'_, T> {
    type Output = Result<(), DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(link) = &this.link else {
            return Poll::Ready(Err(DeliveryError::NotConnected(NotConnected)));
        };
        let now = link.machine.now();
        if matches!(this.stage, Stage::New) {
            this.stage = Stage::InLine(Place::until(now + this.timeout));
        }
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        if let Stage::InLine(place) = &mut this.stage {
            let body = Typed(this.data);
            let queued = state.in_turn(Lane::Messages, place, now, cx.waker(), wakes, |machine| {
                machine.send(now, this.name, &body)
            });
            match queued {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(id)) => this.stage = Stage::Queued(id),
                Poll::Ready(Err(error)) => {
                    this.stage = Stage::Done;
                    return Poll::Ready(Err(match error {
                        TurnError::Expired => DeliveryError::TimedOut { after: this.timeout },
                        TurnError::Send(SendError::NotOpen(_)) => {
                            DeliveryError::NotConnected(NotConnected)
                        }
                        TurnError::Send(error) => DeliveryError::Send(error),
                    }));
                }
            }
        }
        let Stage::Queued(id) = this.stage else {
            return Poll::Ready(Err(DeliveryError::NotConnected(NotConnected)));
        };
        let handed_over = state.handed_over(id, cx.waker());
        if handed_over.is_ready() {
            this.stage = Stage::Done;
        }
        handed_over.map_err(DeliveryError::Undelivered)
    }
}

impl<T: ?Sized> SendMessage<'_, T> {
    fn leave_line(&mut self) {
        if let (Some(link), Stage::InLine(place)) = (&self.link, &mut self.stage) {
            let mut locked = link.lock();
            let (state, wakes) = locked.split();
            state.leave(Lane::Messages, place, wakes);
        }
    }
}

impl<T: ?Sized> Drop for SendMessage<'_, T> {
    fn drop(&mut self) {
        self.leave_line();
    }
}

/// A message whose acknowledgement is waited for. Made by [`SendMessage::acked`].
///
/// It resolves when the peer has taken the message in: it has read it, and its handler, if there is
/// one, will get it. What the handler makes of it is not told. Without an acknowledgement the future
/// ends with an error: by refusal, when the connection ends, or after the time-out.
///
/// **Python peers never acknowledge**: with them it always ends by the time-out, delivered or not.
///
/// An acknowledged message counts among the open calls and waits in line with them, so it may
/// overtake other messages or be overtaken while there is no room to send. Nothing is queued before
/// the future is polled. Once it is queued, dropping the future does not take the message back.
#[must_use = "a message is only sent when it is awaited"]
pub struct AckedMessage<'a, T: ?Sized> {
    ask: Ask,
    name: &'a str,
    data: &'a T,
}

impl<T: ?Sized> AckedMessage<'_, T> {
    /// How long to wait for the acknowledgement, time spent waiting for room to send included. By
    /// default as long as for room alone.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.ask.timeout = timeout;
        self
    }
}

impl<T: Serialize + ?Sized> Future for AckedMessage<'_, T> {
    type Output = Result<(), DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { ask, name, data } = &mut *self;
        let acknowledged = ask.poll(cx, |connection, now, left| {
            connection.send_acked(now, name, &Typed(*data), left)
        });
        acknowledged.map(|outcome| match outcome {
            Ok(_) => Ok(()),
            Err(Unanswered::NotConnected) => Err(DeliveryError::NotConnected(NotConnected)),
            Err(Unanswered::Expired) => Err(DeliveryError::TimedOut { after: ask.timeout }),
            Err(Unanswered::Send(error)) => Err(DeliveryError::Send(error)),
            Err(Unanswered::Failed(failure)) => Err(DeliveryError::Unacknowledged(failure)),
        })
    }
}

impl<T: ?Sized> Drop for AckedMessage<'_, T> {
    fn drop(&mut self) {
        self.ask.give_up(Protocol::forget);
    }
}

/// Queues at once or not at all.
pub(crate) fn try_send<B: Body + ?Sized>(
    link: &Link,
    name: &str,
    data: &B,
) -> Result<SendId, SendError> {
    let mut locked = link.lock();
    let id = locked.connection.send(link.machine.now(), name, data)?;
    locked.kick();
    Ok(id)
}

/// A ping on its way there and back. Made by `ClientHandle::ping` and `Peer::ping`.
///
/// Peers take many pings in a short time for an attack: the ones of this project forgive a burst of
/// 100 and 20 a second after that.
#[must_use = "a ping is only sent when it is awaited"]
pub struct Ping {
    link: Option<Arc<Link>>,
    /// How many pongs there had been when this ping was sent.
    before: Option<u64>,
    ticket: Option<Ticket>,
}

impl Ping {
    pub(crate) fn new(link: Option<Arc<Link>>) -> Self {
        Self { link, before: None, ticket: None }
    }
}

impl Future for Ping {
    type Output = Result<Duration, NotConnected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(link) = &this.link else { return Poll::Ready(Err(NotConnected)) };
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        if state.opened.is_none() || state.closed.is_some() {
            return Poll::Ready(Err(NotConnected));
        }
        match this.before {
            None => {
                // Whoever waits already has sent one.
                if state.pongs.len() == 0 {
                    state.connection.ping(link.machine.now());
                }
                this.before = Some(state.pong.count);
                state.kick(wakes);
            }
            Some(before) if state.pong.count > before => {
                return Poll::Ready(Ok(state.pong.round_trip));
            }
            Some(_) => {}
        }
        state.pongs.wait(&mut this.ticket, cx.waker(), Instant::FAR_FUTURE);
        Poll::Pending
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        if let (Some(link), Some(_)) = (&self.link, self.ticket) {
            link.lock().pongs.leave(&mut self.ticket);
        }
    }
}
