//! The floor: CNDT's bytes with nothing behind them. No login, no decoding, no checks.
//!
//! Both floors share a server, which reads a frame's type, length, id and the first letter of its
//! method. [`Raw`] keeps a window of requests in one task; [`RawMux`] has a future for each call,
//! which is what any asynchronous client has to pay for.

mod frames;
mod mux;
mod reader;
mod server;
mod window;

use cndt_tokio::Tokio;

use super::{Announce, Executor, Metrics, Result, Shape, System, Task, drive};

/// A window of requests in one task, ideal coalescing.
#[derive(Debug)]
pub struct Raw;

/// A future for each call; the task that writes yields once before it does, so that other callers can
/// join.
#[derive(Debug)]
pub struct RawMux;

impl System for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn serve(&self, announce: Announce) -> Result<()> {
        serve(announce)
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        match task.shape {
            Shape::Calls { connections, outstanding, payload } => {
                Tokio::run(window::calls(task, connections, outstanding, payload))
            }
            // The memory is the server's, which is the same.
            Shape::Idle { .. } => Tokio::run(drive::<mux::MuxPeer>(task)),
            Shape::Push { receivers } => Tokio::run(window::push(task, receivers)),
        }
    }
}

impl System for RawMux {
    fn name(&self) -> &'static str {
        "rawmux"
    }

    fn serve(&self, announce: Announce) -> Result<()> {
        serve(announce)
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        Tokio::run(drive::<mux::MuxPeer>(task))
    }
}

fn serve(announce: Announce) -> Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    Tokio::run(server::serve(listener))
}
