//! CNDT servers and clients, written once for every async runtime.
//!
//! Use it through an adapter, which fills the runtime in: `cndt-tokio`, `cndt-smol`,
//! `cndt-async-std`. A server and a client in ten lines:
//!
//! ```
//! use cndt_tokio::{Client, ClientDescriptor, Params, Server, ServerDescriptor};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! let server = Server::new(descriptor)
//!     .rpc("add", |Params((a, b)): Params<(i64, i64)>| async move { a + b })
//!     .start()
//!     .await?;
//!
//! let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret");
//! let client = Client::new(descriptor).connect().await?;
//! let sum: i64 = client.call("add", &(10, 20)).await?;
//! assert_eq!(sum, 30);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! The protocol is a state machine without I/O (`cndt-core`). One driver task per
//! connection pumps it over a byte stream. Handles lock the machine just long enough to encode a
//! frame into its send buffer, then wake the driver, which writes everything that waits at once:
//! there is no channel between a handle and the socket. A value's `Serialize` runs under that lock,
//! so it must not use the connection itself.
//!
//! A handler is polled once where it arrived, so handlers start in order; one that is not done then
//! goes on as its own task, and delays neither others nor heartbeats. Up to 128 may be under way per
//! connection; beyond that nothing more is read, and TCP pushes back. Work that computes for long
//! belongs on a blocking thread.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tls` | yes | TLS by rustls, for servers and clients |
//! | `webhook` | yes | webhooks over HTTP, received and sent |
//! | `outbox` | yes | webhooks that outlive the process: a queue on disk |
//! | `metrics` | no | numbers through the `metrics` facade |
//! | `tower` | no | policies as layers of tower |
//! | `conformance` | no | the suite that every adapter runs; for authors of adapters |
//!
//! Rust 1.90 or newer.
#![forbid(unsafe_code)]

mod ask;
mod attached;
mod batch;
mod call;
mod call_hasher;
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contain;
mod deliver;
pub mod descriptor;
mod driver;
mod entropy;
pub mod error;
pub mod hooks;
#[cfg(feature = "webhook")]
mod http;
mod line;
mod link;
pub mod net;
mod owner;
mod peer;
pub mod policy;
pub mod pool;
mod protocol;
mod race;
pub mod retry;
pub mod router;
pub mod rt;
mod running;
pub mod server;
pub mod telemetry;
mod together;
pub mod users;
mod watched;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use batch::{Answer, Batch, Outcomes};
pub use call::{Arguments, Call, RawCall};
pub use client::{Client, ClientHandle, ConnectionState, Health, Messages};
pub use deliver::{AckedMessage, Ping, SendMessage};
pub use descriptor::{ClientDescriptor, ClientProtocol, Password, ServerDescriptor, SlowClient};
pub use error::{
    CallError, ConfigError, ConnectError, ConnectErrorKind, DeliveryError, NotConnected, OnceError,
    RouterError, ServeError,
};
pub use net::{Address, Framing, JsonRpc, Listener, LocalAddress, TlsInfo};
pub use peer::{ConnectionId, Peer};
pub use policy::{Policies, Policy, PolicyConfig, PolicyError};
pub use pool::{Balance, MemberHealth, Pool, PoolCall, PoolHandle, PoolOptions, PoolRawCall};
pub use router::extract::{Data, Extract, Meta, Params, RawParams, State, User};
pub use router::{
    CallContext, FailureCause, Handler, HandlerFailure, HandlerKind, Method, RawReply, Response,
    Route, Router,
};
pub use rt::Runtime;
pub use server::{Broadcast, Delivered, PacedBroadcast, Server, ServerHandle, ServerStats};
pub use users::{UserName, Users, Verifier};

pub use bytes::Bytes;
pub use cndt_core as core;
pub use cndt_core::connection::{CallFailure, CloseReason, Message, Opened, SendError, Stats};
pub use cndt_core::message::{Blob, BodyError, from_bytes, from_slice};
pub use cndt_core::resilience::{
    Backoff, BreakerConfig, BreakerState, BulkheadConfig, Jitter, Rate, RetryPolicy,
};
pub use cndt_core::rpc::{ErrorCode, MethodInfo, Page, Reply, RpcError};
pub use cndt_core::time::Instant;
pub use cndt_core::wire::Dialect;
pub use schemars;
