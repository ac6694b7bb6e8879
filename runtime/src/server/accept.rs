//! The loop that takes connections from one listener.

use std::io;
use std::time::Duration;

use cndt_core::time::Instant;

use crate::race::{First, race};
use crate::rt::Runtime;

use super::handle::{ServerHandle, TaskCount};

/// The first pause after the operating system could not give a connection.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// A flood of connections must not become a flood of words.
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) async fn run<R: Runtime>(server: ServerHandle, listener: R::Listener, count: TaskCount) {
    let runtime = R::default();
    let mut pause = PAUSE_MIN;
    let mut quiet_until = Instant::ZERO;
    loop {
        let error = match race(server.stopping(), runtime.accept(&listener)).await {
            First::Left(()) => break,
            First::Right(Ok((stream, address))) => {
                pause = PAUSE_MIN;
                if let Err(error) = server.serve_stream(stream, address) {
                    let now = runtime.now();
                    if now >= quiet_until {
                        quiet_until = now + LOG_PAUSE;
                        let refused = server.stats().refused;
                        tracing::warn!(
                            target: "cndt", peer = %address, %error, refused,
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
    drop(listener);
    drop(count);
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
