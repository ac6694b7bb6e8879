//! The way of an answer into the send buffer.

use std::future::poll_fn;
use std::sync::Arc;

use cndt_core::connection::{RequestId, SendError};
use cndt_core::message::{Body, Raw};
use cndt_core::rpc::{ErrorCode, RpcError};
use cndt_core::time::Instant;

use super::CallContext;
use super::reply::Answered;
use crate::link::{Lane, Link, Place, TurnError};
use crate::protocol::{Codec, Protocol};
use crate::telemetry::{CallMeter, Meters, MethodMeter};

/// The duty to answer one request. Dropping it unanswered answers with an internal error, so that no
/// caller waits in vain.
pub(super) struct Responder {
    link: Arc<Link>,
    /// `None` if nobody wants the answer: what was called was a notification.
    id: Option<RequestId>,
    meter: CallMeter,
    is_answered: bool,
}

impl Responder {
    pub(super) fn new(link: Arc<Link>, id: Option<RequestId>, meter: &MethodMeter) -> Self {
        let now = if Meters::ON { link.machine.now() } else { Instant::ZERO };
        Self { link, id, meter: meter.begin(now), is_answered: false }
    }

    fn count(&self, error: Option<ErrorCode>) {
        if Meters::ON {
            self.meter.end(self.link.machine.now(), error);
        }
    }

    /// Answers with a result. Answers always find room: the connection takes no further requests
    /// while too many wait.
    ///
    /// # Errors
    /// When the result cannot be sent: what the caller was answered instead.
    pub(super) fn reply<B: Body>(
        mut self,
        result: &Answered<B>,
        context: &CallContext,
    ) -> Result<(), RpcError> {
        let Answered { body, beside } = result;
        match self.answer(|connection, now, id| connection.respond_with(now, id, body, beside)) {
            Ok(()) => {
                self.count(None);
                self.is_answered = true;
                Ok(())
            }
            Err(error) => {
                let error = RpcError::internal(format!("Error in {}: {error}", context.name()));
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Answers with an error.
    pub(super) fn fail(mut self, error: &RpcError) {
        let sent = self.answer(|connection, now, id| connection.respond_error(now, id, error));
        if let Err(refused) = sent {
            tracing::warn!(target: "cndt", %refused, "error details cannot be sent");
            let bare = RpcError::new(error.code, "the error's details cannot be sent");
            let _ = self.answer(|connection, now, id| connection.respond_error(now, id, &bare));
        }
        self.count(Some(error.code));
        self.is_answered = true;
    }

    fn answer(
        &self,
        write: impl FnOnce(&mut Protocol, Instant, RequestId) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let Some(id) = self.id else { return Ok(()) };
        let mut locked = self.link.lock();
        // Most answers are there at once: asking the clock for each would be a good part of their cost.
        let now = locked.round_began.unwrap_or_else(|| self.link.machine.now());
        match write(&mut locked.connection, now, id) {
            Ok(()) => {
                locked.kick();
                Ok(())
            }
            // An answer that nobody waits for any more is no failure.
            Err(SendError::NotOpen(_) | SendError::NoSuchRequest(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.is_answered {
            let error = RpcError::internal("the handler ended without an answer");
            let _ = self.answer(|connection, now, id| connection.respond_error(now, id, &error));
            // Handlers end without an answer when their callers give up, and hardly ever else.
            self.count(Some(ErrorCode::Cancelled));
        }
    }
}

/// Answers a message by a message. Wire fact 5 gives its type.
pub(super) async fn answer_message(context: &CallContext, data: &[u8]) {
    let Some(link) = context.link() else { return };
    let name = format!("{}_response", context.name());
    // A notification of JSON-RPC is never answered.
    if link.codec == Codec::Json {
        return;
    }
    let sent =
        in_turn(link, Lane::Messages, |connection, now| connection.send(now, &name, &Raw(data)))
            .await;
    if let Err(error) = sent {
        tracing::debug!(target: "cndt", message = name, %error, "answer not sent");
    }
}

/// Waits as long as the connection lives.
async fn in_turn<T>(
    link: &Link,
    lane: Lane,
    mut command: impl FnMut(&mut Protocol, Instant) -> Result<T, SendError>,
) -> Result<T, SendError> {
    let mut place = InLane { link, lane, place: Place::until(Instant::FAR_FUTURE) };
    poll_fn(move |cx| {
        let now = link.machine.now();
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        let place = &mut place.place;
        state.in_turn(lane, place, now, cx.waker(), wakes, |machine| command(machine, now)).map_err(
            |error| match error {
                TurnError::Send(error) => error,
                TurnError::Expired => SendError::Blocked,
            },
        )
    })
    .await
}

/// Gives the place up if the waiting future is dropped.
struct InLane<'a> {
    link: &'a Link,
    lane: Lane,
    place: Place,
}

impl Drop for InLane<'_> {
    fn drop(&mut self) {
        if self.place.is_taken() {
            let mut locked = self.link.lock();
            let (state, wakes) = locked.split();
            state.leave(self.lane, &mut self.place, wakes);
        }
    }
}
