//! What the driver takes out of a connection: events one by one, deliveries together. And what goes on
//! once there is room.

use super::Connection;
use super::event::Event;
use super::open::Open;
use super::queue::Deliveries;

impl Connection {
    /// The next event, in order. Messages and requests are left waiting while answers of more than
    /// `limits.send_queue_bytes` wait to be written: a peer that does not read its answers gets no
    /// further ones.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.is_congested() {
            return self.poll_outcome();
        }
        let was_saturated = self.is_saturated();
        let event = self.link.events.pop()?;
        if matches!(event, Event::Message(_) | Event::Request(_)) {
            self.delivered(was_saturated);
        }
        Some(event)
    }

    /// Takes messages and requests together, as `poll_event` would one by one, but cheaper. `room` tells
    /// how many the application can begin with: all are taken if there is any and `inbox` is empty,
    /// else until it has so many. What is there beyond `room` still waits, as far as limits and flow
    /// control are concerned; tell by [`Connection::note_deliveries`] how it gets on.
    ///
    /// True when there were any: look for other events again afterwards, by
    /// [`Connection::poll_outcome`].
    pub fn take_deliveries(&mut self, room: usize, inbox: &mut Deliveries) -> bool {
        let was_saturated = self.is_saturated();
        let room = if self.is_congested() { 0 } else { room };
        let any = self.link.events.take(room, inbox);
        self.delivered(was_saturated);
        any
    }

    /// Takes note of what is left in `inbox`, and for how many more the application has room: there may
    /// be some for what was received and had to wait, and the peer may go on.
    pub fn note_deliveries(&mut self, room: usize, inbox: &Deliveries) {
        let was_saturated = self.is_saturated();
        self.link.events.note(room, inbox);
        self.delivered(was_saturated);
    }

    /// The next event that is no [`Event::Message`] and no [`Event::Request`]: for a driver whose
    /// application has no capacity left. Calls still end, pings are still answered. It may tell the
    /// end while messages and requests that came before still wait for `poll_event`.
    pub fn poll_outcome(&mut self) -> Option<Event> {
        self.link.events.pop_other()
    }

    /// Whether answers of more than `limits.send_queue_bytes` wait to be written: the peer does not read
    /// them, and gets no further ones. Nothing is taken then, and what was taken is better left.
    pub fn is_congested(&self) -> bool {
        self.link.is_congested()
    }

    /// Whether what was received must wait.
    pub(super) fn is_saturated(&self) -> bool {
        self.link.is_saturated(self.phase.open().is_some_and(Open::awaits_answers))
    }

    /// Works off what had to wait, if it need not any more. False if nothing has changed.
    pub(super) fn read_on(&mut self, was_saturated: bool) -> bool {
        let goes_on = was_saturated && !self.is_saturated();
        if goes_on {
            self.process();
        }
        goes_on
    }

    /// There may be room in the receive queue again.
    fn delivered(&mut self, was_saturated: bool) {
        // What is here already comes first: the peer goes on if that does not fill the queue again.
        self.read_on(was_saturated);
        if let Some(open) = self.phase.open_mut() {
            open.watch_drain(&mut self.link);
        }
    }
}
