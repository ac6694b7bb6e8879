//! What the handlers of one round start with. Most of them are done at once; those share a place to run
//! in and one context, and cost no allocation and no counting of references.

use std::any::Any;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cndt_core::message::Text;

use super::Router;
use super::context::{CallContext, Origin};
use crate::contain::contain;
use crate::link::Link;
use crate::rt::Task;

/// The place of the future that was done last, for the next one of its type.
#[derive(Default)]
pub(crate) struct Spare(Option<Box<dyn Any + Send>>);

/// See the [module](self).
pub(crate) struct Turn<'a, 'b> {
    pub(super) link: &'a Arc<Link>,
    pub(super) context: CallContext,
    cx: &'a mut Context<'b>,
    spare: &'a mut Spare,
}

/// What has become of a future that was polled once.
pub(super) enum Begun<F: Future> {
    /// It is done; if it panicked, the words.
    Done(Result<F::Output, String>),
    Pending(Kept<F>),
}

/// A future in a place that outlives it.
pub(super) struct Kept<F>(Pin<Box<Option<F>>>);

impl<'a, 'b> Turn<'a, 'b> {
    pub(crate) fn new(
        router: &Router,
        link: &'a Arc<Link>,
        cx: &'a mut Context<'b>,
        spare: &'a mut Spare,
    ) -> Self {
        let context = CallContext {
            origin: Origin::Link(Arc::clone(link)),
            name: Text::default(),
            payload: Bytes::new(),
            timestamp: 0,
            states: Arc::clone(&router.states),
        };
        Self { link, context, cx, spare }
    }

    /// Turns to the next call or message.
    pub(super) fn to(&mut self, name: Text, payload: Bytes, timestamp: u64) {
        self.context.name = name;
        self.context.payload = payload;
        self.context.timestamp = timestamp;
    }

    /// Polls a future for the first time.
    pub(super) fn begin<F: Future + Send + 'static>(&mut self, future: F) -> Begun<F> {
        let mut kept = self.spare.keep(future);
        match contain(|| Pin::new(&mut *kept).poll(self.cx)) {
            Ok(Poll::Ready(output)) => {
                kept.0.set(None);
                self.spare.0 = Some(kept);
                Begun::Done(Ok(output))
            }
            Ok(Poll::Pending) => Begun::Pending(*kept),
            Err(why) => Begun::Done(Err(why)),
        }
    }

    /// The same for work of another kind: what is left of it.
    pub(super) fn work(&mut self, mut task: Task) -> Option<Task> {
        task.as_mut().poll(self.cx).is_pending().then_some(task)
    }
}

impl Spare {
    fn keep<F: Send + 'static>(&mut self, future: F) -> Box<Kept<F>> {
        match mem::take(&mut self.0).map(<Box<dyn Any + Send>>::downcast::<Kept<F>>) {
            Some(Ok(mut kept)) => {
                kept.0.set(Some(future));
                kept
            }
            Some(Err(_)) | None => Box::new(Kept(Box::pin(Some(future)))),
        }
    }
}

impl<F: Future> Future for Kept<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.0.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            // It was done, and nobody polls it after that.
            None => Poll::Pending,
        }
    }
}
