//! What waits for the driver. Messages and requests are bounded and may be passed over; everything
//! else is bounded by what caused it (one outcome per call, one end).

use alloc::collections::VecDeque;

use super::event::{Delivery, Event, RequestId};
use crate::limits::Limits;

#[derive(Debug)]
struct Waiting {
    order: u64,
    size: usize,
    delivery: Delivery,
}

/// Messages and requests that were taken together, in order; see `Connection::take_deliveries`.
///
/// ```
/// use cndt_core::connection::Deliveries;
///
/// let mut inbox = Deliveries::default();
/// assert!(inbox.is_empty() && inbox.pop().is_none());
/// ```
#[derive(Debug, Default)]
pub struct Deliveries {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Deliveries {
    /// The oldest.
    pub fn pop(&mut self) -> Option<Delivery> {
        let Waiting { size, delivery, .. } = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(size);
        Some(delivery)
    }

    /// Shows the oldest to `take`, which takes out of it what it needs, and forgets it. `None` if there
    /// are none. Cheaper than to move it as a whole.
    #[inline]
    pub fn pop_with<T>(&mut self, take: impl FnOnce(&mut Delivery) -> T) -> Option<T> {
        let Waiting { size, delivery, .. } = self.waiting.front_mut()?;
        self.bytes = self.bytes.saturating_sub(*size);
        let taken = take(delivery);
        self.waiting.pop_front();
        Some(taken)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops a request that nobody wants an answer to any more. False when it is not here.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let is_it =
            |waiting: &Waiting| matches!(&waiting.delivery, Delivery::Request(r) if r.id == id);
        let Some(index) = self.waiting.iter().position(is_it) else { return false };
        if let Some(Waiting { size, .. }) = self.waiting.remove(index) {
            self.bytes = self.bytes.saturating_sub(size);
        }
        true
    }

    /// Drops all requests.
    pub fn drop_requests(&mut self) {
        self.waiting.retain(|waiting| matches!(waiting.delivery, Delivery::Message(_)));
        self.bytes = self.waiting.iter().fold(0, |sum, waiting| sum.saturating_add(waiting.size));
    }

    /// Gives memory back that few deliveries do not need.
    pub fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
    }

    #[cfg(feature = "jsonrpc")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter().map(|waiting| &waiting.delivery)
    }

    fn bytes_beyond(&self, count: usize) -> usize {
        let before = self.waiting.iter().take(count).map(|waiting| waiting.size);
        self.bytes.saturating_sub(before.fold(0, usize::saturating_add))
    }

    /// Moves the oldest over.
    fn pass_on(&mut self, to: &mut Self) {
        let Some(waiting) = self.waiting.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(waiting.size);
        to.push(waiting);
    }

    #[inline]
    fn push(&mut self, waiting: Waiting) {
        self.bytes = self.bytes.saturating_add(waiting.size);
        self.waiting.push_back(waiting);
    }
}

#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    deliveries: Deliveries,
    /// What was taken together and still waits, elsewhere: frames and bytes.
    lent: (usize, usize),
    others: VecDeque<(u64, Event)>,
    next_order: u64,
}

impl EventQueue {
    #[inline]
    pub(crate) fn push_delivery(&mut self, delivery: Delivery, size: usize) {
        let order = self.order();
        self.deliveries.push(Waiting { order, size, delivery });
    }

    pub(crate) fn push(&mut self, event: Event) {
        let order = self.order();
        self.others.push_back((order, event));
    }

    fn order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order = order.saturating_add(1);
        order
    }

    /// The oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let other = self.others.front().map(|(order, _)| *order);
        match (self.deliveries.waiting.front(), other) {
            (Some(delivery), Some(other)) if delivery.order > other => self.pop_other(),
            (Some(_), _) => self.deliveries.pop().map(Event::from),
            (None, _) => self.pop_other(),
        }
    }

    /// The oldest event that is no delivery.
    pub(crate) fn pop_other(&mut self) -> Option<Event> {
        self.others.pop_front().map(|(_, event)| event)
    }

    /// Takes note of what is left of what was taken: whatever the application has no room for still
    /// waits.
    pub(crate) fn note(&mut self, room: usize, inbox: &Deliveries) {
        let frames = inbox.len().saturating_sub(room);
        self.lent = if frames == 0 { (0, 0) } else { (frames, inbox.bytes_beyond(room)) };
    }

    /// Moves deliveries over: all of them if `inbox` is empty, else until it has `room`. True when there
    /// were any.
    pub(crate) fn take(&mut self, room: usize, inbox: &mut Deliveries) -> bool {
        let count = room.saturating_sub(inbox.len()).min(self.deliveries.len());
        if count > 0 && inbox.is_empty() {
            // The usual case: nothing is moved at all, and both keep their memory.
            core::mem::swap(&mut self.deliveries, inbox);
        } else {
            for _ in 0..count {
                self.deliveries.pass_on(inbox);
            }
        }
        self.note(room, inbox);
        count > 0
    }

    /// Moves deliveries over until `inbox` has `room`, as long as they are `wanted`. True when there
    /// were any.
    #[cfg(feature = "jsonrpc")]
    pub(crate) fn take_while(
        &mut self,
        room: usize,
        inbox: &mut Deliveries,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> bool {
        let before = inbox.len();
        while inbox.len() < room && self.next_delivery().is_some_and(&wanted) {
            self.deliveries.pass_on(inbox);
        }
        self.note(room, inbox);
        inbox.len() > before
    }

    /// The oldest delivery.
    #[cfg(feature = "jsonrpc")]
    pub(crate) fn next_delivery(&self) -> Option<&Delivery> {
        self.deliveries.iter().next()
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        self.deliveries.shrink();
        self.others.shrink_to_fit();
    }

    /// Takes a request back that nobody has seen yet. False when it is not here.
    pub(crate) fn take_request(&mut self, id: RequestId) -> bool {
        self.deliveries.cancel(id)
    }

    /// Messages or requests wait.
    pub(crate) fn has_deliveries(&self) -> bool {
        self.frames() > 0
    }

    pub(crate) fn frames(&self) -> usize {
        self.deliveries.len().saturating_add(self.lent.0)
    }

    /// Payload bytes of the deliveries.
    pub(crate) fn bytes(&self) -> usize {
        self.deliveries.bytes.saturating_add(self.lent.1)
    }

    /// Whether there is no room for more. Whoever waits for what may come behind more has some in
    /// reserve; see [`Limits::receive_reserve_bytes`].
    pub(crate) fn is_full(&self, limits: &Limits, waits_for_peer: impl FnOnce() -> bool) -> bool {
        let reaches = |more: usize| {
            self.bytes() >= limits.receive_queue_bytes.saturating_add(more)
                || self.frames() >= limits.receive_queue_frames.saturating_add(more / 1024)
        };
        reaches(0) && (!waits_for_peer() || reaches(limits.receive_reserve_bytes))
    }

    /// Whether the queue is filled to so many percent at least, by frames or by bytes. It is asked
    /// for each delivery, so it does not divide.
    pub(crate) fn is_filled(&self, percent: u8, limits: &Limits) -> bool {
        let is_filled = |used: usize, of: usize| {
            used.saturating_mul(100) >= of.max(1).saturating_mul(usize::from(percent))
        };
        is_filled(self.frames(), limits.receive_queue_frames)
            || is_filled(self.bytes(), limits.receive_queue_bytes)
    }
}
