//! Our side of the tests: a server with everything that the Python scenarios ask for.

use std::fmt;
use std::time::Duration;

use cndt_tokio::schemars::{self, JsonSchema};
use cndt_tokio::{
    Bytes, CallError, CallFailure, Data, ErrorCode, JsonRpc, Listener, LocalAddress, Params, Peer,
    RawParams, RawReply, RpcError, Server, ServerDescriptor, ServerHandle,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::PASSWORD;

/// What our servers in these tests are configured with; a free port on loopback.
pub fn descriptor() -> ServerDescriptor {
    ServerDescriptor::new(PASSWORD)
        .host("127.0.0.1")
        .port(0)
        .name("rust_server")
        .version("9.8.7")
        .accept_netconduit(true)
}

/// As strict as Python: it refuses parameters that it does not know.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Multiply {
    x: f64,
    y: f64,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Calculate {
    a: f64,
    b: f64,
    operation: String,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Fail {
    code: i64,
    message: String,
}

async fn add(Params(Add { a, b }): Params<Add>) -> i64 {
    a + b
}

async fn calculate(Params(request): Params<Calculate>) -> Result<Value, RpcError> {
    let Calculate { a, b, operation } = request;
    match operation.as_str() {
        "add" => Ok(json!({"result": a + b})),
        "subtract" => Ok(json!({"result": a - b})),
        "multiply" => Ok(json!({"result": a * b})),
        "divide" if b != 0.0 => Ok(json!({"result": a / b})),
        "divide" => Err(RpcError::new(ErrorCode::Other(400), "Division by zero")),
        other => Err(RpcError::validation(format!("Unknown operation: {other}"))
            .with_details(&json!({"field": "operation"}))
            .expect("plain JSON")),
    }
}

async fn boom() {
    panic!("boom")
}

async fn chat(
    server: ServerHandle,
    peer: Peer,
    Data(said): Data<Value>,
) -> Result<Value, RpcError> {
    let message = json!({"from": peer.id(), "message": said["message"], "timestamp": 0});
    server
        .broadcast("chat", &message)
        .exclude(peer.id())
        .send()
        .map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(json!({"sent": true}))
}

/// Answers `{echo: data}` with the data's bytes untouched.
async fn echo_message(RawParams(data): RawParams) -> RawReply {
    let mut whole = vec![0x81, 0xa4];
    whole.extend_from_slice(b"echo");
    whole.extend_from_slice(&data);
    RawReply(Bytes::from(whole))
}

/// A server with every method and message that `client.py` uses.
pub fn server(descriptor: ServerDescriptor) -> Server {
    Server::new(descriptor)
        .rpc(cndt_tokio::Method::new("add").describe("Add two numbers."), add)
        .rpc("multiply", |Params(Multiply { x, y }): Params<Multiply>| async move { x * y })
        .rpc(
            "greet",
            |Params(Name { name }): Params<Name>| async move { format!("Hello, {name}!") },
        )
        .rpc("calculate", calculate)
        .rpc("echo", |RawParams(params): RawParams| async move { RawReply(params) })
        .rpc("fail", |Params(Fail { code, message }): Params<Fail>| async move {
            Err::<(), _>(RpcError::new(ErrorCode::from_number(code), message))
        })
        .rpc("boom", boom)
        .rpc("sleep", |Params(ms): Params<std::collections::BTreeMap<String, u64>>| async move {
            let ms = ms.get("ms").copied().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            ms
        })
        .on("greeting", |Data(Name { name }): Data<Name>| async move {
            json!({"reply": format!("Hello, {name}!")})
        })
        .on("echo_message", echo_message)
        .on("chat", chat)
        .on("ready", |peer: Peer| async move {
            for number in 0..3 {
                // Queued at once; the peer has logged in, so it takes them.
                let _ = peer.try_send("news", &json!({"number": number}));
            }
        })
}

/// The same methods for JSON-RPC peers, with two that speak to the peer: `ask` calls its method
/// `answer` with what it got, and `note` comes back as `noted`.
pub async fn jsonrpc_server(jsonrpc: JsonRpc) -> (ServerHandle, u16) {
    let server = server(descriptor())
        .rpc("ask", |peer: Peer, Params(question): Params<Value>| async move {
            let answer: Result<Value, _> = peer.call("answer", &question).await;
            answer.map_err(|error| RpcError::internal(error.to_string()))
        })
        .on("note", |peer: Peer, Data(note): Data<Value>| async move {
            // A peer that has left wants none.
            let _ = peer.try_send("noted", &note);
        });
    start_jsonrpc(server, jsonrpc).await
}

/// Starts a server with a JSON-RPC listener, and gives the port of that.
///
/// # Panics
/// When there is no free port.
pub async fn start_jsonrpc(server: Server, jsonrpc: JsonRpc) -> (ServerHandle, u16) {
    let listener = Listener::tcp("127.0.0.1", 0).jsonrpc(jsonrpc);
    let server = server.listen(listener).start().await.expect("a free port");
    let addresses = server.local_addresses();
    let address = addresses.iter().find(|address| matches!(address, LocalAddress::JsonRpc(_)));
    let port = address.and_then(LocalAddress::socket_address).expect("a TCP address").port();
    (server, port)
}

/// Text with characters of one to four bytes, and one that ends lines for some.
pub const TEXT: &str = "zoë \u{2028} 日本語 🦀";

/// Code, message and details of the error that a JSON-RPC peer answered with.
///
/// # Panics
/// When it did not, or its details are not JSON.
pub fn refusal<T: fmt::Debug>(outcome: Result<T, CallError>) -> (i64, String, Value) {
    match outcome {
        Err(CallError::Failed(CallFailure::Remote(error))) => {
            let details = error.details_as().expect("JSON").unwrap_or_default();
            (error.code.number(), error.message.to_string(), details)
        }
        other => panic!("no answer with an error: {other:?}"),
    }
}

/// As [`start_jsonrpc`], with a method `refuse` whose error has details, and every message `heard`
/// comes out of the channel.
pub async fn jsonrpc_listener(jsonrpc: JsonRpc) -> (ServerHandle, u16, UnboundedReceiver<Value>) {
    let (sender, heard) = unbounded_channel();
    let server = server(descriptor())
        .rpc("refuse", || async {
            let error = RpcError::validation("as asked").with_details(&json!({TEXT: [TEXT]}));
            Err::<(), _>(error.expect("plain JSON"))
        })
        .on("heard", move |Data(note): Data<Value>| {
            let sender = sender.clone();
            async move { sender.send(note).expect("the test waits for it") }
        });
    let (server, port) = start_jsonrpc(server, jsonrpc).await;
    (server, port, heard)
}
