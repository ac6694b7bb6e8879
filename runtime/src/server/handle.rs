use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::auth::{Access, Entropy};
use cndt_core::connection::{CloseReason, Connection};
use cndt_core::jsonrpc::Endpoint;
use cndt_core::rpc::MethodInfo;
use cndt_core::time::{Instant, WallAnchor};
use futures_io::{AsyncRead, AsyncWrite};
use serde::Serialize;

use super::accept::Spoken;
use super::admission::Refusal;
use super::broadcast::Broadcast;
use super::registry::{Life, Permit, Registry, ServerStats};
use crate::descriptor::ServerDescriptor;
use crate::driver::Driver;
use crate::entropy;
use crate::error::{ConfigError, ServeError};
use crate::hooks::Hooks;
use crate::link::Link;
use crate::net::{BoxTransport, JsonRpc, LocalAddress, Plain, Trust};
use crate::owner::Owner;
use crate::peer::{ConnectionId, Peer};
use crate::protocol::Protocol;
use crate::race::{First, race};
use crate::router::Router;
use crate::rt::Machine;
use crate::telemetry::{Meters, Role};
use crate::watched::Watched;
#[cfg(feature = "webhook")]
use crate::webhook::{self, server::Reception};

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
    addresses: Vec<LocalAddress>,
    started: Instant,
    registry: Watched<Registry>,
    meters: Meters,
    places_taken: Arc<AtomicUsize>,
    /// Over all connections.
    held_bytes: AtomicUsize,
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
        addresses: Vec<LocalAddress>,
        access: Access,
    ) -> Self {
        let registry = Watched::new(Registry::new(&descriptor));
        let shared = Shared {
            machine,
            access,
            descriptor,
            router,
            hooks,
            addresses,
            started: machine.now(),
            registry,
            meters: Meters::new(Role::Server),
            places_taken: Arc::default(),
            held_bytes: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The settings, but for the passwords: a running server has forgotten them.
    pub fn descriptor(&self) -> &ServerDescriptor {
        &self.shared.descriptor
    }

    /// The first IP address that the server listens on, with its port. `0.0.0.0:0` for a server
    /// that listens on Unix sockets alone.
    pub fn address(&self) -> SocketAddr {
        let mut found = self.shared.addresses.iter().filter_map(LocalAddress::socket_address);
        found.next().unwrap_or_else(|| SocketAddr::from(([0; 4], 0)))
    }

    /// Everywhere that the server listens, in the order of its configuration.
    pub fn local_addresses(&self) -> &[LocalAddress] {
        &self.shared.addresses
    }

    /// False once [`ServerHandle::stop`] was called.
    pub fn is_running(&self) -> bool {
        self.shared.registry.read(|registry| registry.life == Life::Running)
    }

    /// The clients that are logged in, in no particular order.
    pub fn connections(&self) -> Vec<Peer> {
        self.roster().to_vec()
    }

    pub(super) fn roster(&self) -> Arc<[Peer]> {
        self.shared.registry.update(Registry::roster)
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

    /// The first client that `is_it` accepts, in no particular order.
    pub fn find(&self, is_it: impl FnMut(&Peer) -> bool) -> Option<Peer> {
        self.connections().into_iter().find(is_it)
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
        let (peers, mut stats) = self.shared.registry.update(|registry| {
            let stats = ServerStats {
                accepted: registry.accepted,
                refused: registry.refused,
                evicted: registry.evicted,
                shed: registry.shed,
                traffic: registry.past,
                ..ServerStats::default()
            };
            (registry.roster(), stats)
        });
        for peer in peers.iter() {
            stats.traffic.add(&peer.link.lock().connection.stats());
        }
        stats.connections = peers.len();
        stats.held_bytes = self.shared.held_bytes.load(Ordering::Relaxed);
        stats.uptime = self.shared.machine.now().since(self.shared.started);
        stats
    }

    /// Serves one connection over any byte stream: a pipe in memory, a tunnel.
    ///
    /// # Errors
    /// When the server has been stopped, or this stranger is one too many.
    pub fn serve_stream<S>(
        &self,
        stream: S,
        remote: impl Into<Option<SocketAddr>>,
    ) -> Result<(), ServeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve(Plain::boxed(stream), remote.into(), &Spoken::Cndt)
    }

    /// The same for a stream on which JSON-RPC 2.0 is spoken.
    ///
    /// # Errors
    /// As [`ServerHandle::serve_stream`], and when the server is full.
    pub fn serve_jsonrpc_stream<S>(
        &self,
        stream: S,
        remote: impl Into<Option<SocketAddr>>,
        settings: JsonRpc,
    ) -> Result<(), ServeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve(Plain::boxed(stream), remote.into(), &Spoken::JsonRpc(settings))
    }

    pub(super) fn serve(
        &self,
        stream: BoxTransport,
        remote: Option<SocketAddr>,
        spoken: &Spoken,
    ) -> Result<(), ServeError> {
        // On a socket of both families IPv4 looks like IPv6.
        let remote =
            remote.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
        let protocol = match spoken {
            Spoken::Cndt => LinkProtocol::Cndt,
            Spoken::JsonRpc(settings) => LinkProtocol::JsonRpc(settings),
            #[cfg(feature = "webhook")]
            Spoken::Webhooks(reception) => return self.serve_http(stream, remote, reception),
        };
        let Shared { machine, descriptor, registry, .. } = &*self.shared;
        let now = machine.now();
        let id = ConnectionId::from_random(entropy::draw().map_err(ServeError::Entropy)?);
        let owner = Owner::Server(self.clone());
        let link = Link::new(id, remote, *machine, owner, self.begin(now, protocol)?);
        let half_open_max = descriptor.half_open_max;
        let place = match protocol {
            LinkProtocol::Cndt => None,
            // Without a login there is nothing to wait for: it takes its place at once.
            LinkProtocol::JsonRpc(settings) => Some(self.seat(&link, settings.trust)?),
        };
        let taken = registry.update(|registry| registry.take(now, &link, half_open_max));
        if let Err(ServeError::Refused(refusal)) = &taken {
            self.shared.meters.refused(refusal);
        }
        if let Some(evicted) = taken? {
            let remote = evicted.remote;
            tracing::debug!(target: "cndt", ?remote, "silent connection makes room");
            self.shared.meters.evicted();
            evicted.abort();
        }
        let count = TaskCount::new(self);
        let server = self.clone();
        let mut driver = Driver::new(Arc::clone(&link), stream, descriptor.pace());
        if place.is_some() {
            driver = driver.opened(place);
        }
        machine.spawn(async move {
            driver.await;
            if link.lock().opened.is_some() {
                server.shared.hooks.client_disconnect.run(Peer::new(link)).await;
            }
            drop(count);
        });
        Ok(())
    }

    /// Webhooks come over connections without a machine of ours: hyper has its own.
    #[cfg(feature = "webhook")]
    fn serve_http(
        &self,
        stream: BoxTransport,
        remote: Option<SocketAddr>,
        reception: &Arc<Reception>,
    ) -> Result<(), ServeError> {
        if !self.is_running() {
            return Err(ServeError::Stopped);
        }
        let full = Refusal::Full(self.shared.descriptor.max_connections);
        let Some(place) = self.reserve() else {
            self.shared.registry.update(|registry| registry.refused += 1);
            self.shared.meters.refused(&full);
            return Err(full.into());
        };
        self.shared.registry.update(|registry| registry.accepted += 1);
        let count = TaskCount::new(self);
        let (server, reception) = (self.clone(), Arc::clone(reception));
        self.shared.machine.spawn(async move {
            webhook::server::serve(server, stream, remote, reception, place).await;
            drop(count);
        });
        Ok(())
    }

    /// The machine of one connection.
    fn begin(&self, now: Instant, protocol: LinkProtocol<'_>) -> Result<Protocol, ServeError> {
        let Shared { machine, descriptor, access, .. } = &*self.shared;
        match protocol {
            LinkProtocol::Cndt => {
                let wall = WallAnchor { at: now, unix_millis: machine.unix_millis() };
                let entropy = Entropy(entropy::draw().map_err(ServeError::Entropy)?);
                let config = descriptor.config(wall);
                let connection = Connection::server(now, config, access.clone(), entropy);
                Ok(Protocol::cndt(connection.map_err(ConfigError::from)?))
            }
            LinkProtocol::JsonRpc(settings) => {
                let endpoint = Endpoint::new(now, settings.config(descriptor.limits()));
                Ok(Protocol::json(endpoint.map_err(ConfigError::from)?))
            }
        }
    }

    /// A place for a peer that does not log in.
    fn seat(&self, link: &Link, trust: Trust) -> Result<Permit, Refusal> {
        let full = Refusal::Full(self.shared.descriptor.max_connections);
        let place = self.reserve().ok_or(full).inspect_err(|full| self.shared.meters.refused(full));
        link.open_without_login();
        if trust == Trust::Everybody {
            link.note_logged_in();
        }
        place
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
        let patience = limits.drain.saturating_add(limits.linger).saturating_add(STOP_GRACE);
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
            let ServerDescriptor { name, version, description, .. } = &self.shared.descriptor;
            tracing::info!(target: "cndt", name, version, description, %address, "listening");
        }
    }

    /// Resolves once the server begins to stop.
    pub(crate) async fn stopping(&self) {
        self.shared.registry.until(|registry| (registry.life != Life::Running).then_some(())).await;
    }

    pub(crate) fn machine(&self) -> Machine {
        self.shared.machine
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    pub(crate) fn router(&self) -> &Router {
        &self.shared.router
    }

    pub(crate) fn reserve(&self) -> Option<Permit> {
        Permit::reserve(&self.shared.places_taken, self.shared.descriptor.max_connections)
    }

    /// A connection holds so many bytes now.
    pub(crate) fn account(&self, link: &Link, bytes: usize) {
        let before = link.note_held_bytes(bytes);
        let Shared { held_bytes, descriptor, machine, registry, .. } = &*self.shared;
        let total = if bytes >= before {
            let more = bytes - before;
            held_bytes.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = before - bytes;
            held_bytes.fetch_sub(less, Ordering::Relaxed) - less
        };
        let budget = descriptor.memory_budget;
        if budget == 0 || total <= budget || bytes <= before {
            return;
        }
        if let Some(link) = registry.update(|registry| registry.shed(machine.now())) {
            let (id, remote, held) = (link.id, link.remote, link.held_bytes());
            tracing::warn!(
                target: "cndt", %id, ?remote, held, total, budget,
                "client cut off: all together hold more than memory_budget",
            );
            self.shared.meters.shed();
            link.abort();
        }
    }

    pub(crate) fn opened(&self, link: &Arc<Link>) {
        self.shared.registry.update(|registry| registry.opened(link.id));
        self.shared.meters.opened();
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
        self.account(link, 0);
        let now = self.shared.machine.now();
        let why = closed.as_ref().map(|closed| &closed.reason);
        let removed =
            self.shared.registry.update(|registry| registry.closed(now, link.id, &stats, why));
        let (Some(was_open), Some(closed)) = (removed, closed) else { return };
        self.shared.meters.closed(was_open, &closed.reason);
        let (id, remote, reason, unsent) = (link.id, link.remote, &closed.reason, closed.unsent);
        match (was_open, reason) {
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
/// What a stopping server waits for.
pub(crate) struct TaskCount(ServerHandle);

/// What connections with a machine of ours speak.
#[derive(Clone, Copy)]
enum LinkProtocol<'a> {
    Cndt,
    JsonRpc(&'a JsonRpc),
}

impl TaskCount {
    pub(crate) fn new(server: &ServerHandle) -> Self {
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
