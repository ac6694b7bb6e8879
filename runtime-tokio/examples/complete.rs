//! The "Complete Example" of the Python package's server, with everything that it has.
//!
//! `cargo run -p cndt-tokio --example complete`, or with `HOST:PORT` at the end to listen elsewhere
//! than at 0.0.0.0:8080.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cndt_tokio::{
    Address, ConnectionId, Data, ErrorCode, Method, Params, Peer, RpcError, Runtime, SendError,
    Server, ServerDescriptor, ServerHandle, State, Tokio,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// --- Clients -------------------------------------------------------------------------------------

/// Who is here, and since when.
#[derive(Clone, Default)]
struct Clients(Arc<Mutex<HashMap<ConnectionId, Option<SystemTime>>>>);

impl Clients {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Option<SystemTime>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
struct Who {
    id: ConnectionId,
}

async fn arrived(clients: Clients, peer: Peer) -> Result<(), SendError> {
    clients.lock().insert(peer.id(), peer.connected_since());
    println!("Client {} connected", peer.id());
    tell_others(&peer, "user_join")
}

async fn left(clients: Clients, peer: Peer) -> Result<(), SendError> {
    clients.lock().remove(&peer.id());
    println!("Client {} disconnected", peer.id());
    tell_others(&peer, "user_leave")
}

fn tell_others(peer: &Peer, news: &str) -> Result<(), SendError> {
    let Some(server) = peer.server() else { return Ok(()) };
    server.broadcast(news, &Who { id: peer.id() }).exclude(peer.id()).send().map(drop)
}

// --- Messages ------------------------------------------------------------------------------------

#[derive(Serialize)]
struct Pong {
    pong: bool,
    time: f64,
}

async fn ping() -> Pong {
    Pong { pong: true, time: unix_seconds() }
}

#[derive(Deserialize)]
struct Say {
    #[serde(default)]
    message: String,
}

#[derive(Serialize)]
struct Said {
    from: ConnectionId,
    message: String,
    timestamp: f64,
}

#[derive(Serialize)]
struct Sent {
    sent: bool,
}

async fn chat(
    server: ServerHandle,
    peer: Peer,
    Data(Say { message }): Data<Say>,
) -> Result<Sent, RpcError> {
    let said = Said { from: peer.id(), message, timestamp: unix_seconds() };
    let outcome = server.broadcast("chat", &said).exclude(peer.id()).send();
    outcome.map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(Sent { sent: true })
}

fn unix_seconds() -> f64 {
    Tokio.unix_millis() as f64 / 1000.0
}

// --- Methods -------------------------------------------------------------------------------------

#[derive(Deserialize, JsonSchema)]
struct Calculate {
    a: f64,
    b: f64,
    // Text, not an enum: the caller is to learn in `details` which field is wrong.
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
        other => {
            return Err(RpcError::validation(format!("Unknown operation: {other}"))
                .field("operation")
                .expected("add, subtract, multiply or divide")
                .received(other));
        }
    };
    Ok(Calculated { result })
}

#[derive(Serialize, JsonSchema)]
struct Stats {
    clients: usize,
    /// In seconds.
    uptime: f64,
}

async fn get_stats(State(clients): State<Clients>, server: ServerHandle) -> Stats {
    Stats { clients: clients.lock().len(), uptime: server.stats().uptime.as_secs_f64() }
}

// --- Main ----------------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".into());
    let Address::Tcp { host, port } = address.parse()? else { return Err("HOST:PORT".into()) };
    // Before anything is served, so that no signal falls between.
    let told_to_stop = signals()?;

    let clients = Clients::default();
    let (arriving, leaving) = (clients.clone(), clients.clone());
    let descriptor = ServerDescriptor::new("secret123")
        .name("ExampleServer")
        .version("1.0.0")
        .host(host)
        .port(port)
        .max_connections(100)
        // Clients of the Python package log in by a hash that can be recorded and repeated.
        .accept_netconduit(true);
    let server = Server::new(descriptor)
        .state(clients)
        .on_startup(|server: ServerHandle| async move {
            let descriptor = server.descriptor();
            println!("Starting {} v{}", descriptor.name, descriptor.version);
            println!("Listening on {}", server.address());
        })
        .on_shutdown(|_: ServerHandle| async { println!("Shutting down. Goodbye!") })
        .on_client_connect(move |peer: Peer| arrived(arriving.clone(), peer))
        .on_client_disconnect(move |peer: Peer| left(leaving.clone(), peer))
        .on("ping", ping)
        .on("chat", chat)
        .rpc(Method::new("calculate").describe("Perform calculation."), calculate)
        .rpc(Method::new("get_stats").describe("Get server statistics."), get_stats)
        .start()
        .await?;
    told_to_stop.await;
    server.stop().await;
    Ok(())
}

/// Resolves when a terminal or a service manager wants the program to end.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves when a terminal wants the program to end.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
