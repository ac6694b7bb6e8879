use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::jsonrpc::BatchItem;
use cndt_core::message::{Body, Typed};
use cndt_core::rpc::Reply;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Arguments, refused};
use crate::error::{CallError, NotConnected};
use crate::link::Link;
use crate::protocol::Codec;
use crate::together::{Queued, Together};

/// What each call of a batch came to, in the order of the calls. Messages have no part in it.
pub type Outcomes = Vec<Result<Answer, CallError>>;

/// The answer to one call of a [`Batch`].
#[derive(Debug, Clone)]
pub struct Answer {
    reply: Reply,
    codec: Codec,
}

impl Answer {
    /// The result as `T`.
    ///
    /// # Errors
    /// [`CallError::Decode`] when it is of another type.
    pub fn read<T: DeserializeOwned + 'static>(&self) -> Result<T, CallError> {
        self.codec.read(&self.reply.data).map_err(CallError::Decode)
    }

    /// The whole answer as it came: MessagePack, or JSON of a JSON-RPC peer.
    pub fn into_reply(self) -> Reply {
        self.reply
    }
}

/// Several calls and messages that leave together. Made by `ClientHandle::batch` and `Peer::batch`.
///
/// In JSON-RPC they go out as one batch, all of them or none, and the peer answers the calls together.
/// In CNDT they go out one after the other; when one cannot, the calls before it are cancelled, which
/// the peer may have begun by then.
///
/// A batch waits for room in line with other calls: in JSON-RPC until all of it has room, in CNDT it
/// keeps its turn until the last has left. Dropping it cancels its calls.
///
/// ```
/// # use cndt_tokio::{CallError, ClientHandle};
/// # async fn example(client: &ClientHandle) -> Result<(), CallError> {
/// let batch = client.batch().call("add", &(1, 2)).notify("log", &["Ann"]).call("greet", &["Ann"]);
/// let outcomes = batch.await?;
/// assert_eq!(outcomes.len(), 2, "one for each call");
/// for outcome in outcomes {
///     match outcome {
///         Ok(answer) => println!("{}", answer.read::<serde_json::Value>()?),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Of the whole, when it could not be sent: [`CallError::NotConnected`]; [`CallError::Send`] when
/// parameters cannot be sent, or when there are more calls for a batch of JSON-RPC than may be open;
/// [`CallError::Failed`] when there was no room in time, or when the connection ended before a batch
/// without calls had left.
#[must_use = "a batch is only sent when it is awaited"]
pub struct Batch<'a> {
    link: Option<Arc<Link>>,
    timeout: Duration,
    items: Vec<BatchItem<'a, Params<'a>>>,
}

type Params<'a> = Box<dyn Body + Send + Sync + 'a>;

impl<'a> Batch<'a> {
    pub(crate) fn new(link: Option<Arc<Link>>, timeout: Duration) -> Self {
        Self { link, timeout, items: Vec::new() }
    }

    /// One more call.
    pub fn call<P: Serialize + Sync + ?Sized>(mut self, method: &'a str, params: &'a P) -> Self {
        let params: Params<'a> = Box::new(Arguments::new(params));
        self.items.push(BatchItem::Call { method, params });
        self
    }

    /// One more message, as `send` would send it: a notification in JSON-RPC. It has no outcome. A
    /// batch of nothing else is done once it is handed to the operating system.
    pub fn notify<T: Serialize + Sync + ?Sized>(mut self, name: &'a str, data: &'a T) -> Self {
        let params: Params<'a> = Box::new(Typed(data));
        self.items.push(BatchItem::Notification { method: name, params });
        self
    }

    /// How long each call waits for its answer, time spent waiting for room to send included. By
    /// default what calls have anyway.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn run(self) -> Result<Outcomes, CallError> {
        let Self { link, timeout, items } = self;
        let link = link.ok_or(NotConnected)?;
        let codec = link.codec;
        let mut together = Together::new(&link, &items, timeout);
        let queued = poll_fn(|cx| together.poll(cx)).await;
        drop(together);
        let Queued { asked, last } = queued.map_err(|why| refused(why, timeout))?;
        let mut outcomes = Vec::with_capacity(asked.len());
        let calls = items.iter().filter_map(|item| match item {
            BatchItem::Call { method, .. } => Some(*method),
            BatchItem::Notification { .. } => None,
        });
        for (mut asked, method) in asked.into_iter().zip(calls) {
            let outcome = poll_fn(|cx| asked.poll(cx, method)).await;
            let outcome = outcome.map(|reply| Answer { reply, codec });
            outcomes.push(outcome.map_err(|why| refused(why, timeout)));
        }
        if let Some(last) = last.filter(|_| outcomes.is_empty()) {
            let left = poll_fn(|cx| link.lock().handed_over(last, cx.waker())).await;
            // Some of it may have left.
            left.map_err(|_| CallError::Failed(CallFailure::ConnectionLost { sent: true }))?;
        }
        Ok(outcomes)
    }
}

impl<'a> IntoFuture for Batch<'a> {
    type Output = Result<Outcomes, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.items.iter().map(|item| match item {
            BatchItem::Call { method, .. } | BatchItem::Notification { method, .. } => *method,
        });
        let names: Vec<&str> = names.collect();
        f.debug_struct("Batch").field("items", &names).finish_non_exhaustive()
    }
}
