//! Peers that are slow, and peers that do not read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cndt_core::connection::{CallFailure, CloseReason};
use cndt_core::rpc::ErrorCode;
use cndt_core::wire::{Dialect, Header, Kind, write_frame};

use super::support::{
    check, connect, eventually, listen, login_as_client, login_as_server, pause, server,
    server_descriptor, to,
};
use super::{Net, Outcome, Tcp};
use crate::client::Client;
use crate::descriptor::SlowClient;
use crate::error::{CallError, DeliveryError};
use crate::race::{First, race};
use crate::router::extract::{Data, RawParams};
use crate::rt::Runtime;

/// A sender learns that its message did not leave.
pub async fn tells_of_unsent_messages<R: Runtime>() -> Outcome {
    let (listener, address) = listen::<R>()?;
    let client = Client::<R>::new(to(address));
    let accepting = login_as_server::<R>(&listener);
    let (client, stream) = {
        let (mut accepting, mut connecting) =
            (std::pin::pin!(accepting), std::pin::pin!(client.connect()));
        match race(accepting.as_mut(), connecting.as_mut()).await {
            First::Left(stream) => (connecting.await?, stream?),
            First::Right(client) => (client?, accepting.await?),
        }
    };
    // The peer does not read: the socket fills, then the queue, then nothing more is taken.
    let large = "x".repeat(1024 * 1024);
    let mut taken = 0;
    let refused = loop {
        match client
            .send("bulk", &large)
            .timeout(Duration::from_millis(300))
            .await_or_give_up::<Tcp<R>>()
            .await
        {
            Some(Ok(())) => taken += 1,
            Some(Err(error)) => break Some(error),
            None => break None,
        }
        if taken > 100 {
            return Err("a peer that does not read took 100 MB".into());
        }
    };
    check(refused.is_none(), refused)?;
    let last = client.send("bulk", &large).timeout(Duration::from_secs(600));
    let cut = async {
        pause::<Tcp<R>>(Duration::from_millis(50)).await;
        drop(stream);
        std::future::pending::<()>().await;
    };
    match race(last, cut).await {
        First::Left(Err(DeliveryError::Undelivered(_) | DeliveryError::NotConnected(_))) => Ok(()),
        First::Left(other) => Err(format!("{other:?}").into()),
        First::Right(()) => Err("unreachable".into()),
    }
}

/// Waits for a delivery only so long; what is queued stays queued.
trait GiveUp: Future + Sized {
    async fn await_or_give_up<N: Net>(self) -> Option<Self::Output> {
        match race(self, pause::<N>(Duration::from_millis(300))).await {
            First::Left(outcome) => Some(outcome),
            First::Right(()) => None,
        }
    }
}

impl<F: Future> GiveUp for F {}

/// Handlers that take their time hold up neither pings nor other calls.
pub async fn pings_past_slow_handlers<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("forever", std::future::pending::<()>)
        .rpc("answer", || async { 42 })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    for _ in 0..100 {
        let client = client.clone();
        N::Runtime::default().spawn(async move {
            let _ = client.call::<_, ()>("forever", &()).await;
        });
    }
    let answer: i32 = client.call("answer", &()).await?;
    check(answer == 42, answer)?;
    client.ping().await?;
    // Even when no further handler may start, pings are answered.
    for _ in 0..100 {
        let client = client.clone();
        N::Runtime::default().spawn(async move {
            let _ = client.call::<_, ()>("forever", &()).await;
        });
    }
    pause::<N>(Duration::from_millis(50)).await;
    let pings = async {
        for _ in 0..3 {
            client.ping().await?;
        }
        Ok::<_, crate::NotConnected>(())
    };
    match race(pings, pause::<N>(Duration::from_secs(20))).await {
        First::Left(outcome) => outcome?,
        First::Right(()) => return Err("pings wait behind handlers".into()),
    }
    if let Some(peer) = client.peer() {
        peer.link.abort();
    }
    for peer in server.connections() {
        peer.link.abort();
    }
    server.stop().await;
    Ok(())
}

/// Many who send one message after the other hold up neither answers nor each other.
pub async fn hears_answers_while_many_send<N: Net>() -> Outcome {
    const SENDERS: usize = 40;
    let server =
        server::<N>().on("tick", || async {}).rpc("answer", || async { 42 }).start().await?;
    let client = connect::<N>(&server).await?;
    let sent: Arc<[AtomicUsize; SENDERS]> = Arc::new([const { AtomicUsize::new(0) }; SENDERS]);
    for sender in 0..SENDERS {
        let (client, sent) = (client.clone(), Arc::clone(&sent));
        N::Runtime::default().spawn(async move {
            while client.send("tick", &sender).await.is_ok() {
                sent[sender].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let calls = async {
        for _ in 0..20 {
            client.call::<_, i32>("answer", &()).timeout(Duration::from_secs(60)).await?;
        }
        Ok::<_, CallError>(())
    };
    match race(calls, pause::<N>(Duration::from_secs(20))).await {
        First::Left(outcome) => outcome?,
        First::Right(()) => return Err("answers wait behind those who send".into()),
    }
    let all_sent = || sent.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    eventually::<N>("everyone has sent", all_sent).await?;
    client.disconnect().await;
    server.stop().await;
    Ok(())
}

/// A broadcast reaches those who read; those who do not are cut off in time.
pub async fn is_not_held_up_by_a_client_that_does_not_read<R: Runtime>() -> Outcome {
    let patience = Duration::from_millis(800);
    let server = Tcp::<R>::server(server_descriptor().connection_timeout(patience)).start().await?;
    let reader = connect::<Tcp<R>>(&server).await?;
    let mut messages = reader.messages();
    // It must speak once after login, or the server takes it for a Python client that would lose
    // what comes together with the login.
    let mut deaf = login_as_client::<R>(server.address()).await?;
    super::support::write_all(&mut deaf, &ping_frame()).await?;
    eventually::<Tcp<R>>("both are there", || server.connection_count() == 2).await?;
    reader.ping().await?;
    let stuck = server.connections();
    let stuck = stuck.iter().find(|peer| peer.name() == "cndt").ok_or("no deaf client")?;

    let large = "x".repeat(256 * 1024);
    let mut refused = 0;
    for _ in 0..100 {
        let sent = server.broadcast("bulk", &large).send()?;
        refused += sent.refused;
        let message = messages.next().await.ok_or("the reader was cut off")?;
        check(message.data.len() > large.len(), message.data.len())?;
    }
    check(refused > 0, "a client that does not read got everything")?;
    let reason = stuck.closed().await;
    check(matches!(reason, CloseReason::Stalled { .. }), reason)?;
    eventually::<Tcp<R>>("only the reader is left", || server.connection_count() == 1).await?;
    reader.ping().await?;
    server.stop().await;
    Ok(())
}

/// What happens to a client that does not read is a matter of choice, and counted.
pub async fn drops_what_a_slow_client_is_told_to<R: Runtime>() -> Outcome {
    for policy in [SlowClient::DropNewest, SlowClient::DropOldest, SlowClient::Disconnect] {
        let descriptor = server_descriptor().send_queue_size(4).slow_client(policy);
        let server = Tcp::<R>::server(descriptor).start().await?;
        let mut deaf = login_as_client::<R>(server.address()).await?;
        super::support::write_all(&mut deaf, &ping_frame()).await?;
        let is_there = || server.connection_count() == 1;
        eventually::<Tcp<R>>("it is there", is_there).await?;
        let peer = server.find(|_| true).ok_or("nobody is there")?;
        let large = "x".repeat(1024 * 1024);
        let (mut refused, mut sent) = (0, 0);
        while peer.stats().messages_dropped < 3 && !peer.is_closed() {
            refused += server.broadcast("bulk", &large).send()?.refused;
            sent += 1;
            check(sent < 1000, "the socket never fills")?;
            pause::<Tcp<R>>(Duration::from_millis(1)).await;
        }
        match policy {
            SlowClient::DropNewest => check(refused >= 3, refused)?,
            SlowClient::DropOldest => check(refused == 0, refused)?,
            SlowClient::Disconnect => {
                check(peer.closed().await == CloseReason::TooSlow && refused == 1, refused)?;
            }
        }
        check(server.stats().traffic.messages_dropped >= 1, server.stats())?;
        peer.abort();
        server.stop().await;
    }
    Ok(())
}

/// Whoever waits for room broadcasts no faster than clients read, and nobody misses anything; a
/// client that does not read is waited for as long as was said, each time.
pub async fn waits_for_room_to_broadcast<R: Runtime>() -> Outcome {
    const COUNT: u32 = 3000;
    let server = Tcp::<R>::server(server_descriptor().send_queue_size(16)).start().await?;
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&got);
    let reader = Client::<R>::new(to(server.address()))
        .on("tick", move |Data(number): Data<u32>| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            std::future::ready(())
        })
        .on("bulk", |_: RawParams| async {})
        .connect()
        .await?;
    for number in 0..COUNT {
        let sent = server.broadcast("tick", &number).send_within(Duration::from_secs(30)).await?;
        check(sent.queued == 1 && sent.refused == 0, sent)?;
    }
    let all = || got.lock().is_ok_and(|got| got.len() == COUNT as usize);
    eventually::<Tcp<R>>("everything is there", all).await?;
    check(got.lock().is_ok_and(|got| got.iter().copied().eq(0..COUNT)), "out of order")?;

    let mut deaf = login_as_client::<R>(server.address()).await?;
    super::support::write_all(&mut deaf, &ping_frame()).await?;
    eventually::<Tcp<R>>("both are there", || server.connection_count() == 2).await?;
    let large = "x".repeat(1024 * 1024);
    let wait = Duration::from_millis(300);
    for _ in 0..100 {
        let sent = server.broadcast("bulk", &large).send_within(wait).await?;
        if sent.refused == 1 {
            check(sent.queued == 1, sent)?;
            check(server.stats().traffic.messages_dropped == 0, server.stats())?;
            reader.ping().await?;
            drop(deaf);
            server.stop().await;
            return Ok(());
        }
    }
    Err("a client that does not read got everything".into())
}

/// Whoever does not read the answers to his calls gets few of them worked out, however many he made.
pub async fn answers_no_one_who_does_not_read<R: Runtime>() -> Outcome {
    const CALLS: u64 = 500;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let server = Tcp::<R>::server(server_descriptor()).rpc("large", move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { "x".repeat(1024 * 1024) }
    });
    let server = server.start().await?;
    let mut deaf = login_as_client::<R>(server.address()).await?;
    let calls: Vec<u8> = (1..=CALLS).flat_map(call_frame).collect();
    super::support::write_all(&mut deaf, &calls).await?;
    eventually::<Tcp<R>>("the first is answered", || begun.load(Ordering::Relaxed) > 0).await?;
    let mut before = 0;
    while begun.load(Ordering::Relaxed) > before {
        before = begun.load(Ordering::Relaxed);
        pause::<Tcp<R>>(Duration::from_millis(300)).await;
    }
    // 8 MiB may wait, and some more are in the sockets.
    check(before < 100, before)?;
    let held = server.stats().held_bytes;
    check(held < 64 * 1024 * 1024, held)?;
    drop(deaf);
    server.stop().await;
    Ok(())
}

/// Calls beyond the rate fail at once, and say when to try again.
pub async fn limits_the_rate_of_calls<N: Net>() -> Outcome {
    let server = N::server(server_descriptor().rate_limit(2)).rpc("one", || async { 1 }).start();
    let server = server.await?;
    let client = connect::<N>(&server).await?;
    let mut refused = None;
    for _ in 0..50 {
        match client.call::<_, i32>("one", &()).await {
            Ok(one) => check(one == 1, one)?,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    match refused {
        Some(CallError::Failed(CallFailure::Remote(error))) => {
            check(error.code == ErrorCode::RateLimited, &error)?;
            let details = error.details.ok_or("no details")?;
            let details: std::collections::BTreeMap<String, f64> = crate::from_slice(&details)?;
            let wait = details.get("retry_after").copied().ok_or("no time")?;
            check(wait > 0.0 && wait <= 0.5, wait)?;
        }
        other => return Err(format!("{other:?}").into()),
    }
    check(server.stats().traffic.rate_limited >= 1, server.stats())?;
    server.stop().await;
    Ok(())
}

pub(super) fn ping_frame() -> Vec<u8> {
    frame(Header::new(Kind::HeartbeatPing), &[])
}

fn call_frame(correlation: u64) -> Vec<u8> {
    let header = Header { correlation, ..Header::new(Kind::RpcRequest) };
    frame(header, b"\x82\xa6method\xa5large\xa6params\x80")
}

fn frame(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    let written = write_frame(&mut out, Dialect::Netconduit, &header, 1024, |out| {
        out.extend_from_slice(payload);
        Ok::<_, std::convert::Infallible>(())
    });
    debug_assert!(written.is_ok(), "a small frame always fits");
    out.to_vec()
}
