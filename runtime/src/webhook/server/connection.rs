//! One connection of a sender, from its first byte to its end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol_hyper::rt::FuturesIo;

use super::request::Front;
use super::settings::Reception;
use crate::http::HyperRuntime;
use crate::net::{BoxTransport, TlsInfo, Transport};
use crate::race::{First, race};
use crate::rt::{Machine, Task};
use crate::server::{Permit, ServerHandle};

/// Headers of one request (hardening: 64 of them, 16 KiB together).
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Serves a connection until its end, or until the server has been stopping for as long as its
/// `shutdown_timeout`.
pub(crate) async fn serve(
    server: ServerHandle,
    stream: BoxTransport,
    remote: Option<SocketAddr>,
    reception: Arc<Reception>,
    place: Permit,
) {
    let runtime = HyperRuntime(server.machine());
    let tls = Arc::<OnceLock<Arc<TlsInfo>>>::default();
    let lingers = Arc::<AtomicBool>::default();
    let stream: BoxTransport = Box::new(Watched {
        stream,
        tls: Arc::clone(&tls),
        lingers: Arc::clone(&lingers),
        linger: Linger::NotYet,
        machine: server.machine(),
        stall_max: server.descriptor().connection_timeout,
        stalled: None,
    });
    let read_timeout = reception.settings.read_timeout;
    let place = Arc::new(place);
    let front = Front { server: server.clone(), reception, remote, tls, lingers, place };
    let front = Arc::new(front);
    let mut builder = http1::Builder::new();
    builder
        .timer(runtime)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .header_read_timeout(read_timeout)
        .keep_alive(true);
    let service = service_fn(|request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, std::convert::Infallible>(front.answer(request).await) }
    });
    let mut connection = pin!(builder.serve_connection(FuturesIo::new(stream), service));
    let outcome = match race(connection.as_mut(), server.stopping()).await {
        First::Left(outcome) => outcome,
        First::Right(()) => {
            connection.as_mut().graceful_shutdown();
            let machine = server.machine();
            let patience = server.descriptor().shutdown_timeout;
            let cut = machine.sleep_until(machine.now() + patience);
            match race(connection.as_mut(), cut).await {
                First::Left(outcome) => outcome,
                First::Right(()) => Ok(()),
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(target: "cndt", ?remote, %error, "webhook connection ended");
    }
}

/// How long the rest of a body that was refused is waited for, and how much of it is read.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// A stream that keeps what TLS tells, which is known once something was read; and that, where it is
/// told to, reads on for a while when it is closed. A socket that is closed with unread bytes is reset,
/// and whoever is still sending them never sees the answer (RFC 9112, section 9.6).
///
/// A peer that takes no byte of its answer for `stall_max` is cut off: hyper would wait for ever, and
/// the place with it.
struct Watched {
    stream: BoxTransport,
    machine: Machine,
    stall_max: Duration,
    /// Over when the peer has taken nothing for too long; there while it takes nothing.
    stalled: Option<Task>,
    tls: Arc<OnceLock<Arc<TlsInfo>>>,
    lingers: Arc<AtomicBool>,
    linger: Linger,
}

enum Linger {
    /// It is not closed.
    NotYet,
    /// Its writing half is; this much is read at most, and for so long.
    Reading {
        left: usize,
        over: Task,
    },
    Over,
}

impl Transport for Watched {}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready()
            && self.tls.get().is_none()
            && let Some(session) = self.stream.session()
        {
            let _ = self.tls.set(Arc::new(session.info));
        }
        read
    }
}

impl Watched {
    /// What has become of writing, unless it has been nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let (machine, after) = (self.machine, self.stall_max);
        let stalled =
            self.stalled.get_or_insert_with(|| machine.sleep_until(machine.now() + after));
        ready!(stalled.as_mut().poll(cx));
        self.stalled = None;
        let words = format!("the peer has taken nothing for {after:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.unless_stalled(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.linger {
                Linger::NotYet => {
                    let closed = Pin::new(&mut this.stream).poll_close(cx);
                    ready!(this.unless_stalled(cx, closed))?;
                    this.linger = if this.lingers.load(Ordering::Relaxed) {
                        let over = this.machine.sleep_until(this.machine.now() + LINGER);
                        Linger::Reading { left: LINGER_BYTES, over }
                    } else {
                        Linger::Over
                    };
                }
                Linger::Reading { left, over } => {
                    let mut scratch = [0; 16 * 1024];
                    let read = match over.as_mut().poll(cx) {
                        Poll::Ready(()) => 0,
                        // What goes wrong now concerns nobody.
                        Poll::Pending => {
                            let read = Pin::new(&mut this.stream).poll_read(cx, &mut scratch);
                            ready!(read).unwrap_or(0)
                        }
                    };
                    *left = left.saturating_sub(read);
                    if read == 0 || *left == 0 {
                        this.linger = Linger::Over;
                    }
                }
                Linger::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}
