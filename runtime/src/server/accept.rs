//! The loop that takes connections from one listener.

use std::io;
use std::net::SocketAddr;
#[cfg(feature = "webhook")]
use std::sync::Arc;
use std::time::Duration;

use cndt_core::time::Instant;

use crate::net::{BoxTransport, JsonRpc, Plain, Socket, TlsServer};
use crate::race::{First, race};
use crate::rt::Runtime;
#[cfg(feature = "webhook")]
use crate::webhook::server::Reception;

use super::handle::{ServerHandle, TaskCount};

/// A socket that listens, and what is spoken there.
pub(super) struct Door<R: Runtime> {
    pub(super) socket: Socket<R>,
    pub(super) tls: Option<TlsServer>,
    pub(super) spoken: Spoken,
}

/// What is spoken on a connection.
pub(super) enum Spoken {
    Cndt,
    JsonRpc(JsonRpc),
    #[cfg(feature = "webhook")]
    Webhooks(Arc<Reception>),
}

/// The first pause after the operating system could not give a connection.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// A flood of connections must not become a flood of words.
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) async fn run<R: Runtime>(server: ServerHandle, door: Door<R>, count: TaskCount) {
    let Door { socket, tls, spoken } = door;
    let runtime = R::default();
    let mut pause = PAUSE_MIN;
    let mut quiet_until = Instant::ZERO;
    loop {
        let error = match race(server.stopping(), accept(&socket, tls.as_ref())).await {
            First::Left(()) => break,
            First::Right(Ok((stream, address))) => {
                pause = PAUSE_MIN;
                if let Err(error) = server.serve(stream, address, &spoken) {
                    let now = runtime.now();
                    if now >= quiet_until {
                        quiet_until = now + LOG_PAUSE;
                        let refused = server.stats().refused;
                        tracing::warn!(
                            target: "cndt", peer = ?address, %error, refused,
                            "connection not taken",
                        );
                    }
                }
                continue;
            }
            First::Right(Err(error)) => error,
        };
        if concerns_one_connection(&error) {
            tracing::debug!(target: "cndt", %error, "connection ended before it was taken");
            continue;
        }
        // Most likely there are no file descriptors left: trying at once would only burn time.
        tracing::warn!(target: "cndt", %error, ?pause, "cannot take connections; trying again");
        let sleep = runtime.sleep_until(runtime.now() + pause);
        if let First::Left(()) = race(server.stopping(), sleep).await {
            break;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    // The port is free before the server counts as stopped.
    drop(socket);
    drop(count);
}

async fn accept<R: Runtime>(
    socket: &Socket<R>,
    tls: Option<&TlsServer>,
) -> io::Result<(BoxTransport, Option<SocketAddr>)> {
    let runtime = R::default();
    match socket {
        Socket::Tcp(listener, _) => {
            let (stream, address) = runtime.accept(listener).await?;
            let stream = match tls {
                Some(tls) => tls.accept(stream),
                None => Plain::tcp::<R>(stream),
            };
            Ok((stream, Some(address)))
        }
        #[cfg(unix)]
        Socket::Unix(listener, _) => Ok((Plain::boxed(runtime.accept_unix(listener).await?), None)),
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
