//! Whom a client connects to, and how it speaks TLS with them.

use std::sync::Arc;

use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::{
    ClientDescriptor, ClientProtocol, ConnectErrorKind, Framing, ServerHandle, Stream,
};
use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::certificates::{Authority, Issued};
use crate::support::{Outcome, client_of, connect, refusal, server, start};

pub(super) async fn protocol() -> Outcome {
    for (protocol, first) in [
        (ClientProtocol::Cndt, "CNDT"),
        (ClientProtocol::JsonRpc(Framing::Newline), "{\"js"),
        (ClientProtocol::JsonRpc(Framing::ContentLength), "Cont"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let descriptor = client_of(listener.local_addr()?).protocol(protocol);
        let calling = tokio::spawn(async move {
            if let Ok(client) = connect(descriptor).await {
                let _ = client.call::<_, ()>("m", &()).await;
            }
        });
        let (mut stream, _) = listener.accept().await?;
        let mut found = [0; 4];
        stream.read_exact(&mut found).await?;
        assert_eq!(std::str::from_utf8(&found)?, first, "{protocol:?}");
        calling.abort();
    }
    Ok(())
}

pub(super) async fn server_host() -> Outcome {
    let server = start(server().host("127.0.54.1")).await?;
    for (host, leads_there) in [("127.0.54.1", true), ("127.0.54.2", false)] {
        let mut client = client_of(server.address());
        client.server_host = host.into();
        assert_eq!(connect(client).await.is_ok(), leads_there, "{host}");
    }
    Ok(())
}

pub(super) async fn server_port() -> Outcome {
    let servers = [start(server().name("one")).await?, start(server().name("two")).await?];
    for server in &servers {
        let mut client = client_of(servers[0].address());
        client.server_port = server.address().port();
        let found = connect(client).await?.server_info().ok_or("no server")?.peer_name.clone();
        assert_eq!(found, server.descriptor().name);
    }
    Ok(())
}

pub(super) async fn use_ipv6() -> Outcome {
    let server = start(server().host("::").ipv6(true)).await?;
    for (host, use_ipv6, leads_there) in [
        ("127.0.0.1", false, true),
        ("127.0.0.1", true, false),
        ("::1", false, true),
        ("::1", true, true),
    ] {
        let mut client = client_of(server.address()).use_ipv6(use_ipv6);
        client.server_host = host.into();
        let outcome = connect(client).await;
        assert_eq!(outcome.is_ok(), leads_there, "{host} {use_ipv6}: {outcome:?}");
    }
    Ok(())
}

async fn secured(issued: &Issued) -> Result<ServerHandle, cndt_tokio::ServeError> {
    start(server().tls_certificate(&*issued.certificate).tls_key(&*issued.key)).await
}

fn trusting(server: &ServerHandle, authority: &Authority) -> ClientDescriptor {
    client_of(server.address()).tls(true).tls_ca(&*authority.path)
}

pub(super) async fn tls() -> Outcome {
    let authority = Authority::new()?;
    let (plain, secured) = (start(server()).await?, secured(&authority.issue("127.0.0.1")?).await?);
    let clients = [(client_of(plain.address()), false), (trusting(&secured, &authority), true)];
    for (descriptor, tls) in clients {
        let client = connect(descriptor).await?;
        assert_eq!(client.peer().is_some_and(|peer| peer.tls().is_some()), tls);
    }
    let outcome = connect(trusting(&secured, &authority).tls(false).tls_ca("")).await;
    assert!(outcome.is_err(), "a server with TLS was spoken to without");
    let outcome = connect(trusting(&plain, &authority)).await;
    let kind = outcome.err().ok_or("a server without TLS was good enough")?.kind;
    assert!(matches!(kind, ConnectErrorKind::Tls { .. }), "{kind}");
    Ok(())
}

pub(super) async fn tls_ca() -> Outcome {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let server = secured(&authority.issue("127.0.0.1")?).await?;
    connect(trusting(&server, &authority)).await?;
    // Nobody's system trusts an authority that was made just now.
    for ca in [&*other.path, ""] {
        let outcome = connect(client_of(server.address()).tls(true).tls_ca(ca)).await;
        let kind = outcome.err().ok_or("anyone's certificate was good enough")?.kind;
        let no_roots = ca.is_empty() && matches!(kind, ConnectErrorKind::Config(_));
        assert!(matches!(kind, ConnectErrorKind::Tls { .. }) || no_roots, "{kind}");
    }
    Ok(())
}

/// A server that sees the certificates of its clients, and a client without one.
async fn mutual(
    authority: &Authority,
) -> Result<(ServerHandle, ClientDescriptor), Box<dyn std::error::Error>> {
    let issued = authority.issue("127.0.0.1")?;
    let descriptor = server().tls_certificate(issued.certificate).tls_key(issued.key);
    let server = start(descriptor.tls_client_ca(&*authority.path)).await?;
    let client = trusting(&server, authority);
    Ok((server, client))
}

pub(super) async fn tls_certificate() -> Outcome {
    let authority = Authority::new()?;
    let (server, client) = mutual(&authority).await?;
    let none = connect(client.clone()).await.err().ok_or("no certificate was good enough")?;
    assert!(!matches!(none.kind, ConnectErrorKind::Config(_)), "{none}");
    for name in ["one", "two"] {
        let own = authority.issue(name)?;
        let shows = client.clone().tls_certificate(own.certificate).tls_key(own.key);
        let _client = connect(shows.name(name)).await?;
        let peer = server.find(|peer| peer.name() == name).ok_or("it is not there")?;
        let tls = peer.tls().ok_or("no TLS")?;
        assert_eq!(&*tls.peer_certificates[0], own.der);
    }
    Ok(())
}

pub(super) async fn tls_key() -> Outcome {
    let authority = Authority::new()?;
    let (_server, client) = mutual(&authority).await?;
    let (own, other) = (authority.issue("own")?, authority.issue("other")?);
    let client = client.tls_certificate(own.certificate);
    let outcome = connect(client.clone().tls_key(other.key)).await;
    match outcome.err().ok_or("anyone's key was good enough")?.kind {
        ConnectErrorKind::Config(error) => assert_eq!(error.field, "tls_key"),
        other => panic!("{other}"),
    }
    connect(client.tls_key(own.key)).await?;
    Ok(())
}

pub(super) async fn tls_server_name() -> Outcome {
    let authority = Authority::new()?;
    let server = secured(&authority.issue("clock.example")?).await?;
    for (name, is_right) in [("clock.example", true), ("other.example", false), ("", false)] {
        let outcome = connect(trusting(&server, &authority).tls_server_name(name)).await;
        assert_eq!(outcome.is_ok(), is_right, "{name:?}: {outcome:?}");
    }
    Ok(())
}

/// Somebody ends TLS on the way, with a certificate that the client trusts, and passes the login on.
pub(super) async fn tls_channel_binding() -> Outcome {
    let authority = Authority::new()?;
    let issued = authority.issue("127.0.0.1")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&issued.certificate)?],
            PrivateKeyDer::from_pem_file(&issued.key)?,
        )?;
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await?);
    let server = start(server()).await?;
    let address = listener.local_addr()?;
    let behind = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(Stream(stream)).await else { continue };
            let _ = behind.serve_stream(stream, None);
        }
    });
    for (binding, expected) in [(true, Some(RefusalCode::MechRequired)), (false, None)] {
        let client = client_of(address).tls(true).tls_ca(&*authority.path);
        let outcome = connect(client.tls_channel_binding(binding)).await;
        assert_eq!(refusal(&outcome), expected);
    }
    Ok(())
}
