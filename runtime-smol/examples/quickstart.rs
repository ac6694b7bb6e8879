//! The quick start: a server and a client, here in one program.
//!
//! `cargo run -p cndt-smol --example smol_quickstart`
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;

use cndt_smol::{
    Client, ClientDescriptor, ClientHandle, Data, Method, Params, Peer, Server, ServerDescriptor,
    ServerHandle,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Greeting {
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Reply {
    reply: String,
}

async fn greeting(Data(Greeting { name }): Data<Greeting>) -> Reply {
    let name = name.as_deref().unwrap_or("stranger");
    Reply { reply: format!("Hello, {name}!") }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

async fn add(Params(Add { a, b }): Params<Add>) -> i64 {
    a + b
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Multiply {
    x: f64,
    y: f64,
}

async fn multiply(Params(Multiply { x, y }): Params<Multiply>) -> f64 {
    x * y
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(quickstart())
}

async fn quickstart() -> Result<(), Box<dyn Error>> {
    // A free port on loopback: this program must not meet others, nor be reached by strangers.
    let descriptor = ServerDescriptor::new("your_secret_password").name("MyServer");
    let server = Server::new(descriptor.host("127.0.0.1").port(0))
        .on("greeting", greeting)
        .rpc(Method::new("add").describe("Add two numbers."), add)
        .rpc(Method::new("multiply").describe("Multiply two numbers."), multiply)
        .on_startup(|server: ServerHandle| async move {
            println!("Server starting on {}", server.address());
        })
        .on_client_connect(|peer: Peer| async move { println!("Client connected: {}", peer.id()) })
        .start()
        .await?;

    let port = server.address().port();
    let descriptor = ClientDescriptor::new("127.0.0.1", port, "your_secret_password");
    let client = Client::new(descriptor.name("MyClient"))
        // What a handler of the server returns comes back under the message's name and this ending.
        .on("greeting_response", |Data(Reply { reply }): Data<Reply>| async move {
            println!("Reply received: {reply}");
        })
        .on("broadcast", |Data(text): Data<String>| async move {
            println!("Broadcast received: {text}");
        })
        .on_connect(|_: ClientHandle| async { println!("Connected to server!") })
        .connect()
        .await?;

    client.send("greeting", &Greeting { name: Some("World".into()) }).await?;

    let sum: i64 = client.call("add", &Add { a: 10, b: 20 }).await?;
    println!("10 + 20 = {sum}");
    let product: f64 = client.call("multiply", &Multiply { x: 3.5, y: 2.0 }).await?;
    println!("3.5 * 2.0 = {product:?}");

    let methods = client.discover().await?;
    let names: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
    println!("Available methods: {names:?}");

    client.disconnect().await;
    server.stop().await;
    Ok(())
}
