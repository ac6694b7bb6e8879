//! TLS in its variants, Unix sockets, both families of IP, several listeners on one server.

use std::path::PathBuf;

use cndt_core::connection::CloseReason;
use cndt_core::message::auth::RefusalCode;

use super::net::{Authority, Issued};
use super::support::{check, connect, listen, server, server_descriptor, to};
use super::{Net, Outcome, Tcp, Tls};
use crate::client::Client;
use crate::error::ConnectErrorKind;
use crate::net::{Listener, LocalAddress, Plain, TlsServer};
use crate::peer::Peer;
use crate::race::{First, race};
use crate::rt::Runtime;
use crate::server::Server;

/// Files for one case; removed when it is over.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> std::io::Result<Self> {
        let random = crate::entropy::draw().map_or(0, u64::from_be_bytes);
        let path = std::env::temp_dir().join(format!("cndt-{name}-{random:016x}"));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn put(&self, name: &str, content: &str) -> std::io::Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, content)?;
        Ok(path.display().to_string())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Certificates from files, on both sides, and what each learns of the other.
pub async fn reads_certificates_from_files<R: Runtime>() -> Outcome {
    let files = Files::new("files")?;
    let authority = Authority::new();
    let ca = files.put("ca.pem", &authority.pem())?;
    let put = |name: &str, issued: &Issued| {
        let certificate = files.put(&format!("{name}.pem"), &issued.certificate)?;
        Ok::<_, std::io::Error>((certificate, files.put(&format!("{name}.key"), &issued.key)?))
    };
    let (certificate, key) = put("server", &authority.issue("localhost"))?;
    let descriptor =
        server_descriptor().tls_certificate(&*certificate).tls_key(&*key).tls_client_ca(&*ca);
    let server = Server::<R>::new(descriptor)
        .rpc("whoami", |peer: Peer| async move {
            peer.tls().map_or(0, |tls| tls.peer_certificates.len())
        })
        .start()
        .await?;
    check(matches!(server.local_addresses(), [LocalAddress::Tls(_)]), server.local_addresses())?;

    let (own, own_key) = put("client", &authority.issue("client"))?;
    let descriptor = to(server.address()).tls(true).tls_ca(&*ca).tls_server_name("localhost");
    let mutual = descriptor.clone().tls_certificate(&*own).tls_key(&*own_key);
    let client = Client::<R>::new(mutual.clone()).connect().await?;
    let shown: usize = client.call("whoami", &()).await?;
    check(shown == 1, shown)?;
    let tls = client.peer().and_then(|peer| peer.tls()).ok_or("no TLS")?;
    check(tls.protocol == "TLSv1_3" && tls.peer_certificates.len() == 1, &tls)?;

    // Without a certificate, with a name that is not in it, from another authority: no.
    let (foreign, foreign_key) = put("foreign", &Authority::new().issue("client"))?;
    let other_ca = files.put("other.pem", &Authority::new().pem())?;
    for (wrong, words) in [
        (descriptor, "CertificateRequired"),
        (mutual.clone().tls_certificate(&*foreign).tls_key(&*foreign_key), ""),
        (mutual.clone().tls_server_name("example.org"), "tls_server_name"),
        (mutual.clone().tls_ca(&*other_ca), "tls_ca"),
    ] {
        let error = Client::<R>::new(wrong).connect().await.err().ok_or("it was let in")?;
        let words = error.to_string().contains(words);
        check(words && !matches!(error.kind, ConnectErrorKind::Config(_)), &error)?;
    }
    let error = Client::<R>::new(mutual.tls_ca("/nowhere.pem")).connect().await.err();
    let error = error.ok_or("there is no such file")?;
    check(
        matches!(&error.kind, ConnectErrorKind::Config(wrong) if wrong.field == "tls_ca"),
        error,
    )?;
    server.stop().await;
    Ok(())
}

/// Whoever ends TLS in between cannot pass the login on, unless the client says so.
pub async fn binds_the_login_to_the_session<R: Runtime>() -> Outcome {
    let server = server::<Tcp<R>>().start().await?;
    let (listener, address) = listen::<R>()?;
    let tls = TlsServer::new(Authority::shared().server_config());
    let (proxied, runtime) = (server.clone(), R::default());
    let proxy = async move {
        loop {
            let Ok((stream, _)) = runtime.accept(&listener).await else { return };
            // The server behind it knows nothing of TLS.
            let _ = proxied.serve_stream(Plain::new(tls.accept(stream)), None);
        }
    };
    let clients = async {
        let bound = Tls::<R>::client(to(address)).connect().await;
        let error = bound.err().ok_or("the login was passed on")?;
        let refused = match &error.kind {
            ConnectErrorKind::Closed { reason: CloseReason::LoginRefused(failure), .. } => {
                failure.code == RefusalCode::MechRequired
            }
            _ => false,
        };
        check(refused, &error)?;
        let trusting = Tls::<R>::client(to(address).tls_channel_binding(false)).connect().await?;
        trusting.ping().await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    match race(clients, proxy).await {
        First::Left(outcome) => outcome?,
        First::Right(()) => return Err("the proxy ended".into()),
    }
    server.stop().await;
    Ok(())
}

/// Plain meets TLS: both are told, neither waits for ever.
pub async fn tells_when_only_one_side_speaks_tls<R: Runtime>() -> Outcome {
    let plain = server::<Tcp<R>>().start().await?;
    let error = Tls::<R>::client(to(plain.address())).connect().await.err();
    let error = error.ok_or("there is no TLS")?;
    let is_told = error.to_string().contains("does it speak TLS");
    check(is_told && matches!(error.kind, ConnectErrorKind::Tls { .. }), &error)?;
    let secure = Tls::<R>::server(server_descriptor()).start().await?;
    let error = Client::<R>::new(to(secure.address())).connect().await.err();
    let error = error.ok_or("there is TLS")?;
    check(matches!(error.kind, ConnectErrorKind::Closed { .. }), &error)?;
    // Whoever shakes no hands is gone in time, and takes no place from others.
    let stranger = R::default().connect(secure.address()).await?;
    connect::<Tls<R>>(&secure).await?.ping().await?;
    drop(stranger);
    plain.stop().await;
    secure.stop().await;
    Ok(())
}

/// Closing a stream tells the peer, and leaves it time to answer.
pub async fn ends_its_write_half_alone<R: Runtime>() -> Outcome {
    use super::support::{read, write_all};
    let runtime = R::default();
    let (listener, address) = listen::<R>()?;
    let mut near = runtime.connect(address).await?;
    let (mut far, _) = runtime.accept(&listener).await?;
    std::future::poll_fn(|cx| {
        use futures_io::AsyncWrite;
        std::pin::Pin::new(&mut near).poll_close(cx)
    })
    .await?;
    let end = read(&mut far, &mut [0; 8]).await?;
    check(end == 0, end)?;
    write_all(&mut far, b"answer").await?;
    let mut answer = [0; 8];
    let length = read(&mut near, &mut answer).await?;
    check(&answer[..length] == b"answer", answer)
}

/// One server, many doors.
pub async fn listens_in_many_places<R: Runtime>() -> Outcome {
    let files = Files::new("doors")?;
    let path = files.0.join("door.sock");
    let server = Tls::<R>::server(server_descriptor())
        .rpc("where", |peer: Peer| async move {
            (peer.remote_address().is_some(), peer.tls().is_some())
        })
        .listen(Listener::tcp("127.0.0.1", 0).plain())
        .listen(Listener::unix(&path))
        .start()
        .await?;
    let [LocalAddress::Tls(secure), LocalAddress::Tcp(plain), LocalAddress::Unix(socket)] =
        server.local_addresses()
    else {
        return Err(format!("{:?}", server.local_addresses()).into());
    };
    let mut local = to(*plain);
    local.server_host = format!("unix:{}", socket.display());
    for (client, expected) in [
        (Tls::<R>::client(to(*secure)), (true, true)),
        (Client::new(to(*plain)), (true, false)),
        (Client::new(local), (false, false)),
    ] {
        let client = client.connect().await?;
        let found: (bool, bool) = client.call("where", &()).await?;
        check(found == expected, found)?;
    }
    server.stop().await;
    check(!path.exists(), "the socket is left behind")
}

/// A socket that a killed server left behind is no obstacle; one that is in use is.
pub async fn replaces_a_stale_unix_socket<R: Runtime>() -> Outcome {
    let files = Files::new("stale")?;
    let path = files.0.join("stale.sock");
    // Dropping a listener leaves its file behind, as a crash does.
    drop(std::os::unix::net::UnixListener::bind(&path)?);
    check(path.exists(), "nothing is left behind")?;
    let descriptor = server_descriptor().host(format!("unix:{}", path.display()));
    let first = Server::<R>::new(descriptor.clone()).start().await?;
    let second = Server::<R>::new(descriptor.clone()).start().await;
    let error = second.err().ok_or("two servers at one path")?.to_string();
    check(error.contains("stale.sock") && error.contains("another server"), &error)?;
    // What somebody else has put there since is not removed.
    std::fs::remove_file(&path)?;
    std::fs::write(&path, "mine")?;
    first.stop().await;
    check(path.exists(), "somebody else's file is gone")?;
    let occupied = Server::<R>::new(descriptor).start().await;
    check(occupied.is_err(), "a file was taken for a socket")?;
    let nobody = Files::new("nobody")?.0.join("x.sock");
    let mut descriptor = to(([127, 0, 0, 1], 1).into());
    descriptor.server_host = format!("unix:{}", nobody.display());
    let error = Client::<R>::new(descriptor).connect().await.err().ok_or("nobody is there")?;
    check(error.to_string().contains("x.sock"), error)
}

/// `::` serves both families, unless it is told not to.
pub async fn serves_both_families<R: Runtime>() -> Outcome {
    for ipv6_only in [false, true] {
        let mut descriptor = server_descriptor().ipv6(true).ipv6_only(ipv6_only);
        descriptor.host = "0.0.0.0".into();
        let server = Server::<R>::new(descriptor).start().await?;
        check(server.address().is_ipv6(), server.address())?;
        let port = server.address().port();
        let six = to(([0, 0, 0, 0, 0, 0, 0, 1], port).into()).use_ipv6(true);
        let client = Client::<R>::new(six).connect().await?;
        check(client.remote_address().is_some_and(|remote| remote.is_ipv6()), &client)?;
        let four = Client::<R>::new(to(([127, 0, 0, 1], port).into())).connect().await;
        check(four.is_err() == ipv6_only, &four)?;
        if let Ok(four) = four {
            four.ping().await?;
            let seen: Vec<_> = server.connections().iter().map(Peer::remote_address).collect();
            let has_four = seen.iter().flatten().any(|remote| remote.is_ipv4());
            check(has_four, seen)?;
        }
        server.stop().await;
    }
    Ok(())
}
