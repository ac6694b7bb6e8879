//! What a runtime must offer: sockets, sleep, a clock, tasks. The only thing an adapter implements.
//!
//! Everything else in this crate is written once, on top of [`Runtime`]. Byte streams are those of
//! [`futures_io`]; a stream should keep vectored writes, since everything that waits to be sent goes
//! out in one. Sockets that listen are made by this crate, the same on every runtime, and handed over.
//!
//! ```
//! use cndt_runtime::Runtime;
//! use cndt_tokio::Tokio;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let before = Tokio.now();
//! Tokio.sleep_until(before + std::time::Duration::from_millis(1)).await;
//! assert!(Tokio.now() > before);
//! # }
//! ```

use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use cndt_core::auth::scram::{Derivation, Keys};
use cndt_core::time::Instant;
use futures_io::{AsyncRead, AsyncWrite};

/// An async runtime. Implementations are zero-sized: `Default` makes one wherever it is needed.
pub trait Runtime: Copy + Default + Send + Sync + 'static {
    /// For people: `tokio`, `smol`.
    const NAME: &'static str;

    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A socket that accepts TCP connections.
    type Listener: Send + Sync + 'static;

    /// A connection over a Unix socket.
    #[cfg(unix)]
    type UnixStream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A Unix socket that accepts connections.
    #[cfg(unix)]
    type UnixListener: Send + Sync + 'static;

    /// Finds the addresses of `host`.
    fn resolve(
        self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a TCP connection with `TCP_NODELAY` set.
    fn connect(self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes a listening socket over. It is in non-blocking mode.
    ///
    /// # Errors
    /// What the operating system says.
    fn listen(self, listener: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// Waits for the next connection, and sets `TCP_NODELAY` on it.
    fn accept(
        self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Reads behind what `buffer` holds, `max` bytes at most, and appends them. Override it where the
    /// runtime can read into memory that holds nothing yet: here it is filled with zeros first.
    fn poll_read_into(
        self,
        stream: Pin<&mut Self::Stream>,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        read_zeroed(stream, cx, buffer, max)
    }

    /// Connects to a Unix socket.
    #[cfg(unix)]
    fn connect_unix(self, path: &Path)
    -> impl Future<Output = io::Result<Self::UnixStream>> + Send;

    /// Takes a listening Unix socket over. It is in non-blocking mode.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(unix)]
    fn listen_unix(
        self,
        listener: std::os::unix::net::UnixListener,
    ) -> io::Result<Self::UnixListener>;

    /// Waits for the next connection.
    #[cfg(unix)]
    fn accept_unix(
        self,
        listener: &Self::UnixListener,
    ) -> impl Future<Output = io::Result<Self::UnixStream>> + Send;

    /// Resolves at `at` or a little later, never earlier.
    fn sleep_until(self, at: Instant) -> impl Future<Output = ()> + Send + 'static;

    /// The monotonic clock, from an origin that is the same for the whole process.
    fn now(self) -> Instant;

    /// The calendar: unix time in milliseconds.
    fn unix_millis(self) -> u64;

    /// Runs `task` to its end, whatever happens to the caller.
    fn spawn(self, task: impl Future<Output = ()> + Send + 'static);

    /// Runs `work` where blocking is allowed.
    fn run_blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// Reads behind what `buffer` holds.
pub(crate) fn read_zeroed<S: AsyncRead + ?Sized>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    max: usize,
) -> Poll<io::Result<usize>> {
    let start = buffer.len();
    buffer.resize(start + max, 0);
    // Not every stream is ours: one may tell of more than it was given room for.
    let outcome = stream.poll_read(cx, &mut buffer[start..]).map_ok(|read| read.min(max));
    let read = if let Poll::Ready(Ok(read)) = outcome { read } else { 0 };
    buffer.truncate(start + read);
    outcome
}

/// A boxed task.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keys that are being derived.
pub(crate) type Deriving = Pin<Box<dyn Future<Output = Keys> + Send>>;

/// A [`Runtime`] as a value, so that handles and drivers need no type parameter. Only what happens
/// rarely goes through a box.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    now: fn() -> Instant,
    unix_millis: fn() -> u64,
    sleep_until: fn(Instant) -> Task,
    spawn: fn(Task),
    derive: fn(Derivation) -> Deriving,
}

impl Machine {
    pub(crate) fn of<R: Runtime>() -> Self {
        Self {
            now: || R::default().now(),
            unix_millis: || R::default().unix_millis(),
            sleep_until: |at| Box::pin(R::default().sleep_until(at)),
            spawn: |task| R::default().spawn(task),
            derive: |work| Box::pin(R::default().run_blocking(move || work.run())),
        }
    }

    pub(crate) fn now(self) -> Instant {
        (self.now)()
    }

    pub(crate) fn unix_millis(self) -> u64 {
        (self.unix_millis)()
    }

    pub(crate) fn sleep_until(self, at: Instant) -> Task {
        (self.sleep_until)(at)
    }

    /// Derives keys where blocking is allowed.
    pub(crate) fn derive(self, work: Derivation) -> Deriving {
        (self.derive)(work)
    }

    pub(crate) fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        (self.spawn)(Box::pin(task));
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Machine")
    }
}
