//! Connections to receivers: straight, or through a proxy.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use smol_hyper::rt::FuturesIo;

use super::endpoint::{Endpoint, Origin};
use super::error::WebhookFailure;
use super::pool::Sender;
use super::proxy::{Proxies, ProxyServer, tunnel};
use super::tls::Tls;
use crate::error::ConnectErrorKind;
use crate::net::dial::{Dialled, NotAdmitted, Target, dial};
use crate::net::{Address, BoxTransport};
use crate::rt::{Machine, Runtime};

/// Headers of one answer, as for requests.
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 32 * 1024;

type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Dialled, ConnectErrorKind>> + Send + 'a>>;

/// What it takes to connect, on any runtime.
pub(super) struct Connector {
    pub(super) machine: Machine,
    pub(super) dial: for<'a> fn(&'a Target<'a>) -> Dialling<'a>,
    pub(super) proxies: Proxies,
    pub(super) admits: fn(&SocketAddr) -> bool,
    pub(super) tls: Tls,
}

/// [`dial`] of a runtime.
pub(super) fn dial_of<R: Runtime>() -> for<'a> fn(&'a Target<'a>) -> Dialling<'a> {
    |target| Box::pin(dial::<R>(target))
}

/// How requests are written on a connection.
pub(super) struct Form {
    pub(super) uri: Uri,
    pub(super) proxy_authorization: Option<HeaderValue>,
}

impl Connector {
    /// The form of requests to `endpoint`: whole URLs to a proxy, paths to anyone else.
    pub(super) fn form(&self, endpoint: &Endpoint) -> Result<Form, WebhookFailure> {
        match self.proxies.find(&endpoint.uri)? {
            Some(proxy) if !endpoint.origin.is_tls => {
                let proxy_authorization = proxy.authorization;
                Ok(Form { uri: endpoint.uri.clone(), proxy_authorization })
            }
            Some(_) | None => {
                Ok(Form { uri: Uri::from(endpoint.path.clone()), proxy_authorization: None })
            }
        }
    }

    /// A connection that is ready for a request.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<Sender, WebhookFailure> {
        let origin = &endpoint.origin;
        let stream = match self.proxies.find(&endpoint.uri)? {
            None => self.dial(origin, timeout).await?,
            Some(proxy) if origin.is_tls => self.through(&proxy, origin, timeout).await?,
            Some(proxy) => self.dial(&proxy.origin, timeout).await?,
        };
        let mut builder = http1::Builder::new();
        builder.max_headers(HEADERS_MAX).max_header_size(HEADER_BYTES_MAX);
        let handshake = builder.handshake::<_, Full<Bytes>>(FuturesIo::new(stream));
        let (sender, connection) = handshake.await.map_err(WebhookFailure::Lost)?;
        self.machine.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "cndt", %error, "webhook connection ended");
            }
        });
        Ok(sender)
    }

    async fn dial(
        &self,
        origin: &Origin,
        timeout: Duration,
    ) -> Result<BoxTransport, WebhookFailure> {
        let tls = if origin.is_tls { Some(self.tls.client()?) } else { None };
        let address = Address::Tcp { host: origin.host.clone(), port: origin.port };
        let target = Target {
            address,
            ipv6_only: false,
            admits: self.admits,
            tls: tls.map(|tls| (tls, origin.host.as_str())),
            timeout,
        };
        match (self.dial)(&target).await {
            Ok((stream, _)) => Ok(stream),
            Err(ConnectErrorKind::Io { error }) if NotAdmitted::is_why(&error) => {
                Err(WebhookFailure::Blocked { host: origin.host.clone() })
            }
            Err(ConnectErrorKind::TimedOut { after }) => Err(WebhookFailure::TimedOut { after }),
            Err(error) => Err(WebhookFailure::Connect(error)),
        }
    }

    async fn through(
        &self,
        proxy: &ProxyServer,
        origin: &Origin,
        timeout: Duration,
    ) -> Result<BoxTransport, WebhookFailure> {
        let stream = self.dial(&proxy.origin, timeout).await?;
        let stream = tunnel(stream, origin, proxy).await?;
        let secured = self.tls.client()?.connect(&origin.host, stream).await;
        secured.map_err(|error| WebhookFailure::Connect(ConnectErrorKind::Tls { error }))
    }
}
