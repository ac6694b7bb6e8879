//! Shared parts of the benchmarks.
//!
//! [`sockets`] measures whole systems over TCP, and takes systems from outside as well: implement
//! [`sockets::Peer`] and [`sockets::System`], and hand them to [`sockets::main`].
#![forbid(unsafe_code)]

mod pair;
pub mod sockets;

pub use pair::{Pair, serve};
