//! Where bytes come from: addresses, sockets that listen, connections that are made, TLS around them.
//!
//! ```
//! use cndt_runtime::net::{Address, Listener};
//!
//! let address: Address = "unix:/run/app.sock".parse()?;
//! assert_eq!(address.to_string(), "unix:/run/app.sock");
//! let listener = Listener::tcp("::1", 8443).plain();
//! # drop(listener);
//! # Ok::<(), cndt_runtime::ConfigError>(())
//! ```

mod address;
mod bind;
pub(crate) mod dial;
mod jsonrpc;
mod listener;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

use crate::rt::{Runtime, read_zeroed};

pub use address::{Address, LocalAddress};
#[cfg(feature = "conformance")]
pub(crate) use bind::listen;
pub(crate) use bind::{Socket, bind};
pub use cndt_core::jsonrpc::Framing;
pub use jsonrpc::JsonRpc;
pub(crate) use jsonrpc::Trust;
pub use listener::Listener;
pub(crate) use listener::{ListenerProtocol, ListenerTls};
#[cfg(feature = "tls")]
pub use rustls;
pub use tls::TlsInfo;
pub(crate) use tls::{TlsClient, TlsServer};

/// What a driver pumps.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// What TLS tells of the session, once its handshake is done; `None` before, and without TLS.
    fn session(&self) -> Option<Session> {
        None
    }

    /// Reads behind what `buffer` holds, `max` bytes at most, and appends them.
    fn poll_read_into(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        read_zeroed(self, cx, buffer, max)
    }
}

/// A transport whose kind is forgotten: what a virtual call costs is lost in any system call.
pub(crate) type BoxTransport = Box<dyn Transport>;

/// A TLS session whose handshake is done.
pub(crate) struct Session {
    pub(crate) info: TlsInfo,
    /// Exported under `EXPORTER-Channel-Binding` (RFC 9266), where that is safe to use.
    pub(crate) binding: Option<[u8; 32]>,
}

/// How a stream is read behind what a buffer holds.
type ReadInto<S> =
    fn(Pin<&mut S>, &mut Context<'_>, &mut BytesMut, usize) -> Poll<io::Result<usize>>;

/// Any stream, as it is.
pub(crate) struct Plain<S> {
    stream: S,
    read_into: ReadInto<S>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Plain<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read_into: read_zeroed }
    }

    pub(crate) fn boxed(stream: S) -> BoxTransport {
        Box::new(Self::new(stream))
    }

    /// A runtime's own TCP connection, read as the runtime reads best.
    pub(crate) fn tcp<R: Runtime<Stream = S>>(stream: S) -> BoxTransport {
        let read_into: ReadInto<S> =
            |stream, cx, buffer, max| R::default().poll_read_into(stream, cx, buffer, max);
        Box::new(Self { stream, read_into })
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for Plain<S> {
    fn poll_read_into(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        (self.read_into)(Pin::new(&mut self.stream), cx, buffer, max)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
