//! Handlers that were not done where they arrived, as tasks of their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cndt_core::connection::RequestId;

use crate::link::{HANDLERS_MAX, Link};
use crate::rt::Task;

/// A handler that runs as its own task.
pub(crate) enum Serving {
    Running(Option<Waker>),
    Cancelled,
}

/// A handler as its own task.
pub(crate) struct Running {
    link: Arc<Link>,
    request: Option<RequestId>,
    handler: Option<Task>,
}

impl Running {
    pub(crate) fn new(link: &Arc<Link>, request: Option<RequestId>, handler: Task) -> Self {
        Self { link: Arc::clone(link), request, handler: Some(handler) }
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(id) = this.request {
            let mut locked = this.link.lock();
            match locked.serving.get_mut(&id) {
                Some(Serving::Running(Some(waker))) => waker.clone_from(cx.waker()),
                Some(Serving::Running(waker)) => *waker = Some(cx.waker().clone()),
                // Dropping the handler drops what it waits for: its own calls are cancelled too.
                Some(Serving::Cancelled) | None => return Poll::Ready(()),
            }
        }
        match &mut this.handler {
            Some(handler) => handler.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First of all what belongs to the user: nothing may be locked meanwhile.
        self.handler = None;
        let mut locked = self.link.lock();
        let was_full = locked.running >= HANDLERS_MAX;
        locked.running -= 1;
        if let Some(id) = self.request {
            locked.serving.remove(&id);
        }
        if was_full || locked.closed.is_some() {
            locked.kick();
        }
    }
}
