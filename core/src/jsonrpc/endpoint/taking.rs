//! What the driver takes out of an endpoint: events one by one, deliveries together.

use super::Endpoint;
use crate::connection::{Deliveries, Event};

impl Endpoint {
    /// The next event, in order; see `Connection::poll_event`. Parameters and data are JSON, null if
    /// there are none.
    ///
    /// Answers that wait for others of their batch count like those that wait to be written. While
    /// there are too many, requests are left waiting, but not those of a batch of which some were
    /// given out: its answers wait for them.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.holds_much() && !self.next_goes_on() {
            return self.poll_outcome();
        }
        let was_saturated = self.is_saturated();
        let event = self.events.pop()?;
        self.read_on(was_saturated);
        Some(event)
    }

    /// Takes messages and requests together; see `Connection::take_deliveries`. How many of them may
    /// begin, [`Endpoint::may_begin`] tells.
    pub fn take_deliveries(&mut self, room: usize, inbox: &mut Deliveries) -> bool {
        let was_saturated = self.is_saturated();
        let any = if self.holds_much() {
            let room = if self.is_congested() { 0 } else { room };
            let serves = &self.serves;
            self.events.take_while(room, inbox, |delivery| serves.goes_on(delivery))
        } else {
            self.events.take(room, inbox)
        };
        self.read_on(was_saturated);
        any
    }

    /// Takes note of what is left in `inbox`; see `Connection::note_deliveries`.
    pub fn note_deliveries(&mut self, room: usize, inbox: &Deliveries) {
        let was_saturated = self.is_saturated();
        self.events.note(room, inbox);
        self.read_on(was_saturated);
    }

    /// The next event that is no message and no request; see `Connection::poll_outcome`.
    pub fn poll_outcome(&mut self) -> Option<Event> {
        self.events.pop_other()
    }

    /// Whether too many answers wait to be written; see `Connection::is_congested`. Answers that wait for
    /// others of their batch do not count: those others must not wait for them.
    pub fn is_congested(&self) -> bool {
        self.out.answer_bytes() >= self.config.limits.send_queue_bytes
    }

    /// How many of those in `inbox` may begin if the application has so much `room`: as long as too
    /// many answers wait, to be written or for others of their batch, those alone for which answers
    /// wait. All of `room` if that holds nothing in `inbox` back: then it is room for what
    /// [`Endpoint::take_deliveries`] gives.
    pub fn may_begin(&self, room: usize, inbox: &Deliveries) -> usize {
        if !self.holds_much() {
            return room;
        }
        if self.is_congested() {
            return 0;
        }
        let first = inbox.iter().position(|delivery| !self.serves.goes_on(delivery));
        first.map_or(room, |count| count.min(room))
    }

    /// Whether so much waits to be written, or for the rest of a batch, that no further request may
    /// make it more.
    fn holds_much(&self) -> bool {
        self.answer_bytes() >= self.config.limits.send_queue_bytes
    }

    fn next_goes_on(&self) -> bool {
        let next = self.events.next_delivery().filter(|_| !self.is_congested());
        next.is_some_and(|delivery| self.serves.goes_on(delivery))
    }

    /// Works off what had to wait, if it need not any more. False if nothing has changed.
    pub(super) fn read_on(&mut self, was_saturated: bool) -> bool {
        let goes_on = was_saturated && !self.is_saturated();
        if goes_on {
            self.process();
        }
        goes_on
    }
}
