//! The protocol core in a hand-written event loop: one thread, no async runtime, many connections.
//!
//! ```text
//! cargo run -p cndt-core --example poll_loop                           # a server and three clients
//! cargo run -p cndt-core --example poll_loop -- serve 127.0.0.1:7000   # only the server
//! ```
//!
//! - [`line`] joins one socket and one connection: read it first, it is all that a connection needs.
//! - [`event_loop`] decides whose turn it is, and how long to sleep.
//! - [`application`] sees events and never a socket.
//!
//! The poller is `mio`. Any other that tells when a socket is ready does as well.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it is a program, and this is its output")]

mod application;
mod event_loop;
mod line;

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};

use application::Application;
use event_loop::EventLoop;

/// A real server stores a verifier for each user and never sees this.
const PASSWORD: &str = "correct horse battery staple";
const CALLERS: [&str; 3] = ["ada", "edith", "grace"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => demo(),
        [command, address] if command == "serve" => serve(address),
        _ => Err("usage: poll_loop [serve HOST:PORT]".into()),
    }
}

fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let address = address.to_socket_addrs()?.next().ok_or("no such host")?;
    let mut event_loop = EventLoop::new(PASSWORD)?;
    println!("listening on {}, password: {PASSWORD}", event_loop.listen(address)?);
    loop {
        event_loop.turn()?;
    }
}

fn demo() -> Result<(), Box<dyn Error>> {
    let mut event_loop = EventLoop::new(PASSWORD)?;
    let address = event_loop.listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    for name in CALLERS {
        event_loop.connect(address, PASSWORD, Application::caller(name))?;
    }
    let mut satisfied = Vec::new();
    while satisfied.len() < CALLERS.len() {
        let ended = event_loop.turn()?;
        satisfied.extend(ended.iter().filter_map(Application::is_satisfied));
    }
    event_loop.close();
    while !event_loop.is_empty() {
        event_loop.turn()?;
    }
    if satisfied.contains(&false) {
        return Err("a caller did not get what it asked for".into());
    }
    println!("all connections are closed");
    Ok(())
}
