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
mod paced;
mod registry;

use std::future::Future;
use std::marker::PhantomData;
#[cfg(feature = "webhook")]
use std::sync::Arc;

pub use admission::Refusal;
pub use broadcast::{Broadcast, Delivered};
pub use handle::ServerHandle;
pub use paced::PacedBroadcast;
pub(crate) use registry::Permit;
pub use registry::ServerStats;

use cndt_core::auth::Access;

use crate::descriptor::ServerDescriptor;
use crate::error::ServeError;
use crate::hooks::{HookOutcome, Hooks};
use crate::net::{Listener, ListenerProtocol, ListenerTls, LocalAddress, Socket, TlsServer, bind};
use crate::peer::Peer;
use crate::router::{
    About, Handler, HandlerFailure, IntoAnswer, IntoReply, Method, Route, Router, registration,
};
use crate::rt::{Machine, Runtime};
#[cfg(feature = "webhook")]
use crate::webhook::server::Reception;
use accept::{Door, Spoken};
use handle::ServerHooks;
pub(crate) use handle::TaskCount;

/// Whether the descriptor's own address is listened on.
#[derive(Debug, Clone, Copy)]
enum Place {
    Descriptor,
    Elsewhere,
}

/// A server that is being put together. Nothing happens before [`Server::start`].
#[must_use = "a server does nothing before it is started"]
pub struct Server<R> {
    descriptor: ServerDescriptor,
    more: Vec<Listener>,
    place: Place,
    tls: Option<TlsServer>,
    router: Router,
    hooks: ServerHooks,
    runtime: PhantomData<R>,
}

impl<R: Runtime> Server<R> {
    /// A server with these settings and no handlers.
    pub fn new(descriptor: ServerDescriptor) -> Self {
        Self {
            descriptor,
            more: Vec::new(),
            place: Place::Descriptor,
            tls: None,
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

    /// Listens in one more place beside the descriptor's.
    pub fn listen(mut self, listener: impl Into<Listener>) -> Self {
        self.more.push(listener.into());
        self
    }

    /// Listens there, and no longer where the descriptor says: only in places that were named by
    /// this method or by [`Server::listen`]. If nobody logs in at any of them, the descriptor needs
    /// no password.
    ///
    /// ```
    /// # #[cfg(feature = "webhook")] {
    /// use cndt_tokio::webhook::Webhooks;
    /// use cndt_tokio::{Listener, Server, ServerDescriptor};
    ///
    /// let server = Server::new(ServerDescriptor::new(""))
    ///     .listen_only(Listener::tcp("127.0.0.1", 8080).webhooks(Webhooks::unsigned()));
    /// # drop(server);
    /// # }
    /// ```
    pub fn listen_only(mut self, listener: impl Into<Listener>) -> Self {
        self.place = Place::Elsewhere;
        self.listen(listener)
    }

    /// Speaks TLS, in place of what the descriptor says about it: for certificates that come from
    /// elsewhere than files, or change while the server runs.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: std::sync::Arc<crate::net::rustls::ServerConfig>) -> Self {
        self.tls = Some(TlsServer::new(config));
        self
    }

    registration!();

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
        let own = match self.place {
            Place::Descriptor => Some(self.descriptor.listener()),
            Place::Elsewhere => None,
        };
        let places: Vec<_> = own.into_iter().chain(self.more).collect();
        let logs_in = places.iter().any(|place| matches!(place.protocol, ListenerProtocol::Cndt));
        if logs_in {
            self.descriptor.validate()?;
        } else {
            self.descriptor.validate_without_login()?;
        }
        let ServerDescriptor { name, version, description, .. } = &self.descriptor;
        let router = self.router.finish(About { name, version, description })?;
        let (descriptor, own_tls) = (self.descriptor.clone(), self.tls);
        let prepared = R::default().run_blocking(move || {
            let tls = match own_tls {
                Some(tls) => Some(tls),
                None => descriptor.tls()?,
            };
            let access = if logs_in { descriptor.access()? } else { Access::new() };
            Ok::<_, ServeError>((access, tls))
        });
        let (access, tls) = prepared.await?;
        let ServerDescriptor { ipv6, ipv6_only, .. } = self.descriptor;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for Listener { address, tls: own, protocol } in places {
            let bound = bind::<R>(&address, ipv6, ipv6_only).await;
            let socket =
                bound.map_err(|error| ServeError::Bind { address: address.to_string(), error })?;
            let tls = match own {
                ListenerTls::AsServer => tls.clone(),
                ListenerTls::Plain => None,
                #[cfg(feature = "tls")]
                ListenerTls::Own(config) => Some(TlsServer::new(config)),
            };
            let place = match (&socket, &tls) {
                (Socket::Tcp(_, address), None) => LocalAddress::Tcp(*address),
                (Socket::Tcp(_, address), Some(_)) => LocalAddress::Tls(*address),
                #[cfg(unix)]
                (Socket::Unix(_, file), _) => LocalAddress::Unix(file.path().to_owned()),
            };
            let (place, spoken) = match protocol {
                ListenerProtocol::Cndt => (place, Spoken::Cndt),
                ListenerProtocol::JsonRpc(settings) => {
                    (LocalAddress::JsonRpc(Box::new(place)), Spoken::JsonRpc(settings))
                }
                #[cfg(feature = "webhook")]
                ListenerProtocol::Webhooks(settings) => {
                    let reception = Arc::new(Reception::new(*settings)?);
                    (LocalAddress::Http(Box::new(place)), Spoken::Webhooks(reception))
                }
            };
            addresses.push(place);
            listeners.push(Door { socket, tls, spoken });
        }
        let machine = Machine::of::<R>();
        let mut descriptor = self.descriptor;
        descriptor.forget_passwords();
        let server = ServerHandle::new(machine, descriptor, router, self.hooks, addresses, access);
        server.announce().await;
        for door in listeners {
            let count = TaskCount::new(&server);
            machine.spawn(accept::run::<R>(server.clone(), door, count));
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
