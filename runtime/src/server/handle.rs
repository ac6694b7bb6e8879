use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use cndt_core::auth::{Access, Entropy};
use cndt_core::connection::{CloseReason, Connection};
use cndt_core::rpc::MethodInfo;
use cndt_core::time::{Instant, WallAnchor};
use futures_io::{AsyncRead, AsyncWrite};
use serde::Serialize;

use super::broadcast::Broadcast;
use super::registry::{Entry, HALF_OPEN_MAX, Life, Permit, Registry, ServerStats, add};
use crate::descriptor::ServerDescriptor;
use crate::driver::Driver;
use crate::entropy;
use crate::error::{ConfigError, ServeError};
use crate::hooks::Hooks;
use crate::link::Link;
use crate::owner::Owner;
use crate::peer::{ConnectionId, Peer};
use crate::race::{First, race};
use crate::router::Router;
use crate::rt::Machine;
use crate::watched::Watched;

/// Time that a stopping server gives its connections beyond what the core grants them, and its
/// disconnect hooks.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A running server. Cheap to clone; dropping every handle leaves it running.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Machine,
    descriptor: ServerDescriptor,
    access: Access,
    router: Router,
    hooks: ServerHooks,
    addresses: Vec<SocketAddr>,
    started: Instant,
    registry: Watched<Registry>,
    places_taken: Arc<AtomicUsize>,
}

pub(super) struct ServerHooks {
    pub(super) startup: Hooks<ServerHandle>,
    pub(super) shutdown: Hooks<ServerHandle>,
    pub(super) client_connect: Hooks<Peer>,
    pub(super) client_disconnect: Hooks<Peer>,
}

impl ServerHandle {
    pub(super) fn new(
        machine: Machine,
        descriptor: ServerDescriptor,
        router: Router,
        hooks: ServerHooks,
        addresses: Vec<SocketAddr>,
        access: Access,
    ) -> Self {
        let shared = Shared {
            machine,
            access,
            descriptor,
            router,
            hooks,
            addresses,
            started: machine.now(),
            registry: Watched::new(Registry::new()),
            places_taken: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The settings.
    pub fn descriptor(&self) -> &ServerDescriptor {
        &self.shared.descriptor
    }

    /// Where the server listens; the first of [`ServerHandle::local_addresses`].
    pub fn address(&self) -> SocketAddr {
        // `start` binds at least the descriptor's address.
        self.shared.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0; 4], 0)))
    }

    /// Every address that the server listens on.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// False once [`ServerHandle::stop`] was called.
    pub fn is_running(&self) -> bool {
        self.shared.registry.read(|registry| registry.life == Life::Running)
    }

    /// The clients that are logged in, in no particular order.
    pub fn connections(&self) -> Vec<Peer> {
        self.shared.registry.read(|registry| registry.open().cloned().map(Peer::new).collect())
    }

    /// How many clients are logged in.
    pub fn connection_count(&self) -> usize {
        self.shared.registry.read(|registry| registry.open_count)
    }

    /// The client with this id, if it is logged in.
    pub fn connection(&self, id: ConnectionId) -> Option<Peer> {
        self.shared.registry.read(|registry| {
            let entry = registry.links.get(&id).filter(|entry| entry.is_open)?;
            Some(Peer::new(Arc::clone(&entry.link)))
        })
    }

    /// A message to every client; see [`Broadcast`].
    pub fn broadcast<'a, T: Serialize + ?Sized>(
        &'a self,
        name: &'a str,
        data: &'a T,
    ) -> Broadcast<'a, T> {
        Broadcast::new(self, name, data)
    }

    /// The methods that clients can call, as discovery tells them.
    pub fn methods(&self) -> Vec<MethodInfo> {
        self.shared.router.methods()
    }

    /// What the server has done so far.
    pub fn stats(&self) -> ServerStats {
        let (links, past, accepted) = self.shared.registry.read(|registry| {
            let links: Vec<_> = registry.open().cloned().collect();
            (links, registry.past, registry.accepted)
        });
        let mut traffic = past;
        for link in &links {
            add(&mut traffic, &link.lock().connection.stats());
        }
        let uptime = self.shared.machine.now().since(self.shared.started);
        ServerStats { connections: links.len(), accepted, uptime, traffic }
    }

    /// Serves one connection over any byte stream: TLS, a Unix socket, a pipe in memory.
    ///
    /// # Errors
    /// When the server has been stopped, or too many connections are logging in.
    pub fn serve_stream<S>(
        &self,
        stream: S,
        remote: impl Into<Option<SocketAddr>>,
    ) -> Result<(), ServeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Shared { machine, descriptor, access, registry, .. } = &*self.shared;
        let now = machine.now();
        let wall = WallAnchor { at: now, unix_millis: machine.unix_millis() };
        let entropy = Entropy(entropy::draw().map_err(ServeError::Entropy)?);
        let id = ConnectionId::from_random(entropy::draw().map_err(ServeError::Entropy)?);
        let config = descriptor.config(wall);
        let connection =
            Connection::server(now, config, access.clone(), entropy).map_err(|error| {
                ConfigError { field: error.field, expected: error.expected, value: "that".into() }
            })?;
        let owner = Owner::Server(self.clone());
        let link = Link::new(id, remote.into(), *machine, owner, connection);
        registry.update(|registry| {
            if registry.life != Life::Running {
                return Err(ServeError::Stopped);
            }
            if registry.half_open() >= HALF_OPEN_MAX {
                return Err(ServeError::HalfOpen(HALF_OPEN_MAX));
            }
            registry.accepted += 1;
            let entry = Entry { link: Arc::clone(&link), is_open: false };
            registry.links.insert(id, entry);
            Ok(())
        })?;
        let count = TaskCount::new(self);
        let server = self.clone();
        let driver = Driver::new(Arc::clone(&link), stream, descriptor.pace());
        machine.spawn(async move {
            driver.await;
            if link.lock().opened.is_some() {
                server.shared.hooks.client_disconnect.run(Peer::new(link)).await;
            }
            drop(count);
        });
        Ok(())
    }

    /// Stops gracefully: no new connections, calls under way are finished, what is queued is sent,
    /// then the shutdown hooks run. Returns when all that is done.
    ///
    /// The stop goes on if the future is dropped. Connections that do not end in time are cut off. A
    /// hook must not await it: hooks are part of what it waits for.
    pub async fn stop(&self) {
        let is_first = self.shared.registry.change(|registry| {
            let is_first = registry.life == Life::Running;
            if is_first {
                registry.life = Life::Stopping;
            }
            is_first
        });
        if is_first {
            self.shared.machine.spawn(self.clone().shut_down());
        }
        self.stopped().await;
    }

    /// Waits until the server has been stopped.
    pub async fn stopped(&self) {
        self.shared.registry.until(|registry| (registry.life == Life::Stopped).then_some(())).await;
    }

    async fn shut_down(self) {
        let limits = self.shared.descriptor.limits();
        self.links().iter().for_each(|link| link.close());
        let patience = limits.drain + limits.linger + STOP_GRACE;
        if !self.idle_within(patience).await {
            let links = self.links();
            tracing::warn!(target: "cndt", connections = links.len(), "cutting connections off");
            links.iter().for_each(|link| link.abort());
            self.idle_within(STOP_GRACE).await;
        }
        self.shared.hooks.shutdown.run(self.clone()).await;
        self.shared.registry.change(|registry| registry.life = Life::Stopped);
        tracing::info!(target: "cndt", name = self.shared.descriptor.name, "server stopped");
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let links = |registry: &Registry| {
            registry.links.values().map(|entry| Arc::clone(&entry.link)).collect()
        };
        self.shared.registry.read(links)
    }

    /// Waits until no task is left. False when that took too long.
    async fn idle_within(&self, patience: Duration) -> bool {
        let machine = self.shared.machine;
        let idle = self.shared.registry.until(|registry| (registry.tasks == 0).then_some(()));
        match race(idle, machine.sleep_until(machine.now() + patience)).await {
            First::Left(()) => true,
            First::Right(()) => false,
        }
    }

    pub(super) async fn announce(&self) {
        self.shared.hooks.startup.run(self.clone()).await;
        for address in &self.shared.addresses {
            let name = &self.shared.descriptor.name;
            tracing::info!(target: "cndt", name, %address, "listening");
        }
    }

    /// Resolves once the server begins to stop.
    pub(super) async fn stopping(&self) {
        self.shared.registry.until(|registry| (registry.life != Life::Running).then_some(())).await;
    }

    pub(super) fn machine(&self) -> Machine {
        self.shared.machine
    }

    pub(crate) fn router(&self) -> &Router {
        &self.shared.router
    }

    pub(crate) fn reserve(&self) -> Option<Permit> {
        Permit::reserve(&self.shared.places_taken, self.shared.descriptor.max_connections)
    }

    pub(crate) fn opened(&self, link: &Arc<Link>) {
        self.shared.registry.update(|registry| {
            if let Some(entry) = registry.links.get_mut(&link.id) {
                entry.is_open = true;
                registry.open_count += 1;
            }
        });
        let peer = Peer::new(Arc::clone(link));
        let (id, remote) = (link.id, link.remote);
        tracing::info!(target: "cndt", %id, ?remote, name = peer.name(), "client connected");
        if self.shared.hooks.client_connect.is_empty() {
            return link.release();
        }
        let server = self.clone();
        self.shared.machine.spawn(async move {
            server.shared.hooks.client_connect.run(peer.clone()).await;
            peer.link.release();
        });
    }

    pub(crate) fn closed(&self, link: &Arc<Link>) {
        let (stats, closed, io) = {
            let locked = link.lock();
            (locked.connection.stats(), locked.closed.clone(), locked.io_error.clone())
        };
        let removed = self.shared.registry.update(|registry| {
            let removed = registry.links.remove(&link.id)?;
            registry.open_count -= usize::from(removed.is_open);
            add(&mut registry.past, &stats);
            Some(removed)
        });
        let (Some(entry), Some(closed)) = (removed, closed) else { return };
        let (id, remote, reason, unsent) = (link.id, link.remote, &closed.reason, closed.unsent);
        match (entry.is_open, reason) {
            (true, _) => {
                tracing::info!(target: "cndt", %id, %reason, ?io, unsent, "client disconnected");
            }
            (false, CloseReason::LoginRejected(why)) => {
                tracing::warn!(target: "cndt", ?remote, %why, "login refused");
            }
            (false, _) => {
                tracing::debug!(target: "cndt", ?remote, %reason, ?io, "ended before login");
            }
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.shared.descriptor.name;
        let addresses = &self.shared.addresses;
        f.debug_struct("ServerHandle")
            .field("name", name)
            .field("addresses", addresses)
            .finish_non_exhaustive()
    }
}

/// Counts a task that a stopping server waits for.
pub(super) struct TaskCount(ServerHandle);

impl TaskCount {
    pub(super) fn new(server: &ServerHandle) -> Self {
        server.shared.registry.update(|registry| registry.tasks += 1);
        Self(server.clone())
    }
}

impl Drop for TaskCount {
    fn drop(&mut self) {
        let registry = &self.0.shared.registry;
        let tasks = registry.update(|registry| {
            registry.tasks -= 1;
            registry.tasks
        });
        if tasks == 0 {
            registry.wake();
        }
    }
}
