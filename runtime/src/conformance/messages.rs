//! Messages in both directions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cndt_core::connection::{CallFailure, CloseReason};
use cndt_core::rpc::RpcError;
use serde_json::{Value, json};

use super::support::{
    check, client, client_descriptor, connect, eventually, listen, login_as_server, read_past,
    server, server_descriptor, to,
};
use super::{Net, Outcome};
use crate::client::Client;
use crate::error::{DeliveryError, NotConnected};
use crate::peer::Peer;
use crate::race::{First, race};
use crate::router::extract::{Data, Meta, RawParams};
use crate::router::{FailureCause, HandlerFailure, HandlerKind, RawReply, Route};
use crate::rt::Runtime;
use crate::server::ServerHandle;

/// A value answers as `<type>_response`; nothing answers nothing.
pub async fn answers_messages<N: Net>() -> Outcome {
    let server = server::<N>()
        .on("greeting", |Data(data): Data<Value>| async move {
            json!({"reply": format!("Hello, {}!", data["name"].as_str().unwrap_or("stranger"))})
        })
        .on("quiet", || async {})
        .on("none", || async { Option::<u8>::None })
        .on("failing", || async { Err::<u8, _>(RpcError::internal("only logged")) })
        .on("panicking", || async {
            if true {
                panic!("on purpose");
            }
        })
        .on("last", || async { Ok::<_, RpcError>("done") })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let mut messages = client.messages();
    for name in ["quiet", "none", "failing", "panicking", "unknown"] {
        client.send(name, &json!({})).await?;
    }
    client.send("greeting", &json!({"name": "World"})).await?;
    let message = messages.next().await.ok_or("no answer")?;
    check(&*message.name == "greeting_response", &message)?;
    let data: Value = crate::from_slice(&message.data)?;
    check(data == json!({"reply": "Hello, World!"}), data)?;
    client.send("last", &()).await?;
    let message = messages.next().await.ok_or("no answer")?;
    check(&*message.name == "last_response", &message)?;
    server.stop().await;
    Ok(())
}

/// Handlers take theirs, subscriptions get the rest, and end with the client.
pub async fn hands_out_what_no_handler_takes<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let client = client::<N>(&server)
        .on("taken", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .connect()
        .await?;
    let (mut one, mut other) = (client.messages(), client.messages());
    eventually::<N>("the server knows the client", || server.connection_count() == 1).await?;
    for n in 0..3 {
        server.broadcast("taken", &n).send()?;
        server.broadcast("free", &n).send()?;
    }
    for messages in [&mut one, &mut other] {
        for n in 0..3 {
            let message = messages.next().await.ok_or("too few messages")?;
            let got: i32 = crate::from_slice(&message.data)?;
            check(&*message.name == "free" && got == n && message.timestamp > 0, &message)?;
        }
    }
    check(taken.load(Ordering::Relaxed) == 3, &taken)?;
    client.disconnect().await;
    check(one.next().await.is_none() && other.next().await.is_none(), "a message after the end")?;
    server.stop().await;
    Ok(())
}

/// Everyone but those who are left out.
pub async fn broadcasts<N: Net>() -> Outcome {
    let server = server::<N>()
        .on("chat", |server: ServerHandle, peer: Peer, RawParams(data): RawParams| async move {
            let text: String = crate::from_slice(&data).map_err(wrong)?;
            let sent = server.broadcast("chat", &text).exclude(peer.id()).send().map_err(wrong)?;
            Ok::<_, RpcError>(json!({"sent": sent.queued}))
        })
        .start()
        .await?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = connect::<N>(&server).await?;
        let messages = client.messages();
        clients.push((client, messages));
    }
    eventually::<N>("all are there", || server.connection_count() == 4).await?;
    clients[0].0.send("chat", "hello").await?;
    let answer = clients[0].1.next().await.ok_or("no answer")?;
    check(&*answer.name == "chat_response", &answer)?;
    let sent: Value = crate::from_slice(&answer.data)?;
    check(sent == json!({"sent": 3}), sent)?;
    for (_, messages) in &mut clients[1..] {
        let message = messages.next().await.ok_or("no message")?;
        let text: String = crate::from_slice(&message.data)?;
        check(&*message.name == "chat" && text == "hello", &message)?;
    }
    let everyone = server.connections();
    let none = server.broadcast("none", &()).exclude_all(everyone.iter().map(Peer::id)).send()?;
    check(none.queued == 0 && none.refused == 0, none)?;
    server.stop().await;
    Ok(())
}

fn wrong(error: impl std::fmt::Display) -> RpcError {
    RpcError::internal(error.to_string())
}

/// All handlers of one type run, by priority; the last value answers. What nobody takes goes to the
/// default handler, and to subscriptions if there is none.
pub async fn runs_handlers_by_priority<N: Net>() -> Outcome {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |word: &'static str| {
        let order = Arc::clone(&order);
        move || {
            order.lock().unwrap_or_else(PoisonError::into_inner).push(word);
            async {}
        }
    };
    let server = server::<N>()
        .on("event", note("second"))
        .on(Route::new("event").priority(-5), || async { "answer" })
        .on(Route::new("event").priority(-9), note("last"))
        .on(Route::new("event").priority(7), note("first"))
        .on(Route::new("event").priority(8), || async { "not this one" })
        .on("event", note("third"))
        .on_default(|meta: Meta| async move { format!("{} of {}", meta.name, meta.size) })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let mut messages = client.messages();
    client.send("event", &()).await?;
    let answer = messages.next().await.ok_or("no answer")?;
    let text: String = crate::from_slice(&answer.data)?;
    check(&*answer.name == "event_response" && text == "answer", text)?;
    let order = order.lock().unwrap_or_else(PoisonError::into_inner).clone();
    check(order == ["first", "second", "third", "last"], order)?;
    client.send("whatever", "ab").await?;
    let answer = messages.next().await.ok_or("no answer")?;
    let text: String = crate::from_slice(&answer.data)?;
    check(&*answer.name == "whatever_response" && text == "whatever of 3", text)?;
    server.stop().await;
    Ok(())
}

/// Error hooks learn of what peers do not, and one that fails stops nothing.
pub async fn tells_error_hooks<N: Net>() -> Outcome {
    let (told, heard) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let note = Arc::clone(&told);
    let also = Arc::clone(&heard);
    let server = server::<N>()
        .on_error(|_: HandlerFailure| async { Err::<(), _>("on purpose") })
        .on_error(move |failure: HandlerFailure| {
            let HandlerFailure { name, kind, cause, .. } = failure;
            note.lock().unwrap_or_else(PoisonError::into_inner).push((name, kind, cause));
            async {}
        })
        .on("typed", |Data(_): Data<Vec<u8>>| async {})
        .on("failing", || async { Err::<u8, _>(RpcError::internal("on purpose")) })
        .on("last", move || {
            also.lock().unwrap_or_else(PoisonError::into_inner).push(());
            async {}
        })
        .rpc("fails", || async { Err::<u8, _>(RpcError::not_found("User", 7)) })
        .rpc("panics", || async {
            if true {
                panic!("on purpose");
            }
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    for name in ["typed", "failing", "last"] {
        client.send(name, &json!({"not": "a list"})).await?;
    }
    check(client.call::<_, ()>("fails", &()).await.is_err(), "it did not fail")?;
    check(client.call::<_, ()>("panics", &()).await.is_err(), "it did not panic")?;
    let count = || told.lock().unwrap_or_else(PoisonError::into_inner).len();
    eventually::<N>("all failures are told", || count() == 3).await?;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let has = |name: &str, kind: HandlerKind, cause: FailureCause| {
        told.contains(&(name.to_owned(), kind, cause))
    };
    check(has("typed", HandlerKind::Message, FailureCause::Refused), &told)?;
    check(has("failing", HandlerKind::Message, FailureCause::Returned), &told)?;
    check(has("panics", HandlerKind::Method, FailureCause::Panicked), &told)?;
    check(heard.lock().unwrap_or_else(PoisonError::into_inner).len() == 1, "a handler is missing")?;
    server.stop().await;
    Ok(())
}

/// Connections can be found, and carry what the application keeps with them.
pub async fn keeps_values_with_connections<N: Net>() -> Outcome {
    #[derive(Clone, PartialEq, Debug)]
    struct Room(&'static str);
    let server = server::<N>()
        .on_client_connect(|peer: Peer| async move {
            peer.attach(Room(if peer.name() == "ann" { "blue" } else { "red" }));
        })
        .rpc("room", |peer: Peer| async move { peer.attached::<Room>().map(|room| room.0) })
        .start()
        .await?;
    let ann = N::client(client_descriptor::<N>(&server).name("ann")).connect().await?;
    let bob = N::client(client_descriptor::<N>(&server).name("bob")).connect().await?;
    for (client, expected) in [(&ann, "blue"), (&bob, "red")] {
        let room: Option<String> = client.call("room", &()).await?;
        check(room.as_deref() == Some(expected), room)?;
    }
    let peer = server.find(|peer| peer.name() == "bob").ok_or("bob is not there")?;
    let mut messages = bob.messages();
    peer.send("private", "hello").await?;
    check(
        messages.next().await.is_some_and(|message| &*message.name == "private"),
        "nothing came",
    )?;
    check(peer.attach(Room("green")) == Some(Room("red")), "it was not there")?;
    check(peer.detach::<Room>() == Some(Room("green")), "it was not there")?;
    check(peer.attached::<Room>().is_none() && peer.attached::<u8>().is_none(), "it is there")?;
    peer.ping().await?;
    let stats = peer.stats();
    check(stats.round_trips.count > 0 && stats.round_trips.min <= stats.round_trips.max, stats)?;
    check(stats.messages_sent == 1 && stats.bytes_received > 0, stats)?;
    check(peer.connected_since().is_some() && peer.close_reason().is_none(), &peer)?;
    bob.disconnect().await;
    peer.closed().await;
    check(peer.close_reason() == Some(CloseReason::Peer), peer.close_reason())?;
    check(server.find(|peer| peer.name() == "bob").is_none(), "bob is still there")?;
    server.stop().await;
    Ok(())
}

/// Five megabytes there and back, beside other traffic.
pub async fn carries_large_payloads<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc("echo", |RawParams(params): RawParams| async move { RawReply(params) })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let text = "0123456789abcdef".repeat(5 * 1024 * 1024 / 16);
    let (one, other) = (client.clone(), text.clone());
    let same = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&same);
    N::Runtime::default().spawn(async move {
        let echoed = one.call::<_, String>("echo", &other).timeout(Duration::from_secs(50)).await;
        count.fetch_add(usize::from(echoed == Ok(other)), Ordering::Relaxed);
    });
    let echoed: String = client.call("echo", &text).timeout(Duration::from_secs(50)).await?;
    check(echoed == text, echoed.len())?;
    eventually::<N>("the other is echoed as well", || same.load(Ordering::Relaxed) == 1).await?;
    let too_large = client.call::<_, Value>("echo", &text.repeat(3)).await;
    check(too_large.is_err(), too_large)?;
    client.ping().await?;
    server.stop().await;
    Ok(())
}

/// A subscription of the builder has what is sent right at login, and ends with the client.
pub async fn misses_nothing_at_login<N: Net>() -> Outcome {
    let server = server::<N>()
        .on_client_connect(|peer: Peer| async move {
            for n in 0..20 {
                peer.try_send("early", &n)?;
            }
            Ok::<_, crate::SendError>(())
        })
        .start()
        .await?;
    let (builder, mut one) = client::<N>(&server).with_messages();
    let (builder, mut other) = builder.with_messages();
    let client = builder.connect().await?;
    for messages in [&mut one, &mut other] {
        for n in 0..20 {
            let message = messages.next().await.ok_or("too few messages")?;
            let got: i32 = crate::from_slice(&message.data)?;
            check(&*message.name == "early" && got == n, &message)?;
        }
    }
    client.disconnect().await;
    check(one.next().await.is_none() && other.next().await.is_none(), "a message after the end")?;
    // Without a client there is nothing to wait for.
    let (builder, mut messages) = super::support::client::<N>(&server).with_messages();
    drop(builder);
    check(messages.next().await.is_none(), "a message from nowhere")?;
    server.stop().await;
    Ok(())
}

/// The other side tells that it took a message, or that it did not.
pub async fn is_acknowledged<N: Net>() -> Outcome {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let server = N::server(server_descriptor().rate_limit(5))
        .on("note", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .start()
        .await?;
    let client = connect::<N>(&server).await?;
    let (mut acked, mut refused) = (0, 0);
    for _ in 0..50 {
        match client.send("note", &()).acked().timeout(Duration::from_secs(50)).await {
            Ok(()) => acked += 1,
            Err(DeliveryError::Unacknowledged(CallFailure::Refused)) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    check(acked > 0 && refused > 0, (acked, refused))?;
    eventually::<N>("those and only those arrive", || taken.load(Ordering::Relaxed) == acked)
        .await?;
    // Servers ask for it in the same way.
    eventually::<N>("the server knows the client", || server.connection_count() == 1).await?;
    for peer in server.connections() {
        peer.send("news", &()).acked().await?;
    }
    client.disconnect().await;
    let outcome = client.send("note", &()).acked().await;
    check(outcome == Err(DeliveryError::NotConnected(NotConnected)), outcome)?;
    server.stop().await;
    Ok(())
}

/// A peer that never acknowledges, and one that is gone.
pub async fn tells_what_is_not_acknowledged<R: Runtime>() -> Outcome {
    let (listener, address) = listen::<R>()?;
    let connecting = Client::<R>::new(to(address)).connect();
    let (mut connecting, mut accepting) =
        (std::pin::pin!(connecting), std::pin::pin!(login_as_server::<R>(&listener)));
    let (client, mut stream) = match race(connecting.as_mut(), accepting.as_mut()).await {
        First::Left(client) => (client?, accepting.await?),
        First::Right(stream) => (connecting.await?, stream?),
    };
    let after = Duration::from_millis(50);
    let outcome = client.send("note", &()).acked().timeout(after).await;
    let silent = DeliveryError::Unacknowledged(CallFailure::TimedOut { after });
    check(outcome == Err(silent), outcome)?;
    let waiting = client.send("note", &()).acked().timeout(Duration::from_secs(600));
    let cut = async {
        // The first was heard by nobody so far, either.
        let heard = read_past(&mut stream, b"note", 2).await;
        drop(stream);
        if heard.is_ok() { std::future::pending().await } else { heard }
    };
    let First::Left(outcome) = race(waiting, cut).await else { return Err("no note came".into()) };
    let lost = DeliveryError::Unacknowledged(CallFailure::ConnectionLost { sent: true });
    check(outcome == Err(lost), outcome)
}
