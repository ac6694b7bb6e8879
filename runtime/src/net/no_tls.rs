//! What stands in for TLS when the feature `tls` is off: nothing can be made, and whoever asks for
//! it is told so.

use std::convert::Infallible;
use std::io;

use futures_io::{AsyncRead, AsyncWrite};

use super::BoxTransport;
use crate::error::ConfigError;

const EXPECTED: &str = "must be empty unless the crate is built with its feature `tls`";

/// What is known of a peer from TLS. Never there without the feature `tls`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsInfo {}

#[derive(Clone)]
pub(crate) struct TlsServer(Infallible);

impl TlsServer {
    pub(crate) fn from_files(certificate: &str, _: &str, _: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::new("tls_certificate", EXPECTED, certificate))
    }

    pub(crate) fn accept<S>(&self, _: S) -> BoxTransport
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.0 {}
    }
}

#[derive(Clone)]
pub(crate) struct TlsClient(Infallible);

impl TlsClient {
    pub(crate) fn from_files(_: &str, _: &str, _: &str, _: bool) -> Result<Self, ConfigError> {
        Err(ConfigError::new("tls", "must be off without the crate's feature `tls`", "on"))
    }

    pub(crate) async fn connect<S>(&self, _: &str, _: S) -> io::Result<BoxTransport>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.0 {}
    }
}
