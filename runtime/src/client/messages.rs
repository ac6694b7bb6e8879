use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use cndt_core::connection::Message;
use futures_core::Stream;

use crate::watched::Watched;

/// Messages that may wait in one subscription.
const MESSAGES_MAX: usize = 1024;
/// Bytes of data that may wait in one subscription; one larger message may wait alone.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages that no handler takes, as they come. Made by `Client::with_messages` and
/// `ClientHandle::messages`.
///
/// A subscription holds up to 1,024 messages and 8 MiB; what comes beyond is dropped and counted.
/// It outlives reconnects, and ends when the client is closed for good. One that several clients
/// share, as those of a pool do, ends with the last of them.
pub struct Messages {
    subscription: Arc<Watched<Subscription>>,
}

#[derive(Default)]
struct Subscription {
    waiting: VecDeque<Message>,
    bytes: usize,
    missed: u64,
    /// How many may still put something in. None: it has ended.
    sources: usize,
    /// Nobody will take anything out.
    is_abandoned: bool,
}

/// What puts messages into a subscription. The subscription ends when the last one is gone.
pub(crate) struct Source(Arc<Watched<Subscription>>);

impl Source {
    pub(super) fn subscribe() -> (Self, Messages) {
        let only = Subscription { sources: 1, ..Subscription::default() };
        let subscription = Arc::new(Watched::new(only));
        (Self(Arc::clone(&subscription)), Messages { subscription })
    }

    fn is_wanted(&self) -> bool {
        self.0.read(|subscription| !subscription.is_abandoned)
    }

    /// Hands a message in. False when nobody listens any more.
    fn publish(&self, message: &Message) -> bool {
        self.0.change(|subscription| {
            let size = message.data.len();
            let is_full = subscription.waiting.len() >= MESSAGES_MAX
                || (subscription.bytes > 0 && subscription.bytes + size > BYTES_MAX);
            if subscription.is_abandoned {
                return false;
            }
            if is_full {
                subscription.missed += 1;
            } else {
                subscription.bytes += size;
                subscription.waiting.push_back(message.clone());
            }
            true
        })
    }
}

impl Clone for Source {
    fn clone(&self) -> Self {
        self.0.update(|subscription| subscription.sources += 1);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.change(|subscription| subscription.sources -= 1);
    }
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
            None => (subscription.sources == 0).then_some(None),
        })
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        let left = self.subscription.update(|subscription| {
            subscription.is_abandoned = true;
            std::mem::take(&mut subscription.waiting)
        });
        drop(left);
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
pub(crate) struct Subscribers(Mutex<State>);

struct State {
    listening: Vec<Source>,
    has_ended: bool,
}

impl Subscribers {
    /// With those who have subscribed before there was a connection.
    pub(super) fn new(listening: Vec<Source>) -> Self {
        Self(Mutex::new(State { listening, has_ended: false }))
    }

    pub(super) fn subscribe(&self) -> Messages {
        let (source, messages) = Source::subscribe();
        let mut state = self.lock();
        if !state.has_ended {
            // Whoever has dropped the stream listens no more.
            state.listening.retain(Source::is_wanted);
            state.listening.push(source);
        }
        messages
    }

    pub(crate) fn publish(&self, message: &Message) {
        self.lock().listening.retain(|source| source.publish(message));
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        let ended = std::mem::take(&mut state.listening);
        // Dropping wakes: not under the lock.
        drop(state);
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
