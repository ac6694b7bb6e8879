//! A value behind a lock that futures can watch.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use cndt_core::time::Instant;

use crate::line::{Line, Ticket, Wakes};

#[derive(Debug)]
pub(crate) struct Watched<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: T,
    watchers: Line,
}

impl<T> Watched<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(Inner { value, watchers: Line::new() }))
    }

    // No user code runs under this lock, so a poisoned one still holds a whole value.
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read<U>(&self, look: impl FnOnce(&T) -> U) -> U {
        look(&self.lock().value)
    }

    /// Changes what nobody watches for.
    pub(crate) fn update<U>(&self, change: impl FnOnce(&mut T) -> U) -> U {
        change(&mut self.lock().value)
    }

    /// Whoever watches looks again.
    pub(crate) fn wake(&self) {
        self.change(|_| ());
    }

    /// Changes the value and wakes whoever watches.
    pub(crate) fn change<U>(&self, change: impl FnOnce(&mut T) -> U) -> U {
        let mut wakes = Wakes::default();
        let mut inner = self.lock();
        let outcome = change(&mut inner.value);
        inner.watchers.wake_all(&mut wakes);
        drop(inner);
        outcome
    }

    /// For a value with one consumer: takes something out, or wakes the consumer at the next change.
    pub(crate) fn poll_take<U>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut T) -> Option<U>,
    ) -> Poll<U> {
        let mut inner = self.lock();
        if let Some(taken) = take(&mut inner.value) {
            return Poll::Ready(taken);
        }
        // The place of an earlier poll is worthless now.
        inner.watchers = Line::new();
        inner.watchers.wait(&mut None, cx.waker(), Instant::FAR_FUTURE);
        Poll::Pending
    }

    /// Waits until `look` finds something.
    pub(crate) fn until<U, F>(&self, look: F) -> Until<'_, T, F>
    where
        F: FnMut(&T) -> Option<U> + Unpin,
    {
        Until { watched: self, look, ticket: None }
    }
}

/// See [`Watched::until`].
pub(crate) struct Until<'a, T, F> {
    watched: &'a Watched<T>,
    look: F,
    ticket: Option<Ticket>,
}

impl<T, U, F: FnMut(&T) -> Option<U> + Unpin> Future for Until<'_, T, F> {
    type Output = U;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<U> {
        let this = self.get_mut();
        let mut inner = this.watched.lock();
        if let Some(found) = (this.look)(&inner.value) {
            return Poll::Ready(found);
        }
        inner.watchers.wait(&mut this.ticket, cx.waker(), Instant::FAR_FUTURE);
        Poll::Pending
    }
}

impl<T, F> Drop for Until<'_, T, F> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.watched.lock().watchers.leave(&mut self.ticket);
        }
    }
}
