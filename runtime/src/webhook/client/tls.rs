//! How a client speaks TLS, found out when it first does.

use std::sync::OnceLock;

use crate::error::ConfigError;
use crate::net::TlsClient;

/// PEM files; see `ClientDescriptor`.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFiles {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Reading the system's authorities takes a while, and fails where there are none: clients without
/// `https` do neither.
pub(super) struct Tls {
    pub(super) files: TlsFiles,
    pub(super) client: OnceLock<Result<TlsClient, ConfigError>>,
}

impl Tls {
    pub(super) fn client(&self) -> Result<&TlsClient, ConfigError> {
        let TlsFiles { ca, certificate, key } = &self.files;
        let make = || TlsClient::from_files(ca, certificate, key, false);
        self.client.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}
