use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cndt_core::connection::{CloseReason, Opened, PhaseName, SendError, Stats};
use cndt_core::message::{Raw, Typed};
use cndt_core::rpc::MethodInfo;
use serde::Serialize;

use super::messages::Messages;
use super::shared::{ClientShared, ConnectionState, Stage};
use crate::batch::Batch;
use crate::call::{Call, RawCall};
use crate::deliver::{self, Ping, SendMessage};
use crate::descriptor::ClientDescriptor;
use crate::error::{CallError, ConnectError, ConnectErrorKind, DeliveryError, NotConnected};
use crate::link::Link;
use crate::peer::Peer;
use crate::retry::Retrying;
use crate::router::listall;

/// A client that has connected or was started. Cheap to clone; when the last one is dropped, the connection is
/// closed gracefully and not made again.
#[derive(Clone)]
pub struct ClientHandle {
    shared: Arc<ClientShared>,
    // Only held: see `Guard`.
    _guard: Option<Arc<Guard>>,
    /// It came from a hook or a handler, which must not wait for its own end.
    is_inner: bool,
}

/// Ends the client when the last handle is gone. The client's own tasks hold none.
pub(crate) struct Guard(Arc<ClientShared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What whoever chooses among several clients looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Neither paused by the server nor busy with its `on_connect` hooks.
    pub(crate) is_free: bool,
    pub(crate) calls_open: usize,
    /// The mean; `None` before one was measured.
    pub(crate) round_trip: Option<Duration>,
}

/// How a client is doing.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether there is a connection that is logged in.
    pub connected: bool,
    /// The same in more detail.
    pub state: ConnectionState,
    /// Attempts to reconnect since a connection last lasted 30 s.
    pub reconnect_attempts: u32,
    /// Logins that succeeded, the first one included.
    pub logins: u32,
    /// What the server told at login; `None` while not connected.
    pub server: Option<Arc<Opened>>,
    /// How long the current connection has been logged in.
    pub connected_for: Duration,
    /// The newest round trip that was measured on the current connection.
    pub round_trip: Option<Duration>,
    /// What the current connection has done so far.
    pub traffic: Stats,
    /// Why the previous connection ended.
    pub last_reason: Option<CloseReason>,
}

impl ClientHandle {
    /// The first handle of a client: the ones that the user gets are cloned from it.
    pub(super) fn first(shared: &Arc<ClientShared>) -> Self {
        let guard = Arc::new(Guard(Arc::clone(shared)));
        // Set once: a client has one first handle.
        let _ = shared.guard.set(Arc::downgrade(&guard));
        Self { shared: Arc::clone(shared), _guard: Some(guard), is_inner: false }
    }

    /// A handle for hooks and handlers.
    pub(crate) fn of(shared: &Arc<ClientShared>) -> Self {
        let guard = shared.guard.get().and_then(Weak::upgrade);
        Self { shared: Arc::clone(shared), _guard: guard, is_inner: true }
    }

    /// The settings.
    pub fn descriptor(&self) -> &ClientDescriptor {
        &self.shared.descriptor
    }

    /// Calls a method of the server; see [`Call`].
    ///
    /// While the client is not connected, it fails with [`NotConnected`]: at once, unless calls are
    /// [repeated](crate::retry).
    pub fn call<'a, P: Serialize + ?Sized, T>(
        &self,
        method: &'a str,
        params: &'a P,
    ) -> Call<'a, P, T> {
        let (link, retrying) = self.way();
        Call::new(link, method, params, self.shared.descriptor.rpc_timeout).retrying(retrying)
    }

    /// Calls a method with parameters that are MessagePack already.
    pub fn call_raw<'a>(&self, method: &'a str, params: &'a [u8]) -> RawCall<'a, Raw<'a>> {
        let (link, retrying) = self.way();
        let timeout = self.shared.descriptor.rpc_timeout;
        RawCall::new(link, method, Raw(params), timeout).retrying(retrying)
    }

    /// The connection that a call goes over, and how it is repeated.
    fn way(&self) -> (Option<Arc<Link>>, Retrying) {
        let link = self.shared.link();
        let client = link.is_none().then(|| Arc::clone(&self.shared));
        (link, Retrying::new(client))
    }

    /// A call that the caller repeats, if anyone.
    pub(crate) fn call_body<'a, B>(
        &self,
        method: &'a str,
        params: B,
        timeout: Duration,
    ) -> RawCall<'a, B> {
        RawCall::new(self.shared.link(), method, params, timeout).retrying(Retrying::never())
    }

    /// Sends a message; resolves once it is handed to the operating system.
    pub fn send<'a, T: Serialize + ?Sized>(
        &self,
        name: &'a str,
        data: &'a T,
    ) -> SendMessage<'a, T> {
        SendMessage::new(self.shared.link(), name, data, self.shared.descriptor.send_timeout)
    }

    /// Queues a message at once, or refuses at once.
    ///
    /// # Errors
    /// When there is no connection, the queue is full, or the value cannot be sent.
    pub fn try_send<T: Serialize + ?Sized>(
        &self,
        name: &str,
        data: &T,
    ) -> Result<(), DeliveryError> {
        let link = self.shared.link().ok_or(NotConnected)?;
        match deliver::try_send(&link, name, &Typed(data)) {
            Ok(_) => Ok(()),
            Err(SendError::NotOpen(_)) => Err(NotConnected.into()),
            Err(error) => Err(DeliveryError::Send(error)),
        }
    }

    /// The server's methods.
    ///
    /// # Errors
    /// As any call.
    pub async fn discover(&self) -> Result<Vec<MethodInfo>, CallError> {
        let listed: listall::Listed = self.call(listall::NAME, &()).await?;
        Ok(listed.into_methods())
    }

    /// Calls several methods at once; see [`Batch`].
    pub fn batch<'a>(&self) -> Batch<'a> {
        Batch::new(self.shared.link(), self.shared.descriptor.rpc_timeout)
    }

    /// Measures the time there and back.
    pub fn ping(&self) -> Ping {
        Ping::new(self.shared.link())
    }

    /// Listens to messages that no handler takes, from now on. What the server sends right at login
    /// may have passed by then; `Client::with_messages` misses nothing.
    pub fn messages(&self) -> Messages {
        self.shared.subscribers.subscribe()
    }

    /// The server's end of the current connection; `None` while not connected.
    pub fn peer(&self) -> Option<Peer> {
        self.shared.link().map(Peer::new)
    }

    /// Where the server is; `None` while not connected or without such an address.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.shared.link()?.remote
    }

    /// How the client is connected.
    pub fn state(&self) -> ConnectionState {
        self.shared.connection_state()
    }

    /// Whether calls and messages can be sent now.
    pub fn is_connected(&self) -> bool {
        match self.state() {
            ConnectionState::Connected | ConnectionState::Active | ConnectionState::Paused => true,
            ConnectionState::Disconnected
            | ConnectionState::Connecting
            | ConnectionState::Authenticating
            | ConnectionState::Closing
            | ConnectionState::Closed
            | ConnectionState::Failed => false,
        }
    }

    /// How the client is doing.
    pub fn health(&self) -> Health {
        let link = self.shared.link();
        let (reconnect_attempts, logins, last_reason) = self
            .shared
            .state
            .read(|state| (state.attempts, state.logins, state.last_reason.clone()));
        let mut health = Health {
            connected: self.is_connected(),
            state: self.state(),
            reconnect_attempts,
            logins,
            server: None,
            connected_for: Duration::ZERO,
            round_trip: None,
            traffic: Stats::default(),
            last_reason,
        };
        if let Some(link) = link {
            let now = self.shared.machine.now();
            let locked = link.lock();
            if let Some((opened, at)) = &locked.opened {
                health.server = Some(Arc::clone(opened));
                health.connected_for = now.since(*at);
            }
            health.round_trip = (locked.pong.count > 0).then_some(locked.pong.round_trip);
            health.traffic = locked.connection.stats();
        }
        health
    }

    /// What the server told at login; `None` while not connected.
    pub fn server_info(&self) -> Option<Arc<Opened>> {
        let link = self.shared.link()?;
        let locked = link.lock();
        locked.opened.as_ref().map(|(opened, _)| Arc::clone(opened))
    }

    /// How long the login took; `None` while not connected.
    pub fn handshake_time(&self) -> Option<Duration> {
        self.server_info().map(|opened| opened.handshake)
    }

    /// Waits until the first login has succeeded and its `on_connect` hooks are done, or the client
    /// is closed for good. For clients that were begun by `Client::start`; on any other it returns
    /// at once. In a hook or handler it does not wait for hooks.
    ///
    /// With `reconnect_attempts(0)` and a server that never comes it waits for ever.
    ///
    /// # Errors
    /// Why the last attempt failed, once none follows.
    pub async fn ready(&self) -> Result<(), ConnectError> {
        let is_inner = self.is_inner;
        let outcome = self.shared.state.until(|state| {
            if state.greeted || (is_inner && state.logins > 0) {
                return Some(Ok(()));
            }
            let is_over = matches!(state.stage, Stage::Closed | Stage::Failed);
            is_over.then(|| {
                let closed = ConnectErrorKind::Closed { reason: CloseReason::Local, io: None };
                Err(state.failure.as_ref().map_or(closed, ConnectErrorKind::again))
            })
        });
        let address = || self.shared.descriptor.address();
        outcome.await.map_err(|kind| ConnectError { address: address(), kind })
    }

    /// How busy the connection is; `None` while calls cannot be made.
    pub(crate) fn load(&self) -> Option<Load> {
        let link = self.shared.link()?;
        let locked = link.lock();
        let connection = &locked.connection;
        let round_trips = connection.stats().round_trips;
        (connection.phase() == PhaseName::Open).then(|| Load {
            is_free: locked.released && !connection.is_paused_by_peer(),
            calls_open: connection.calls_open(),
            round_trip: (round_trips.count > 0).then(|| round_trips.mean()),
        })
    }

    /// Begins to close, as the last handle does when it is dropped.
    pub(crate) fn stop(&self) {
        self.shared.stop();
    }

    /// Closes the connection gracefully: calls under way are finished, what is queued is sent. It is
    /// not made again. Returns when all that is done, the `on_disconnect` hooks included.
    ///
    /// A handle that a hook or a handler was given waits for the connection only, since it would
    /// wait for itself otherwise.
    pub async fn disconnect(&self) {
        let link = self.shared.link();
        self.shared.stop();
        match link {
            Some(link) if self.is_inner => drop(link.closed().await),
            None if self.is_inner => {}
            Some(_) | None => self.ended().await,
        }
    }

    /// Waits until the client is closed for good, reconnects included, and says why the last
    /// connection ended. Not to be awaited in a hook: hooks are part of what it waits for.
    pub async fn closed(&self) -> CloseReason {
        self.ended().await;
        let reason = self.shared.state.read(|state| state.last_reason.clone());
        reason.unwrap_or(CloseReason::Local)
    }

    async fn ended(&self) {
        let has_ended = |stage: &Stage| matches!(stage, Stage::Closed | Stage::Failed);
        self.shared.state.until(|state| has_ended(&state.stage).then_some(())).await;
    }
}

impl fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandle")
            .field("server", &self.shared.descriptor.address())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
