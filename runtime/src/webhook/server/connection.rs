//! One connection of a sender, from its first byte to its end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol_hyper::rt::FuturesIo;

use super::request::Front;
use super::settings::Reception;
use crate::http::HyperRuntime;
use crate::net::{BoxTransport, TlsInfo, Transport};
use crate::race::{First, race};
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
    let stream: BoxTransport = Box::new(Watched { stream, tls: Arc::clone(&tls) });
    let read_timeout = reception.settings.read_timeout;
    let front = Front { server: server.clone(), reception, remote, tls, place: Arc::new(place) };
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

/// A stream that keeps what TLS tells, which is known once something was read.
struct Watched {
    stream: BoxTransport,
    tls: Arc<OnceLock<Arc<TlsInfo>>>,
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

impl AsyncWrite for Watched {
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
