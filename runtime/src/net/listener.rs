use std::path::PathBuf;

use super::{Address, JsonRpc};
#[cfg(feature = "webhook")]
use crate::webhook::Webhooks;

/// One more place where a server listens. See `Server::listen`.
#[derive(Debug, Clone)]
pub struct Listener {
    pub(crate) address: Address,
    pub(crate) tls: ListenerTls,
    pub(crate) protocol: ListenerProtocol,
}

/// What a listener speaks.
#[derive(Debug, Clone)]
pub(crate) enum ListenerProtocol {
    Cndt,
    JsonRpc(JsonRpc),
    #[cfg(feature = "webhook")]
    Webhooks(Box<Webhooks>),
}

/// Whether a listener speaks TLS.
#[derive(Debug, Clone)]
pub(crate) enum ListenerTls {
    /// As the server does.
    AsServer,
    Plain,
    #[cfg(feature = "tls")]
    Own(std::sync::Arc<rustls::ServerConfig>),
}

impl Listener {
    /// On TCP; port 0 takes a free one. Speaks TLS if the server does.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        let address = Address::Tcp { host: host.into(), port };
        Self { address, tls: ListenerTls::AsServer, protocol: ListenerProtocol::Cndt }
    }

    /// On a Unix socket, without TLS: only processes of this machine reach it, and only those that
    /// the permissions of the path let through.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        let address = Address::Unix(path.into());
        Self { address, tls: ListenerTls::Plain, protocol: ListenerProtocol::Cndt }
    }

    /// Speaks JSON-RPC 2.0 in place of CNDT.
    #[must_use]
    pub fn jsonrpc(mut self, settings: JsonRpc) -> Self {
        self.protocol = ListenerProtocol::JsonRpc(settings);
        self
    }

    /// Receives webhooks over HTTP in place of CNDT; see [`webhook`](crate::webhook).
    #[cfg(feature = "webhook")]
    #[must_use]
    pub fn webhooks(mut self, settings: Webhooks) -> Self {
        self.protocol = ListenerProtocol::Webhooks(Box::new(settings));
        self
    }

    /// Without TLS, whatever the server does.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.tls = ListenerTls::Plain;
        self
    }

    /// With TLS of its own.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ServerConfig>) -> Self {
        self.tls = ListenerTls::Own(config);
        self
    }
}

impl From<Address> for Listener {
    fn from(address: Address) -> Self {
        match address {
            Address::Tcp { host, port } => Self::tcp(host, port),
            Address::Unix(path) => Self::unix(path),
        }
    }
}
