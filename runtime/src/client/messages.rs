use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use cndt_core::connection::Message;
use futures_core::Stream;

use crate::watched::Watched;

/// Messages that may wait in one subscription.
const MESSAGES_MAX: usize = 1024;
/// Bytes of data that may wait in one subscription; one larger message may wait alone.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages that no handler takes, as they come. Made by `ClientHandle::messages`.
///
/// A subscription holds up to 1,024 messages and 8 MiB; what comes beyond is dropped and counted.
/// It outlives reconnects, and ends when the client is closed for good.
pub struct Messages {
    subscription: Arc<Watched<Subscription>>,
}

#[derive(Default)]
struct Subscription {
    waiting: VecDeque<Message>,
    bytes: usize,
    missed: u64,
    has_ended: bool,
}

impl Messages {
    /// The next message; `None` once the client is closed for good.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// How many messages were dropped because this subscription was full.
    pub fn missed(&self) -> u64 {
        self.subscription.read(|subscription| subscription.missed)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.subscription.poll_take(cx, |subscription| match subscription.waiting.pop_front() {
            Some(message) => {
                subscription.bytes -= message.data.len();
                Some(Some(message))
            }
            None => subscription.has_ended.then_some(None),
        })
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(cx)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

/// Everyone who listens to a client's messages.
#[derive(Default)]
pub(crate) struct Subscribers(Mutex<State>);

#[derive(Default)]
struct State {
    listening: Vec<Arc<Watched<Subscription>>>,
    has_ended: bool,
}

impl Subscribers {
    pub(super) fn subscribe(&self) -> Messages {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = state.has_ended;
        let subscription =
            Arc::new(Watched::new(Subscription { has_ended, ..Subscription::default() }));
        if !has_ended {
            state.listening.push(Arc::clone(&subscription));
        }
        Messages { subscription }
    }

    pub(crate) fn publish(&self, message: &Message) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has dropped the stream listens no more.
        state.listening.retain(|subscription| Arc::strong_count(subscription) > 1);
        for subscription in &state.listening {
            subscription.change(|subscription| {
                let size = message.data.len();
                let is_full = subscription.waiting.len() >= MESSAGES_MAX
                    || (subscription.bytes > 0 && subscription.bytes + size > BYTES_MAX);
                if is_full {
                    subscription.missed += 1;
                } else {
                    subscription.bytes += size;
                    subscription.waiting.push_back(message.clone());
                }
            });
        }
    }

    pub(super) fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.has_ended = true;
        for subscription in state.listening.drain(..) {
            subscription.change(|subscription| subscription.has_ended = true);
        }
    }
}
