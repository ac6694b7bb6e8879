//! What both calls and acknowledged messages do: wait for room, leave, and wait for an outcome.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::connection::{CallFailure, CallId, SendError};
use cndt_core::rpc::Reply;
use cndt_core::time::Instant;

use crate::link::{Lane, Link, Place, Slot, TurnError};
use crate::protocol::{Codec, Protocol};
use crate::telemetry::{CallMeter, Meters};

/// One question to the peer.
pub(crate) struct Ask {
    link: Option<Arc<Link>>,
    /// For all of it, the waiting for room included.
    pub(crate) timeout: Duration,
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

/// One of several calls that were sent together. Dropping it cancels it.
pub(crate) struct Asked(Ask);

impl Asked {
    pub(crate) fn new(link: &Arc<Link>, id: CallId, timeout: Duration, began: Instant) -> Self {
        Self(Ask { link: Some(Arc::clone(link)), timeout, began, stage: Stage::Sent(id) })
    }

    /// Waits for the outcome.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        method: &str,
    ) -> Poll<Result<Reply, Unanswered>> {
        let outcome = self.0.poll_sent(cx);
        match &outcome {
            Poll::Ready(Ok(_)) => self.0.count(method, None),
            Poll::Ready(Err(Unanswered::Failed(failure))) => self.0.count(method, Some(failure)),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        outcome
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.give_up(Protocol::cancel);
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    NotConnected,
    /// There was no room in time.
    Expired,
    Send(SendError),
    Failed(CallFailure),
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotOpen(_) => Self::NotConnected,
            error => Self::Send(error),
        }
    }
}

impl Ask {
    pub(crate) fn new(link: Option<Arc<Link>>, timeout: Duration) -> Self {
        Self { link, timeout, began: Instant::ZERO, stage: Stage::New }
    }

    /// `command` queues the question, which then has the time that it is given.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        command: impl FnOnce(&mut Protocol, Instant, Duration) -> Result<CallId, SendError>,
    ) -> Poll<Result<Reply, Unanswered>> {
        if let Stage::Sent(_) = self.stage {
            return self.poll_sent(cx);
        }
        let Some(link) = &self.link else { return Poll::Ready(Err(Unanswered::NotConnected)) };
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        let now = if matches!(self.stage, Stage::New) {
            let now = state.asked_at(link.machine);
            self.began = now;
            self.stage = Stage::InLine(Place::until(now + self.timeout));
            now
        } else {
            link.machine.now()
        };
        let Stage::InLine(place) = &mut self.stage else {
            return Poll::Ready(Err(Unanswered::NotConnected));
        };
        let left = place.expires.since(now);
        let sent = state.in_turn(Lane::Calls, place, now, cx.waker(), wakes, |connection| {
            command(connection, now, left)
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
                Poll::Ready(Err(match error {
                    TurnError::Expired => Unanswered::Expired,
                    TurnError::Send(error) => error.into(),
                }))
            }
        }
    }

    /// Waits for the outcome of what was sent.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Unanswered>> {
        let (Some(link), Stage::Sent(id)) = (&self.link, &self.stage) else {
            return Poll::Ready(Err(Unanswered::NotConnected));
        };
        let id = *id;
        let mut locked = link.lock();
        if let Some(Slot::Waiting(waker)) = locked.calls.get_mut(&id) {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        self.stage = Stage::Done;
        Poll::Ready(match locked.calls.remove(&id) {
            Some(Slot::Done(outcome)) => outcome.map_err(Unanswered::Failed),
            Some(Slot::Waiting(_)) | None => Err(Unanswered::NotConnected),
        })
    }

    /// The connection it goes over.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// When it was first polled, if it was and there is a connection.
    pub(crate) fn began(&self) -> Option<Instant> {
        (self.began > Instant::ZERO).then_some(self.began)
    }

    /// How the answer is written.
    pub(crate) fn codec(&self) -> Codec {
        self.link.as_ref().map_or(Codec::MessagePack, |link| link.codec)
    }

    /// Tells operators of a call that has its outcome.
    pub(crate) fn count(&self, method: &str, failure: Option<&CallFailure>) {
        if let Some(link) = self.link.as_ref().filter(|_| Meters::ON) {
            CallMeter::made(method, self.began, link.machine.now(), failure);
        }
    }

    /// Leaves nobody to wait for the outcome. The question is queued now, if it was not before.
    pub(crate) fn forget(
        mut self,
        command: impl FnOnce(&mut Protocol, Instant, Duration) -> Result<CallId, SendError>,
    ) -> Result<(), Unanswered> {
        self.leave_line();
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let Some(link) = &self.link else { return Err(Unanswered::NotConnected) };
        let now = link.machine.now();
        let mut locked = link.lock();
        let id = match stage {
            Stage::Done => return Ok(()),
            Stage::New | Stage::InLine(_) => command(&mut locked.connection, now, self.timeout)?,
            Stage::Sent(id) => {
                locked.calls.remove(&id);
                id
            }
        };
        locked.connection.forget(now, id);
        locked.kick();
        Ok(())
    }

    /// Nobody waits for the outcome any more: tells the connection so by `how`.
    pub(crate) fn give_up(&mut self, how: impl FnOnce(&mut Protocol, Instant, CallId) -> bool) {
        self.leave_line();
        let Stage::Sent(id) = std::mem::replace(&mut self.stage, Stage::Done) else { return };
        let Some(link) = &self.link else { return };
        let mut locked = link.lock();
        if let Some(Slot::Waiting(_)) = locked.calls.remove(&id) {
            how(&mut locked.connection, link.machine.now(), id);
            // Its place among the open calls is free for someone who waits.
            locked.kick();
        }
    }

    fn leave_line(&mut self) {
        if let (Some(link), Stage::InLine(place)) = (&self.link, &mut self.stage) {
            let mut locked = link.lock();
            let (state, wakes) = locked.split();
            state.leave(Lane::Calls, place, wakes);
        }
    }
}
