use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::net::TlsInfo;
use crate::router::{CallContext, Extract};
use crate::server::ServerHandle;
use cndt_core::rpc::RpcError;

/// A webhook that was received: what stands around its payload. Handlers take it as an argument.
/// Cheap to clone.
#[derive(Clone)]
pub struct Webhook(pub(super) Arc<Received>);

pub(super) struct Received {
    pub(super) server: ServerHandle,
    pub(super) path: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) remote: Option<SocketAddr>,
    pub(super) tls: Option<Arc<TlsInfo>>,
    pub(super) id: Option<String>,
    pub(super) timestamp: Option<u64>,
    pub(super) is_verified: bool,
}

impl Webhook {
    /// The path that it was sent to, without the query.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What stood in the place of `{name}` in the pattern of the handler.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.0.params.iter();
        params.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What follows the `?` of its URL. No signature covers it.
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// All headers of the request. The signature covers none but those that its scheme names.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Whether a signature was asked for; it was right then.
    pub fn is_verified(&self) -> bool {
        self.0.is_verified
    }

    /// The delivery's id, if the scheme signs one: the same for each attempt to deliver it.
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// When it was signed, in unix seconds, if the scheme says so.
    pub fn timestamp(&self) -> Option<u64> {
        self.0.timestamp
    }

    /// Where the connection comes from; `None` over a Unix socket.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.0.remote
    }

    /// What TLS tells of the sender; `None` without TLS.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.0.tls.as_deref()
    }

    pub(crate) fn server(&self) -> &ServerHandle {
        &self.0.server
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Received { path, remote, id, timestamp, is_verified, .. } = &*self.0;
        f.debug_struct("Webhook")
            .field("path", path)
            .field("remote", remote)
            .field("id", id)
            .field("timestamp", timestamp)
            .field("is_verified", is_verified)
            .finish_non_exhaustive()
    }
}

impl Extract for Webhook {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let webhook = context.webhook().cloned();
        webhook.ok_or_else(|| RpcError::internal("the handler takes a Webhook from something else"))
    }
}

/// The headers of a webhook.
#[derive(Debug, Clone)]
pub struct Headers(pub HeaderMap);

impl Extract for Headers {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        Webhook::extract(context).map(|webhook| Self(webhook.headers().clone()))
    }
}
