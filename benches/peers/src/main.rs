//! tarpc, tonic and Redis beside CNDT on tokio and the floors.
//!
//! ```sh
//! cargo run --release
//! ```
#![forbid(unsafe_code)]

mod redis;
mod tarpc;
mod tonic;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use cndt_benches::sockets::{Announce, Cndt, Raw, RawMux, Result, System};

fn main() -> ExitCode {
    let mut systems: Vec<&dyn System> = vec![&Raw, &RawMux, &Cndt::TOKIO];
    systems.extend::<[&dyn System; 2]>([&tarpc::Tarpc, &tonic::Tonic]);
    if redis::Redis::is_here() {
        systems.push(&redis::Redis);
    } else {
        eprintln!(
            "redis is left out: there is no redis-server (Debian: apt-get install redis-server)"
        );
    }
    cndt_benches::sockets::main(&systems)
}

/// A listener for tokio on a free port, which is told.
fn listen(announce: Announce) -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    Ok(listener)
}
