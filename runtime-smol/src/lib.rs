//! CNDT servers and clients on [smol](https://docs.rs/smol).
//!
//! Everything of [`cndt_runtime`] with the runtime filled in. Tasks run on smol's global executor;
//! its threads are as many as the environment variable `SMOL_THREADS` says, one unless told
//! otherwise.
//!
//! ```
//! use cndt_smol::{Client, ClientDescriptor, Params, Server, ServerDescriptor};
//!
//! # smol::block_on(async {
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

use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

#[cfg(unix)]
use smol::net::unix::{UnixListener, UnixStream};
use smol::net::{TcpListener, TcpStream};

pub use cndt_runtime::*;

/// A server on smol.
pub type Server = cndt_runtime::Server<Smol>;

/// A client on smol.
pub type Client = cndt_runtime::Client<Smol>;

/// A pool of clients on smol.
pub type Pool = cndt_runtime::Pool<Smol>;

/// See [`cndt_runtime::Policy`].
pub type Policy = cndt_runtime::Policy<Smol>;

/// See [`cndt_runtime::Policies`].
pub type Policies = cndt_runtime::Policies<Smol>;

/// See [`cndt_runtime::webhook::client`].
#[cfg(feature = "webhook")]
pub type WebhookClient = cndt_runtime::webhook::WebhookClient<Smol>;

/// See [`cndt_runtime::webhook::outbox`].
#[cfg(feature = "outbox")]
pub type Outbox = cndt_runtime::webhook::outbox::Outbox<Smol>;

/// The smol runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct Smol;

/// The point that [`Runtime::now`] counts from: the first time that anyone asked.
#[allow(clippy::disallowed_methods, reason = "this is the adapter that others ask")]
fn origin() -> StdInstant {
    static ORIGIN: OnceLock<StdInstant> = OnceLock::new();
    *ORIGIN.get_or_init(StdInstant::now)
}

impl Runtime for Smol {
    const NAME: &'static str = "smol";
    type Stream = TcpStream;
    type Listener = TcpListener;
    #[cfg(unix)]
    type UnixStream = UnixStream;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    async fn resolve(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn listen(self, listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::try_from(listener)
    }

    async fn accept(self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }

    #[cfg(unix)]
    async fn connect_unix(self, path: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(path).await
    }

    #[cfg(unix)]
    fn listen_unix(self, listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::try_from(listener)
    }

    #[cfg(unix)]
    async fn accept_unix(self, listener: &UnixListener) -> io::Result<UnixStream> {
        listener.accept().await.map(|(stream, _)| stream)
    }

    async fn sleep_until(self, at: Instant) {
        // Beyond what the clock can express it is as good as never.
        match origin().checked_add(Duration::from_micros(at.as_micros())) {
            Some(at) => drop(smol::Timer::at(at).await),
            None => std::future::pending().await,
        }
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
        smol::spawn(task).detach();
    }

    async fn run_blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(work).await
    }
}
