//! Calls and their outcomes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cndt_core::connection::{CallFailure, SendError};
use cndt_core::rpc::{ErrorCode, RpcError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{
    check, client, client_descriptor, connect, eventually, pause, server, server_descriptor,
};
use super::{Net, Outcome};
use crate::client::ConnectionState;
use crate::error::{CallError, NotConnected};
use crate::peer::Peer;
use crate::router::Method;
use crate::router::RawReply;
use crate::router::extract::{Params, RawParams, State};
use crate::rt::Runtime;
use crate::watched::Watched;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

fn remote(outcome: Result<Value, CallError>) -> Result<RpcError, Box<dyn std::error::Error>> {
    match outcome {
        Err(CallError::Failed(CallFailure::Remote(error))) => Ok(error),
        other => Err(format!("{other:?}").into()),
    }
}

/// Typed, untyped and without parameters.
pub async fn answers<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("add", |Params(p): Params<Add>| async move { p.a + p.b })
        .rpc("echo", |RawParams(params): RawParams| async move { RawReply(params) })
        .rpc("count", |Params(p): Params<serde_json::Map<String, Value>>| async move { p.len() })
        .rpc("nothing", || async {})
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let sum: i64 = client.call("add", &Add { a: 10, b: 20 }).await?;
    check(sum == 30, sum)?;
    let sum: i64 = client.call("add", &json!({"b": 1, "a": -1})).await?;
    check(sum == 0, sum)?;
    let value = json!({"text": "ä", "list": [1, 2.5, null, true], "map": {"k": {}}});
    let echoed: Value = client.call("echo", &value).await?;
    check(echoed == value, echoed)?;
    // No parameters are an empty map, on either side of the wire.
    let count: usize = client.call("count", &()).await?;
    check(count == 0, count)?;
    let nil: Value = client.call("count", &Option::<u8>::None).await?;
    check(nil == json!(0), nil)?;
    client.call::<_, ()>("nothing", &()).await?;
    let reply = client.call_raw("echo", &[0x93, 1, 2, 3]).await?;
    check(reply.data[..] == [0x93, 1, 2, 3], reply)?;
    let wrong_type = client.call::<_, String>("add", &Add { a: 1, b: 2 }).await;
    check(matches!(wrong_type, Err(CallError::Decode(_))), wrong_type)?;
    server.stop().await;
    Ok(())
}

/// Code, words and details arrive.
pub async fn reports_errors_of_handlers<N: Net>() -> Outcome {
    async fn fail() -> Result<(), RpcError> {
        let error = RpcError::new(ErrorCode::Other(4711), "no such user");
        Err(error.with_details(&json!({"id": 7})).unwrap_or_else(|_| RpcError::internal("?")))
    }
    let server = server::<N>().rpc("fail", fail).start().await?;
    let client = connect::<N>(&server).await?;
    let error = remote(client.call("fail", &()).await)?;
    check((error.code.number(), &*error.message) == (4711, "no such user"), &error)?;
    let details: Value = crate::from_slice(&error.details.unwrap_or_default())?;
    check(details == json!({"id": 7}), details)?;
    server.stop().await;
    Ok(())
}

/// The connection survives it.
pub async fn refuses_unknown_methods<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let client = connect::<N>(&server).await?;
    let error = remote(client.call("nope", &()).await)?;
    check(error == RpcError::method_not_found("nope"), &error)?;
    client.ping().await?;
    server.stop().await;
    Ok(())
}

/// The caller learns which method, which field, and what is wrong with it.
pub async fn names_the_field_that_does_not_fit<N: Net>() -> Outcome {
    #[derive(Deserialize, JsonSchema)]
    struct Outer {
        inner: Add,
    }
    let server = server::<N>()
        .rpc("nested", |Params(p): Params<Outer>| async move { p.inner.a + p.inner.b })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let error = remote(client.call("nested", &json!({"inner": {"a": 1, "b": "x"}})).await)?;
    check(error.code == ErrorCode::Validation, &error)?;
    check(error.message.contains("nested") && error.message.contains("`inner.b`"), &error)?;
    let error = remote(client.call("nested", &json!({})).await)?;
    check(error.message.contains("missing field `inner`"), &error)?;
    server.stop().await;
    Ok(())
}

/// A late answer harms nobody.
pub async fn times_out<N: Net>() -> Outcome {
    let slow = || async { pause::<N>(Duration::from_millis(400)).await };
    let server = server::<N>().rpc("slow", slow).start().await?;
    let client = connect::<N>(&server).await?;
    let span = Duration::from_millis(50);
    let outcome = client.call::<_, ()>("slow", &()).timeout(span).await;
    let timed_out = CallError::Failed(CallFailure::TimedOut { after: span });
    check(outcome.as_ref() == Err(&timed_out), &outcome)?;
    client.call::<_, ()>("slow", &()).await?;
    check(client.health().traffic.late_answers == 1, client.health())?;
    server.stop().await;
    Ok(())
}

/// Dropped calls leave nothing behind.
pub async fn is_cancelled_by_dropping<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("forever", std::future::pending::<()>)
        .rpc("answer", || async { 42 })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    // More than may be open at a time, so cancelling must make room.
    for _ in 0..30 {
        for _ in 0..4 {
            let mut call = client.call::<_, ()>("forever", &());
            std::future::poll_fn(|cx| {
                let _ = std::pin::Pin::new(&mut call).poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        client.ping().await?;
    }
    let peer = client.peer().ok_or("not connected")?;
    check(peer.link.lock().calls.is_empty(), "calls that nobody waits for")?;
    check(peer.link.lock().connection.calls_open() == 0, "open calls that nobody waits for")?;
    drop(client);
    server.stop().await;
    Ok(())
}

/// 500 calls in flight, more than the server runs handlers at a time.
pub async fn serves_many_at_once<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("late", |Params((n,)): Params<(u64,)>| async move {
            pause::<N>(Duration::from_millis(n % 7)).await;
            n * 2
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    // Parameters of several types, and a method that is not there.
    let peer = client.peer().ok_or("not connected")?;
    for batch in [client.batch(), peer.batch()] {
        let outcomes = batch.call("late", &(3,)).call("nope", "x").call("late", &[4]).await?;
        let [Ok(six), Err(CallError::Failed(_)), Ok(eight)] = &outcomes[..] else {
            return Err(format!("{outcomes:?}").into());
        };
        check(six.read::<u64>()? == 6 && eight.read::<u64>()? == 8, &outcomes)?;
        check(matches!(six.read::<String>(), Err(CallError::Decode(_))), six)?;
    }
    let done = Arc::new(AtomicUsize::new(0));
    for n in 0..500_u64 {
        let (client, done) = (client.clone(), Arc::clone(&done));
        N::Runtime::default().spawn(async move {
            if client.call("late", &(n,)).await == Ok(n * 2) {
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually::<N>("all 500 are answered", || done.load(Ordering::Relaxed) == 500).await?;
    server.stop().await;
    Ok(())
}

/// One panic costs one answer.
pub async fn contains_panics<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("soon", || async {
            if true {
                panic!("on purpose");
            }
        })
        .rpc("later", || async {
            pause::<N>(Duration::from_millis(1)).await;
            if true {
                panic!("{} purpose", "on");
            }
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    for method in ["soon", "later"] {
        let error = remote(client.call(method, &()).await)?;
        let words = format!("Error in {method}: on purpose");
        check(error == RpcError::internal(words), &error)?;
    }
    client.ping().await?;
    server.stop().await;
    Ok(())
}

/// Names, parameters, types and descriptions come from the handlers.
pub async fn discovers_methods<N: Net>() -> Outcome {
    let add = Method::new("add").describe("Add two numbers.");
    let server =
        server::<N>().rpc(add, |Params(p): Params<Add>| async move { p.a + p.b }).start().await?;
    let client = connect::<N>(&server).await?;
    let methods = client.discover().await?;
    check(methods == server.methods(), &methods)?;
    let add = methods.iter().find(|method| method.name == "add").ok_or("add is not listed")?;
    check(add.description == "Add two numbers." && add.return_type == "int", add)?;
    let int = || "int".to_owned();
    check(add.parameters == [("a".to_owned(), int()), ("b".to_owned(), int())], add)?;
    server.stop().await;
    Ok(())
}

/// After login both sides are alike.
pub async fn calls_the_client_too<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("relay", |peer: Peer, Params((n,)): Params<(i64,)>| async move {
            let squared: i64 = peer
                .call("square", &(n,))
                .await
                .map_err(|error| RpcError::internal(error.to_string()))?;
            Ok::<_, RpcError>(squared + 1)
        })
        .start()
        .await?;
    let client = client::<N>(&server)
        .rpc("square", |Params((n,)): Params<(i64,)>| async move { n * n })
        .connect()
        .await?;
    let relayed: i64 = client.call("relay", &(9,)).await?;
    check(relayed == 82, relayed)?;
    server.stop().await;
    Ok(())
}

/// What a handler holds is dropped when it is done, whatever comes next.
pub async fn drops_what_a_handler_held<N: Net>() -> Outcome {
    let held = Arc::new(());
    let (at_once, later) = (Arc::clone(&held), Arc::clone(&held));
    let hold = move || {
        // A future that holds it beyond its end.
        let held = Arc::clone(&at_once);
        std::future::poll_fn(move |_| Poll::Ready(Arc::strong_count(&held) > 0))
    };
    let hold_on = move || {
        let held = Arc::clone(&later);
        async move {
            pause::<N>(Duration::from_millis(1)).await;
            Arc::strong_count(&held) > 0
        }
    };
    let server = server::<N>().rpc("hold", hold).rpc("hold_on", hold_on).start().await?;
    let client = connect::<N>(&server).await?;
    for method in ["hold", "hold_on", "hold", "hold"] {
        check(client.call(method, &()).await?, method)?;
        // The handlers themselves hold it as well.
        eventually::<N>("it is dropped", || Arc::strong_count(&held) == 3).await?;
    }
    server.stop().await;
    Ok(())
}

/// Handlers begin in the order of arrival.
pub async fn starts_handlers_in_order<N: Net>() -> Outcome {
    type Log = Arc<Mutex<Vec<u32>>>;
    let log = Log::default();
    let server = server::<N>()
        .state(Arc::clone(&log))
        .on("note", |State(log): State<Log>, crate::Data(n): crate::Data<u32>| async move {
            log.lock().unwrap_or_else(|log| log.into_inner()).push(n);
            pause::<N>(Duration::from_millis(u64::from(n % 3))).await;
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    for n in 0..300_u32 {
        client.send("note", &n).await?;
    }
    let count = || log.lock().map_or(0, |log| log.len());
    eventually::<N>("all notes are taken", || count() == 300).await?;
    let taken = log.lock().map(|log| log.clone()).unwrap_or_default();
    check(taken.is_sorted(), taken)?;
    server.stop().await;
    Ok(())
}

/// Forgotten calls are made, their answers dropped, and they take no place.
pub async fn forgets_answers<N: Net>() -> Outcome {
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let server = server::<N>()
        .rpc("note", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .rpc("forever", std::future::pending::<()>)
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    for _ in 0..10 {
        client.call::<_, ()>("note", &()).forget()?;
    }
    // One that is under way already goes on.
    let mut polled = client.call_raw("note", &[0x80]);
    std::future::poll_fn(|cx| {
        let _ = std::pin::Pin::new(&mut polled).poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
    polled.forget()?;
    eventually::<N>("all are made", || called.load(Ordering::Relaxed) == 11).await?;
    eventually::<N>("all answers are dropped", || client.health().traffic.late_answers >= 10)
        .await?;
    // Nobody cancels it, and nobody waits for it.
    client.call::<_, ()>("forever", &()).timeout(Duration::from_millis(1)).forget()?;
    client.ping().await?;
    let peer = client.peer().ok_or("not connected")?;
    check(peer.link.lock().calls.is_empty(), "a slot for a call that is forgotten")?;
    check(peer.link.lock().connection.calls_open() == 0, "an open call that is forgotten")?;
    let unfit = client.call::<_, ()>("note", &"x".repeat(20_000_000)).forget();
    check(matches!(unfit, Err(CallError::Send(SendError::TooLarge { .. }))), unfit)?;
    // The handler that never ends would be waited for.
    server.connections().iter().for_each(|peer| peer.link.abort());
    client.disconnect().await;
    let outcome = client.call::<_, ()>("note", &()).forget();
    check(outcome == Err(CallError::NotConnected(NotConnected)), outcome)?;
    server.stop().await;
    Ok(())
}

/// What is forgotten while the server is not ready for it is made later; what has no room is refused.
pub async fn forgets_in_spite_of_a_pause<N: Net>() -> Outcome {
    let (called, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Watched::new(false)));
    let (count, wait) = (Arc::clone(&called), Arc::clone(&gate));
    let server = N::server(server_descriptor().receive_queue_size(10))
        .rpc("wait", move || {
            count.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&wait);
            async move { gate.until(|is_open| is_open.then_some(())).await }
        })
        .start()
        .await?;
    let descriptor = client_descriptor::<N>(&server).send_queue_size(20);
    let client = N::client(descriptor).connect().await?;
    let mut made = 0;
    loop {
        let is_paused = client.state() == ConnectionState::Paused;
        match client.call::<_, ()>("wait", &()).forget() {
            Ok(()) => made += 1,
            Err(CallError::Send(SendError::Blocked)) if is_paused => break,
            Err(CallError::Send(SendError::Blocked)) => {}
            Err(error) => return Err(error.into()),
        }
        if !is_paused {
            // Slowly: a server that has much to catch up with would change its mind too often.
            pause::<N>(Duration::from_millis(1)).await;
        }
    }
    check(called.load(Ordering::Relaxed) < made, "nothing was held back")?;
    gate.change(|is_open| *is_open = true);
    eventually::<N>("all are made", || called.load(Ordering::Relaxed) == made).await?;
    server.stop().await;
    Ok(())
}
