use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::connection::{Overflow, SendError};
use cndt_core::message::Typed;
use cndt_core::time::Instant;
use serde::Serialize;

use super::broadcast::{Delivered, Encoding, Receivers};
use crate::link::{Lane, Link, Place};
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
    /// Everybody, before the first poll.
    receivers: Option<Receivers>,
    expires: Instant,
    /// Who does not have it yet.
    waiting: Vec<Waiting>,
    delivered: Delivered,
    /// Somebody has much to write.
    is_ahead: bool,
}

struct Waiting {
    link: Arc<Link>,
    place: Place,
}

/// What has become of a message for one receiver.
enum Offered {
    /// The receiver has it, or will never get it.
    Done {
        is_queued: bool,
        /// It has much to write now.
        is_ahead: bool,
    },
    Waits,
    /// The connection is over, or not open yet.
    Nobody,
}

impl<'a, T: ?Sized> PacedBroadcast<'a, T> {
    pub(super) fn new(encoding: Encoding<'a, T>, receivers: Receivers, timeout: Duration) -> Self {
        let expires = encoding.now + timeout;
        Self {
            encoding,
            receivers: Some(receivers),
            expires,
            waiting: Vec::new(),
            delivered: Delivered::default(),
            is_ahead: false,
        }
    }
}

impl<T: Serialize + ?Sized> PacedBroadcast<'_, T> {
    /// Offers it to everybody for the first time.
    fn begin(&mut self, cx: &mut Context<'_>, receivers: &Receivers) -> Result<(), SendError> {
        for link in receivers.links() {
            let mut place = Place::until(self.expires);
            let offered = offer(&mut self.encoding, cx, link, &mut place)?;
            if self.still_waits(offered) {
                self.waiting.push(Waiting { link: Arc::clone(link), place });
            }
        }
        Ok(())
    }

    /// Offers it once more to those who wait.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), SendError> {
        let mut next = 0;
        // All stay in the list meanwhile: should the value's own code fail or panic, their places are
        // given up with it.
        while let Some(Waiting { link, place }) = self.waiting.get_mut(next) {
            let offered = offer(&mut self.encoding, cx, link, place)?;
            if self.still_waits(offered) {
                next += 1;
            } else {
                self.waiting.swap_remove(next);
            }
        }
        Ok(())
    }

    fn still_waits(&mut self, offered: Offered) -> bool {
        match offered {
            Offered::Done { is_queued, is_ahead } => {
                self.delivered.count(is_queued);
                self.is_ahead |= is_ahead;
                false
            }
            Offered::Waits => true,
            Offered::Nobody => false,
        }
    }
}

fn offer<T: Serialize + ?Sized>(
    encoding: &mut Encoding<'_, T>,
    cx: &mut Context<'_>,
    link: &Link,
    place: &mut Place,
) -> Result<Offered, SendError> {
    let (name, data) = (encoding.name, Typed(encoding.data));
    let now = if place.is_taken() { link.machine.now() } else { encoding.now };
    let (mut locked, frame) = match link.codec {
        Codec::Json => (link.lock(), None),
        Codec::MessagePack => match encoding.for_link(link)? {
            Some((locked, frame)) => (locked, Some(frame)),
            None => return Ok(Offered::Nobody),
        },
    };
    let (state, wakes) = locked.split();
    let sent =
        state.in_turn(Lane::Messages, place, now, cx.waker(), wakes, |connection| match frame {
            Some(frame) => connection.send_shared(now, frame, Overflow::Wait),
            None => connection.send(now, name, &data),
        });
    Ok(match sent {
        Poll::Pending => Offered::Waits,
        Poll::Ready(sent) => Offered::Done {
            is_queued: sent.is_ok(),
            is_ahead: state.connection.pending_bytes() >= AHEAD_MAX,
        },
    })
}

impl<T: Serialize + ?Sized> Future for PacedBroadcast<'_, T> {
    type Output = Result<Delivered, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.receivers.take() {
            Some(receivers) => this.begin(cx, &receivers)?,
            None => this.go_on(cx)?,
        }
        if !this.waiting.is_empty() {
            return Poll::Pending;
        }
        // The drivers are awake: they write in the meantime.
        if mem::take(&mut this.is_ahead) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(this.delivered))
    }
}

// Nothing in it is ever pinned.
impl<T: ?Sized> Unpin for PacedBroadcast<'_, T> {}

impl<T: ?Sized> Drop for PacedBroadcast<'_, T> {
    fn drop(&mut self) {
        for Waiting { link, place } in &mut self.waiting {
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
