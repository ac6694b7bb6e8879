//! CNDT servers and clients on [tokio](https://tokio.rs).
//!
//! Everything of [`cndt_runtime`] with the runtime filled in.
//!
//! ```
//! use cndt_tokio::{Client, ClientDescriptor, Params, RpcError, Server, ServerDescriptor};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Greet {
//!     name: String,
//! }
//!
//! async fn greet(Params(p): Params<Greet>) -> Result<String, RpcError> {
//!     Ok(format!("Hello, {}!", p.name))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//!     let server = Server::new(descriptor).rpc("greet", greet).start().await?;
//!
//!     let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret");
//!     let client = Client::new(descriptor).connect().await?;
//!     let greeting: String = client.call("greet", &Greet { name: "World".into() }).await?;
//!     assert_eq!(greeting, "Hello, World!");
//!     client.disconnect().await;
//!     server.stop().await;
//!     Ok(())
//! }
//! ```
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
//!
//! Rust 1.90 or newer.
#![forbid(unsafe_code)]

mod stream;

/// What the registry shows: its example is run like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant as TokioInstant;

pub use cndt_runtime::*;
pub use stream::Stream;

/// A server on tokio.
pub type Server = cndt_runtime::Server<Tokio>;

/// A client on tokio.
pub type Client = cndt_runtime::Client<Tokio>;

/// A pool of clients on tokio.
pub type Pool = cndt_runtime::Pool<Tokio>;

/// See [`cndt_runtime::Policy`].
pub type Policy = cndt_runtime::Policy<Tokio>;

/// See [`cndt_runtime::Policies`].
pub type Policies = cndt_runtime::Policies<Tokio>;

/// See [`cndt_runtime::webhook::client`].
#[cfg(feature = "webhook")]
pub type WebhookClient = cndt_runtime::webhook::WebhookClient<Tokio>;

/// See [`cndt_runtime::webhook::outbox`].
#[cfg(feature = "outbox")]
pub type Outbox = cndt_runtime::webhook::outbox::Outbox<Tokio>;

/// The tokio runtime. Use it from inside one, with time and I/O enabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokio;

/// The point that [`Runtime::now`] counts from: the first time that anyone asked.
fn origin() -> TokioInstant {
    static ORIGIN: OnceLock<TokioInstant> = OnceLock::new();
    // tokio's own clock, so that tests which pause time pause connections too.
    *ORIGIN.get_or_init(TokioInstant::now)
}

impl Runtime for Tokio {
    const NAME: &'static str = "tokio";
    type Stream = Stream<TcpStream>;
    type Listener = TcpListener;
    #[cfg(unix)]
    type UnixStream = Stream<UnixStream>;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    async fn resolve(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(self, address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Stream(stream))
    }

    fn listen(self, listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }

    async fn accept(self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Stream(stream), address))
    }

    fn poll_read_into(
        self,
        stream: Pin<&mut Self::Stream>,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve(max);
        let mut room = buffer.limit(max);
        pin!(stream.get_mut().0.read_buf(&mut room)).poll(cx)
    }

    #[cfg(unix)]
    async fn connect_unix(self, path: &Path) -> io::Result<Self::UnixStream> {
        UnixStream::connect(path).await.map(Stream)
    }

    #[cfg(unix)]
    fn listen_unix(self, listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }

    #[cfg(unix)]
    async fn accept_unix(self, listener: &UnixListener) -> io::Result<Self::UnixStream> {
        listener.accept().await.map(|(stream, _)| Stream(stream))
    }

    async fn sleep_until(self, at: Instant) {
        // tokio refuses times that its clock cannot express; ten years are as good as never.
        const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let since_origin = Duration::from_micros(at.as_micros()).min(NEVER);
        tokio::time::sleep_until(origin() + since_origin).await;
    }

    fn now(self) -> Instant {
        let passed = origin().elapsed().as_micros();
        Instant::from_micros(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the adapter that others ask")]
    fn unix_millis(self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        // The task is detached on purpose; it ends by itself.
        drop(tokio::spawn(task));
    }

    async fn run_blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime shuts down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
