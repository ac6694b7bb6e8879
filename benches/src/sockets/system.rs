use std::net::SocketAddr;
use std::process::Command;

use super::{Metrics, Result, Shape, Task};

/// Tells where a server listens, once it does.
pub type Announce = fn(SocketAddr);

/// Something that can be measured: a server and a client of it.
pub trait System: Sync {
    /// In arguments, tables and plots.
    fn name(&self) -> &'static str;

    /// A server that is a program of its own, listening on this port of 127.0.0.1. `None`: the
    /// server is [`System::serve`].
    fn program(&self, _port: u16) -> Option<Command> {
        None
    }

    /// Whether this is one of its workloads.
    fn runs(&self, _shape: Shape) -> bool {
        true
    }

    /// Serves on a free port of 127.0.0.1 until the process is ended.
    ///
    /// # Errors
    /// Whatever keeps it from serving.
    fn serve(&self, announce: Announce) -> Result<()>;

    /// Runs one workload against a server of the same system, with one worker.
    ///
    /// # Errors
    /// Whatever goes wrong, wrong results included.
    fn drive(&self, task: Task) -> Result<Metrics>;
}
