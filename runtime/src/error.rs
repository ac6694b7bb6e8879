//! What can go wrong, by what the caller can do about it.
//!
//! ```
//! use cndt_tokio::{Client, ClientDescriptor, ConnectErrorKind};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let descriptor = ClientDescriptor::new("127.0.0.1", 1, "secret");
//! let error = Client::new(descriptor).connect().await.expect_err("nobody listens there");
//! assert!(matches!(error.kind, ConnectErrorKind::Io { .. }));
//! assert!(error.to_string().contains("is a server listening there?"));
//! # }
//! ```

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::connection::{CallFailure, CloseReason, SendError};
use cndt_core::limits::LimitError;
use cndt_core::message::BodyError;

use crate::server::Refusal;
use crate::users::HashError;

/// A setting that makes no sense: which one, what it was, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {expected}, not {value}")]
pub struct ConfigError {
    /// The setting's name, as it is written in a descriptor.
    pub field: &'static str,
    /// What it accepts.
    pub expected: &'static str,
    /// What it was; never a password.
    pub value: String,
}

impl ConfigError {
    pub(crate) fn new(
        field: &'static str,
        expected: &'static str,
        value: impl fmt::Display,
    ) -> Self {
        Self { field, expected, value: value.to_string() }
    }
}

impl From<LimitError> for ConfigError {
    fn from(error: LimitError) -> Self {
        Self { field: error.field, expected: error.expected, value: "that".into() }
    }
}

/// A router that cannot work as it was put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouterError {
    /// Two handlers under one name.
    #[error("{kind} `{name}` is registered twice; remove one of them")]
    Duplicate {
        /// `method` or `message handler`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A path of webhooks that cannot be registered.
    #[cfg(feature = "webhook")]
    #[error("webhooks on `{path}`: {error}")]
    WebhookRoute {
        /// The path, as it was given.
        path: String,
        /// What is wrong with it.
        error: cndt_core::webhook::RouteError,
    },
    /// A handler asks for state that nobody provides.
    #[error("`{handler}` takes State<{type_name}>, but no `.state(…)` provides one; add it")]
    MissingState {
        /// The handler's name.
        handler: String,
        /// The type.
        type_name: &'static str,
    },
}

/// There is no connection, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not connected; wait for the connection to come back, or connect again")]
pub struct NotConnected;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting is wrong.
    #[error("the server's configuration: {0}")]
    Config(#[from] ConfigError),
    /// The handlers do not fit together.
    #[error("the server's handlers: {0}")]
    Router(#[from] RouterError),
    /// The address is not to be had.
    #[error("cannot listen on {address}: {error}{}", bind_hint(.error))]
    Bind {
        /// The address as configured.
        address: String,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("no random numbers from the operating system: {0}")]
    Entropy(io::Error),
    /// The password could not be turned into a verifier.
    #[error("the server's password: {0}")]
    Password(#[from] HashError),
    /// The server has been stopped.
    #[error("the server is stopped; start a new one")]
    Stopped,
    /// This stranger is one too many.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is another server running there? port 0 takes a free one",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// Why a client is not connected.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {kind}")]
pub struct ConnectError {
    /// Where to, as configured.
    pub address: String,
    /// Why not.
    #[source]
    pub kind: ConnectErrorKind,
}

impl ConnectErrorKind {
    /// The same once more: several may ask why one client is not connected. What the operating
    /// system said keeps its code or its words.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Config(error) => Self::Config(error.clone()),
            Self::Router(error) => Self::Router(error.clone()),
            Self::Io { error } => Self::Io { error: io_again(error) },
            Self::Tls { error } => Self::Tls { error: io_again(error) },
            Self::TimedOut { after } => Self::TimedOut { after: *after },
            Self::Closed { reason, io } => Self::Closed { reason: reason.clone(), io: io.clone() },
        }
    }
}

fn io_again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// See [`ConnectError`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectErrorKind {
    /// A setting is wrong. The address was not tried.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The handlers do not fit together. The address was not tried.
    #[error("{0}")]
    Router(#[from] RouterError),
    /// The operating system says no.
    #[error("{error}{hint}", hint = connect_hint(error))]
    Io {
        /// What it says.
        #[from]
        error: io::Error,
    },
    /// There is a connection, but TLS does not come about.
    #[error("no TLS: {error}{hint}", hint = tls_hint(error))]
    Tls {
        /// What TLS says.
        #[source]
        error: io::Error,
    },
    /// No connection in time.
    #[error("no answer within {after:?}; is the host up, and does a firewall drop the packets?")]
    TimedOut {
        /// `connect_timeout`.
        after: Duration,
    },
    /// The connection was made but ended during login.
    #[error("{reason}{words}", words = io.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    Closed {
        /// Why.
        reason: CloseReason,
        /// What the operating system said, if it was the transport.
        io: Option<Arc<io::Error>>,
    },
}

fn tls_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "; the server ended the connection: does it speak TLS there?"
        }
        io::ErrorKind::InvalidInput => "; set tls_server_name to the name in its certificate",
        io::ErrorKind::InvalidData => {
            "; check tls_ca, tls_server_name and whether the server wants a certificate"
        }
        _ => "",
    }
}

fn connect_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "; is a server listening there? start one with `cndt serve`"
        }
        io::ErrorKind::NotFound => "; check the host name or path",
        _ => "",
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no connection now. Nothing was sent.
    #[error(transparent)]
    NotConnected(#[from] NotConnected),
    /// The call could not be sent. Nothing was.
    #[error("the call was not sent: {0}")]
    Send(SendError),
    /// The call was made and failed.
    #[error("{0}")]
    Failed(CallFailure),
    /// The result is of another type.
    #[error("the result is not of the expected type: {0}")]
    Decode(BodyError),
}

/// Why a message was not delivered to the operating system, or not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// There is no connection now. Nothing was sent.
    #[error(transparent)]
    NotConnected(#[from] NotConnected),
    /// The message could not be queued.
    #[error("the message was not sent: {0}")]
    Send(SendError),
    /// There was no room in the send queue in time: the peer reads too slowly, or asked to pause.
    #[error("no room in the send queue within {after:?}; the peer reads too slowly")]
    TimedOut {
        /// `send_timeout`.
        after: Duration,
    },
    /// The connection ended before all of the message was handed to the operating system.
    #[error("the message was not delivered: {0}")]
    Undelivered(CloseReason),
    /// The message was queued, and no acknowledgement came. Unless the peer refused it, it may have
    /// been delivered all the same.
    #[error("the message was not acknowledged: {0}")]
    Unacknowledged(CallFailure),
}

/// Why a call or message on a connection of its own came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// There was no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The call has no result.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The message was not delivered.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}
