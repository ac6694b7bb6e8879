use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::message::Body;
use cndt_core::rpc::Reply;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::Asked;
use crate::call::{Arguments, refused};
use crate::error::{CallError, NotConnected};
use crate::link::Link;
use crate::protocol::Codec;

/// What each call of a batch came to, in the order of the calls.
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
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        self.codec.read(&self.reply.data).map_err(CallError::Decode)
    }

    /// The whole answer as it came: MessagePack, or JSON of a JSON-RPC peer.
    pub fn into_reply(self) -> Reply {
        self.reply
    }
}

/// Several calls that leave together. Made by `ClientHandle::batch` and `Peer::batch`.
///
/// In JSON-RPC they go out as one batch, which the peer answers together: all of them, or none. In
/// CNDT they go out one after the other; when one cannot, those before it are cancelled, which the
/// peer may have begun by then. A batch does not wait for room.
///
/// ```
/// # use cndt_tokio::{CallError, ClientHandle};
/// # async fn example(client: &ClientHandle) -> Result<(), CallError> {
/// let outcomes = client.batch().call("add", &(1, 2)).call("greet", &["Ann"]).await?;
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
/// parameters cannot be sent, when there are more calls than `calls_max`, or with
/// [`SendError::Blocked`](cndt_core::connection::SendError::Blocked) while there is no room.
#[must_use = "a batch is only sent when it is awaited"]
pub struct Batch<'a> {
    link: Option<Arc<Link>>,
    timeout: Duration,
    calls: Vec<(&'a str, Box<dyn Body + Send + 'a>)>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(link: Option<Arc<Link>>, timeout: Duration) -> Self {
        Self { link, timeout, calls: Vec::new() }
    }

    /// One more call.
    pub fn call<P: Serialize + Sync + ?Sized>(mut self, method: &'a str, params: &'a P) -> Self {
        self.calls.push((method, Box::new(Arguments::new(params))));
        self
    }

    /// How long each call waits for its answer. By default what calls have anyway.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn run(self) -> Result<Outcomes, CallError> {
        let Self { link, timeout, calls } = self;
        let link = link.ok_or(NotConnected)?;
        let codec = link.lock().connection.codec();
        let asked = Asked::all(&link, &calls, timeout).map_err(|why| refused(why, timeout))?;
        let methods: Vec<&str> = calls.into_iter().map(|(method, _)| method).collect();
        let mut outcomes = Vec::with_capacity(asked.len());
        for (mut asked, method) in asked.into_iter().zip(methods) {
            let outcome = poll_fn(|cx| asked.poll(cx, method)).await;
            let outcome = outcome.map(|reply| Answer { reply, codec });
            outcomes.push(outcome.map_err(|why| refused(why, timeout)));
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
        let methods: Vec<&str> = self.calls.iter().map(|(method, _)| *method).collect();
        f.debug_struct("Batch").field("calls", &methods).finish_non_exhaustive()
    }
}
