//! Shared parts of the benchmarks.
//!
//! [`sockets`] measures whole systems over TCP, and takes systems from outside as well: implement
//! [`sockets::Peer`] and [`sockets::System`], and hand them to [`sockets::main`].
#![forbid(unsafe_code)]

pub mod allocations;
mod memory;
mod pair;
pub mod report;
pub mod sockets;

pub use memory::Memory;
pub use pair::{Pair, serve};
