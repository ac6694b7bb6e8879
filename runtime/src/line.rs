//! Futures that wait in line for one thing, in order of arrival; and wakers that fire after unlock.

use std::collections::VecDeque;
use std::task::Waker;

use cndt_core::time::Instant;

/// A place in a [`Line`].
pub(crate) type Ticket = u64;

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    waker: Waker,
    expires: Instant,
}

/// Each future has at most one place, which it gives up when it is done or dropped; so a line is
/// never longer than the futures that its users hold.
#[derive(Debug)]
pub(crate) struct Line {
    next: Ticket,
    waiting: VecDeque<Waiting>,
    /// No place expires before this.
    soonest: Instant,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self { next: 0, waiting: VecDeque::new(), soonest: Instant::FAR_FUTURE }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a place at the end, or renews the one that `ticket` names.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waker: &Waker, expires: Instant) {
        if let Some(index) = ticket.and_then(|ticket| self.position(ticket)) {
            self.waiting[index].waker.clone_from(waker);
            return;
        }
        *ticket = Some(self.next);
        self.waiting.push_back(Waiting { ticket: self.next, waker: waker.clone(), expires });
        self.next += 1;
        self.soonest = self.soonest.min(expires);
    }

    /// Whether whoever holds `ticket` may go now: it is first, or nobody waits.
    pub(crate) fn may_go(&self, ticket: Option<Ticket>) -> bool {
        self.waiting.front().is_none_or(|first| Some(first.ticket) == ticket)
    }

    /// Gives a place up.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>) {
        if let Some(index) = ticket.take().and_then(|ticket| self.position(ticket)) {
            self.waiting.remove(index);
        }
    }

    /// The first may try again; it keeps its place until it leaves.
    pub(crate) fn wake_first(&self, wakes: &mut Wakes) {
        if let Some(first) = self.waiting.front() {
            wakes.push(first.waker.clone());
        }
    }

    /// Everyone may look again; all places are given up.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.soonest = Instant::FAR_FUTURE;
        for waiting in self.waiting.drain(..) {
            wakes.push(waiting.waker);
        }
    }

    /// Wakes those whose time is over; they keep their places until they leave.
    pub(crate) fn expire(&mut self, now: Instant, wakes: &mut Wakes) {
        if self.soonest > now {
            return;
        }
        self.soonest = Instant::FAR_FUTURE;
        for waiting in &self.waiting {
            if waiting.expires <= now {
                wakes.push(waiting.waker.clone());
            } else {
                self.soonest = self.soonest.min(waiting.expires);
            }
        }
    }

    pub(crate) fn soonest(&self) -> Instant {
        self.soonest
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

/// Wakers to fire once no lock is held. Dropping fires them.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    // Most commands wake one task, the driver: that needs no allocation.
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.more.push(waker);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn shrink(&mut self) {
        self.more.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// Fires all, and keeps the memory for the next round.
    pub(crate) fn fire(&mut self) {
        self.fire_some(usize::MAX);
    }

    /// Fires so many of those that were pushed first, at least one.
    pub(crate) fn fire_some(&mut self, most: usize) {
        let Some(first) = self.first.take() else { return };
        first.wake();
        // Behind those that fire, one more leaves: it is the first from now on.
        let mut leaving = self.more.drain(..most.max(1).min(self.more.len()));
        leaving.by_ref().take(most.saturating_sub(1)).for_each(Waker::wake);
        self.first = leaving.next();
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.fire();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn those_that_were_pushed_first_fire_first() {
        let mut wakes = Wakes::default();
        let all: Vec<_> = (0..10).map(|_| counted()).collect();
        let fired =
            || all.iter().map(|(count, _)| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        wakes.fire_some(3);
        all[..6].iter().for_each(|(_, waker)| wakes.push(waker.clone()));
        wakes.fire_some(2);
        assert_eq!((fired(), wakes.len()), (vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 4));
        all[6..].iter().for_each(|(_, waker)| wakes.push(waker.clone()));
        wakes.fire_some(0);
        assert_eq!((fired(), wakes.len()), (vec![1, 1, 1, 0, 0, 0, 0, 0, 0, 0], 7));
        wakes.fire_some(6);
        assert_eq!((fired(), wakes.len()), (vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 1));
        wakes.fire_some(9);
        assert_eq!((fired(), wakes.is_empty()), (vec![1; 10], true));
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn the_first_goes_first_and_makes_way_by_leaving() {
        let (mut line, mut wakes) = (Line::new(), Wakes::default());
        let ((first, waker), (second, other)) = (counted(), counted());
        let (mut one, mut two) = (None, None);
        line.wait(&mut one, &waker, Instant::FAR_FUTURE);
        line.wait(&mut two, &other, Instant::FAR_FUTURE);
        line.wait(&mut one, &waker, Instant::FAR_FUTURE);
        assert_eq!(line.len(), 2, "waiting again keeps the place");
        assert!(line.may_go(one) && !line.may_go(two) && !line.may_go(None));
        line.leave(&mut one);
        line.wake_first(&mut wakes);
        wakes.fire();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
        assert!(line.may_go(two));
        line.leave(&mut two);
        assert!(line.may_go(None));
    }

    #[test]
    fn only_those_whose_time_is_over_are_woken() {
        let (mut line, mut wakes) = (Line::new(), Wakes::default());
        let ((first, waker), (second, other)) = (counted(), counted());
        let at = Instant::from_micros;
        line.wait(&mut None, &waker, at(10));
        line.wait(&mut None, &other, at(20));
        assert_eq!(line.soonest(), at(10));
        line.expire(at(9), &mut wakes);
        assert!(wakes.is_empty());
        line.expire(at(10), &mut wakes);
        wakes.fire();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 0));
        assert_eq!(line.soonest(), at(20));
    }
}
