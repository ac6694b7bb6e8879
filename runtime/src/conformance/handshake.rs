//! How connections begin, or why they do not.

use std::time::Duration;

use cndt_core::connection::CloseReason;
use cndt_core::message::auth::RefusalCode;
use cndt_core::wire::Dialect;

use super::support::{
    ITERATIONS, check, client_descriptor, connect, eventually, listen, read, server,
    server_descriptor, to, write_all,
};
use super::{Net, Outcome, Tcp};
use crate::client::{Client, ConnectionState};
use crate::error::ConnectErrorKind;
use crate::peer::Peer;
use crate::race::{First, race};
use crate::router::extract::Params;
use crate::rt::Runtime;
use crate::users::{Users, hash_password};

/// Both sides know each other after login.
pub async fn connects<N: Net>() -> Outcome {
    let server = N::server(server_descriptor().name("here").version("2.1")).start().await?;
    let descriptor = client_descriptor::<N>(&server).name("there").version("3.2");
    let client = N::client(descriptor).connect().await?;

    check(client.state() == ConnectionState::Active, client.state())?;
    let info = client.server_info().ok_or("no server info")?;
    check((&*info.peer_name, &*info.peer_version) == ("here", "2.1"), &info)?;
    check(client.handshake_time() > Some(Duration::ZERO), client.handshake_time())?;
    client.ping().await?;
    check(client.health().round_trip.is_some(), client.health())?;

    eventually::<N>("the server knows the client", || server.connection_count() == 1).await?;
    let peers = server.connections();
    let [peer] = &peers[..] else { return Err(format!("{peers:?}").into()) };
    check((&*peer.name(), &*peer.version()) == ("there", "3.2"), peer)?;
    check(peer.is_authenticated() && peer.dialect() == Some(Dialect::Cndt), peer)?;
    check(peer.user().is_some_and(|user| user.as_str() == "default"), peer.user())?;
    check(peer.id().to_string().len() == 36, peer.id())?;
    check(server.connection(peer.id()).is_some(), peer)?;
    peer.ping().await?;

    client.disconnect().await;
    check(client.state() == ConnectionState::Closed, client.state())?;
    eventually::<N>("the server forgets the client", || server.connection_count() == 0).await?;
    check(server.stats().accepted == 1, server.stats())?;
    server.stop().await;
    Ok(())
}

/// The login is refused for good, and the error says what to check.
pub async fn refuses_a_wrong_password<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let mut descriptor = client_descriptor::<N>(&server).dialect(dialect);
        descriptor.password = "wrong".into();
        let refused = N::client(descriptor).connect().await;
        let error = refused.err().ok_or("the login succeeded")?;
        check(refusal(&error.kind) == Some(RefusalCode::AuthFailed), &error)?;
        check(error.to_string().contains("check user and password"), &error)?;
        check(server.connection_count() == 0, server.connections())?;
    }
    server.stop().await;
    Ok(())
}

/// The error names the address and says what to do.
pub async fn tells_of_a_refused_port<R: Runtime>() -> Outcome {
    let (listener, address) = listen::<R>()?;
    drop(listener);
    let error = Client::<R>::new(to(address)).connect().await.err();
    let error = error.ok_or("someone listens there")?;
    let words = error.to_string();
    let is_io = matches!(error.kind, ConnectErrorKind::Io { .. });
    check(is_io && words.contains(&address.to_string()), &error)?;
    check(words.contains("cndt serve"), words)
}

/// A peer that accepts and says nothing does not hold a client for ever.
pub async fn gives_up_on_a_silent_peer<R: Runtime>() -> Outcome {
    let (_listener, address) = listen::<R>()?;
    let descriptor = to(address);
    let after = Duration::from_millis(300);
    let error = Client::<R>::new(descriptor.connect_timeout(after)).connect().await.err();
    let error = error.ok_or("a silent peer let someone in")?;
    let ConnectErrorKind::Closed { reason: CloseReason::AuthTimeout { .. }, .. } = error.kind
    else {
        return Err(error.into());
    };
    Ok(())
}

/// A web server answers in another language: that is told, not waited out.
pub async fn notices_a_peer_of_another_protocol<R: Runtime>() -> Outcome {
    let runtime = R::default();
    let (listener, address) = listen::<R>()?;
    let client = Client::<R>::new(to(address)).connect();
    let web = async {
        let (mut stream, _) = runtime.accept(&listener).await?;
        read(&mut stream, &mut [0; 512]).await?;
        write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await?;
        read(&mut stream, &mut [0; 512]).await?;
        std::future::pending::<std::io::Result<()>>().await
    };
    match race(client, web).await {
        First::Left(Ok(client)) => Err(format!("{client:?} connected").into()),
        First::Left(Err(error)) => match error.kind {
            ConnectErrorKind::Closed { reason: CloseReason::Wire(_), .. } => Ok(()),
            _ => Err(error.into()),
        },
        First::Right(ended) => Err(format!("the web server ended: {ended:?}").into()),
    }
}

/// One port serves both dialects, where both are wanted.
pub async fn serves_both_dialects_on_one_port<N: Net>() -> Outcome {
    let server = server::<N>().rpc("one", || async { 1 }).start().await?;
    let descriptor = client_descriptor::<N>(&server);
    let strong = N::client(descriptor.clone()).connect().await?;
    let weak = N::client(descriptor.dialect(Dialect::Netconduit)).connect().await?;
    for client in [&strong, &weak] {
        let one: i32 = client.call("one", &()).await?;
        check(one == 1, one)?;
    }
    eventually::<N>("both are there", || server.connection_count() == 2).await?;
    let sent = server.broadcast("news", &1).send()?;
    check(sent.queued == 2, sent)?;
    server.stop().await;
    Ok(())
}

/// The weak dialect is never taken for granted, on neither side.
pub async fn refuses_the_dialect_that_is_not_named<N: Net>() -> Outcome {
    let strong = N::server(server_descriptor().accept_netconduit(false)).start().await?;
    let weak = N::server(server_descriptor().accept_cndt(false)).start().await?;
    for (server, dialect) in [(strong, Dialect::Netconduit), (weak, Dialect::Cndt)] {
        let descriptor = client_descriptor::<N>(&server).dialect(dialect);
        let refused = N::client(descriptor).connect().await;
        let error = refused.err().ok_or("the login succeeded")?;
        check(refusal(&error.kind) == Some(RefusalCode::MechRequired), &error)?;
        server.stop().await;
    }
    Ok(())
}

/// Users have passwords of their own, and the server never had them.
pub async fn lets_each_user_in_by_its_own_password<N: Net>() -> Outcome {
    let users = Users::new()
        .with("ann".parse()?, hash_password("apple", ITERATIONS)?)
        .with("bob".parse()?, hash_password("berry", ITERATIONS)?);
    let mut descriptor = server_descriptor().accept_netconduit(false).users(users);
    descriptor.password = "".into();
    let server = N::server(descriptor)
        .rpc("whoami", |peer: Peer| async move { peer.user().map(|user| user.to_string()) })
        .start()
        .await?;
    for (user, password, is_right) in [("ann", "apple", true), ("bob", "apple", false)] {
        let mut descriptor = client_descriptor::<N>(&server).user(user);
        descriptor.password = password.into();
        match N::client(descriptor).connect().await {
            Ok(client) => {
                let me: Option<String> = client.call("whoami", &()).await?;
                check(is_right && me.as_deref() == Some(user), me)?;
            }
            Err(error) => check(!is_right, error)?,
        }
    }
    server.stop().await;
    Ok(())
}

fn refusal(kind: &ConnectErrorKind) -> Option<RefusalCode> {
    match kind {
        ConnectErrorKind::Closed { reason: CloseReason::LoginRefused(failure), .. } => {
            Some(failure.code)
        }
        _ => None,
    }
}

/// A full server says so; who leaves makes room.
pub async fn refuses_one_client_too_many<N: Net>() -> Outcome {
    let server = N::server(server_descriptor().max_connections(2)).start().await?;
    let first = connect::<N>(&server).await?;
    let _second = connect::<N>(&server).await?;
    let error = connect::<N>(&server).await.err().ok_or("there was room for a third")?;
    check(error.to_string().contains("full"), &error)?;
    first.disconnect().await;
    eventually::<N>("there is room", || server.connection_count() == 1).await?;
    connect::<N>(&server).await?;
    server.stop().await;
    Ok(())
}

/// Whoever has not logged in takes no place from those who do.
pub async fn serves_while_many_are_logging_in<R: Runtime>() -> Outcome {
    let runtime = R::default();
    let server = Tcp::<R>::server(server_descriptor().max_connections(1)).start().await?;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(runtime.connect(server.address()).await?);
    }
    let client = connect::<Tcp<R>>(&server).await?;
    client.ping().await?;
    server.stop().await;
    drop(silent);
    Ok(())
}

/// Server and client meet over a stream that neither of them opened.
pub async fn serves_any_stream<R: Runtime>() -> Outcome {
    let runtime = R::default();
    let server = server::<Tcp<R>>()
        .rpc("negate", |Params((n,)): Params<(i64,)>| async move { -n })
        .start()
        .await?;
    let (listener, address) = listen::<R>()?;
    let near = runtime.connect(address).await?;
    let (far, _) = runtime.accept(&listener).await?;
    server.serve_stream(far, None)?;
    let over = Client::<R>::over(near, to(address)).await?;
    let negated: i64 = over.call("negate", &(5,)).await?;
    check(negated == -5, negated)?;
    let peers = server.connections();
    check(peers.iter().all(|peer| peer.remote_address().is_none()), &peers)?;
    over.disconnect().await;
    server.stop().await;
    Ok(())
}
