//! Where a server listens, and how it speaks TLS there.

use cndt_tokio::{ConnectErrorKind, LocalAddress, ServeError, ServerDescriptor};

use crate::certificates::Authority;
use crate::support::{Outcome, client_of, connect, server, start};

pub(super) async fn host() -> Outcome {
    // All of 127.0.0.0/8 is this machine.
    let hosts = ["127.0.51.1", "127.0.51.2"];
    for host in hosts {
        let server = start(server().host(host)).await?;
        assert_eq!(server.address().ip().to_string(), host);
        for other in hosts {
            let mut address = server.address();
            address.set_ip(other.parse()?);
            let outcome = connect(client_of(address)).await;
            assert_eq!(outcome.is_ok(), host == other, "{host} by {other}: {outcome:?}");
        }
        server.stop().await;
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("server.sock");
    let server = start(server().host(format!("unix:{}", path.display()))).await?;
    assert_eq!(server.local_addresses(), [LocalAddress::Unix(path)]);
    Ok(())
}

pub(super) async fn port() -> Outcome {
    // On an address of its own, where no other check can take the port meanwhile.
    let server = || server().host("127.0.52.1");
    let (one, two) = (start(server()).await?, start(server()).await?);
    let free = [one.address().port(), two.address().port()];
    assert_ne!(free[0], free[1], "any free port");
    one.stop().await;
    two.stop().await;
    for port in free {
        let server = start(server().port(port)).await?;
        assert_eq!(server.address().port(), port);
        connect(client_of(server.address())).await?;
    }
    Ok(())
}

pub(super) async fn ipv6() -> Outcome {
    let found: Vec<_> = tokio::net::lookup_host(("localhost", 0)).await?.collect();
    let has_both = [true, false].iter().all(|six| found.iter().any(|to| to.is_ipv6() == *six));
    for ipv6 in [false, true] {
        let any = start(server().host("0.0.0.0").ipv6(ipv6)).await?;
        assert!(any.address().ip().is_unspecified());
        assert_eq!(any.address().is_ipv6(), ipv6);
        let mut loopback = any.address();
        loopback.set_ip(if ipv6 { "::1".parse()? } else { "127.0.0.1".parse()? });
        connect(client_of(loopback)).await?;
        // Not every machine knows its name in both families.
        if has_both {
            let named = start(server().host("localhost").ipv6(ipv6)).await?;
            assert_eq!(named.address().is_ipv6(), ipv6);
        }
    }
    Ok(())
}

pub(super) async fn ipv6_only() -> Outcome {
    for ipv6_only in [false, true] {
        let server = start(server().host("::").ipv6(true).ipv6_only(ipv6_only)).await?;
        let mut address = server.address();
        address.set_ip("::1".parse()?);
        connect(client_of(address)).await?;
        // Nobody else listens at this address.
        address.set_ip("127.0.53.1".parse()?);
        assert_eq!(connect(client_of(address)).await.is_err(), ipv6_only);
    }
    Ok(())
}

fn secure(certificate: &str, key: &str) -> ServerDescriptor {
    server().tls_certificate(certificate).tls_key(key)
}

pub(super) async fn tls_certificate() -> Outcome {
    let plain = start(server()).await?;
    assert!(matches!(plain.local_addresses(), [LocalAddress::Tcp(_)]));
    connect(client_of(plain.address())).await?;

    let authority = Authority::new()?;
    for _ in 0..2 {
        let issued = authority.issue("127.0.0.1")?;
        let server = start(secure(&issued.certificate, &issued.key)).await?;
        assert!(matches!(server.local_addresses(), [LocalAddress::Tls(_)]));
        assert!(connect(client_of(server.address())).await.is_err(), "it speaks nothing but TLS");
        let client = client_of(server.address()).tls(true).tls_ca(&*authority.path);
        let client = connect(client).await?;
        let tls = client.peer().and_then(|peer| peer.tls()).ok_or("no TLS")?;
        assert_eq!(&*tls.peer_certificates[0], issued.der);
    }
    Ok(())
}

pub(super) async fn tls_key() -> Outcome {
    let authority = Authority::new()?;
    let (own, other) = (authority.issue("127.0.0.1")?, authority.issue("127.0.0.2")?);
    match start(secure(&own.certificate, &other.key)).await {
        Err(ServeError::Config(error)) => assert_eq!(error.field, "tls_key"),
        outcome => panic!("{outcome:?}"),
    }
    let server = start(secure(&own.certificate, &own.key)).await?;
    connect(client_of(server.address()).tls(true).tls_ca(&*authority.path)).await?;
    Ok(())
}

pub(super) async fn tls_client_ca() -> Outcome {
    let (authority, of_clients) = (Authority::new()?, Authority::new()?);
    let (issued, shown) = (authority.issue("127.0.0.1")?, of_clients.issue("client")?);
    for ca in ["", &of_clients.path] {
        let server = start(secure(&issued.certificate, &issued.key).tls_client_ca(ca)).await?;
        let client = || client_of(server.address()).tls(true).tls_ca(&*authority.path);
        match connect(client()).await {
            Ok(_) => assert!(ca.is_empty()),
            Err(error) => {
                let is_config = matches!(error.kind, ConnectErrorKind::Config(_));
                assert!(!ca.is_empty() && !is_config, "{error}");
            }
        }
        let shows = client().tls_certificate(&*shown.certificate).tls_key(&*shown.key);
        connect(shows).await?;
        let seen = server.connections().iter().filter_map(|peer| peer.tls()).any(|tls| {
            tls.peer_certificates.first().is_some_and(|certificate| **certificate == *shown.der)
        });
        assert_eq!(seen, !ca.is_empty(), "a certificate is asked for");
    }
    Ok(())
}
