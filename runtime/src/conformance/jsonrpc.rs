//! JSON-RPC listeners, as peers of other makes see them: bytes on a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cndt_core::connection::CallFailure;
use cndt_core::rpc::{ErrorCode, RpcError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{check, connect, eventually, read, server, server_descriptor, write_all};
use super::{Net, Outcome, Tcp};
use crate::client::Client;
use crate::descriptor::{ClientDescriptor, ClientProtocol};
use crate::error::{CallError, OnceError};
use crate::net::{Framing, JsonRpc, Listener, LocalAddress};
use crate::peer::Peer;
use crate::router::Method;
use crate::router::extract::{Data, Params, RawParams};
use crate::router::{RawReply, Response};
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Subtract {
    minuend: i64,
    subtrahend: i64,
}

fn handlers<R: Runtime>(server: Server<R>) -> Server<R> {
    server
        .rpc(Method::new("subtract").public(), |Params(p): Params<Subtract>| async move {
            p.minuend - p.subtrahend
        })
        .rpc("echo", |RawParams(params): RawParams| async move { RawReply(params) })
        .rpc("page", || async { Response::new(json!({"a": [1.5, null, "ž"]})).message("lost") })
        .rpc("panics", || async {
            if true {
                panic!("on purpose");
            }
        })
        .rpc("me", |peer: Peer| async move { (peer.is_authenticated(), peer.dialect().is_none()) })
}

fn address(server: &ServerHandle) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let mut all = server.local_addresses().iter();
    let found = all.find(|address| matches!(address, LocalAddress::JsonRpc(_)));
    Ok(found.and_then(LocalAddress::socket_address).ok_or("no JSON-RPC is spoken")?)
}

/// Sends some bytes and reads texts until there are `count` lines of answers.
async fn ask<R: Runtime>(
    stream: &mut R::Stream,
    sent: &str,
    count: usize,
) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    write_all(stream, sent.as_bytes()).await?;
    let mut answers = Vec::new();
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while answers.len() < count {
        let length = read(stream, &mut buffer).await?;
        check(length > 0, "the server ended the connection")?;
        text.extend_from_slice(&buffer[..length]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            answers.push(serde_json::from_slice(&line)?);
        }
    }
    Ok(answers)
}

fn request(method: &str, params: &Value, id: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id}).to_string() + "\n"
}

/// The same handlers, one answer for each request, and an error for whatever is wrong.
pub async fn serves_the_same_handlers<R: Runtime>() -> Outcome {
    let listener = || Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new().trusted());
    let server = handlers(server::<Tcp<R>>()).listen(listener()).start().await?;
    let mut stream = R::default().connect(address(&server)?).await?;
    for (sent, expected) in [
        (request("subtract", &json!([42, 23]), &json!(1)), json!({"result": 19, "id": 1})),
        (
            request("subtract", &json!({"subtrahend": 23, "minuend": 42}), &json!("x")),
            json!({"result": 19, "id": "x"}),
        ),
        (
            request("echo", &json!({"ž": [1.5, true]}), &json!(2)),
            json!({"result": {"ž": [1.5, true]}, "id": 2}),
        ),
        (
            request("page", &json!([]), &json!(3)),
            json!({"result": {"a": [1.5, null, "ž"]}, "id": 3}),
        ),
        (request("me", &json!({}), &json!(4)), json!({"result": [true, true], "id": 4})),
    ] {
        let answers = ask::<R>(&mut stream, &sent, 1).await?;
        let mut expected = expected;
        expected["jsonrpc"] = json!("2.0");
        check(answers == [expected], (&sent, &answers))?;
    }
    for (sent, code, words) in [
        ("{broken}\n".to_owned(), -32700, "JSON"),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}\n".to_owned(), -32600, "method"),
        (request("no.such", &json!([]), &json!(1)), -32601, "no.such"),
        (
            request("subtract", &json!({"minuend": "x", "subtrahend": 1}), &json!(1)),
            -32602,
            "minuend",
        ),
        (request("subtract", &json!([1]), &json!(1)), -32602, "subtract"),
        (request("panics", &json!([]), &json!(1)), -32603, "on purpose"),
    ] {
        let answers = ask::<R>(&mut stream, &sent, 1).await?;
        let error = &answers[0]["error"];
        check(error["code"] == code, (&sent, &answers))?;
        check(error["message"].as_str().is_some_and(|text| text.contains(words)), error)?;
    }
    let batch = json!([
        {"jsonrpc": "2.0", "method": "subtract", "params": [5, 3], "id": 1},
        {"jsonrpc": "2.0", "method": "subtract", "params": [9, 3]},
        1,
        {"jsonrpc": "2.0", "method": "echo", "id": "b"},
    ]);
    let answers = ask::<R>(&mut stream, &(batch.to_string() + "\n"), 1).await?;
    let ids: Vec<&Value> = answers[0].as_array().into_iter().flatten().map(|a| &a["id"]).collect();
    check(ids.len() == 3 && ids.contains(&&json!(1)) && ids.contains(&&json!("b")), &answers)?;
    // CNDT is served as ever, by the same server.
    let client = connect::<Tcp<R>>(&server).await?;
    let difference: i64 = client.call("subtract", &(5, 3)).await?;
    check(difference == 2, difference)?;
    eventually::<Tcp<R>>("both are there", || server.connection_count() == 2).await?;
    server.stop().await;
    Ok(())
}

/// Peers that put nothing between texts, end at once, or wait for the end.
pub async fn serves_peers_of_every_habit<R: Runtime>() -> Outcome {
    let told = Arc::new(AtomicUsize::new(0));
    let (message, method) = (Arc::clone(&told), Arc::clone(&told));
    let once = JsonRpc::new().trusted().one_answer();
    let server = handlers(server::<Tcp<R>>())
        .on("told", move |Data(parts): Data<Vec<usize>>| {
            message.fetch_add(parts.len(), Ordering::Relaxed);
            async { "nobody hears this" }
        })
        .rpc("tell", move || {
            method.fetch_add(100, Ordering::Relaxed);
            async { "nor this" }
        })
        .listen(Listener::tcp("127.0.0.1", 0).jsonrpc(once))
        .start()
        .await?;
    let address = address(&server)?;
    let runtime = R::default();
    // A call per connection, nothing behind the text, and the answer is all that comes.
    for _ in 0..3 {
        let mut stream = runtime.connect(address).await?;
        let sent = request("subtract", &json!([3, 1]), &json!(1));
        let answers = ask::<R>(&mut stream, sent.trim_end(), 1).await?;
        check(answers[0]["result"] == 2, &answers)?;
        check(read(&mut stream, &mut [0; 8]).await? == 0, "more than an answer came")?;
    }
    // Notifications, and gone at once; and somebody who only looks whether there is a server.
    for (method, params) in [("told", json!([1, 2, 3])), ("tell", json!({}))] {
        let mut stream = runtime.connect(address).await?;
        let sent = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        write_all(&mut stream, sent.as_bytes()).await?;
    }
    drop(runtime.connect(address).await?);
    eventually::<Tcp<R>>("both were heard", || told.load(Ordering::Relaxed) == 103).await?;
    // Headers before each text.
    let mut stream = runtime.connect(address).await?;
    let text = request("subtract", &json!([7, 1]), &json!(1));
    write_all(&mut stream, format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes())
        .await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    loop {
        match read(&mut stream, &mut buffer).await? {
            0 => break,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    let answer = String::from_utf8(answer)?;
    check(answer.starts_with("Content-Length: ") && answer.contains("\"result\":6"), answer)?;
    eventually::<Tcp<R>>("all are gone", || server.connection_count() == 0).await?;
    server.stop().await;
    Ok(())
}

/// Whoever has not logged in gets what is public, and advice.
pub async fn gives_strangers_what_is_public<R: Runtime>() -> Outcome {
    let listener = || Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new());
    let descriptor = server_descriptor().max_connections(1);
    let server = handlers(Tcp::<R>::server(descriptor)).listen(listener()).start().await?;
    let mut stream = R::default().connect(address(&server)?).await?;
    let sent =
        request("subtract", &json!([3, 1]), &json!(1)) + &request("me", &json!([]), &json!(2));
    let answers = ask::<R>(&mut stream, &sent, 2).await?;
    let find = |id: i32| answers.iter().find(|answer| answer["id"] == id).cloned();
    check(find(1).is_some_and(|answer| answer["result"] == 2), &answers)?;
    check(find(2).is_some_and(|answer| answer["error"]["code"] == 3000), &answers)?;
    // Its place is taken like any other.
    let mut second = R::default().connect(address(&server)?).await?;
    check(read(&mut second, &mut [0; 8]).await.unwrap_or(0) == 0, "there was room for a second")?;
    check(connect::<Tcp<R>>(&server).await.is_err(), "there was room for a third")?;
    drop(stream);
    eventually::<Tcp<R>>("the place is free", || server.connection_count() == 0).await?;
    connect::<Tcp<R>>(&server).await?;
    server.stop().await;
    Ok(())
}

fn client<R: Runtime>(address: SocketAddr, framing: Framing) -> Client<R> {
    let descriptor = ClientDescriptor::jsonrpc(address.ip().to_string(), address.port());
    Client::new(descriptor.protocol(ClientProtocol::JsonRpc(framing)).reconnect_enabled(false))
}

/// Our own clients do with JSON-RPC what they do with CNDT, in every framing.
pub async fn is_spoken_by_clients<R: Runtime>() -> Outcome {
    let listener = Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new().trusted());
    let server = handlers(server::<Tcp<R>>())
        .rpc("fails", || async { Err::<(), _>(RpcError::not_found("User", 7)) })
        .rpc("call me", |peer: Peer| async move {
            let name: String = peer
                .call("name", &())
                .await
                .map_err(|error| RpcError::internal(error.to_string()))?;
            Ok::<_, RpcError>(format!("{name}!"))
        })
        .listen(listener)
        .start()
        .await?;
    let address = address(&server)?;
    for framing in [Framing::Newline, Framing::Bare, Framing::ContentLength] {
        let client =
            client::<R>(address, framing).rpc("name", || async { "ann" }).connect().await?;
        let difference: i64 =
            client.call("subtract", &json!({"minuend": 5, "subtrahend": 3})).await?;
        check(difference == 2, difference)?;
        let me: (bool, bool) = client.call("me", &()).await?;
        check(me == (true, true), me)?;
        let called: String = client.call("call me", &()).await?;
        check(called == "ann!", called)?;
        match client.call::<_, ()>("fails", &()).await {
            Err(CallError::Failed(CallFailure::Remote(error))) => {
                check(error.code == ErrorCode::MethodNotFound, &error)?;
                let details: Option<Value> = error.details_as()?;
                check(details == Some(json!({"resource": "User", "identifier": "7"})), details)?;
            }
            other => return Err(format!("{other:?}").into()),
        }
        let batch =
            client.batch().call("subtract", &(9, 1)).call("no.such", &()).call("echo", &["x"]);
        let outcomes = batch.await?;
        let [Ok(difference), Err(_), Ok(echo)] = &outcomes[..] else {
            return Err(format!("{outcomes:?}").into());
        };
        let echo: [String; 1] = echo.read()?;
        check(difference.read::<i64>()? == 8 && echo == ["x"], &outcomes)?;
        let nothing = client.batch().await?;
        check(nothing.is_empty(), nothing)?;
        let methods = client.discover().await?;
        check(methods.iter().any(|method| method.name == "subtract"), &methods)?;
        let document: Value = client.call("rpc.discover", &()).await?;
        check_document(&document)?;
        client.ping().await?;
        check(client.health().round_trip.is_some() && client.is_connected(), client.health())?;
        let refused = client.call::<_, ()>("echo", &7).await;
        check(matches!(refused, Err(CallError::Send(_))), refused)?;
        client.disconnect().await;
    }
    eventually::<Tcp<R>>("all are gone", || server.connection_count() == 0).await?;
    // The server speaks first, too.
    let client = client::<R>(address, Framing::Newline).connect().await?;
    let mut messages = client.messages();
    eventually::<Tcp<R>>("it is there", || server.connection_count() == 1).await?;
    let sent = server.broadcast("news", &json!({"a": 1})).send()?;
    check(sent.queued == 1, sent)?;
    let news = messages.next().await.ok_or("no news")?;
    check(&*news.name == "news" && &news.data[..] == b"{\"a\":1}", &news)?;
    server.stop().await;
    Ok(())
}

/// A connection for each call, as servers want it that answer once.
pub async fn calls_servers_that_answer_once<R: Runtime>() -> Outcome {
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    let once = JsonRpc::new().trusted().one_answer();
    let server = handlers(server::<Tcp<R>>())
        .on("note", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .listen(Listener::tcp("127.0.0.1", 0).jsonrpc(once))
        .start()
        .await?;
    let client = client::<R>(address(&server)?, Framing::Bare);
    for n in 1..4 {
        let difference: i64 = client.call_once("subtract", &(n, 1)).await?;
        check(difference == n - 1, difference)?;
    }
    client.send_once("note", &json!([])).await?;
    eventually::<Tcp<R>>("it was heard", || heard.load(Ordering::Relaxed) == 1).await?;
    let failed = client.call_once::<_, ()>("no.such", &()).await;
    check(matches!(failed, Err(OnceError::Call(_))), failed)?;
    server.stop().await;
    let refused = client.call_once::<_, ()>("subtract", &(1, 1)).await;
    check(matches!(refused, Err(OnceError::Connect(_))), refused)
}

/// What the types say, as OpenRPC says it.
fn check_document(document: &Value) -> Outcome {
    check(
        document["openrpc"] == "1.3.2" && document["info"]["title"] == "conduit_server",
        document,
    )?;
    let methods = document["methods"].as_array().ok_or("no methods")?;
    let find = |name: &str| methods.iter().find(|method| method["name"] == name);
    let subtract = find("subtract").ok_or("no subtract")?;
    let names: Vec<_> = subtract["params"].as_array().into_iter().flatten().collect();
    let expected = json!({"name": "minuend", "required": true, "schema": {"type": "integer", "format": "int64"}});
    check(names.len() == 2 && *names[0] == expected, subtract)?;
    check(subtract["result"]["schema"]["type"] == "integer", subtract)?;
    check(find("rpc.discover").is_none() && find("listall").is_none(), methods)
}
