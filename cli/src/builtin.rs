//! The methods and messages that `cndt serve` answers, so that a client has something to talk to.

use std::time::Duration;

use cndt_tokio::router::{IntoAnswer, IntoReply};
use cndt_tokio::{
    Data, ErrorCode, Handler, Method, Params, Peer, RawParams, RawReply, RpcError, Runtime, Server,
    ServerHandle, Tokio,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::handlers::Taken;

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

async fn add(Params(Add { a, b }): Params<Add>) -> Result<i64, RpcError> {
    a.checked_add(b).ok_or_else(|| RpcError::validation("the sum does not fit 64 bits"))
}

#[derive(Deserialize, JsonSchema)]
struct Multiply {
    x: f64,
    y: f64,
}

async fn multiply(Params(Multiply { x, y }): Params<Multiply>) -> f64 {
    x * y
}

#[derive(Deserialize, JsonSchema)]
struct Greet {
    name: String,
}

async fn greet(Params(Greet { name }): Params<Greet>) -> String {
    format!("Hello, {name}!")
}

#[derive(Deserialize, JsonSchema)]
struct Calculate {
    a: f64,
    b: f64,
    operation: String,
}

#[derive(Serialize, JsonSchema)]
struct Calculated {
    result: f64,
}

async fn calculate(Params(request): Params<Calculate>) -> Result<Calculated, RpcError> {
    let Calculate { a, b, operation } = request;
    let result = match operation.as_str() {
        "add" => a + b,
        "subtract" => a - b,
        "multiply" => a * b,
        "divide" if b == 0.0 => {
            return Err(RpcError::new(ErrorCode::Other(400), "Division by zero"));
        }
        "divide" => a / b,
        _ => {
            let error = RpcError::validation(format!("Unknown operation: {operation}"));
            let details = json!({
                "field": "operation",
                "expected": "add, subtract, multiply or divide",
                "received": operation,
            });
            return Err(error
                .with_details(&details)
                .unwrap_or_else(|wrong| RpcError::internal(wrong.to_string())));
        }
    };
    Ok(Calculated { result })
}

async fn echo(RawParams(params): RawParams) -> RawReply {
    RawReply(params)
}

#[derive(Deserialize, JsonSchema)]
struct Sleep {
    ms: u64,
}

async fn sleep(Params(Sleep { ms }): Params<Sleep>) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

#[derive(Deserialize, JsonSchema)]
struct Fail {
    code: i64,
    message: String,
}

async fn fail(Params(Fail { code, message }): Params<Fail>) -> Result<(), RpcError> {
    Err(RpcError::new(ErrorCode::from_number(code), message))
}

#[derive(Serialize, JsonSchema)]
struct Statistics {
    clients: usize,
    uptime: f64,
    messages_sent: u64,
    messages_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

async fn get_stats(server: ServerHandle) -> Statistics {
    let stats = server.stats();
    Statistics {
        clients: stats.connections,
        uptime: stats.uptime.as_secs_f64(),
        messages_sent: stats.traffic.messages_sent,
        messages_received: stats.traffic.messages_received,
        bytes_sent: stats.traffic.bytes_sent,
        bytes_received: stats.traffic.bytes_received,
    }
}

async fn greeting(Data(data): Data<Value>) -> Value {
    let name = data.get("name").and_then(Value::as_str).unwrap_or("stranger");
    json!({"reply": format!("Hello, {name}!")})
}

async fn ping() -> Value {
    json!({"pong": true, "time": unix_seconds()})
}

async fn identify(peer: Peer) -> Value {
    json!({
        "your_id": peer.id(),
        "your_address": peer.remote_address().map(|address| address.to_string()),
        "authenticated": peer.is_authenticated(),
    })
}

async fn chat(
    server: ServerHandle,
    peer: Peer,
    Data(said): Data<Value>,
) -> Result<Value, RpcError> {
    let message = said.get("message").cloned().unwrap_or_else(|| json!(""));
    let news = json!({"from": peer.id(), "message": message, "timestamp": unix_seconds()});
    server
        .broadcast("chat", &news)
        .exclude(peer.id())
        .send()
        .map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(json!({"sent": true}))
}

async fn tell_others(peer: Peer, name: &str) {
    let Some(server) = peer.server() else { return };
    let id = json!({"id": peer.id()});
    if let Err(error) = server.broadcast(name, &id).exclude(peer.id()).send() {
        crate::exit::print_error_line(&format!("warning: {name} was not broadcast: {error}"));
    }
}

fn unix_seconds() -> f64 {
    Duration::from_millis(Tokio.unix_millis()).as_secs_f64()
}

/// Adds everything but what is a command of the user's.
pub(crate) fn install(server: Server, taken: &Taken) -> Server {
    let Offer { server, .. } = Offer { server, taken }
        .rpc("add", "Add two numbers.", add)
        .rpc("multiply", "Multiply two numbers.", multiply)
        .rpc("greet", "Return a greeting.", greet)
        .rpc("calculate", "Add, subtract, multiply or divide.", calculate)
        .rpc("echo", "Return the parameters.", echo)
        .rpc("sleep", "Answer after so many milliseconds.", sleep)
        .rpc("fail", "Fail with this error.", fail)
        .rpc("get_stats", "Get server statistics.", get_stats)
        .on("greeting", greeting)
        .on("ping", ping)
        .on("identify", identify)
        .on("chat", chat);
    server
        .webhook("/**", |Data(payload): Data<Value>| async move { payload })
        .on_client_connect(|peer: Peer| async move { tell_others(peer, "user_join").await })
        .on_client_disconnect(|peer: Peer| async move { tell_others(peer, "user_leave").await })
}

/// A server to which what is not taken is added.
struct Offer<'a> {
    server: Server,
    taken: &'a Taken,
}

impl Offer<'_> {
    fn rpc<H, A, M>(self, name: &str, description: &str, handler: H) -> Self
    where
        H: Handler<A, Output: IntoReply<M>>,
        A: 'static,
        M: 'static,
    {
        if self.taken.has_method(name) {
            return self;
        }
        let method = Method::new(name).describe(description);
        Self { server: self.server.rpc(method, handler), ..self }
    }

    fn on<H, A, M>(self, name: &str, handler: H) -> Self
    where
        H: Handler<A, Output: IntoAnswer<M>>,
        A: 'static,
        M: 'static,
    {
        if self.taken.has_message(name) {
            return self;
        }
        Self { server: self.server.on(name, handler), ..self }
    }
}
