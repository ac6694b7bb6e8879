//! What waits for the driver. Messages and requests are bounded and may be passed over; everything
//! else is bounded by what caused it (one outcome per call, one end).

use alloc::collections::VecDeque;

use super::event::{Event, RequestId};
use crate::limits::Limits;

#[derive(Debug)]
struct Waiting {
    order: u64,
    size: usize,
    event: Event,
}

#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    /// Messages and requests.
    deliveries: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    next_order: u64,
    delivery_bytes: usize,
}

impl EventQueue {
    pub(crate) fn push_delivery(&mut self, event: Event, size: usize) {
        self.delivery_bytes = self.delivery_bytes.saturating_add(size);
        let order = self.order();
        self.deliveries.push_back(Waiting { order, size, event });
    }

    pub(crate) fn push(&mut self, event: Event) {
        let order = self.order();
        self.others.push_back(Waiting { order, size: 0, event });
    }

    fn order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order = order.saturating_add(1);
        order
    }

    /// The oldest event; without deliveries if the driver has no room for them.
    pub(crate) fn pop(&mut self, with_deliveries: bool) -> Option<Event> {
        let delivery = self.deliveries.front().map(|waiting| waiting.order);
        let other = self.others.front().map(|waiting| waiting.order);
        let delivery_first = match (delivery, other) {
            (Some(delivery), Some(other)) => delivery < other,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if with_deliveries && delivery_first {
            let waiting = self.deliveries.pop_front()?;
            self.delivery_bytes = self.delivery_bytes.saturating_sub(waiting.size);
            return Some(waiting.event);
        }
        self.others.pop_front().map(|waiting| waiting.event)
    }

    /// Takes a request back that nobody has seen yet. False when it is not here.
    pub(crate) fn take_request(&mut self, id: RequestId) -> bool {
        let is_it = |waiting: &Waiting| matches!(&waiting.event, Event::Request(r) if r.id == id);
        let Some(index) = self.deliveries.iter().position(is_it) else { return false };
        if let Some(taken) = self.deliveries.remove(index) {
            self.delivery_bytes = self.delivery_bytes.saturating_sub(taken.size);
        }
        true
    }

    /// Messages or requests wait.
    pub(crate) fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// Payload bytes of the deliveries.
    pub(crate) fn bytes(&self) -> usize {
        self.delivery_bytes
    }

    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.deliveries.len() >= limits.receive_queue_frames
            || self.delivery_bytes >= limits.receive_queue_bytes
    }

    /// Whether the queue is filled to so many percent at least, by frames or by bytes. It is asked
    /// twice for each delivery, so it does not divide.
    pub(crate) fn is_filled(&self, percent: u8, limits: &Limits) -> bool {
        let is_filled = |used: usize, of: usize| {
            used.saturating_mul(100) >= of.max(1).saturating_mul(usize::from(percent))
        };
        is_filled(self.deliveries.len(), limits.receive_queue_frames)
            || is_filled(self.delivery_bytes, limits.receive_queue_bytes)
    }
}
