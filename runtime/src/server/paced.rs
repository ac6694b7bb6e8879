use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::connection::{Overflow, SendError};
use cndt_core::message::Typed;
use serde::Serialize;

use super::broadcast::{Delivered, Encoding};
use crate::link::{Lane, Link, Place};
use crate::peer::Peer;
use crate::protocol::Codec;

/// Whoever has queued so many bytes on a connection lets its driver write them: further ones would
/// only wait in memory, and cost more when they are written than those that are still at hand.
const AHEAD_MAX: usize = 16 * 1024;

/// A message to every client that waits for room. Made by [`Broadcast::send_within`].
///
/// Nothing is queued before the future is polled. Clients that have it already keep it if the future
/// is dropped.
///
/// [`Broadcast::send_within`]: super::Broadcast::send_within
#[must_use = "a broadcast is only sent when it is awaited"]
pub struct PacedBroadcast<'a, T: ?Sized> {
    encoding: Encoding<'a, T>,
    /// Who does not have it yet.
    waiting: Vec<Receiver>,
    delivered: Delivered,
    /// Somebody has much to write.
    is_ahead: bool,
}

struct Receiver {
    link: Arc<Link>,
    place: Place,
}

impl<'a, T: ?Sized> PacedBroadcast<'a, T> {
    pub(super) fn new(encoding: Encoding<'a, T>, peers: Vec<Peer>, timeout: Duration) -> Self {
        let expires = encoding.now + timeout;
        let receiver = |peer: Peer| Receiver { link: peer.link, place: Place::until(expires) };
        let waiting = peers.into_iter().map(receiver).collect();
        Self { encoding, waiting, delivered: Delivered::default(), is_ahead: false }
    }
}

impl Receiver {
    /// Whether it has the message now, or never will, and whether it has much to write; nothing if the
    /// connection is over.
    fn offer<T: Serialize + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        encoding: &mut Encoding<'_, T>,
    ) -> Result<Poll<Option<(bool, bool)>>, SendError> {
        let (name, data) = (encoding.name, Typed(encoding.data));
        let now = if self.place.is_taken() { self.link.machine.now() } else { encoding.now };
        let (mut locked, frame) = match self.link.codec {
            Codec::Json => (self.link.lock(), None),
            Codec::MessagePack => match encoding.for_link(&self.link)? {
                Some((locked, frame)) => (locked, Some(frame)),
                None => return Ok(Poll::Ready(None)),
            },
        };
        let (state, wakes) = locked.split();
        let sent =
            state.in_turn(Lane::Messages, &mut self.place, now, cx.waker(), wakes, |connection| {
                match frame {
                    Some(frame) => connection.send_shared(now, frame, Overflow::Wait),
                    None => connection.send(now, name, &data),
                }
            });
        let is_ahead = state.connection.pending_bytes() >= AHEAD_MAX;
        Ok(sent.map(|sent| Some((sent.is_ok(), is_ahead))))
    }
}

impl<T: Serialize + ?Sized> Future for PacedBroadcast<'_, T> {
    type Output = Result<Delivered, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut failed = None;
        let Self { encoding, waiting, delivered, is_ahead } = this;
        waiting.retain_mut(|receiver| {
            if failed.is_some() {
                return false;
            }
            match receiver.offer(cx, encoding) {
                Ok(Poll::Pending) => true,
                Ok(Poll::Ready(Some((is_queued, has_much)))) => {
                    delivered.count(is_queued);
                    *is_ahead |= has_much;
                    false
                }
                Ok(Poll::Ready(None)) => false,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failed {
            return Poll::Ready(Err(error));
        }
        if !waiting.is_empty() {
            return Poll::Pending;
        }
        // The drivers are awake: they write in the meantime.
        if std::mem::take(is_ahead) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(*delivered))
    }
}

// Nothing in it is ever pinned.
impl<T: ?Sized> Unpin for PacedBroadcast<'_, T> {}

impl<T: ?Sized> Drop for PacedBroadcast<'_, T> {
    fn drop(&mut self) {
        for Receiver { link, place } in &mut self.waiting {
            if place.is_taken() {
                let mut locked = link.lock();
                let (state, wakes) = locked.split();
                state.leave(Lane::Messages, place, wakes);
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for PacedBroadcast<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedBroadcast")
            .field("name", &self.encoding.name)
            .field("waiting", &self.waiting.len())
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}
