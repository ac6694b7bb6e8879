//! Messages in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::rpc::RpcError;
use serde_json::{Value, json};

use super::support::{check, client, connect, eventually, server};
use super::{Net, Outcome};
use crate::peer::Peer;
use crate::router::RawReply;
use crate::router::extract::{Data, RawParams};
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
