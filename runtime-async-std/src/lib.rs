//! CNDT servers and clients on [async-std](https://docs.rs/async-std).
//!
//! Everything of [`cndt_runtime`] with the runtime filled in.
//!
//! **async-std is discontinued** ([RUSTSEC-2025-0052]): its authors recommend smol. This adapter is
//! for programs that still run on it; new ones should take `cndt-smol`, which differs in nothing
//! but the name.
//!
//! [RUSTSEC-2025-0052]: https://rustsec.org/advisories/RUSTSEC-2025-0052
//!
//! ```
//! use cndt_async_std::{Client, ClientDescriptor, Params, Server, ServerDescriptor};
//!
//! # async_std::task::block_on(async {
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
//! client.disconnect().await;
//! server.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
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

use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

use async_std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use async_std::os::unix::net::{UnixListener, UnixStream};

pub use cndt_runtime::*;
pub use stream::{Socket, Stream};

/// A server on async-std.
pub type Server = cndt_runtime::Server<AsyncStd>;

/// A client on async-std.
pub type Client = cndt_runtime::Client<AsyncStd>;

/// A pool of clients on async-std.
pub type Pool = cndt_runtime::Pool<AsyncStd>;

/// See [`cndt_runtime::Policy`].
pub type Policy = cndt_runtime::Policy<AsyncStd>;

/// See [`cndt_runtime::Policies`].
pub type Policies = cndt_runtime::Policies<AsyncStd>;

/// See [`cndt_runtime::webhook::client`].
#[cfg(feature = "webhook")]
pub type WebhookClient = cndt_runtime::webhook::WebhookClient<AsyncStd>;

/// See [`cndt_runtime::webhook::outbox`].
#[cfg(feature = "outbox")]
pub type Outbox = cndt_runtime::webhook::outbox::Outbox<AsyncStd>;

/// The async-std runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsyncStd;

/// The point that [`Runtime::now`] counts from: the first time that anyone asked.
#[allow(clippy::disallowed_methods, reason = "this is the adapter that others ask")]
fn origin() -> StdInstant {
    static ORIGIN: OnceLock<StdInstant> = OnceLock::new();
    *ORIGIN.get_or_init(StdInstant::now)
}

impl Runtime for AsyncStd {
    const NAME: &'static str = "async-std";
    type Stream = Stream<TcpStream>;
    type Listener = TcpListener;
    #[cfg(unix)]
    type UnixStream = Stream<UnixStream>;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    async fn resolve(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        use async_std::net::ToSocketAddrs;
        Ok((host, port).to_socket_addrs().await?.collect())
    }

    async fn connect(self, address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Stream(stream))
    }

    fn listen(self, listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(listener.into())
    }

    async fn accept(self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Stream(stream), address))
    }

    #[cfg(unix)]
    async fn connect_unix(self, path: &Path) -> io::Result<Self::UnixStream> {
        UnixStream::connect(path).await.map(Stream)
    }

    #[cfg(unix)]
    fn listen_unix(self, listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        Ok(listener.into())
    }

    #[cfg(unix)]
    async fn accept_unix(self, listener: &UnixListener) -> io::Result<Self::UnixStream> {
        listener.accept().await.map(|(stream, _)| Stream(stream))
    }

    async fn sleep_until(self, at: Instant) {
        let left = Duration::from_micros(at.as_micros()).saturating_sub(origin().elapsed());
        async_std::task::sleep(left).await;
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
        // Dropping the handle detaches the task; it ends by itself.
        drop(async_std::task::spawn(task));
    }

    async fn run_blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        async_std::task::spawn_blocking(work).await
    }
}
