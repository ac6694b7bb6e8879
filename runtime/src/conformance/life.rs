//! How connections end, and begin again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cndt_core::connection::{CallFailure, CloseReason};

use super::support::{
    check, client_descriptor, connect, eventually, listen, login_as_server, pause, read_past,
    server, server_descriptor, to,
};
use super::{Net, Outcome};
use crate::client::{Client, ClientHandle, ConnectionState};
use crate::error::{CallError, ConnectErrorKind, NotConnected};
use crate::peer::Peer;
use crate::race::{First, race};
use crate::rt::Runtime;
use crate::server::ServerHandle;

/// Words in order of what happened.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, word: &'static str) {
        self.0.lock().unwrap_or_else(|log| log.into_inner()).push(word);
    }

    fn words(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(|log| log.into_inner()).clone()
    }
}

/// No caller waits for its time-out.
pub async fn fails_calls_at_once_when_the_connection_is_lost<R: Runtime>() -> Outcome {
    let (listener, address) = listen::<R>()?;
    let client = Client::<R>::new(to(address)).connect();
    let accepting = login_as_server::<R>(&listener);
    let (stream, client) = both(accepting, client).await;
    let (mut stream, client) = (stream?, client?);
    let call = client.call::<_, ()>("never", &()).timeout(Duration::from_secs(600));
    let cut = async {
        let heard = read_past(&mut stream, b"never", 1).await;
        drop(stream);
        if heard.is_ok() { std::future::pending().await } else { heard }
    };
    let First::Left(outcome) = race(call, cut).await else { return Err("no call came".into()) };
    let lost = CallError::Failed(CallFailure::ConnectionLost { sent: true });
    check(outcome.as_ref() == Err(&lost), &outcome)?;
    client.closed().await;
    let outcome = client.call::<_, ()>("never", &()).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), outcome)
}

/// A client comes back to a server that comes back, and its hooks run in order.
pub async fn reconnects<N: Net>() -> Outcome {
    let log = Log::default();
    let first = server::<N>().rpc("name", || async { "first" }).start().await?;
    let descriptor = client_descriptor::<N>(&first)
        .reconnect_enabled(true)
        .reconnect_attempts(0)
        .reconnect_delay(Duration::from_millis(20))
        .reconnect_delay_max(Duration::from_millis(100));
    let (connected, gone, back) = (log.clone(), log.clone(), log.clone());
    let client = N::client(descriptor)
        .on_connect(move |_: ClientHandle| {
            let log = connected.clone();
            async move { log.note("connect") }
        })
        .on_disconnect(move |_: ClientHandle, _: CloseReason| {
            let log = gone.clone();
            async move { log.note("disconnect") }
        })
        .on_reconnect(move |_: ClientHandle| {
            let log = back.clone();
            async move { log.note("reconnect") }
        })
        .connect()
        .await?;
    let mut messages = client.messages();
    let name: String = client.call("name", &()).await?;
    check(name == "first", name)?;
    first.stop().await;
    eventually::<N>("the client notices", || !client.is_connected()).await?;
    let outcome = client.call::<_, String>("name", &()).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), outcome)?;

    let second = N::server(N::same_place(server_descriptor(), &first))
        .rpc("name", || async { "second" })
        .start()
        .await?;
    eventually::<N>("the client is back", || client.state() == ConnectionState::Active).await?;
    let name: String = client.call("name", &()).await?;
    check(name == "second", name)?;
    check(log.words() == ["connect", "disconnect", "connect", "reconnect"], log.words())?;
    check(client.health().logins == 2, client.health())?;
    // Subscriptions live on.
    eventually::<N>("the server knows the client", || second.connection_count() == 1).await?;
    second.broadcast("news", &1).send()?;
    check(messages.next().await.is_some(), "the subscription ended")?;
    client.disconnect().await;
    check(log.words().last() == Some(&"disconnect"), log.words())?;
    second.stop().await;
    Ok(())
}

/// Attempts end, and whoever waits learns of it.
pub async fn gives_up_reconnecting<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let descriptor = client_descriptor::<N>(&server)
        .reconnect_enabled(true)
        .reconnect_attempts(2)
        .reconnect_delay(Duration::from_millis(10))
        .reconnect_delay_max(Duration::from_millis(20));
    let client = N::client(descriptor).connect().await?;
    let mut messages = client.messages();
    server.stop().await;
    client.closed().await;
    check(client.state() == ConnectionState::Failed, client.state())?;
    check(client.health().reconnect_attempts == 2, client.health())?;
    check(messages.next().await.is_none(), "a message after the end")
}

/// A graceful stop answers what it has begun to serve, and frees the port.
pub async fn finishes_calls_when_it_stops<N: Net>() -> Outcome {
    let log = Log::default();
    let (shutdown, left) = (log.clone(), log.clone());
    let server = server::<N>()
        .rpc("slow", || async {
            pause::<N>(Duration::from_millis(200)).await;
            "finished"
        })
        .on_client_disconnect(move |_: Peer| {
            let log = left.clone();
            async move { log.note("client left") }
        })
        .on_shutdown(move |_: ServerHandle| {
            let log = shutdown.clone();
            async move { log.note("shutdown") }
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let stop = async {
        pause::<N>(Duration::from_millis(50)).await;
        server.stop().await;
    };
    let (outcome, ()) = both(client.call::<_, String>("slow", &()), stop).await;
    check(outcome.as_deref() == Ok("finished"), &outcome)?;
    check(!server.is_running() && server.connection_count() == 0, &server)?;
    check(log.words() == ["client left", "shutdown"], log.words())?;
    client.closed().await;
    // Stopping twice is stopping once.
    server.stop().await;
    check(connect::<N>(&server).await.is_err(), "someone still listens")
}

/// No handle, no connection.
pub async fn closes_when_the_last_handle_is_gone<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let client = connect::<N>(&server).await?;
    let clone = client.clone();
    eventually::<N>("the server knows the client", || server.connection_count() == 1).await?;
    drop(client);
    clone.ping().await?;
    drop(clone);
    eventually::<N>("the connection ends", || server.connection_count() == 0).await?;
    server.stop().await;
    Ok(())
}

/// A hook that fails or panics stops neither the others nor the server.
pub async fn runs_hooks_despite_failures<N: Net>() -> Outcome {
    let log = Log::default();
    let (startup, connected) = (log.clone(), log.clone());
    let served = log.clone();
    let server = server::<N>()
        .on_startup(|_: ServerHandle| async {
            if true {
                panic!("on purpose");
            }
        })
        .on_startup(|_: ServerHandle| async { Err::<(), _>("on purpose") })
        .on_startup(move |server: ServerHandle| {
            let log = startup.clone();
            async move {
                log.note(if server.local_addresses().is_empty() {
                    "no address"
                } else {
                    "startup"
                });
            }
        })
        .on_client_connect(|_: Peer| async {
            if true {
                panic!("on purpose");
            }
        })
        .on_client_connect(move |_: Peer| {
            let log = connected.clone();
            async move {
                pause::<N>(Duration::from_millis(30)).await;
                log.note("client");
            }
        })
        .rpc("serve", move || {
            served.note("served");
            async {}
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    client.call::<_, ()>("serve", &()).await?;
    check(log.words() == ["startup", "client", "served"], log.words())?;
    server.stop().await;
    Ok(())
}

/// Hooks and handlers may end the connection that they belong to.
pub async fn may_be_closed_from_within<N: Net>() -> Outcome {
    let server = server::<N>()
        .on_client_connect(|peer: Peer| async move {
            if peer.name() == "unwanted" {
                peer.close().await;
            }
        })
        .start()
        .await?;
    let descriptor = client_descriptor::<N>(&server).name("unwanted");
    if let Ok(client) = N::client(descriptor).connect().await {
        client.closed().await;
    }
    let client = N::client(client_descriptor::<N>(&server))
        .on_connect(|client: ClientHandle| async move { client.disconnect().await })
        .on_disconnect(|client: ClientHandle, _| async move { client.disconnect().await })
        .connect()
        .await;
    if let Ok(client) = client {
        client.disconnect().await;
    }
    let client = N::client(client_descriptor::<N>(&server))
        .on("leave", |client: ClientHandle| async move { client.disconnect().await })
        .connect()
        .await?;
    eventually::<N>("the server knows the client", || server.connection_count() == 1).await?;
    server.broadcast("leave", &()).send()?;
    client.closed().await;
    server.stop().await;
    Ok(())
}

/// A client may be there before its server; until then everything is refused at once.
pub async fn starts_before_the_server<N: Net>() -> Outcome {
    let log = Log::default();
    let before = server::<N>().start().await?;
    before.stop().await;
    let descriptor = client_descriptor::<N>(&before)
        .reconnect_enabled(true)
        .reconnect_attempts(0)
        .reconnect_delay(Duration::from_millis(20))
        .reconnect_delay_max(Duration::from_millis(100));
    let greeted = log.clone();
    let client = N::client(descriptor.clone())
        .on_connect(move |client: ClientHandle| {
            let log = greeted.clone();
            async move {
                // In a hook it does not wait for the hook.
                if client.ready().await.is_ok() {
                    pause::<N>(Duration::from_millis(50)).await;
                    log.note("greeted");
                }
            }
        })
        .start()
        .await?;
    // The first attempt may be over by now.
    let states = [ConnectionState::Connecting, ConnectionState::Disconnected];
    check(states.contains(&client.state()), client.state())?;
    let outcome = client.call::<_, String>("name", &()).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), outcome)?;
    eventually::<N>("some attempts fail", || client.health().reconnect_attempts > 2).await?;
    let server = N::server(N::same_place(server_descriptor(), &before))
        .rpc("name", || async { "late" })
        .start()
        .await?;
    client.ready().await?;
    check(log.words() == ["greeted"], log.words())?;
    let name: String = client.call("name", &()).await?;
    check(name == "late", name)?;
    client.disconnect().await;
    client.ready().await?;
    server.stop().await;
    // Nobody waits for a client that nobody wants any more.
    let client = N::client(descriptor).start().await?;
    let clone = client.clone();
    let (ready, ()) = both(client.ready(), clone.disconnect()).await;
    check(ready.is_err() && client.state() == ConnectionState::Closed, client.state())
}

/// Whoever waits for the first login learns that none follows, and why.
pub async fn tells_why_it_never_connected<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let mut descriptor = client_descriptor::<N>(&server)
        .reconnect_enabled(true)
        .reconnect_attempts(2)
        .reconnect_delay(Duration::from_millis(10))
        .reconnect_delay_max(Duration::from_millis(20));
    let good = descriptor.clone();
    descriptor.password = "wrong".into();
    let client = N::client(descriptor).start().await?;
    let error = client.ready().await.err().ok_or("a wrong password is let in")?;
    let is_refused = |reason: &CloseReason| matches!(reason, CloseReason::LoginRefused(_));
    match &error.kind {
        ConnectErrorKind::Closed { reason, .. } if is_refused(reason) => {}
        _ => return Err(error.into()),
    }
    check(client.state() == ConnectionState::Failed, client.state())?;
    check(client.health().reconnect_attempts == 0, client.health())?;
    server.stop().await;
    for (attempts, descriptor) in [(2, good.clone()), (0, good.clone().reconnect_enabled(false))] {
        let client = N::client(descriptor).start().await?;
        let error = client.ready().await.err().ok_or("nobody is there")?;
        check(matches!(error.kind, ConnectErrorKind::Io { .. }), &error)?;
        check(client.state() == ConnectionState::Failed, client.state())?;
        check(client.health().reconnect_attempts == attempts, client.health())?;
    }
    let error = N::client(good.rpc_timeout(Duration::ZERO)).start().await.err();
    let is_config = error.as_ref().is_some_and(|e| matches!(e.kind, ConnectErrorKind::Config(_)));
    check(is_config, error)
}

async fn both<A: Future, B: Future>(left: A, right: B) -> (A::Output, B::Output) {
    let (mut left, mut right) = (std::pin::pin!(left), std::pin::pin!(right));
    match race(left.as_mut(), right.as_mut()).await {
        First::Left(done) => (done, right.await),
        First::Right(done) => (left.await, done),
    }
}
