use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use cndt_core::auth::Entropy;
use cndt_core::auth::scram::Keys;
use cndt_core::connection::{CloseReason, Config, Connection, PhaseName};
use cndt_core::jsonrpc::Endpoint;
use cndt_core::time::WallAnchor;

use super::handle::{ClientHandle, Guard};
use super::messages::{Source, Subscribers};
use crate::descriptor::{ClientDescriptor, ClientProtocol};
use crate::driver::Driver;
use crate::entropy;
use crate::error::{ConfigError, ConnectErrorKind};
use crate::hooks::Hooks;
use crate::link::Link;
use crate::net::{BoxTransport, JsonRpc, TlsClient};
use crate::owner::Owner;
use crate::peer::ConnectionId;
use crate::protocol::{Codec, Protocol};
use crate::retry::Repetitions;
use crate::router::Router;
use crate::rt::Machine;
use crate::telemetry::{Meters, Role};
use crate::watched::Watched;

/// What all handles of a client share.
pub(crate) struct ClientShared {
    pub(crate) machine: Machine,
    pub(crate) descriptor: ClientDescriptor,
    pub(super) tls: Option<TlsClient>,
    pub(crate) router: Router,
    pub(super) hooks: ClientHooks,
    pub(crate) subscribers: Subscribers,
    pub(super) state: Watched<ClientState>,
    pub(crate) meters: Meters,
    pub(crate) repetitions: Repetitions,
    /// Shared by the user's handles; when it goes, so does the connection.
    pub(super) guard: OnceLock<Weak<Guard>>,
}

#[derive(Clone)]
pub(super) struct ClientHooks {
    pub(super) connect: Hooks<ClientHandle>,
    pub(super) disconnect: Hooks<(ClientHandle, CloseReason)>,
    pub(super) reconnect: Hooks<ClientHandle>,
}

pub(super) struct ClientState {
    pub(super) stage: Stage,
    /// Nobody wants the client any more.
    pub(super) stopping: bool,
    /// Attempts since a connection last proved stable.
    pub(super) attempts: u32,
    /// How often a login has succeeded.
    pub(super) logins: u32,
    /// The first login is done, its hooks included.
    pub(super) greeted: bool,
    /// Why the last attempt led to no login.
    pub(super) failure: Option<ConnectErrorKind>,
    pub(super) last_reason: Option<CloseReason>,
    /// Keys of the last login: with them the next one costs nothing.
    pub(super) keys: Option<Keys>,
}

pub(super) enum Stage {
    /// No connection: not yet, or waiting before the next attempt.
    Offline,
    Connecting,
    Authenticating(Arc<Link>),
    Online(Arc<Link>),
    /// Closed for good, as it was wanted.
    Closed,
    /// Closed for good, against the client's will.
    Failed,
}

impl Stage {
    const fn is_over(&self) -> bool {
        match self {
            Self::Closed | Self::Failed => true,
            Self::Offline | Self::Connecting | Self::Authenticating(_) | Self::Online(_) => false,
        }
    }
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Not connected; the next attempt comes after a delay.
    Disconnected,
    /// A TCP connection is being made.
    Connecting,
    /// Logging in.
    Authenticating,
    /// Logged in; the `on_connect` hooks are still running.
    Connected,
    /// In use.
    Active,
    /// In use, but the server has asked for a pause: messages and calls are held back.
    Paused,
    /// Finishing what is under way.
    Closing,
    /// Closed for good.
    Closed,
    /// Given up: the login was refused, or no attempt to reconnect succeeded.
    Failed,
}

impl ConnectionState {
    /// The name, as the Python package writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "DISCONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Authenticating => "AUTHENTICATING",
            Self::Connected => "CONNECTED",
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Closing => "CLOSING",
            Self::Closed => "CLOSED",
            Self::Failed => "FAILED",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl ClientShared {
    pub(super) fn new(
        machine: Machine,
        descriptor: ClientDescriptor,
        tls: Option<TlsClient>,
        router: Router,
        hooks: ClientHooks,
        listening: Vec<Source>,
    ) -> Result<Self, ConfigError> {
        let state = ClientState {
            stage: Stage::Offline,
            stopping: false,
            attempts: 0,
            logins: 0,
            greeted: false,
            failure: None,
            last_reason: None,
            keys: None,
        };
        let repetitions = Repetitions::new().map_err(ConfigError::from)?;
        Ok(Self {
            machine,
            descriptor,
            tls,
            router,
            hooks,
            subscribers: Subscribers::new(listening),
            state: Watched::new(state),
            meters: Meters::new(Role::Client),
            repetitions,
            guard: OnceLock::new(),
        })
    }

    /// Begins a connection over `stream`.
    pub(super) fn attach(
        self: &Arc<Self>,
        stream: BoxTransport,
        remote: Option<SocketAddr>,
    ) -> Result<Driver, ConnectErrorKind> {
        let id = ConnectionId::from_random(entropy::draw()?);
        let session = stream.session();
        let binding = session.as_ref().and_then(|session| session.binding);
        let owner = Owner::Client(Arc::clone(self));
        let link = Link::new(id, remote, self.machine, owner, self.begin(binding)?);
        link.lock().tls = session.map(|session| Arc::new(session.info));
        let mut driver = Driver::new(Arc::clone(&link), stream, self.descriptor.pace());
        if link.codec == Codec::Json {
            link.open_without_login();
            link.note_logged_in();
            driver = driver.opened(None);
        }
        let stopping = self.state.change(|state| {
            state.stage = Stage::Authenticating(Arc::clone(&link));
            state.stopping
        });
        if stopping {
            link.close();
        }
        Ok(driver)
    }

    /// The machine of one connection. `binding` is what its TLS session exports.
    fn begin(&self, binding: Option<[u8; 32]>) -> Result<Protocol, ConnectErrorKind> {
        let now = self.machine.now();
        let wall = WallAnchor { at: now, unix_millis: self.machine.unix_millis() };
        let config = Config { channel_binding: binding, ..self.descriptor.config(wall) };
        if let ClientProtocol::JsonRpc(framing) = self.descriptor.protocol {
            let config = JsonRpc::new().framing(framing).config(config.limits);
            return Ok(Protocol::json(Endpoint::new(now, config).map_err(ConfigError::from)?));
        }
        let keys = self.state.read(|state| state.keys.clone());
        let credentials = self.descriptor.credentials(keys)?;
        let entropy = Entropy(entropy::draw()?);
        let connection = Connection::client(now, config, credentials, entropy);
        Ok(Protocol::cndt(connection.map_err(ConfigError::from)?))
    }

    pub(crate) fn remember(&self, keys: Keys) {
        self.state.change(|state| state.keys = Some(keys));
    }

    /// The connection, if it can be used.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.state.read(|state| match &state.stage {
            Stage::Online(link) => Some(Arc::clone(link)),
            Stage::Offline
            | Stage::Connecting
            | Stage::Authenticating(_)
            | Stage::Closed
            | Stage::Failed => None,
        })
    }

    /// Whether there will be no connection any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.read(|state| state.stopping || state.stage.is_over())
    }

    /// Waits until there is a connection that can be used, or there will be none any more.
    pub(crate) async fn until_usable(&self) {
        let is_settled = |state: &ClientState| {
            let is_settled =
                state.stopping || state.stage.is_over() || matches!(state.stage, Stage::Online(_));
            is_settled.then_some(())
        };
        self.state.until(is_settled).await;
    }

    pub(super) fn connection_state(&self) -> ConnectionState {
        let link = self.state.read(|state| match &state.stage {
            Stage::Offline => Err(ConnectionState::Disconnected),
            Stage::Connecting => Err(ConnectionState::Connecting),
            Stage::Authenticating(_) => Err(ConnectionState::Authenticating),
            Stage::Closed => Err(ConnectionState::Closed),
            Stage::Failed => Err(ConnectionState::Failed),
            Stage::Online(link) => Ok(Arc::clone(link)),
        });
        match link {
            Err(state) => state,
            Ok(link) => {
                let locked = link.lock();
                match locked.connection.phase() {
                    PhaseName::Handshake => ConnectionState::Authenticating,
                    PhaseName::Open if !locked.released => ConnectionState::Connected,
                    PhaseName::Open if locked.connection.is_paused_by_peer() => {
                        ConnectionState::Paused
                    }
                    PhaseName::Open => ConnectionState::Active,
                    PhaseName::Closing => ConnectionState::Closing,
                    PhaseName::Closed => ConnectionState::Disconnected,
                }
            }
        }
    }

    /// Ends the connection gracefully; none is made again.
    pub(super) fn stop(&self) {
        let link = self.state.change(|state| {
            state.stopping = true;
            match &state.stage {
                Stage::Authenticating(link) | Stage::Online(link) => Some(Arc::clone(link)),
                Stage::Offline | Stage::Connecting | Stage::Closed | Stage::Failed => None,
            }
        });
        if let Some(link) = link {
            link.close();
        }
    }

    pub(crate) fn opened(self: &Arc<Self>, link: &Arc<Link>) {
        let is_first = self.state.change(|state| {
            state.stage = Stage::Online(Arc::clone(link));
            state.logins += 1;
            state.logins == 1
        });
        self.meters.opened();
        let (id, remote) = (link.id, link.remote);
        let description = &self.descriptor.description;
        tracing::info!(target: "cndt", %id, ?remote, description, "connected");
        let client = ClientHandle::of(self);
        if self.hooks.connect.is_empty() && (is_first || self.hooks.reconnect.is_empty()) {
            return self.greeted(link);
        }
        let (shared, link) = (Arc::clone(self), Arc::clone(link));
        self.machine.spawn(async move {
            shared.hooks.connect.run(client.clone()).await;
            if !is_first {
                shared.hooks.reconnect.run(client).await;
            }
            shared.greeted(&link);
        });
    }

    /// The connection may be used: handlers run from now on.
    fn greeted(&self, link: &Link) {
        link.release();
        self.state.change(|state| state.greeted = true);
    }

    pub(crate) fn closed(&self, link: &Arc<Link>) {
        let (closed, io) = {
            let locked = link.lock();
            (locked.closed.clone(), locked.io_error.clone())
        };
        let Some(closed) = closed else { return };
        self.meters.closed(link.is_logged_in(), &closed.reason);
        let (id, remote, reason, unsent) = (link.id, link.remote, &closed.reason, closed.unsent);
        tracing::info!(target: "cndt", %id, ?remote, %reason, ?io, unsent, "disconnected");
        self.state.change(|state| {
            state.last_reason = Some(closed.reason.clone());
            match &state.stage {
                Stage::Authenticating(current) | Stage::Online(current)
                    if Arc::ptr_eq(current, link) =>
                {
                    state.stage = Stage::Offline;
                }
                _ => {}
            }
        });
    }

    /// Nothing follows any more.
    pub(super) fn finish(&self, stage: Stage) {
        self.state.change(|state| state.stage = stage);
        self.subscribers.end();
    }
}
