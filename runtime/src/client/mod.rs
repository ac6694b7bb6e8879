//! Clients: one connection to a server, made again when it is lost. Several connections, to one server
//! or more, are a [pool](crate::pool).
//!
//! While a client reconnects, new calls and messages fail at once with `NotConnected`, and calls
//! that were under way have failed with `ConnectionLost`. With a `retry_count` in its descriptor, or a
//! policy of their own, calls are [repeated](crate::retry) where that is safe.
//!
//! ```
//! use cndt_tokio::{Client, ClientDescriptor, Server, ServerDescriptor};
//! use serde_json::{Value, json};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! # let server = Server::new(descriptor).start().await?;
//! let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret");
//! let client = Client::new(descriptor.name("example"))
//!     .on("news", |cndt_tokio::Data(news): cndt_tokio::Data<Value>| async move {
//!         println!("{news}");
//!     })
//!     .connect()
//!     .await?;
//! client.send("greeting", &json!({"name": "World"})).await?;
//! println!("round trip: {:?}", client.ping().await?);
//! client.disconnect().await;
//! # Ok(())
//! # }
//! ```

mod handle;
mod messages;
mod session;
mod shared;

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::connection::CloseReason;
use cndt_core::resilience::RetryPolicy;
use futures_io::{AsyncRead, AsyncWrite};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use handle::Load;
pub use handle::{ClientHandle, Health};
pub use messages::Messages;
pub(crate) use shared::ClientShared;
pub use shared::ConnectionState;

use crate::descriptor::ClientDescriptor;
use crate::error::{ConnectError, ConnectErrorKind, OnceError};
use crate::hooks::{HookOutcome, Hooks};
use crate::link::Link;
use crate::net::{Plain, TlsClient};
use crate::pool::{Pool, PoolOptions};
use crate::retry::{Attempts, Repeat};
use crate::router::{
    About, Handler, HandlerFailure, IntoAnswer, IntoReply, Method, Route, Router, registration,
};
use crate::rt::{Machine, Runtime};
use messages::Source;
use session::Begin;
use shared::{ClientHooks, Stage};

/// A client that is being put together. Nothing happens before [`Client::connect`] or
/// [`Client::start`].
///
/// Cheap to clone: clones share handlers, states and hooks, so that one serves as the template of
/// many.
#[must_use = "a client does nothing before it connects"]
#[derive(Clone)]
pub struct Client<R> {
    descriptor: ClientDescriptor,
    tls: Option<TlsClient>,
    router: Router,
    hooks: ClientHooks,
    listening: Vec<Source>,
    runtime: PhantomData<R>,
}

impl<R: Runtime> Client<R> {
    /// A client with these settings and no handlers.
    pub fn new(descriptor: ClientDescriptor) -> Self {
        Self {
            descriptor,
            tls: None,
            router: Router::new(),
            hooks: ClientHooks {
                connect: Hooks::new("on_connect"),
                disconnect: Hooks::new("on_disconnect"),
                reconnect: Hooks::new("on_reconnect"),
            },
            listening: Vec::new(),
            runtime: PhantomData,
        }
    }

    /// Speaks TLS, in place of what the descriptor says about it: for authorities and certificates
    /// that come from elsewhere than files.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<crate::net::rustls::ClientConfig>) -> Self {
        self.tls = Some(TlsClient::new(config, self.descriptor.tls_channel_binding));
        self
    }

    registration!();

    /// Runs whenever the client has logged in, reconnects included, before the first handler.
    pub fn on_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ClientHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.connect.add(hook);
        self
    }

    /// Runs whenever a connection that had logged in has ended.
    pub fn on_disconnect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ClientHandle, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.disconnect.add(move |(client, reason)| hook(client, reason));
        self
    }

    /// Runs when a lost connection has been made again, after the `on_connect` hooks.
    pub fn on_reconnect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ClientHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.reconnect.add(hook);
        self
    }

    /// Listens to messages that no handler takes, from the very first: the subscription is there
    /// before the connection, so that nothing is missed which the server sends right at login.
    /// Several may be asked for; each gets everything.
    ///
    /// ```
    /// use cndt_tokio::{Client, ClientDescriptor, Peer, Server, ServerDescriptor};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
    /// let server = Server::new(descriptor)
    ///     .on_client_connect(|peer: Peer| async move { peer.send("welcome", "hello").await })
    ///     .start()
    ///     .await?;
    /// let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret");
    /// let (client, mut messages) = Client::new(descriptor).with_messages();
    /// let client = client.connect().await?;
    /// let first = messages.next().await.ok_or("closed")?;
    /// assert_eq!(&*first.name, "welcome");
    /// # client.disconnect().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_messages(mut self) -> (Self, Messages) {
        let (source, messages) = Source::subscribe();
        self.listening.push(source);
        (self, messages)
    }

    /// Connects and logs in. Returns when the `on_connect` hooks are done.
    ///
    /// The first connection is tried once; only one that had been made is made again.
    ///
    /// # Errors
    /// [`ConnectError`] says what to do about it.
    pub async fn connect(self) -> Result<ClientHandle, ConnectError> {
        let address = self.descriptor.address();
        let failed = |kind| ConnectError { address: address.clone(), kind };
        self.descriptor.validate().map_err(|error| failed(error.into()))?;
        let shared = self.with_tls().await.and_then(Self::share).map_err(&failed)?;
        let (stream, remote) = session::dial::<R>(&shared).await.map_err(&failed)?;
        let driver = shared.attach(stream, remote).map_err(&failed)?;
        let link = Arc::clone(driver.link());
        let client = ClientHandle::first(&shared);
        let begin = Begin::Connected(Box::new(driver));
        shared.machine.spawn(session::run::<R>(shared.clone(), begin));
        logged_in(&link).await.map_err(&failed)?;
        Ok(client)
    }

    /// Returns at once and connects in the background. The first connection is tried at once, and
    /// then as often and with the same delays as one that was lost (`reconnect_attempts`,
    /// `reconnect_delay`…); only once if `reconnect_enabled` is off. A refused login ends the
    /// client, as [`ConnectionState::Failed`].
    ///
    /// Until it is connected, calls and messages fail at once with `NotConnected`: nothing is kept
    /// for later. [`ClientHandle::ready`] waits for the connection.
    ///
    /// ```
    /// use cndt_tokio::{Client, ClientDescriptor, ConnectErrorKind};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let descriptor = ClientDescriptor::new("127.0.0.1", 1, "secret").reconnect_enabled(false);
    /// let client = Client::new(descriptor).start().await?;
    /// assert!(!client.is_connected());
    /// let error = client.ready().await.expect_err("nobody listens there");
    /// assert!(matches!(error.kind, ConnectErrorKind::Io { .. }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A setting, a file that TLS needs, or handlers that do not fit together. It awaits nothing but
    /// the reading of those files.
    pub async fn start(self) -> Result<ClientHandle, ConnectError> {
        let address = self.descriptor.address();
        let started = match self.descriptor.validate() {
            Ok(()) => self.with_tls().await.and_then(Self::begin),
            Err(error) => Err(error.into()),
        };
        started.map_err(|kind| ConnectError { address, kind })
    }

    /// Begins to connect, with settings that are valid and TLS that is known.
    pub(crate) fn begin(self) -> Result<ClientHandle, ConnectErrorKind> {
        let shared = self.share()?;
        shared.state.change(|state| state.stage = Stage::Connecting);
        let client = ClientHandle::first(&shared);
        shared.machine.spawn(session::run::<R>(Arc::clone(&shared), Begin::FromNothing));
        Ok(client)
    }

    /// Logs in over any byte stream: a pipe in memory, a tunnel. What the descriptor says of TLS does
    /// not apply. Such a client does not reconnect.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_over<S>(self, stream: S) -> Result<ClientHandle, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |kind| ConnectError { address: "the given stream".to_owned(), kind };
        self.descriptor.validate_connection().map_err(|error| failed(error.into()))?;
        let shared = self.share().map_err(failed)?;
        let driver = shared.attach(Plain::boxed(stream), None).map_err(failed)?;
        let link = Arc::clone(driver.link());
        let client = ClientHandle::first(&shared);
        shared.machine.spawn(session::run_once(shared.clone(), driver));
        logged_in(&link).await.map_err(failed)?;
        Ok(client)
    }

    /// A client without handlers over any byte stream; see [`Client::connect_over`].
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn over<S>(
        stream: S,
        descriptor: ClientDescriptor,
    ) -> Result<ClientHandle, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::new(descriptor).connect_over(stream).await
    }

    /// Connects, calls one method, and closes the connection: for servers that answer once, as some
    /// JSON-RPC servers do. The client may be used again.
    ///
    /// It is tried `retry_count` times, each time with a connection of its own, where that is
    /// [safe](crate::retry): no connection came about, or the call allows it. Each attempt may take
    /// `connect_timeout` and `rpc_timeout`.
    ///
    /// # Errors
    /// [`OnceError`]: no connection, or no result.
    pub async fn call_once<P, T>(&self, method: &str, params: &P) -> Result<T, OnceError>
    where
        P: Serialize + ?Sized,
        T: DeserializeOwned + 'static,
    {
        let machine = Machine::of::<R>();
        let policy = self.descriptor.retry_policy();
        let mut attempts = Attempts::new(policy, machine.now(), Duration::MAX);
        let is_idempotent = self.descriptor.is_idempotent(method);
        loop {
            let error = match self.try_call(method, params).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let next = match Repeat::after(&error, is_idempotent) {
                Repeat::No => None,
                Repeat::Unsent => attempts.failed(machine.now(), None),
                Repeat::Sent { retry_after } => attempts.failed(machine.now(), retry_after),
            };
            let Some(at) = next else { return Err(error) };
            tracing::debug!(target: "cndt", method, %error, "the call is repeated");
            machine.sleep_until(at).await;
        }
    }

    async fn try_call<P, T>(&self, method: &str, params: &P) -> Result<T, OnceError>
    where
        P: Serialize + ?Sized,
        T: DeserializeOwned + 'static,
    {
        let client = self.once().connect().await?;
        let outcome = client.call(method, params).retry(RetryPolicy::NEVER).await;
        client.disconnect().await;
        Ok(outcome?)
    }

    /// Connects, sends one message, and closes the connection.
    ///
    /// # Errors
    /// [`OnceError`]: no connection, or the message was not delivered to the operating system.
    pub async fn send_once<T>(&self, name: &str, data: &T) -> Result<(), OnceError>
    where
        T: Serialize + ?Sized,
    {
        let client = self.once().connect().await?;
        let outcome = client.send(name, data).await;
        client.disconnect().await;
        Ok(outcome?)
    }

    /// The same client for one connection.
    fn once(&self) -> Self {
        self.with_descriptor(self.descriptor.clone().reconnect_enabled(false))
    }

    /// Several of this client, as a pool.
    ///
    /// The client is the template of every member: they share its handlers, states, hooks and
    /// subscriptions, and have its settings. Nothing happens before [`Pool::connect`].
    pub fn pool(self, options: PoolOptions) -> Pool<R> {
        Pool::new(self, options)
    }

    /// The settings, for whoever uses this client as a template.
    pub(crate) fn descriptor(&self) -> &ClientDescriptor {
        &self.descriptor
    }

    /// The same client with other settings.
    pub(crate) fn with_descriptor(&self, descriptor: ClientDescriptor) -> Self {
        Self { descriptor, ..self.clone() }
    }

    fn share(self) -> Result<Arc<ClientShared>, ConnectErrorKind> {
        let ClientDescriptor { name, version, description, .. } = &self.descriptor;
        let router = self.router.finish(About { name, version, description })?;
        let machine = Machine::of::<R>();
        let Self { descriptor, tls, hooks, listening, .. } = self;
        let shared = ClientShared::new(machine, descriptor, tls, router, hooks, listening)?;
        Ok(Arc::new(shared))
    }

    /// Reads what TLS needs, once for all connections.
    pub(crate) async fn with_tls(mut self) -> Result<Self, ConnectErrorKind> {
        if self.tls.is_none() && self.descriptor.tls {
            let descriptor = self.descriptor.clone();
            self.tls = R::default().run_blocking(move || descriptor.tls_client()).await?;
        }
        Ok(self)
    }
}

impl<R> std::fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("descriptor", &self.descriptor)
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}

/// Waits until the connection may be used, or has ended before that.
async fn logged_in(link: &Arc<Link>) -> Result<(), ConnectErrorKind> {
    let outcome = link.watch(|state| match &state.closed {
        _ if state.released => Some(Ok(())),
        Some(closed) => Some(Err((closed.reason.clone(), state.io_error.clone()))),
        None => None,
    });
    outcome.await.map_err(|(reason, io)| ConnectErrorKind::Closed { reason, io })
}
