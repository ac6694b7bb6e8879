//! Questions and messages that leave together: in JSON-RPC at once, in CNDT one after the other.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cndt_core::connection::{CallId, SendId};
use cndt_core::jsonrpc::BatchItem;
use cndt_core::message::Body;
use cndt_core::time::Instant;

use crate::ask::{Asked, Unanswered};
use crate::link::{Lane, Link, Place, Slot, TurnError};

/// How far the items have been queued.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// So many of them.
    pub(crate) items: usize,
    /// Calls that nobody has taken note of yet.
    pub(crate) calls: Vec<CallId>,
    /// The last message, where it has a number.
    pub(crate) last: Option<SendId>,
}

/// What was queued as a whole.
pub(crate) struct Queued {
    /// In order. Dropping them cancels what has no outcome.
    pub(crate) asked: Vec<Asked>,
    /// The last message, where it has a number.
    pub(crate) last: Option<SendId>,
}

/// Waits for room among the calls, and keeps its turn until the last item is queued. Dropping it
/// leaves the line, and cancels the calls that were made.
pub(crate) struct Together<'a, B> {
    link: &'a Arc<Link>,
    items: &'a [BatchItem<'a, B>],
    timeout: Duration,
    began: Instant,
    place: Place,
    progress: Progress,
    asked: Vec<Asked>,
}

impl<'a, B: Body> Together<'a, B> {
    /// `timeout` is for all of it: the waiting for room, and for each answer.
    pub(crate) fn new(
        link: &'a Arc<Link>,
        items: &'a [BatchItem<'a, B>],
        timeout: Duration,
    ) -> Self {
        let began = link.machine.now();
        let (place, progress) = (Place::until(began + timeout), Progress::default());
        Self { link, items, timeout, began, place, progress, asked: Vec::new() }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Queued, Unanswered>> {
        let Self { link, items, timeout, began, place, progress, asked } = self;
        let now = link.machine.now();
        let left = place.expires.since(now);
        let before = progress.items;
        let mut locked = link.lock();
        let (state, wakes) = locked.split();
        let queued = state.in_turn(Lane::Calls, place, now, cx.waker(), wakes, |connection| {
            connection.batch(now, items, left, progress)
        });
        for id in progress.calls.drain(..) {
            // Whoever waits says so when it is polled.
            state.calls.insert(id, Slot::Waiting(Waker::noop().clone()));
            asked.push(Asked::new(link, id, *timeout, *began));
        }
        if progress.items > before {
            // What is queued leaves, whether or not the rest has room.
            state.kick(wakes);
        }
        queued.map(|queued| match queued {
            Ok(()) => Ok(Queued { asked: std::mem::take(asked), last: progress.last }),
            Err(TurnError::Expired) => Err(Unanswered::Expired),
            Err(TurnError::Send(error)) => Err(error.into()),
        })
    }
}

impl<B> Drop for Together<'_, B> {
    fn drop(&mut self) {
        if self.place.is_taken() {
            let mut locked = self.link.lock();
            let (state, wakes) = locked.split();
            state.leave(Lane::Calls, &mut self.place, wakes);
        }
    }
}
