//! Servers: listeners, the connections that came, and what they may do together.
//!
//! ```
//! use cndt_tokio::{Peer, Server, ServerDescriptor};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! let server = Server::new(descriptor)
//!     .rpc("whoami", |peer: Peer| async move { peer.id().to_string() })
//!     .on_client_connect(|peer: Peer| async move { println!("{} is here", peer.id()) })
//!     .start()
//!     .await?;
//! println!("listening on {}", server.address());
//! server.stop().await;
//! assert!(!server.is_running());
//! # Ok(())
//! # }
//! ```

mod accept;
mod admission;
mod broadcast;
mod handle;
mod registry;

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;

pub use admission::Refusal;
pub use broadcast::{Broadcast, Delivered};
pub use handle::ServerHandle;
pub(crate) use registry::Permit;
pub use registry::ServerStats;

use crate::descriptor::ServerDescriptor;
use crate::error::ServeError;
use crate::hooks::{HookOutcome, Hooks};
use crate::peer::Peer;
use crate::router::{Handler, IntoAnswer, IntoReply, Method, Router};
use crate::rt::{Machine, Runtime};
use handle::{ServerHooks, TaskCount};

/// A server that is being put together. Nothing happens before [`Server::start`].
#[must_use = "a server does nothing before it is started"]
pub struct Server<R> {
    descriptor: ServerDescriptor,
    more_addresses: Vec<(String, u16)>,
    router: Router,
    hooks: ServerHooks,
    runtime: PhantomData<R>,
}

impl<R: Runtime> Server<R> {
    /// A server with these settings and no handlers.
    pub fn new(descriptor: ServerDescriptor) -> Self {
        Self {
            descriptor,
            more_addresses: Vec::new(),
            router: Router::new(),
            hooks: ServerHooks {
                startup: Hooks::new("on_startup"),
                shutdown: Hooks::new("on_shutdown"),
                client_connect: Hooks::new("on_client_connect"),
                client_disconnect: Hooks::new("on_client_disconnect"),
            },
            runtime: PhantomData,
        }
    }

    /// Listens on one more address beside the descriptor's.
    pub fn also_bind(mut self, host: impl Into<String>, port: u16) -> Self {
        self.more_addresses.push((host.into(), port));
        self
    }

    /// Registers a method; see [`Router::rpc`].
    pub fn rpc<H, A, M>(mut self, method: impl Into<Method>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoReply<M>>,
        A: 'static,
        M: 'static,
    {
        self.router = self.router.rpc(method, handler);
        self
    }

    /// Registers a handler for messages of one type; see [`Router::on`].
    pub fn on<H, A, M>(mut self, message: impl Into<String>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoAnswer<M>>,
        A: 'static,
        M: 'static,
    {
        self.router = self.router.on(message, handler);
        self
    }

    /// Provides a value that handlers take by `State`.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.router = self.router.state(value);
        self
    }

    /// Uses this router, in place of what was registered so far.
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// Runs once every address is bound, before the first client is let in.
    pub fn on_startup<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ServerHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.startup.add(hook);
        self
    }

    /// Runs when the server stops, after the last connection has ended.
    pub fn on_shutdown<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ServerHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.shutdown.add(hook);
        self
    }

    /// Runs when a client has logged in, before the first handler of its connection.
    pub fn on_client_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.client_connect.add(hook);
        self
    }

    /// Runs when a client that had logged in is gone.
    pub fn on_client_disconnect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.client_disconnect.add(hook);
        self
    }

    /// Binds every address, runs the startup hooks, and lets clients in.
    ///
    /// The server runs until [`ServerHandle::stop`], even if every handle is dropped.
    ///
    /// # Errors
    /// A setting that makes no sense, handlers that do not fit together, an address that is not to
    /// be had.
    pub async fn start(self) -> Result<ServerHandle, ServeError> {
        self.descriptor.validate()?;
        let router = self.router.finish()?;
        let descriptor = self.descriptor.clone();
        let access = R::default().run_blocking(move || descriptor.access()).await?;
        let first = (self.descriptor.bind_host().to_owned(), self.descriptor.port);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for (host, port) in std::iter::once(first).chain(self.more_addresses) {
            let bound = bind::<R>(&host, port, self.descriptor.ipv6).await;
            let (listener, address) = bound
                .map_err(|error| ServeError::Bind { address: format!("{host}:{port}"), error })?;
            listeners.push(listener);
            addresses.push(address);
        }
        let machine = Machine::of::<R>();
        let mut descriptor = self.descriptor;
        descriptor.forget_passwords();
        let server = ServerHandle::new(machine, descriptor, router, self.hooks, addresses, access);
        server.announce().await;
        for listener in listeners {
            let count = TaskCount::new(&server);
            machine.spawn(accept::run::<R>(server.clone(), listener, count));
        }
        Ok(server)
    }

    /// Starts, and waits until the server is stopped.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn run(self) -> Result<(), ServeError> {
        let server = self.start().await?;
        server.stopped().await;
        Ok(())
    }
}

impl<R> std::fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("descriptor", &self.descriptor)
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}

/// Takes the first address of the wanted family that can be had.
async fn bind<R: Runtime>(
    host: &str,
    port: u16,
    ipv6: bool,
) -> io::Result<(R::Listener, SocketAddr)> {
    let runtime = R::default();
    let mut found = runtime.resolve(host, port).await?;
    // An address that is written out is meant as it stands.
    if found.iter().any(|address| address.is_ipv6() == ipv6) {
        found.retain(|address| address.is_ipv6() == ipv6);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in found {
        match runtime.bind(address).await {
            Ok(listener) => {
                let address = runtime.local_addr(&listener)?;
                return Ok((listener, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
