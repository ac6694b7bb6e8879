//! Pools: several clients of one server or more, behind one handle.
//!
//! A client is the template; every member shares its handlers, states, hooks and subscriptions.
//!
//! ```
//! use cndt_tokio::{Balance, Client, ClientDescriptor, Params, PoolOptions, Server, ServerDescriptor};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let start = || {
//! #     let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! #     let add = |Params((a, b)): Params<(i64, i64)>| async move { a + b };
//! #     Server::new(descriptor).rpc("add", add).start()
//! # };
//! # let (one, other) = (start().await?, start().await?);
//! let descriptor = ClientDescriptor::new("127.0.0.1", one.address().port(), "secret");
//! let options = PoolOptions::new()
//!     .size(2)
//!     .server("127.0.0.1", other.address().port())
//!     .balance(Balance::RoundRobin);
//! let pool = Client::new(descriptor).pool(options).connect().await?;
//! assert_eq!(pool.members().len(), 4);
//! let sum: i64 = pool.call("add", &(10, 20)).await?;
//! assert_eq!(sum, 30);
//! pool.disconnect().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Who is chosen
//!
//! Each call, message or ping goes to one member that is connected; [`Balance`] tells which. Members
//! that their server has asked to pause, and ones whose `on_connect` hooks still run, are chosen only
//! if there is no other.
//!
//! After three failures in a row, a member is **ejected**: it is not chosen for 1 s, then for twice as
//! long each time that it fails again, up to 30 s. Failures are time-outs and lost connections;
//! any answer, an error of the handler included, is a success and puts the member back. Ejected
//! members are chosen when there is no other.
//!
//! # What is repeated
//!
//! A call that is known not to have left (`NotConnected`, or `ConnectionLost { sent: false }`) is
//! made once more, at once and on another member, within the time that it has left. What else is
//! [repeated](crate::retry), after a pause and on whichever member is chosen then, the template's
//! descriptor says, or the call; by default nothing in CNDT, and in JSON-RPC what cannot have been
//! executed.
//!
//! # Members that are lost
//!
//! Each member reconnects by itself, as its descriptor says. One that has used up its
//! `reconnect_attempts` is gone for good; with `reconnect_attempts(0)` members wait for their server
//! however long it is away.

mod breaker;
mod call;
mod choice;
mod handle;
mod options;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use cndt_core::connection::CloseReason;
use cndt_core::resilience::Permit;
use cndt_core::time::Instant;

pub use call::{PoolCall, PoolRawCall};
pub use choice::Balance;
pub use handle::{MemberHealth, PoolHandle};
pub use options::PoolOptions;

use crate::client::{Client, ClientHandle};
use crate::descriptor::{ClientDescriptor, ClientProtocol};
use crate::entropy;
use crate::error::{ConfigError, ConnectError, ConnectErrorKind};
use crate::protocol::Codec;
use crate::retry::Repetitions;
use crate::rt::{Machine, Runtime};
use choice::{Chooser, Ended};

/// A pool that is being put together. Made by [`Client::pool`]; nothing happens before
/// [`Pool::connect`].
#[must_use = "a pool does nothing before it connects"]
#[derive(Debug, Clone)]
pub struct Pool<R> {
    template: Client<R>,
    options: PoolOptions,
}

impl<R: Runtime> Pool<R> {
    pub(crate) fn new(template: Client<R>, options: PoolOptions) -> Self {
        Self { template, options }
    }

    /// Connects all members at the same time. Returns as soon as one is logged in; the others keep
    /// trying in the background, like clients that were begun by [`Client::start`].
    ///
    /// # Errors
    /// A setting, TLS or the handlers; or, once every member has failed for good, why the first of
    /// them did. With `reconnect_attempts(0)` and only servers that never come it waits for ever.
    pub async fn connect(self) -> Result<PoolHandle, ConnectError> {
        let address = self.template.descriptor().address();
        let members = self.begin().await;
        let shared = members.map_err(|kind| ConnectError { address, kind })?;
        let pool = PoolHandle::new(shared);
        first_ready(pool.shared()).await?;
        Ok(pool)
    }

    async fn begin(self) -> Result<Arc<PoolShared>, ConnectErrorKind> {
        let Self { mut template, options } = self;
        let servers = options.servers(template.descriptor())?;
        let machine = Machine::of::<R>();
        if options.balance == Balance::LeastLatency {
            template = template.on_connect(move |client: ClientHandle| {
                // Without a value a member could only be guessed at. Whoever greets need not wait for
                // it, and it must not keep the client open: it holds the connection alone.
                let ping = client.ping();
                machine.spawn(async move {
                    let _ = ping.await;
                });
                std::future::ready(())
            });
        }
        let template = template.with_tls().await?;
        let descriptor = template.descriptor().clone();
        let mut members = Vec::with_capacity(options.size * servers.len());
        // Servers take turns, so that a round of calls visits all of them.
        for _ in 0..options.size {
            for descriptor in &servers {
                members.push(template.with_descriptor(descriptor.clone()).begin()?);
            }
        }
        let seed = u64::from_be_bytes(entropy::draw()?);
        let chooser = Mutex::new(Chooser::new(options.balance, seed, members.len()));
        let repetitions = Repetitions::new().map_err(ConfigError::from)?;
        Ok(Arc::new(PoolShared { machine, members, chooser, descriptor, repetitions }))
    }
}

/// What all handles and calls of a pool share.
pub(crate) struct PoolShared {
    machine: Machine,
    members: Vec<ClientHandle>,
    chooser: Mutex<Chooser>,
    /// The template's, for what concerns calls.
    descriptor: ClientDescriptor,
    repetitions: Repetitions,
}

impl PoolShared {
    /// The place of the member that is to be used next, and its client.
    fn choose(&self, except: Option<usize>) -> Option<(usize, &ClientHandle)> {
        let loads = self.members.iter().map(ClientHandle::load);
        let chosen = self.chooser().choose(self.machine.now(), loads, except)?;
        Some((chosen, self.members.get(chosen)?))
    }

    /// A call on this member begins.
    fn begin(self: &Arc<Self>, member: usize, now: Instant) -> Trial {
        let permit = self.chooser().begin(member, now);
        Trial { pool: Arc::clone(self), member, permit, ended: Ended::GivenUp }
    }

    /// How answers are written.
    fn codec(&self) -> Codec {
        match self.descriptor.protocol {
            ClientProtocol::Cndt => Codec::MessagePack,
            ClientProtocol::JsonRpc(_) => Codec::Json,
        }
    }

    // Nothing under this lock panics half way: a poisoned one still holds a whole value.
    fn chooser(&self) -> MutexGuard<'_, Chooser> {
        self.chooser.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that counts for the standing of its member, once it is dropped.
struct Trial {
    pool: Arc<PoolShared>,
    member: usize,
    permit: Option<Permit>,
    ended: Ended,
}

impl Drop for Trial {
    fn drop(&mut self) {
        let now = self.pool.machine.now();
        self.pool.chooser().record(self.member, now, self.permit.take(), self.ended);
    }
}

/// Waits for the first login, or until no member tries any more.
async fn first_ready(pool: &PoolShared) -> Result<(), ConnectError> {
    type Ready<'a> = Pin<Box<dyn Future<Output = Result<(), ConnectError>> + Send + 'a>>;
    let mut waiting: Vec<Ready<'_>> = Vec::with_capacity(pool.members.len());
    for member in &pool.members {
        waiting.push(Box::pin(member.ready()));
    }
    let mut first_error = None;
    poll_fn(|cx| {
        let mut index = 0;
        while let Some(ready) = waiting.get_mut(index) {
            match ready.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => {
                    first_error.get_or_insert(error);
                    drop(waiting.swap_remove(index));
                }
            }
        }
        if !waiting.is_empty() {
            return Poll::Pending;
        }
        let closed = ConnectErrorKind::Closed { reason: CloseReason::Local, io: None };
        let nobody = || ConnectError { address: "the pool".to_owned(), kind: closed };
        Poll::Ready(Err(first_error.take().unwrap_or_else(nobody)))
    })
    .await
}
