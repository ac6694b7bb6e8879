//! What cases run over.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
#[cfg(unix)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::client::Client;
use crate::descriptor::{ClientDescriptor, ServerDescriptor};
use crate::net::{BoxTransport, TlsClient};
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

/// A kind of transport: how servers and clients of a case are put on it.
pub trait Net: 'static {
    /// The runtime beneath.
    type Runtime: Runtime;

    /// A server with these settings.
    fn server(descriptor: ServerDescriptor) -> Server<Self::Runtime>;

    /// A client with these settings.
    fn client(descriptor: ClientDescriptor) -> Client<Self::Runtime>;

    /// Host and port that lead to `server`.
    fn reach(server: &ServerHandle) -> (String, u16);

    /// The settings of a server that takes the place of `before`.
    fn same_place(descriptor: ServerDescriptor, before: &ServerHandle) -> ServerDescriptor;
}

/// Plain TCP.
#[derive(Debug)]
pub struct Tcp<R>(PhantomData<R>);

impl<R: Runtime> Net for Tcp<R> {
    type Runtime = R;

    fn server(descriptor: ServerDescriptor) -> Server<R> {
        Server::new(descriptor)
    }

    fn client(descriptor: ClientDescriptor) -> Client<R> {
        Client::new(descriptor)
    }

    fn reach(server: &ServerHandle) -> (String, u16) {
        (server.address().ip().to_string(), server.address().port())
    }

    fn same_place(descriptor: ServerDescriptor, before: &ServerHandle) -> ServerDescriptor {
        descriptor.port(before.address().port())
    }
}

/// A Unix socket.
#[cfg(unix)]
#[derive(Debug)]
pub struct Unix<R>(PhantomData<R>);

#[cfg(unix)]
impl<R: Runtime> Net for Unix<R> {
    type Runtime = R;

    fn server(descriptor: ServerDescriptor) -> Server<R> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if descriptor.host.starts_with("unix:") {
            return Server::new(descriptor);
        }
        // Servers remove their sockets when they stop.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cndt-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        Server::new(descriptor.host(format!("unix:{}", path.display())))
    }

    fn client(descriptor: ClientDescriptor) -> Client<R> {
        Client::new(descriptor)
    }

    fn reach(server: &ServerHandle) -> (String, u16) {
        (server.descriptor().host.clone(), 0)
    }

    fn same_place(descriptor: ServerDescriptor, before: &ServerHandle) -> ServerDescriptor {
        descriptor.host(before.descriptor().host.clone())
    }
}

/// TLS over TCP, with certificates that are made for the occasion.
#[derive(Debug)]
pub struct Tls<R>(PhantomData<R>);

impl<R: Runtime> Net for Tls<R> {
    type Runtime = R;

    fn server(descriptor: ServerDescriptor) -> Server<R> {
        Server::new(descriptor).tls(Authority::shared().server_config())
    }

    fn client(mut descriptor: ClientDescriptor) -> Client<R> {
        descriptor.tls = true;
        Client::new(descriptor).tls(Authority::shared().client_config())
    }

    fn reach(server: &ServerHandle) -> (String, u16) {
        Tcp::<R>::reach(server)
    }

    fn same_place(descriptor: ServerDescriptor, before: &ServerHandle) -> ServerDescriptor {
        Tcp::<R>::same_place(descriptor, before)
    }
}

/// A stream to whoever speaks TLS there with a certificate of the shared authority.
pub(super) async fn tls_stream<R: Runtime>(address: SocketAddr) -> io::Result<BoxTransport> {
    let tls = TlsClient::new(Authority::shared().client_config(), false);
    tls.connect("localhost", R::default().connect(address).await?).await
}

/// Issues certificates for `localhost` and `127.0.0.1`, and for clients.
pub(super) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
    der: (CertificateDer<'static>, Vec<u8>),
}

impl Issued {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.der.1.clone()).into()
    }
}

impl Authority {
    /// Makes one. Panics if the machine has no randomness: nothing could be tested then.
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// The one that cases share: making keys takes a moment.
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    /// Its own certificate.
    pub(super) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(super) fn issue(&self, name: &str) -> Issued {
        let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("good names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: (certificate.der().clone(), key.serialize_der()),
        }
    }

    /// How a server speaks TLS with a certificate of this authority.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        let issued = self.issue("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![issued.der.0.clone()], issued.private_key());
        Arc::new(config.expect("a good certificate"))
    }

    /// How a client speaks TLS with those that have one.
    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a good certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
