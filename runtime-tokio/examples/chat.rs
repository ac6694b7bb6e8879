//! A chat: `serve ADDR` in one terminal, `join ADDR NAME` in others.
//!
//! `cargo run -p cndt-tokio --example tokio_chat -- serve 127.0.0.1:8080`
//!
//! What you type is said to everyone in your room; `/room NAME` takes you to another.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cndt_tokio::{
    Address, CallError, Client, ClientDescriptor, ClientHandle, CloseReason, Data, Params, Peer,
    RpcError, Server, ServerDescriptor, ServerHandle,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

/// Known to whoever has read this. Yours comes from a file or the environment.
const PASSWORD: &str = "chat";

/// Who someone is, and in which room.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Member {
    name: String,
    room: String,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [serving, address] if serving == "serve" => serve(address).await,
        [joining, address, name] if joining == "join" => join(address, name).await,
        _ => Err("usage: chat serve HOST:PORT | chat join HOST:PORT NAME".into()),
    }
}

// --- The server ----------------------------------------------------------------------------------

async fn serve(address: &str) -> Result<(), Failure> {
    let Address::Tcp { host, port } = address.parse()? else { return Err("no HOST:PORT".into()) };
    let server = Server::new(ServerDescriptor::new(PASSWORD).host(host).port(port))
        .rpc("enter", enter)
        .on("say", say)
        .on_client_disconnect(leave)
        .start()
        .await?;
    println!("listening on {}", server.address());
    server.stopped().await;
    Ok(())
}

/// Answers with the names of the others in that room.
async fn enter(
    server: ServerHandle,
    peer: Peer,
    Params(me): Params<Member>,
) -> Result<Vec<String>, RpcError> {
    leave(peer.clone()).await?;
    // First of all: of two who come at once, each is told of the other one way or another.
    peer.attach(me.clone());
    tell_others(&server, &peer, &me.room, &format!("* {} joined", me.name))?;
    let others = server.connections().into_iter().filter(|other| other.id() != peer.id());
    let others = others.filter_map(|other| other.attached::<Member>());
    Ok(others.filter(|other| other.room == me.room).map(|other| other.name).collect())
}

async fn say(server: ServerHandle, peer: Peer, Data(text): Data<String>) -> Result<(), RpcError> {
    let Some(Member { name, room }) = peer.attached() else { return Ok(()) };
    tell_others(&server, &peer, &room, &format!("{name}: {text}"))
}

async fn leave(peer: Peer) -> Result<(), RpcError> {
    let (Some(server), Some(Member { name, room })) = (peer.server(), peer.detach()) else {
        return Ok(());
    };
    tell_others(&server, &peer, &room, &format!("* {name} left"))
}

fn tell_others(server: &ServerHandle, peer: &Peer, room: &str, line: &str) -> Result<(), RpcError> {
    let is_here = |other: &Peer| other.attached::<Member>().is_some_and(|m| m.room == room);
    let outcome = server.broadcast("line", line).exclude(peer.id()).filter(is_here).send();
    outcome.map(drop).map_err(|error| RpcError::internal(error.to_string()))
}

// --- A client ------------------------------------------------------------------------------------

async fn join(address: &str, name: &str) -> Result<(), Failure> {
    let Address::Tcp { host, port } = address.parse()? else { return Err("no HOST:PORT".into()) };
    let me = Arc::new(Mutex::new(Member { name: name.into(), room: "lobby".into() }));
    let returning = Arc::clone(&me);
    let descriptor = ClientDescriptor::new(host, port, PASSWORD)
        .reconnect_attempts(0) // Never gives up.
        .reconnect_delay(Duration::from_millis(500))
        .reconnect_delay_max(Duration::from_secs(5));
    let client = Client::new(descriptor)
        .on("line", |Data(line): Data<String>| async move { println!("{line}") })
        .on_disconnect(|_: ClientHandle, reason: CloseReason| async move {
            println!("* disconnected: {reason}");
        })
        .on_reconnect(move |client: ClientHandle| {
            println!("* connected again");
            // The server keeps names with connections, and this one is new to it.
            go_in(client, Arc::clone(&returning))
        })
        .connect()
        .await?;
    go_in(client.clone(), Arc::clone(&me)).await?;

    let (talker, mut lines) = (client.clone(), stdin_lines());
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            if let Err(error) = obey(&talker, &me, &line).await {
                println!("* {error}");
            }
        }
        talker.disconnect().await;
    });
    match client.closed().await {
        CloseReason::Local => Ok(()),
        reason => Err(reason.to_string().into()),
    }
}

/// Says the line, or does what it commands.
async fn obey(client: &ClientHandle, me: &Arc<Mutex<Member>>, line: &str) -> Result<(), Failure> {
    if let Some(room) = line.strip_prefix("/room ") {
        lock(me).room = room.trim().into();
        return Ok(go_in(client.clone(), Arc::clone(me)).await?);
    }
    Ok(client.send("say", line).await?)
}

async fn go_in(client: ClientHandle, me: Arc<Mutex<Member>>) -> Result<(), CallError> {
    let me = lock(&me).clone();
    let others: Vec<String> = client.call("enter", &me).await?;
    let others = if others.is_empty() { "nobody".into() } else { others.join(", ") };
    println!("* you are in {} with {others}", me.room);
    Ok(())
}

fn lock(me: &Mutex<Member>) -> MutexGuard<'_, Member> {
    me.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Not tokio's own stdin: its thread would keep the program from ending until the next line.
fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
