//! The other end of one connection, as handlers and hooks see it. The same on servers and clients.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cndt_core::auth::UserName;
use cndt_core::connection::{CloseReason, PhaseName, SendError, Stats};
use cndt_core::message::{Raw, Typed};
use cndt_core::wire::Dialect;
use serde::Serialize;

use crate::batch::Batch;
use crate::call::{Call, RawCall};
use crate::client::ClientHandle;
use crate::deliver::{self, Ping, SendMessage};
use crate::link::Link;
use crate::net::TlsInfo;
use crate::owner::Owner;
use crate::server::ServerHandle;

/// Names one connection of this process; random, so ids of different servers do not meet.
///
/// Written and serialized as a UUID: `9f0c2a4e-…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u128);

impl ConnectionId {
    /// From 16 random bytes; version and variant of a random UUID are set.
    pub(crate) fn from_random(bytes: [u8; 16]) -> Self {
        let random = u128::from_be_bytes(bytes);
        let version = random & !(0xf << 76) | 0x4 << 76;
        Self(version & !(0x3 << 62) | 0x2 << 62)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        let (a, b, c, d) = (id >> 96, id >> 80 & 0xffff, id >> 64 & 0xffff, id >> 48 & 0xffff);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", id & 0xffff_ffff_ffff)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ConnectionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A handle to the other end of one connection. Cheap to clone; it does not keep the connection
/// open.
#[derive(Clone)]
pub struct Peer {
    pub(crate) link: Arc<Link>,
}

impl Peer {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Names the connection.
    pub fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// Where the peer is; `None` on streams that have no such address.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.link.remote
    }

    /// The name that the peer gave at login; empty if none.
    pub fn name(&self) -> String {
        self.opened(|opened| opened.peer_name.clone()).unwrap_or_default()
    }

    /// The version that the peer gave at login; empty if none.
    pub fn version(&self) -> String {
        self.opened(|opened| opened.peer_version.clone()).unwrap_or_default()
    }

    /// The user who logged in; `None` before login, and in dialect `netconduit`.
    pub fn user(&self) -> Option<UserName> {
        self.opened(|opened| opened.user.clone()).flatten()
    }

    /// The dialect of the connection; `None` before login, and in JSON-RPC.
    pub fn dialect(&self) -> Option<Dialect> {
        self.link.lock().connection.dialect()
    }

    /// What is known of the peer from TLS; `None` without TLS.
    pub fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.link.lock().tls.clone()
    }

    /// Whether the login has succeeded and the connection has not ended. In JSON-RPC, which has no login:
    /// whether the listener trusts its peers.
    pub fn is_authenticated(&self) -> bool {
        self.link.is_logged_in()
            && match self.link.lock().connection.phase() {
                PhaseName::Open | PhaseName::Closing => true,
                PhaseName::Handshake | PhaseName::Closed => false,
            }
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.link.lock().closed.is_some()
    }

    /// How long ago the login succeeded; zero before it.
    pub fn connected_for(&self) -> Duration {
        let now = self.link.machine.now();
        self.link.lock().opened.as_ref().map_or(Duration::ZERO, |(_, since)| now.since(*since))
    }

    /// When the login succeeded; `None` before it.
    pub fn connected_since(&self) -> Option<SystemTime> {
        let now = UNIX_EPOCH + Duration::from_millis(self.link.machine.unix_millis());
        self.link.lock().opened.as_ref()?;
        now.checked_sub(self.connected_for())
    }

    /// Why the connection ended; `None` while it has not.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.link.lock().closed.as_ref().map(|closed| closed.reason.clone())
    }

    /// Keeps a value with the connection, one of each type, until the connection is gone from
    /// memory. Gives what was there before.
    pub fn attach<T: Any + Send + Sync>(&self, value: T) -> Option<T> {
        self.link.attached.insert(value)
    }

    /// A clone of the value of this type that was attached; an `Arc` around it makes that cheap.
    pub fn attached<T: Any + Clone + Send + Sync>(&self) -> Option<T> {
        self.link.attached.find()
    }

    /// Takes the value of this type back.
    pub fn detach<T: Any + Send + Sync>(&self) -> Option<T> {
        self.link.attached.remove()
    }

    /// What the connection has done so far, with the round trips that its heartbeats measured.
    pub fn stats(&self) -> Stats {
        self.link.lock().connection.stats()
    }

    /// Calls a method of the peer; see [`Call`].
    pub fn call<'a, P: Serialize + ?Sized, T>(
        &self,
        method: &'a str,
        params: &'a P,
    ) -> Call<'a, P, T> {
        Call::new(Some(Arc::clone(&self.link)), method, params, self.link.owner.call_timeout())
    }

    /// Calls a method with parameters that are MessagePack already.
    pub fn call_raw<'a>(&self, method: &'a str, params: &'a [u8]) -> RawCall<'a, Raw<'a>> {
        let timeout = self.link.owner.call_timeout();
        RawCall::new(Some(Arc::clone(&self.link)), method, Raw(params), timeout)
    }

    /// Calls several methods at once; see [`Batch`].
    pub fn batch<'a>(&self) -> Batch<'a> {
        Batch::new(Some(Arc::clone(&self.link)), self.link.owner.call_timeout())
    }

    /// Sends a message; resolves once it is handed to the operating system.
    pub fn send<'a, T: Serialize + ?Sized>(
        &self,
        name: &'a str,
        data: &'a T,
    ) -> SendMessage<'a, T> {
        let timeout = self.link.owner.send_timeout();
        SendMessage::new(Some(Arc::clone(&self.link)), name, data, timeout)
    }

    /// Queues a message at once, or refuses at once.
    ///
    /// # Errors
    /// When the queue is full, the connection is not open, or the value cannot be sent.
    pub fn try_send<T: Serialize + ?Sized>(&self, name: &str, data: &T) -> Result<(), SendError> {
        deliver::try_send(&self.link, name, &Typed(data)).map(drop)
    }

    /// Measures the time there and back.
    pub fn ping(&self) -> Ping {
        Ping::new(Some(Arc::clone(&self.link)))
    }

    /// Ends the connection gracefully: calls under way are finished, what is queued is sent.
    pub async fn close(&self) -> CloseReason {
        self.link.close();
        self.link.closed().await
    }

    /// Ends the connection at once: calls under way fail, what is queued is lost.
    pub fn abort(&self) {
        self.link.abort();
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.link.closed().await
    }

    /// The server that this connection belongs to, on servers.
    pub fn server(&self) -> Option<ServerHandle> {
        match &self.link.owner {
            Owner::Server(server) => Some(server.clone()),
            Owner::Client(_) => None,
        }
    }

    /// The client that this connection belongs to, on clients.
    pub fn client(&self) -> Option<ClientHandle> {
        match &self.link.owner {
            Owner::Server(_) => None,
            Owner::Client(client) => Some(ClientHandle::of(client)),
        }
    }

    fn opened<T>(&self, read: impl FnOnce(&cndt_core::connection::Opened) -> T) -> Option<T> {
        self.link.lock().opened.as_ref().map(|(opened, _)| read(opened))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, remote) = (self.link.id, self.link.remote);
        f.debug_struct("Peer").field("id", &id).field("remote", &remote).finish_non_exhaustive()
    }
}
