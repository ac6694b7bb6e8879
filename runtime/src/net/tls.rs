//! TLS by rustls, the same on every runtime.

use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::{Accept, TlsAcceptor, TlsConnector, client, server};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, CommonState, ProtocolVersion, RootCertStore, ServerConfig};

use super::{BoxTransport, Session, Transport};
use crate::error::ConfigError;

/// RFC 9266.
const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What is known of a peer from TLS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1_3` or `TLSv1_2`.
    pub protocol: String,
    /// As rustls names it.
    pub cipher_suite: String,
    /// The peer's certificate and what it was issued by, DER-encoded, the peer's own first; empty
    /// if it showed none. It has been verified.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

impl TlsInfo {
    fn of(state: &CommonState) -> Self {
        let name = |version: Option<ProtocolVersion>| {
            version.map(|version| format!("{version:?}")).unwrap_or_default()
        };
        let suite = state.negotiated_cipher_suite();
        Self {
            protocol: name(state.protocol_version()),
            cipher_suite: suite.map(|suite| format!("{:?}", suite.suite())).unwrap_or_default(),
            peer_certificates: state.peer_certificates().unwrap_or_default().to_vec(),
        }
    }
}

/// Before TLS 1.3 what is exported may be the same in two sessions (RFC 9266, section 4.2).
fn may_bind(state: &CommonState) -> bool {
    state.protocol_version() == Some(ProtocolVersion::TLSv1_3)
}

/// Ours, whatever else the program has linked in or installed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(
    field: &'static str,
    path: &str,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let wrong = |error: &dyn std::fmt::Display| {
        let expected = "must name a PEM file with certificates";
        ConfigError::new(field, expected, format_args!("{path:?} ({error})"))
    };
    let read = CertificateDer::pem_file_iter(Path::new(path)).map_err(|error| wrong(&error))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if all.is_empty() { Err(wrong(&"there is none in it")) } else { Ok(all) }
}

fn private_key(field: &'static str, path: &str) -> Result<PrivateKeyDer<'static>, ConfigError> {
    PrivateKeyDer::from_pem_file(Path::new(path)).map_err(|error| {
        let expected = "must name a PEM file with a private key";
        ConfigError::new(field, expected, format_args!("{path:?} ({error})"))
    })
}

fn roots(field: &'static str, path: &str) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(field, path)? {
        roots.add(certificate).map_err(|error| {
            let expected = "must name a PEM file with certificates of authorities";
            ConfigError::new(field, expected, format_args!("{path:?} ({error})"))
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
    let expected = "must be set, because this system has no certificates of authorities";
    Err(ConfigError::new("tls_ca", expected, format_args!("empty ({why})")))
}

fn unusable(field: &'static str, path: &str, error: &rustls::Error) -> ConfigError {
    let expected = "must fit the certificate";
    ConfigError::new(field, expected, format_args!("{path:?} ({error})"))
}

/// How a server speaks TLS.
#[derive(Clone)]
pub(crate) struct TlsServer(TlsAcceptor);

impl TlsServer {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self(config.into())
    }

    /// From PEM files. With `client_ca`, clients must show a certificate that it has issued.
    pub(crate) fn from_files(
        certificate: &str,
        key: &str,
        client_ca: &str,
    ) -> Result<Self, ConfigError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("tls_certificate", certificate, &error))?;
        let builder = if client_ca.is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = Arc::new(roots("tls_client_ca", client_ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| {
                let expected = "must name a PEM file with certificates of authorities";
                ConfigError::new("tls_client_ca", expected, format_args!("{client_ca:?} ({error})"))
            })?)
        };
        let chain = certificates("tls_certificate", certificate)?;
        let config = builder
            .with_single_cert(chain, private_key("tls_key", key)?)
            .map_err(|error| unusable("tls_key", key, &error))?;
        Ok(Self::new(Arc::new(config)))
    }

    /// The handshake is made by whoever reads first, so that it counts against the login's time.
    pub(crate) fn accept<S>(&self, stream: S) -> BoxTransport
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Box::new(Accepted::Shaking(Box::new(self.0.accept(stream))))
    }
}

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct TlsClient {
    connector: TlsConnector,
    binds: bool,
}

impl TlsClient {
    /// `binds`: whether the login is bound to the session.
    pub(crate) fn new(config: Arc<ClientConfig>, binds: bool) -> Self {
        Self { connector: config.into(), binds }
    }

    /// From PEM files. Without `ca` the authorities of the system count; without `certificate` the
    /// client shows none.
    pub(crate) fn from_files(
        ca: &str,
        certificate: &str,
        key: &str,
        binds: bool,
    ) -> Result<Self, ConfigError> {
        let roots = if ca.is_empty() { system_roots()? } else { roots("tls_ca", ca)? };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("tls", ca, &error))?
            .with_root_certificates(roots);
        let config = if certificate.is_empty() {
            builder.with_no_client_auth()
        } else {
            let chain = certificates("tls_certificate", certificate)?;
            builder
                .with_client_auth_cert(chain, private_key("tls_key", key)?)
                .map_err(|error| unusable("tls_key", key, &error))?
        };
        Ok(Self::new(Arc::new(config), binds))
    }

    pub(crate) async fn connect<S>(&self, host: &str, stream: S) -> io::Result<BoxTransport>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = self.connector.connect(name, stream).await?;
        Ok(Box::new(Connected { stream, binds: self.binds }))
    }
}

/// A server's end of a session.
enum Accepted<S> {
    Shaking(Box<Accept<S>>),
    Ready(Box<server::TlsStream<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Accepted<S> {
    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut server::TlsStream<S>>>> {
        if let Self::Shaking(accept) = self {
            let stream = ready!(Pin::new(accept).poll(cx))?;
            *self = Self::Ready(Box::new(stream));
        }
        match self {
            Self::Ready(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Self::Shaking(_) => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for Accepted<S> {
    fn session(&self) -> Option<Session> {
        let Self::Ready(stream) = self else { return None };
        let connection = stream.get_ref().1;
        let export = || connection.export_keying_material([0; 32], BINDING_LABEL, Some(&[])).ok();
        let binding = if may_bind(connection) { export() } else { None };
        Some(Session { info: TlsInfo::of(connection), binding })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Accepted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_ready(cx))?.poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Accepted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_ready(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_ready(cx))?.poll_write_vectored(cx, pieces)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_ready(cx))?.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_ready(cx))?.poll_close(cx)
    }
}

/// A client's end of a session.
struct Connected<S> {
    stream: client::TlsStream<S>,
    binds: bool,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for Connected<S> {
    fn session(&self) -> Option<Session> {
        let connection = self.stream.get_ref().1;
        let export = || connection.export_keying_material([0; 32], BINDING_LABEL, Some(&[])).ok();
        let binding = if self.binds && may_bind(connection) { export() } else { None };
        Some(Session { info: TlsInfo::of(connection), binding })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connected<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connected<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
