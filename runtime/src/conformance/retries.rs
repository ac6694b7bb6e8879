//! Calls that are made again, and those that are not.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::resilience::{Backoff, RetryPolicy};
use cndt_core::rpc::{ErrorCode, RpcError};

use super::pool::{all_connected, with_other};
use super::support::{
    check, client, client_descriptor, eventually, pause, server, server_descriptor,
};
use super::{Net, Outcome, Tcp};
use crate::client::Client;
use crate::descriptor::{ClientDescriptor, ServerDescriptor};
use crate::error::{CallError, NotConnected, OnceError};
use crate::net::{JsonRpc, Listener, LocalAddress};
use crate::peer::Peer;
use crate::pool::PoolOptions;
use crate::race::{First, race};
use crate::router::Method;
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

const SHORT: Duration = Duration::from_millis(20);

fn times(attempts: u32) -> Result<RetryPolicy, Box<dyn std::error::Error>> {
    Ok(RetryPolicy::new(attempts, Backoff::constant(SHORT))?)
}

/// How often handlers ran.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// The number of this run, from 1.
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// `busy` is refused as long as it ran fewer than three times, `never` is always; `fails` always
/// does; `cut` ends the connection the first time, `slow` never answers the first time.
fn moody<N: Net>(descriptor: ServerDescriptor) -> (Server<N::Runtime>, Runs) {
    let runs = Runs::default();
    let [busy, never, fails, cut, slow] = std::array::from_fn(|_| runs.clone());
    let refusal = || RpcError::rate_limited(Duration::from_millis(1));
    let server = N::server(descriptor)
        .rpc(Method::new("busy").public(), move || {
            let run = busy.next();
            async move { if run < 3 { Err(refusal()) } else { Ok(run) } }
        })
        .rpc("never", move || {
            never.next();
            async move { Err::<(), _>(refusal()) }
        })
        .rpc("fails", move || {
            fails.next();
            async { Err::<(), _>(RpcError::internal("on purpose")) }
        })
        .rpc("cut", move |peer: Peer| {
            let run = cut.next();
            async move {
                if run == 1 {
                    peer.abort();
                }
                run
            }
        })
        .rpc("slow", move || {
            let run = slow.next();
            async move {
                if run == 1 {
                    std::future::pending::<()>().await;
                }
                run
            }
        });
    (server, runs)
}

fn persistent<N: Net>(server: &ServerHandle) -> ClientDescriptor {
    client_descriptor::<N>(server)
        .reconnect_enabled(true)
        .reconnect_attempts(0)
        .reconnect_delay(SHORT)
        .reconnect_delay_max(SHORT)
}

/// What the server refuses for now is asked again; what it answers otherwise is not.
pub async fn asks_again_when_refused_for_now<N: Net>() -> Outcome {
    let (server, runs) = moody::<N>(server_descriptor());
    let server = server.start().await?;
    let client = client::<N>(&server).connect().await?;
    let outcome = client.call::<_, usize>("busy", &()).await;
    let is_refused = matches!(&outcome, Err(CallError::Failed(CallFailure::Remote(error)))
        if error.code == ErrorCode::RateLimited);
    check(is_refused && runs.count() == 1, &outcome)?;
    let answer: usize = client.call("busy", &()).retry(times(3)?).await?;
    check(answer == 3 && runs.count() == 3, answer)?;
    let outcome = client.call::<_, ()>("never", &()).retry(times(4)?).await;
    check(outcome.is_err() && runs.count() == 7, &outcome)?;
    // Whether or not it is idempotent: that was an answer.
    let outcome = client.call::<_, ()>("fails", &()).idempotent().retry(times(4)?).await;
    check(outcome.is_err() && runs.count() == 8, &outcome)?;
    let unknown = client.call::<_, ()>("no such", &()).idempotent().retry(times(4)?).await;
    check(unknown.is_err(), &unknown)?;
    // The time is for all attempts.
    let patient = RetryPolicy::new(3, Backoff::constant(Duration::from_secs(3600)))?;
    let outcome = client.call::<_, ()>("never", &()).retry(patient).await;
    check(outcome.is_err() && runs.count() == 9, &outcome)?;
    server.stop().await;
    Ok(())
}

/// What may have been executed is only repeated where that does no harm.
pub async fn repeats_what_may_be_repeated<N: Net>() -> Outcome {
    for is_idempotent in [false, true] {
        let (server, runs) = moody::<N>(server_descriptor());
        let server = server.start().await?;
        let client = N::client(persistent::<N>(&server).retry_count(9)).connect().await?;
        let call = client.call::<_, usize>("cut", &());
        let outcome = if is_idempotent { call.idempotent().await } else { call.await };
        if is_idempotent {
            check(outcome == Ok(2), &outcome)?;
        } else {
            let lost = CallError::Failed(CallFailure::ConnectionLost { sent: true });
            check(outcome == Err(lost) && runs.count() == 1, &outcome)?;
        }
        client.disconnect().await;
        let outcome = client.call::<_, usize>("cut", &()).await;
        check(outcome == Err(CallError::NotConnected(NotConnected)), &outcome)?;
        server.stop().await;
    }
    Ok(())
}

/// An attempt that takes too long is given up for another one.
pub async fn gives_each_attempt_its_time<N: Net>() -> Outcome {
    let (server, runs) = moody::<N>(server_descriptor());
    let server = server.start().await?;
    let client = client::<N>(&server).connect().await?;
    let policy = times(3)?.attempt_timeout(Duration::from_millis(300))?;
    let answer: usize = client.call("slow", &()).idempotent().retry(policy).await?;
    check(answer == 2 && runs.count() == 2, answer)?;
    server.stop().await;
    Ok(())
}

/// A call waits for a server that is away, as long as it may.
pub async fn waits_for_the_server<N: Net>() -> Outcome {
    let before = server::<N>().start().await?;
    before.stop().await;
    let client = N::client(persistent::<N>(&before)).start().await?;
    let outcome = client.call::<_, usize>("cut", &()).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), &outcome)?;
    // Its pause would last for longer than it may take, but what it waits for comes earlier.
    let policy = RetryPolicy::new(2, Backoff::constant(Duration::from_secs(20)))?;
    let mut call = pin!(client.call::<_, usize>("busy", &()).retry(policy));
    if let First::Left(outcome) = race(call.as_mut(), pause::<N>(SHORT * 10)).await {
        return Err(format!("it did not wait: {outcome:?}").into());
    }
    let (server, runs) = moody::<N>(N::same_place(server_descriptor(), &before));
    runs.next();
    runs.next();
    let server = server.start().await?;
    let answer = call.await?;
    check(answer == 3, answer)?;
    // Nothing follows a client that has been closed.
    client.disconnect().await;
    let policy = RetryPolicy::new(1000, Backoff::constant(Duration::from_secs(3600)))?;
    let outcome = client.call::<_, usize>("busy", &()).retry(policy).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), &outcome)?;
    server.stop().await;
    Ok(())
}

/// Many calls that fail together do not become many more.
pub async fn repeats_a_share_of_the_calls<N: Net>() -> Outcome {
    const CALLS: usize = 100;
    let (server, runs) = moody::<N>(server_descriptor());
    let server = server.start().await?;
    let client = client::<N>(&server).connect().await?;
    let mut calls: Vec<_> = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        calls.push(Box::pin(client.call::<_, ()>("never", &()).retry(times(10)?)));
    }
    // All of them at once.
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| call.as_mut().poll(cx).is_pending());
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    // A fifth, ten, and one a second: not the thousand that their policy allows.
    check((CALLS + 10..CALLS + 100).contains(&runs.count()), runs.count())?;
    server.stop().await;
    Ok(())
}

/// A pool repeats on whoever is chosen then.
pub async fn repeats_in_a_pool<N: Net>() -> Outcome {
    let (one, ones) = moody::<N>(server_descriptor());
    let (other, others) = moody::<N>(server_descriptor());
    let (one, other) = (one.start().await?, other.start().await?);
    let template = N::client(persistent::<N>(&one).retry_count(5).retry_delay(SHORT));
    let pool = template.pool(with_other::<N>(&other)).connect().await?;
    all_connected::<N>(&pool).await?;
    // Twice one server, twice the other; the fifth attempt succeeds.
    let answer: usize = pool.call("busy", &()).await?;
    check(answer == 3 && ones.count() + others.count() == 5, (ones.count(), others.count()))?;
    let outcome = pool.call::<_, ()>("never", &()).retry(RetryPolicy::NEVER).await;
    check(outcome.is_err() && ones.count() + others.count() == 6, &outcome)?;
    one.stop().await;
    other.stop().await;
    // Nobody is there, for a while.
    let mut call = pin!(pool.call::<_, usize>("cut", &()).idempotent().retry(times(1000)?));
    if let First::Left(outcome) = race(call.as_mut(), pause::<N>(SHORT * 5)).await {
        return Err(format!("it did not wait: {outcome:?}").into());
    }
    let (again, _) = moody::<N>(N::same_place(server_descriptor(), &other));
    let again = again.start().await?;
    let answer = call.await?;
    check(answer == 2, answer)?;
    again.stop().await;
    Ok(())
}

/// JSON-RPC clients repeat by themselves what cannot have been executed, calls on connections of
/// their own included.
pub async fn repeats_json_rpc<R: Runtime>() -> Outcome {
    let listening = |server: Server<R>, port| {
        server.listen(Listener::tcp("127.0.0.1", port).jsonrpc(JsonRpc::new()))
    };
    let (server, _) = moody::<Tcp<R>>(server_descriptor());
    let server = listening(server, 0).start().await?;
    let address = server.local_addresses().iter().find_map(|address| match address {
        LocalAddress::JsonRpc(_) => address.socket_address(),
        _ => None,
    });
    let address = address.ok_or("no JSON-RPC is spoken")?;
    let descriptor = ClientDescriptor::jsonrpc("127.0.0.1", address.port()).retry_delay(SHORT);
    check(descriptor.retry_count == 3, descriptor.retry_count)?;
    let client = Client::<R>::new(descriptor.clone()).connect().await?;
    let answer: usize = client.call("busy", &()).await?;
    check(answer == 3, answer)?;
    client.disconnect().await;
    let pool = Client::<R>::new(descriptor.clone()).pool(PoolOptions::new().size(2));
    let pool = pool.connect().await?;
    let answer: usize = pool.call("busy", &()).await?;
    check(answer == 4, answer)?;
    pool.disconnect().await;
    server.stop().await;
    let once = Client::<R>::new(descriptor.clone().retry_count(1));
    let outcome = once.call_once::<_, usize>("busy", &()).await;
    check(matches!(outcome, Err(OnceError::Connect(_))), &outcome)?;
    let patient = Client::<R>::new(descriptor.retry_count(500));
    let mut call = pin!(patient.call_once::<_, usize>("busy", &()));
    if let First::Left(outcome) = race(call.as_mut(), pause::<Tcp<R>>(SHORT * 5)).await {
        return Err(format!("it did not wait: {outcome:?}").into());
    }
    let (server, runs) = moody::<Tcp<R>>(server_descriptor());
    let server = listening(server, address.port()).start().await?;
    let answer = call.await?;
    check(answer == 3 && runs.count() == 3, answer)?;
    eventually::<Tcp<R>>("all are gone", || server.connection_count() == 0).await?;
    server.stop().await;
    Ok(())
}
